use nodedata_core::Result;
use nodedata_registry::{
    B3,
    gate::{AuditEvent, AuditHead},
};
use rusqlite::{OptionalExtension as _, TransactionBehavior, params};

use crate::database::{Database, failed};

/// Lines of one page of the log.
const PAGE_LINES: i64 = 10_000;

impl Database {
    /// Writes the next line of the audit log.
    pub(crate) fn audit(&self, at: String, event: AuditEvent) -> Result<()> {
        let mut connection = self.lock();
        let at_once = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let last: Option<(i64, String)> = at_once
            .prepare_cached("SELECT seq, line FROM audit ORDER BY seq DESC LIMIT 1")
            .and_then(|mut it| it.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .map_err(failed)?;
        let mut head = match &last {
            Some((seq, line)) => {
                AuditHead { next_seq: seq.unsigned_abs() + 1, last: Some(B3::of(line.as_bytes())) }
            }
            None => AuditHead::default(),
        };
        let seq = head.next_seq.cast_signed();
        let line = head.append(at, event)?;
        at_once
            .prepare_cached("INSERT INTO audit (seq, line) VALUES (?1, ?2)")
            .and_then(|mut it| it.execute(params![seq, line]))
            .map_err(failed)?;
        at_once.commit().map_err(failed)
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
        }
        Ok(text)
    }
}
