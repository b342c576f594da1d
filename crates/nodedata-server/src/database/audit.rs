use nodedata_core::Result;
use nodedata_registry::{
    B3,
    gate::{AuditEvent, AuditHead, Outcome},
};

use crate::database::{Database, session::Session};

/// Lines of one page of the log.
const PAGE_LINES: i64 = 10_000;

impl Database {
    /// Writes the next line of the audit log.
    pub(crate) fn audit(&self, at: String, event: AuditEvent) -> Result<()> {
        self.at_once(|it| append_line(it, at, event))
    }

    /// A page of the audit log from a number on, a line break behind each line.
    pub(crate) fn audit_since(&self, seq: u64) -> Result<String> {
        let mut text = String::new();
        for line in page(&self.session()?, seq, PAGE_LINES)? {
            text.push_str(&line);
            text.push('\n');
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
