use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    B3, DatasetName,
    gate::{AuditEvent, Outcome},
};
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use crate::{
    clock::stamp,
    database::{Database, audit::append_line, failed, outbox},
};

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
    /// What hooks are told once it is done.
    notice: Option<Value>,
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
        notice: Option<Value>,
    ) -> Result<Intent> {
        let (dataset, seq, digest) = record;
        let text = serde_json::to_string(&event).map_err(std::io::Error::from)?;
        let told = notice.as_ref().map(Value::to_string);
        let at = begun.timestamp();
        let connection = self.lock();
        connection
            .prepare_cached(
                "INSERT INTO intents (begun, dataset, seq, digest, event, notice)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .and_then(|mut it| {
                it.execute(params![at, dataset.to_string(), seq.cast_signed(), digest.0, text, told])
            })
            .map_err(failed)?;
        Ok(Intent {
            id: connection.last_insert_rowid(),
            begun: begun.timestamp(),
            dataset: dataset.clone(),
            seq,
            digest,
            event,
            notice,
        })
    }

    /// What nobody has settled, oldest first.
    pub(crate) fn intents(&self) -> Result<Vec<Intent>> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT id, begun, dataset, seq, digest, event, notice FROM intents ORDER BY id")
            .map_err(failed)?;
        let rows = query.query_map([], columns).map_err(failed)?;
        rows.map(|it| intent(it.map_err(failed)?)).collect()
    }

    /// What became of a record, in its line of the audit log, and in the outbox for those hooks when it was done. Who settles
    /// first writes it; there is one line for each intent.
    pub(crate) fn settle(
        &self,
        intent: &Intent,
        now: DateTime<Utc>,
        settled: Settled,
        hooks: &[String],
    ) -> Result<()> {
        self.at_once(|it| {
            if !take(it, intent.id)? {
                return Ok(());
            }
            let mut event = intent.event.clone();
            if let Settled::NotDone(why) = settled {
                (event.outcome, event.reason) = (Outcome::NotDone, Some(why.to_owned()));
            }
            append_line(it, stamp(now), event)?;
            match (&intent.notice, settled) {
                (Some(notice), Settled::Done) => outbox::post(it, hooks, notice.clone(), now.timestamp()),
                (None, Settled::Done) | (_, Settled::NotDone(_)) => Ok(()),
            }
        })
    }
}

fn take(at_once: &Connection, id: i64) -> Result<bool> {
    let taken =
        at_once.prepare_cached("DELETE FROM intents WHERE id = ?1").and_then(|mut it| it.execute([id]));
    Ok(taken.map_err(failed)? == 1)
}

type Columns = (i64, i64, String, i64, [u8; 32], String, Option<String>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
}

fn intent((id, begun, dataset, seq, digest, event, notice): Columns) -> Result<Intent> {
    let unreadable = |err: serde_json::Error| {
        Error::new(ErrorKind::Corrupt, "an intent in the database cannot be read").with_source(err)
    };
    let event = serde_json::from_str(&event).map_err(unreadable)?;
    let notice = notice.map(|it| serde_json::from_str(&it)).transpose().map_err(unreadable)?;
    Ok(Intent {
        id,
        begun,
        dataset: dataset.parse()?,
        seq: seq.cast_unsigned(),
        digest: B3(digest),
        event,
        notice,
    })
}
