mod attestations;
mod audit;
mod backup;
mod checkpoints;
mod facts;
mod health;
mod intents;
mod login_groups;
mod outbox;
mod possessions;
mod revocations;
mod roles;
mod stagings;
mod tables;
mod tokens;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use backup::Backup;
pub(crate) use checkpoints::Checkpoint;
pub(crate) use intents::{Intent, Settled};
pub(crate) use outbox::Letter;
pub(crate) use revocations::{Revocation, Revoked, SERVER};
pub use tokens::NewToken;
pub(crate) use tokens::{Rotation, TokenAsked, VALID_DAYS_MAX as TOKEN_DAYS_MAX};

/// The file of the database in its folder.
const FILE: &str = "server.sqlite";

/// Accounts' tokens, grants, and the audit log. Nothing in it says anything about data but who may have it.
#[derive(Debug, Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    n_uses: Arc<AtomicU64>,
}

impl Database {
    /// Opens (or makes) the database in a folder that only its owner can read; in memory without one.
    ///
    /// # Errors
    /// `Io`; `Unsupported` when a newer version wrote it.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let Some(folder) = folder else {
            return Self::prepared(Connection::open_in_memory().map_err(failed)?);
        };
        make_private_folder(folder)?;
        let path = folder.join(FILE);
        let at = |err: Error| err.at(Locus::path(&path));
        let connection = Connection::open(&path).map_err(|err| at(failed(err)))?;
        Self::prepared(connection).map_err(at)
    }

    fn prepared(mut connection: Connection) -> Result<Self> {
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        // A grant that was taken back must not come back after a power cut.
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
            .map_err(failed)?;
        tables::bring_up_to_date(&mut connection)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), n_uses: Arc::default() })
    }

    /// How often it was asked or written to.
    pub fn n_uses(&self) -> u64 {
        self.n_uses.load(Ordering::Relaxed)
    }

    /// Does all of it or nothing, and nothing else in between.
    fn at_once<T>(&self, act: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let at_once = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let done = act(&at_once)?;
        at_once.commit().map_err(failed)?;
        Ok(done)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.n_uses.fetch_add(1, Ordering::Relaxed);
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_private_folder(folder: &Path) -> Result<()> {
    let failed =
        |err| Error::new(ErrorKind::Io, "cannot make the folder").with_source(err).at(Locus::path(folder));
    std::fs::create_dir_all(folder).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Statements of ours name no secret, so the library's own words may stand.
fn failed(err: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Io, "the server's database failed").with_source(err)
}

#[cfg(test)]
mod full;
#[cfg(test)]
mod tests;
