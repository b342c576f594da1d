mod attestations;
mod audit;
mod possessions;
mod tokens;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use rusqlite::Connection;

pub use tokens::NewToken;
pub(crate) use tokens::VALID_DAYS_MAX as TOKEN_DAYS_MAX;

/// Version of the tables, kept in the file's own header.
const TABLES_VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  account TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  revoked INTEGER NOT NULL DEFAULT 0,
  last_used INTEGER
) STRICT;
CREATE TABLE attestations (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  dataset TEXT NOT NULL,
  account TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX attestations_of ON attestations (dataset, account, seq);
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  line TEXT NOT NULL
) STRICT;
CREATE TABLE possessions (
  account TEXT NOT NULL,
  b3 BLOB NOT NULL,
  PRIMARY KEY (account, b3)
) STRICT, WITHOUT ROWID;
";

/// Accounts' tokens, grants, and the audit log. Nothing in it says anything about data but who may have it.
#[derive(Debug, Clone)]
pub struct Database(Arc<Mutex<Connection>>);

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
        let path = folder.join("server.sqlite");
        let at = |err: Error| err.at(Locus::path(&path));
        let connection = Connection::open(&path).map_err(|err| at(failed(err)))?;
        Self::prepared(connection).map_err(at)
    }

    fn prepared(connection: Connection) -> Result<Self> {
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        // A grant that was taken back must not come back after a power cut.
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
            .map_err(failed)?;
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        match version {
            0 => {
                let make =
                    format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {TABLES_VERSION}; COMMIT;");
                connection.execute_batch(&make).map_err(failed)?;
            }
            TABLES_VERSION => {}
            newer => {
                let message = format!("the database has version {newer}, this build knows {TABLES_VERSION}");
                return Err(Error::new(ErrorKind::Unsupported, message).with_hint("run a newer node-data"));
            }
        }
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests;
