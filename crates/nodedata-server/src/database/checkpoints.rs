use nodedata_core::Result;
use nodedata_registry::{Anchor, B3, DatasetName, Visibility};
use rusqlite::{OptionalExtension as _, params};

use crate::database::{Database, failed};

/// What the server has seen of a log: whatever is changed in the store, that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The last record.
    pub(crate) anchor: Anchor,
    /// Who might see the dataset then.
    pub(crate) visibility: Visibility,
    /// The name that the dataset got then.
    pub(crate) moved: Option<DatasetName>,
}

impl Database {
    /// What was seen of the log of a dataset.
    pub(crate) fn checkpoint(&self, dataset: &DatasetName) -> Result<Option<Checkpoint>> {
        let found: Option<(i64, [u8; 32], bool, Option<String>)> = self
            .lock()
            .prepare_cached("SELECT seq, record, is_private, moved FROM checkpoints WHERE dataset = ?1")
            .and_then(|mut it| {
                it.query_row([dataset.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()
            })
            .map_err(failed)?;
        let Some((seq, record, is_private, moved)) = found else { return Ok(None) };
        Ok(Some(Checkpoint {
            anchor: Anchor { seq: seq.unsigned_abs(), record: B3(record) },
            visibility: if is_private { Visibility::Private } else { Visibility::Public },
            moved: moved.map(|it| it.parse()).transpose()?,
        }))
    }

    /// Notes how far a log was seen. One that was seen further stays.
    pub(crate) fn note_checkpoint(&self, dataset: &DatasetName, seen: &Checkpoint) -> Result<()> {
        let Checkpoint { anchor, visibility, moved } = seen;
        self.lock()
            .prepare_cached(
                "INSERT INTO checkpoints (dataset, seq, record, is_private, moved) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (dataset) DO UPDATE \
                 SET seq = excluded.seq, record = excluded.record, is_private = excluded.is_private, \
                   moved = excluded.moved \
                 WHERE excluded.seq > seq",
            )
            .and_then(|mut it| {
                let is_private = *visibility == Visibility::Private;
                it.execute(params![
                    dataset.to_string(),
                    anchor.seq.cast_signed(),
                    anchor.record.0,
                    is_private,
                    moved.as_ref().map(ToString::to_string)
                ])
            })
            .map(drop)
            .map_err(failed)
    }

    /// Forgets what was seen of a log, after the operator has put an earlier one in its place. Says whether there was
    /// anything to forget.
    ///
    /// # Errors
    /// `Io`.
    pub fn forget_checkpoint(&self, dataset: &DatasetName) -> Result<bool> {
        let n = self.lock().execute("DELETE FROM checkpoints WHERE dataset = ?1", [dataset.to_string()]);
        Ok(n.map_err(failed)? == 1)
    }
}
