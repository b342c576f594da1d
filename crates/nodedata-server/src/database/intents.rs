use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    B3, DatasetName,
    gate::{AuditEvent, Outcome},
};
use serde_json::Value;

use crate::{
    clock::stamp,
    database::{
        Database,
        audit::append_line,
        outbox,
        session::{Row, Session},
    },
};

/// A record that is about to be written to a log, or that a process that ended was about to write: until it is settled nobody
/// knows whether it was.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub(crate) id: i64,
    /// When it was noted, or when the node that writes it was last seen to live, in seconds since 1970.
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
        let id = self.session()?.row(
            "INSERT INTO intents (begun, dataset, seq, digest, event, notice)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
            &[
                begun.timestamp().into(),
                (&dataset.to_string()).into(),
                seq.cast_signed().into(),
                (&digest.0).into(),
                (&text).into(),
                told.as_deref().into(),
            ],
            |row| row.get(0),
        )?;
        let unnamed = || Error::new(ErrorKind::Io, "the server's database has not said what it noted");
        Ok(Intent {
            id: id.ok_or_else(unnamed)?,
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
        let sql = "SELECT id, begun, dataset, seq, digest, event, notice FROM intents ORDER BY id";
        self.session()?.rows(sql, &[], intent)
    }

    /// Tells other nodes that these are still under way.
    pub(crate) fn still_under_way(&self, ids: &[i64], now: DateTime<Utc>) -> Result<()> {
        let session = self.session()?;
        let sql = "UPDATE intents SET begun = ?2 WHERE id = ?1 AND begun < ?2";
        ids.iter().try_for_each(|id| session.execute(sql, &[(*id).into(), now.timestamp().into()]).map(drop))
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
            if settled == Settled::Done {
                // Sent once more while it was written, to this node or another: it is one record.
                it.execute(
                    "DELETE FROM intents WHERE dataset = ?1 AND seq = ?2 AND digest = ?3",
                    &[
                        (&intent.dataset.to_string()).into(),
                        intent.seq.cast_signed().into(),
                        (&intent.digest.0).into(),
                    ],
                )?;
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

fn take(at_once: &Session<'_>, id: i64) -> Result<bool> {
    Ok(at_once.execute("DELETE FROM intents WHERE id = ?1", &[id.into()])? == 1)
}

fn intent(row: &Row<'_>) -> Result<Intent> {
    let unreadable = |err: serde_json::Error| {
        Error::new(ErrorKind::Corrupt, "an intent in the database cannot be read").with_source(err)
    };
    let notice = row.get::<Option<String>>(6)?.map(|it| serde_json::from_str(&it)).transpose();
    Ok(Intent {
        id: row.get(0)?,
        begun: row.get(1)?,
        dataset: row.get::<String>(2)?.parse()?,
        seq: row.get::<i64>(3)?.cast_unsigned(),
        digest: row.digest(4)?,
        event: serde_json::from_str(&row.get::<String>(5)?).map_err(unreadable)?,
        notice: notice.map_err(unreadable)?,
    })
}
