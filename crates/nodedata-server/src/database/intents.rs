use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    B3, DatasetName,
    gate::{AuditEvent, Outcome},
};
use rusqlite::{Connection, Row, params};

use crate::database::{Database, audit::append_line, failed};

/// A record that is about to be written to a log, or that a process that ended was about to write: until it is settled nobody
/// knows whether it was.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub(crate) id: i64,
    /// When it was noted, in seconds since 1970.
    pub(crate) begun: i64,
    pub(crate) dataset: DatasetName,
    /// Number of the record.
    pub(crate) seq: u64,
    /// Digest of the record's bytes.
    pub(crate) digest: B3,
    event: AuditEvent,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is in the log.
    Done,
    /// It is not and never will be, by code.
    NotDone(&'static str),
}

impl Database {
    /// Notes what is about to be done, before anything of it is.
    pub(crate) fn begin(
        &self,
        begun: DateTime<Utc>,
        record: (&DatasetName, u64, B3),
        event: AuditEvent,
    ) -> Result<Intent> {
        let (dataset, seq, digest) = record;
        let text = serde_json::to_string(&event).map_err(std::io::Error::from)?;
        let connection = self.lock();
        connection
            .prepare_cached(
                "INSERT INTO intents (begun, dataset, seq, digest, event) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut it| {
                it.execute(params![begun.timestamp(), dataset.to_string(), seq.cast_signed(), digest.0, text])
            })
            .map_err(failed)?;
        Ok(Intent {
            id: connection.last_insert_rowid(),
            begun: begun.timestamp(),
            dataset: dataset.clone(),
            seq,
            digest,
            event,
        })
    }

    /// What nobody has settled, oldest first.
    pub(crate) fn intents(&self) -> Result<Vec<Intent>> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT id, begun, dataset, seq, digest, event FROM intents ORDER BY id")
            .map_err(failed)?;
        let rows = query.query_map([], columns).map_err(failed)?;
        rows.map(|it| intent(it.map_err(failed)?)).collect()
    }

    /// What became of a record, in its line of the audit log. Who settles first writes it; there is one line for each intent.
    pub(crate) fn settle(&self, intent: &Intent, at: String, settled: Settled) -> Result<()> {
        self.at_once(|it| {
            if !take(it, intent.id)? {
                return Ok(());
            }
            let mut event = intent.event.clone();
            if let Settled::NotDone(why) = settled {
                (event.outcome, event.reason) = (Outcome::NotDone, Some(why.to_owned()));
            }
            append_line(it, at, event)
        })
    }
}

fn take(at_once: &Connection, id: i64) -> Result<bool> {
    let taken =
        at_once.prepare_cached("DELETE FROM intents WHERE id = ?1").and_then(|mut it| it.execute([id]));
    Ok(taken.map_err(failed)? == 1)
}

type Columns = (i64, i64, String, i64, [u8; 32], String);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn intent((id, begun, dataset, seq, digest, event): Columns) -> Result<Intent> {
    let event = serde_json::from_str(&event).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "an intent in the database cannot be read").with_source(err)
    })?;
    Ok(Intent { id, begun, dataset: dataset.parse()?, seq: seq.cast_unsigned(), digest: B3(digest), event })
}
