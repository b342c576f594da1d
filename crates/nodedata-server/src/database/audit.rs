use nodedata_core::Result;
use nodedata_registry::{
    B3,
    gate::{AuditEvent, AuditHead, Outcome},
};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::database::{Database, failed};

/// Most lines of one page of the log.
const PAGE_LINES: i64 = 10_000;
/// After so many bytes a page ends with the line that it has come to: reasons, names and groups make lines long.
pub(super) const PAGE_BYTES: usize = 4 << 20;

impl Database {
    /// Writes the next line of the audit log.
    pub(crate) fn audit(&self, at: String, event: AuditEvent) -> Result<()> {
        self.at_once(|it| append_line(it, at, event))
    }

    /// A page of the audit log from a number on, a line break behind each line.
    pub(crate) fn audit_since(&self, seq: u64) -> Result<String> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT line FROM audit WHERE seq >= ?1 ORDER BY seq LIMIT ?2")
            .map_err(failed)?;
        let from = i64::try_from(seq).unwrap_or(i64::MAX);
        let rows =
            query.query_map(params![from, PAGE_LINES], |row| row.get::<_, String>(0)).map_err(failed)?;
        let mut text = String::new();
        for line in rows {
            text.push_str(&line.map_err(failed)?);
            text.push('\n');
            if text.len() >= PAGE_BYTES {
                break;
            }
        }
        Ok(text)
    }

    /// Where the audit log ends.
    pub(crate) fn audit_head(&self) -> Result<AuditHead> {
        head(&self.lock())
    }

    /// Whether the audit log goes through a head: it has the line that was the last then.
    pub(crate) fn goes_through(&self, through: &AuditHead) -> Result<bool> {
        let Some(last_seq) = through.next_seq.checked_sub(1) else { return Ok(through.last.is_none()) };
        let line: Option<String> = self
            .lock()
            .query_row("SELECT line FROM audit WHERE seq = ?1", [last_seq.cast_signed()], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        Ok(line.map(|it| B3::of(it.as_bytes())) == through.last && through.last.is_some())
    }
}

/// Writes the next line, in one step with what it tells.
pub(super) fn append_line(at_once: &Connection, at: String, event: AuditEvent) -> Result<()> {
    if event.action == "read"
        && event.outcome == Outcome::Allowed
        && let Some(dataset) = &event.dataset
    {
        at_once
            .prepare_cached("INSERT OR IGNORE INTO readers (dataset, account) VALUES (?1, ?2)")
            .and_then(|mut it| it.execute(params![dataset, event.who]))
            .map_err(failed)?;
    }
    let mut head = head(at_once)?;
    let seq = head.next_seq.cast_signed();
    let line = head.append(at, event)?;
    at_once
        .prepare_cached("INSERT INTO audit (seq, line) VALUES (?1, ?2)")
        .and_then(|mut it| it.execute(params![seq, line]))
        .map(drop)
        .map_err(failed)
}

fn head(connection: &Connection) -> Result<AuditHead> {
    let last: Option<(i64, String)> = connection
        .prepare_cached("SELECT seq, line FROM audit ORDER BY seq DESC LIMIT 1")
        .and_then(|mut it| it.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failed)?;
    Ok(match &last {
        Some((seq, line)) => {
            AuditHead { next_seq: seq.unsigned_abs() + 1, last: Some(B3::of(line.as_bytes())) }
        }
        None => AuditHead::default(),
    })
}
