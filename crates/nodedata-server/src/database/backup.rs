use std::path::Path;

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::{io_error, sync_folder};
use nodedata_registry::gate::AuditHead;
use rusqlite::{Connection, OpenFlags, backup::StepResult, params};
use tempfile::NamedTempFile;

use crate::database::{
    Database, DatabaseAddress, FILE, audit::page, failed, revocations::epoch, session::Session,
};

/// Lines of the audit log that are checked at once.
const PAGE_LINES: i64 = 10_000;
/// How long is waited for a database that is busy.
const BUSY_WAIT: std::time::Duration = std::time::Duration::from_millis(20);
const BUSY_TRIES: u32 = 500;

/// How often it is looked whether a node that was stopped is gone.
const GONE_TRIES: u32 = 100;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where its audit log ends; its chain was checked.
    pub audit: AuditHead,
    /// How many things were taken back before it was made.
    pub epoch: u64,
    /// Its length.
    pub bytes: u64,
}

impl Database {
    /// Copies the database of a folder to a file, as it is at one moment, while a server goes on writing to it. What is
    /// written is read again: pages, and the chain of the audit log. Then the log that SQLite writes ahead is folded in.
    ///
    /// # Errors
    /// `Config` when there is no database; `Io`, also when the file is there already; `Corrupt` when the copy is not sound.
    pub fn back_up(folder: &Path, out: &Path) -> Result<Backup> {
        let source = folder.join(FILE);
        if !source.is_file() {
            let err = Error::new(ErrorKind::Config, "there is no database of a server in this folder");
            return Err(err.at(Locus::path(folder)).with_hint(
                "name the folder that `serve --data` names; one of PostgreSQL is copied by `pg_dump`",
            ));
        }
        refuse_present(out)?;
        let at = |err: Error| err.at(Locus::path(&source));
        let from = Connection::open(&source).map_err(|err| at(failed(err)))?;
        from.busy_timeout(std::time::Duration::from_secs(10)).map_err(failed)?;
        let file = copied(&from, out)?;
        let backup = checked(file.path())?;
        // A log that others still read is folded in later.
        from.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(|err| at(failed(err)))?;
        kept(file, out)?;
        Ok(backup)
    }

    /// Puts a backup into a folder that has no database. What the audit log lacks, and what was taken back since, the next
    /// server over it learns from its store.
    ///
    /// # Errors
    /// `Config` when the file is no backup; `Io`, also when there is a database already; `Corrupt`; `Unsupported` when a newer
    /// version made it.
    pub fn restore(file: &Path, folder: &Path) -> Result<Backup> {
        let none = |err: Error| {
            let message = "this is no backup of a server's database";
            Error::new(ErrorKind::Config, message).with_source(err).at(Locus::path(file))
        };
        let from = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|err| none(failed(err)))?;
        // Of any other file, reading is what fails.
        from.query_row("SELECT count(*) FROM audit", [], |_| Ok(())).map_err(|err| none(failed(err)))?;
        super::make_private_folder(folder)?;
        let out = folder.join(FILE);
        refuse_present(&out)?;
        for left in ["-wal", "-shm"] {
            refuse_present(&folder.join(format!("{FILE}{left}")))?;
        }
        let copy = copied(&from, &out)?;
        checked(copy.path())?;
        let database = Self::prepared(Connection::open(copy.path()).map_err(failed)?)?;
        database.note_restored(true)?;
        database.session()?.batch("PRAGMA journal_mode = DELETE;")?;
        drop(database);
        let backup = checked(copy.path())?;
        kept(copy, &out)?;
        Ok(backup)
    }

    /// Says of a database of Postgres that it was put back from a backup, which Postgres' own programs do: the next node over it
    /// then takes back again what its store knows to have been taken back since. The chain of the audit log is read first.
    ///
    /// # Errors
    /// `Conflict` while a node runs over it; `Corrupt` when the chain is broken; as [`Self::connect`].
    pub fn mark_restored(address: &DatabaseAddress) -> Result<Backup> {
        let database = Self::connect(address)?;
        let session = database.session()?;
        expect_no_node(&session)?;
        let audit = chain(|seq| page(&session, seq, PAGE_LINES))?;
        let sql = "SELECT pg_database_size(current_database())";
        let bytes = session.row(sql, &[], |row| row.get::<i64>(0))?.unwrap_or_default().unsigned_abs();
        let backup = Backup { audit, epoch: epoch(&session)?, bytes };
        drop(session);
        database.note_restored(true)?;
        Ok(backup)
    }
}

/// What a node knows already it would not learn again.
fn expect_no_node(session: &Session<'_>) -> Result<()> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'node-data' AND pid <> pg_backend_pid()";
    for _ in 0..GONE_TRIES {
        if session.row(sql, &[], |row| row.get::<i64>(0))? == Some(0) {
            return Ok(());
        }
        std::thread::sleep(BUSY_WAIT);
    }
    let err = Error::new(ErrorKind::Conflict, "a node runs over this database");
    Err(err.with_hint("stop all of them, put the backup in, mark it, and start them again"))
}

/// Checks a chain of lines, which it is handed by pages from a number on.
fn chain(mut page: impl FnMut(u64) -> Result<Vec<String>>) -> Result<AuditHead> {
    let mut head = AuditHead::default();
    loop {
        let lines = page(head.next_seq)?;
        lines.iter().try_for_each(|it| head.check(it).map(drop))?;
        if (lines.len() as i64) < PAGE_LINES {
            return Ok(head);
        }
    }
}

fn refuse_present(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let err = Error::new(ErrorKind::Io, "something is there already, and is not replaced");
    Err(err.at(Locus::path(path)).with_hint("move it away, or name another place"))
}

/// A copy beside where it shall be, which its owner alone may read.
fn copied(from: &Connection, out: &Path) -> Result<NamedTempFile> {
    let folder = out.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".nodedata-").suffix(".partial").tempfile_in(folder);
    let file = file.map_err(|err| io_error("cannot write the backup", out, err))?;
    let mut to = Connection::open(file.path()).map_err(failed)?;
    let copy = rusqlite::backup::Backup::new(from, &mut to).map_err(failed)?;
    let mut tries = 0;
    // All in one step, which is one moment: in several, writers would make it begin anew for ever.
    while copy.step(-1).map_err(failed)? != StepResult::Done {
        tries += 1;
        if tries > BUSY_TRIES {
            let err = Error::new(ErrorKind::Io, "the database is busy").at(Locus::path(out));
            return Err(err.with_hint("try again"));
        }
        std::thread::sleep(BUSY_WAIT);
    }
    drop(copy);
    // One file, without a log beside it.
    to.execute_batch("PRAGMA journal_mode = DELETE;").map_err(failed)?;
    Ok(file)
}

/// Reads all of a copy.
fn checked(path: &Path) -> Result<Backup> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let verdict: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(failed)?;
    if verdict != "ok" {
        return Err(Error::new(ErrorKind::Corrupt, format!("the database is damaged: {verdict}")));
    }
    let audit = chain(|seq| {
        let mut query = connection
            .prepare_cached("SELECT line FROM audit WHERE seq >= ?1 ORDER BY seq LIMIT ?2")
            .map_err(failed)?;
        let lines = query.query_map(params![seq.cast_signed(), PAGE_LINES], |row| row.get(0));
        lines.and_then(Iterator::collect).map_err(failed)
    })?;
    let bytes = path.metadata().map_err(|err| io_error("cannot look at the backup", path, err))?.len();
    // A backup of a version without epochs knows of nothing that was taken back.
    let has_epochs = "SELECT count(*) FROM sqlite_schema WHERE name = 'revocations'";
    let n_tables: i64 = connection.query_row(has_epochs, [], |row| row.get(0)).map_err(failed)?;
    let epoch: i64 = match n_tables {
        0 => 0,
        _ => {
            connection.query_row("SELECT count(*) FROM revocations", [], |row| row.get(0)).map_err(failed)?
        }
    };
    Ok(Backup { audit, epoch: epoch.unsigned_abs(), bytes })
}

/// Under its own name, on the disk.
fn kept(file: NamedTempFile, out: &Path) -> Result<()> {
    let failed = |err| io_error("cannot write the backup", out, err);
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(out).map_err(|err| failed(err.error))?;
    match out.parent().filter(|it| !it.as_os_str().is_empty()) {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}
