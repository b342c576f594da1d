use nodedata_core::Result;
use nodedata_registry::{
    B3,
    gate::{AuditEvent, AuditHead, Outcome},
};

use crate::database::{Database, session::Session};

/// Most lines of one page of the log.
const PAGE_LINES: u64 = 10_000;
/// Lines that the database is asked for at once, so that what follows the end of a page is not in memory.
const LINES_AT_ONCE: i64 = 500;
/// After so many bytes a page ends with the line that it has come to: reasons, names and groups make lines long.
pub(super) const PAGE_BYTES: usize = 4 << 20;

impl Database {
    /// Writes the next line of the audit log.
    pub(crate) fn audit(&self, at: String, event: AuditEvent) -> Result<()> {
        self.at_once(|it| append_line(it, at, event))
    }

    /// A page of the audit log from a number on, a line break behind each line.
    pub(crate) fn audit_since(&self, seq: u64) -> Result<String> {
        let session = self.session()?;
        let (mut text, mut next) = (String::new(), seq);
        while next - seq < PAGE_LINES {
            let lines = page(&session, next, LINES_AT_ONCE)?;
            next += lines.len() as u64;
            let is_last = (lines.len() as i64) < LINES_AT_ONCE;
            for line in lines {
                text.push_str(&line);
                text.push('\n');
                if text.len() >= PAGE_BYTES {
                    return Ok(text);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(text)
    }

    /// Where the audit log ends.
    pub(crate) fn audit_head(&self) -> Result<AuditHead> {
        head(&self.session()?)
    }

    /// Whether the audit log goes through a head: it has the line that was the last then.
    pub(crate) fn goes_through(&self, through: &AuditHead) -> Result<bool> {
        let Some(last_seq) = through.next_seq.checked_sub(1) else { return Ok(through.last.is_none()) };
        let line = self.session()?.row(
            "SELECT line FROM audit WHERE seq = ?1",
            &[last_seq.cast_signed().into()],
            |row| row.get::<String>(0),
        )?;
        Ok(line.map(|it| B3::of(it.as_bytes())) == through.last && through.last.is_some())
    }
}

/// Writes the next line, in one step with what it tells.
pub(super) fn append_line(at_once: &Session<'_>, at: String, event: AuditEvent) -> Result<()> {
    if event.action == "read"
        && event.outcome == Outcome::Allowed
        && let Some(dataset) = &event.dataset
    {
        at_once.execute(
            "INSERT INTO readers (dataset, account) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            &[dataset.into(), (&event.who).into()],
        )?;
    }
    let mut head = head(at_once)?;
    let seq = head.next_seq.cast_signed();
    let line = head.append(at, event)?;
    at_once.execute("INSERT INTO audit (seq, line) VALUES (?1, ?2)", &[seq.into(), (&line).into()]).map(drop)
}

/// So many lines from a number on.
pub(super) fn page(session: &Session<'_>, seq: u64, n_lines: i64) -> Result<Vec<String>> {
    let from = i64::try_from(seq).unwrap_or(i64::MAX);
    let sql = "SELECT line FROM audit WHERE seq >= ?1 ORDER BY seq LIMIT ?2";
    session.rows(sql, &[from.into(), n_lines.into()], |row| row.get(0))
}

fn head(session: &Session<'_>) -> Result<AuditHead> {
    let sql = "SELECT seq, line FROM audit ORDER BY seq DESC LIMIT 1";
    let last = session.row(sql, &[], |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)))?;
    Ok(match &last {
        Some((seq, line)) => {
            AuditHead { next_seq: seq.unsigned_abs() + 1, last: Some(B3::of(line.as_bytes())) }
        }
        None => AuditHead::default(),
    })
}
