use nodedata_core::{Error, ErrorKind, Result};

use crate::database::Database;

/// The name of the database.
const SERVER: &str = "server";
/// The public key of the nodes that share it.
const AUDIT_KEY: &str = "audit-key";
/// Set while a backup was put in and no server has started over it since.
const RESTORED: &str = "restored";

impl Database {
    /// The name of this database, chosen when it was made: backups of it have the same.
    pub(crate) fn server(&self) -> Result<String> {
        let none = || Error::new(ErrorKind::Corrupt, "the server's database has no name");
        self.fact(SERVER)?.ok_or_else(none)
    }

    /// Whether it was put in from a backup, and no server has looked at what is missing.
    pub(crate) fn is_restored(&self) -> Result<bool> {
        Ok(self.fact(RESTORED)?.is_some())
    }

    pub(super) fn note_restored(&self, is_restored: bool) -> Result<()> {
        let sql = match is_restored {
            true => "INSERT INTO facts VALUES (?1, 'yes') ON CONFLICT DO NOTHING",
            false => "DELETE FROM facts WHERE name = ?1",
        };
        self.session()?.execute(sql, &[RESTORED.into()]).map(drop)
    }

    /// The public key that nodes over it sign with; `None` before the first of them.
    pub(crate) fn audit_key(&self) -> Result<Option<String>> {
        self.fact(AUDIT_KEY)
    }

    /// Notes the public key that nodes over it sign with.
    pub(crate) fn note_audit_key(&self, key: &str) -> Result<()> {
        let sql = "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        self.session()?.execute(sql, &[AUDIT_KEY.into(), key.into()]).map(drop)
    }

    fn fact(&self, name: &str) -> Result<Option<String>> {
        self.session()?.row("SELECT value FROM facts WHERE name = ?1", &[name.into()], |row| row.get(0))
    }

    /// Forgets that it was put in from a backup.
    pub(crate) fn restored_and_seen(&self) -> Result<()> {
        self.note_restored(false)
    }
}
