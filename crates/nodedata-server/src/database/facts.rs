use nodedata_core::Result;
use rusqlite::{OptionalExtension as _, params};

use crate::database::{Database, failed};

/// Set while a backup was put in and no server has started over it since.
const RESTORED: &str = "restored";

impl Database {
    /// The name of this database, chosen when it was made: backups of it have the same.
    pub(crate) fn server(&self) -> Result<String> {
        self.lock()
            .query_row("SELECT value FROM facts WHERE name = 'server'", [], |row| row.get(0))
            .map_err(failed)
    }

    /// Whether it was put in from a backup, and no server has looked at what is missing.
    pub(crate) fn is_restored(&self) -> Result<bool> {
        let found = self
            .lock()
            .query_row("SELECT 1 FROM facts WHERE name = ?1", [RESTORED], |_| Ok(()))
            .optional()
            .map_err(failed)?;
        Ok(found.is_some())
    }

    pub(super) fn note_restored(&self, is_restored: bool) -> Result<()> {
        let connection = self.lock();
        let done = match is_restored {
            true => connection.execute("INSERT OR REPLACE INTO facts VALUES (?1, 'yes')", params![RESTORED]),
            false => connection.execute("DELETE FROM facts WHERE name = ?1", params![RESTORED]),
        };
        done.map(drop).map_err(failed)
    }

    /// Forgets that it was put in from a backup.
    pub(crate) fn restored_and_seen(&self) -> Result<()> {
        self.note_restored(false)
    }
}
