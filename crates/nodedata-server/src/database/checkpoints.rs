use nodedata_core::Result;
use nodedata_registry::{Anchor, DatasetName, Visibility};

use crate::database::Database;

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
        self.session()?.row(
            "SELECT seq, record, is_private, moved FROM checkpoints WHERE dataset = ?1",
            &[(&dataset.to_string()).into()],
            |row| {
                Ok(Checkpoint {
                    anchor: Anchor { seq: row.get::<i64>(0)?.unsigned_abs(), record: row.digest(1)? },
                    visibility: if row.flag(2)? { Visibility::Private } else { Visibility::Public },
                    moved: row.get::<Option<String>>(3)?.map(|it| it.parse()).transpose()?,
                })
            },
        )
    }

    /// Notes how far a log was seen. One that was seen further stays.
    pub(crate) fn note_checkpoint(&self, dataset: &DatasetName, seen: &Checkpoint) -> Result<()> {
        let Checkpoint { anchor, visibility, moved } = seen;
        let (name, moved) = (dataset.to_string(), moved.as_ref().map(ToString::to_string));
        let is_private = *visibility == Visibility::Private;
        self.session()?
            .execute(
                "INSERT INTO checkpoints (dataset, seq, record, is_private, moved) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (dataset) DO UPDATE \
                 SET seq = excluded.seq, record = excluded.record, is_private = excluded.is_private, \
                   moved = excluded.moved \
                 WHERE excluded.seq > checkpoints.seq",
                &[
                    (&name).into(),
                    anchor.seq.cast_signed().into(),
                    (&anchor.record.0).into(),
                    is_private.into(),
                    moved.as_deref().into(),
                ],
            )
            .map(drop)
    }

    /// Forgets what was seen of a log, after the operator has put an earlier one in its place. Says whether there was
    /// anything to forget.
    ///
    /// # Errors
    /// `Io`.
    pub fn forget_checkpoint(&self, dataset: &DatasetName) -> Result<bool> {
        let sql = "DELETE FROM checkpoints WHERE dataset = ?1";
        Ok(self.session()?.execute(sql, &[(&dataset.to_string()).into()])? == 1)
    }
}
