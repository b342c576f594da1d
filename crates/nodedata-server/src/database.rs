mod address;
mod attestations;
mod audit;
mod backup;
mod checkpoints;
mod facts;
mod health;
mod intents;
mod known;
mod login_groups;
mod outbox;
mod pool;
mod possessions;
mod postgres_tables;
mod revocations;
mod roles;
mod session;
mod stagings;
mod tables;
mod tokens;

use std::{
    cell::RefCell,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use rusqlite::Connection;

pub use address::DatabaseAddress;
pub use backup::Backup;
pub(crate) use checkpoints::Checkpoint;
pub(crate) use intents::{Intent, Settled};
use known::Known;
pub(crate) use outbox::Letter;
use pool::Pool;
pub(crate) use revocations::{Revocation, Revoked, SERVER};
use session::Session;
pub use tokens::NewToken;
pub(crate) use tokens::{Rotation, TokenAsked, VALID_DAYS_MAX as TOKEN_DAYS_MAX};

/// The file of the database in its folder.
const FILE: &str = "server.sqlite";
/// As many statements as there are.
const STATEMENTS_KEPT: usize = 128;

/// Accounts' tokens, grants, and the audit log. Nothing in it says anything about data but who may have it.
///
/// It is asked from threads that may wait, never from those of an async runtime.
#[derive(Debug, Clone)]
pub struct Database {
    engine: Arc<Engine>,
    /// Of the file of one server only: what other nodes write to a shared database is not seen without asking it.
    known: Option<Arc<Known>>,
    n_uses: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Engine {
    /// The file of one server.
    Sqlite(Mutex<Connection>),
    /// What several nodes share.
    Postgres(Box<Pool>),
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
        let database = Self::prepared(connection).map_err(at)?;
        let known = Some(Arc::new(Known::open(&path).map_err(at)?));
        Ok(Self { known, ..database })
    }

    /// Opens a database of Postgres, whose tables are made when they are not there.
    ///
    /// # Errors
    /// `Io` when it does not answer or lets nobody in; `Config` when it keeps no Unicode; `Unsupported` when a newer version
    /// made the tables.
    pub fn connect(address: &DatabaseAddress) -> Result<Self> {
        let database = Self::over(Engine::Postgres(Box::new(Pool::new(address.clone()))));
        postgres_tables::bring_up_to_date(&database.session()?)?;
        Ok(database)
    }

    /// The database of a server: that of an address, or else that of its own folder, which then holds keys and the catalog alone.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::connect`]; `Config` for an address without a folder; `Conflict` when both have a database.
    pub(crate) fn of(address: Option<&DatabaseAddress>, folder: Option<&Path>) -> Result<Self> {
        let Some(address) = address else { return Self::open(folder) };
        let Some(folder) = folder else {
            let message = "a node over a shared database needs a folder of its own";
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("name it with `--data`; it holds `audit.key` and the catalog"));
        };
        make_private_folder(folder)?;
        let own = folder.join(FILE);
        if own.exists() {
            let message = "the folder has a database of its own, which would be left out";
            return Err(Error::new(ErrorKind::Conflict, message)
                .at(Locus::path(own))
                .with_hint("name another folder with `--data`, or leave out `--database`"));
        }
        Self::connect(address)
    }

    fn prepared(mut connection: Connection) -> Result<Self> {
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // A grant that was taken back must not come back after a power cut.
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
            .map_err(failed)?;
        tables::bring_up_to_date(&mut connection)?;
        Ok(Self::over(Engine::Sqlite(Mutex::new(connection))))
    }

    fn over(engine: Engine) -> Self {
        Self { engine: Arc::new(engine), known: None, n_uses: Arc::default() }
    }

    /// How often it was asked or written to.
    pub fn n_uses(&self) -> u64 {
        self.n_uses.load(Ordering::Relaxed)
    }

    /// Whether other nodes use it at the same time: then what is under way may be theirs.
    pub(crate) fn is_shared(&self) -> bool {
        match *self.engine {
            Engine::Sqlite(_) => false,
            Engine::Postgres(_) => true,
        }
    }

    /// Does what a node does before its first answer, while no other one does.
    pub(crate) fn while_none_starts<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        match &*self.engine {
            // Its folder is locked.
            Engine::Sqlite(_) => act(),
            Engine::Postgres(pool) => pool.while_none_starts(act),
        }
    }

    /// Does all of it or nothing, and nothing else in between.
    fn at_once<T>(&self, act: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
        self.session()?.at_once(act)
    }

    fn session(&self) -> Result<Session<'_>> {
        self.n_uses.fetch_add(1, Ordering::Relaxed);
        Ok(match &*self.engine {
            Engine::Sqlite(connection) => {
                Session::Sqlite(connection.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Engine::Postgres(pool) => Session::Postgres(RefCell::new(pool.lease()?)),
        })
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
