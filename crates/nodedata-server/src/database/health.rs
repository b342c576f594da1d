use nodedata_core::Result;
use postgres::error::SqlState;

use crate::database::{Database, failed, session::Session};

/// What is written, so that the files grow.
const BYTES: usize = 16 << 10;

impl Database {
    /// Whether something can be written: only writing tells.
    ///
    /// # Errors
    /// `Io` when it cannot, as when the disk is full.
    pub(crate) fn try_write(&self) -> Result<()> {
        match &self.session()? {
            Session::Sqlite(connection) => {
                // The table stays: a change of tables would have every other question prepared anew.
                let tried = connection.execute_batch(
                    "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS tried (bytes BLOB); INSERT INTO tried VALUES (zeroblob(16384)); COMMIT; DELETE FROM tried;",
                );
                if tried.is_err() && !connection.is_autocommit() {
                    // What it failed for is told, not that it was undone.
                    drop(connection.execute_batch("ROLLBACK"));
                }
                tried.map_err(failed)
            }
            session @ Session::Postgres(_) => {
                let bytes = vec![0; BYTES];
                session.execute("INSERT INTO tried VALUES (?1)", &[bytes.as_slice().into()])?;
                session.execute("DELETE FROM tried", &[]).map(drop)
            }
        }
    }

    /// Whether a failure is that there is no room for more.
    pub(crate) fn is_full(err: &nodedata_core::Error) -> bool {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(err);
        while let Some(link) = next {
            if let Some(err) = link.downcast_ref::<rusqlite::Error>() {
                return err.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
            }
            if let Some(err) = link.downcast_ref::<postgres::Error>() {
                return err.code() == Some(&SqlState::DISK_FULL);
            }
            next = link.source();
        }
        false
    }
}
