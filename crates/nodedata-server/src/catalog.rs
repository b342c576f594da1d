//! What there is, for lists and searches: a row for each dataset, made from its log. The store stays the truth; whatever is
//! lost here is read again.

mod query;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_registry::{
    DataClass, DatasetName, DatasetState, Remote, Revision, Visibility, gate::needs_attestation,
    http::DatasetSummary, record::RevisionManifest,
};
use rusqlite::{Connection, OptionalExtension as _, params};

pub(crate) use query::{Listed, Query};

use crate::published;

/// Version of the tables. Those of another are made anew.
const TABLES_VERSION: i64 = 3;

const TABLES: &str = "
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS datasets;
DROP TABLE IF EXISTS words;
CREATE TABLE datasets (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  is_public INTEGER NOT NULL,
  class TEXT NOT NULL,
  is_gated INTEGER NOT NULL,
  is_gone INTEGER NOT NULL,
  next_seq INTEGER NOT NULL,
  bytes INTEGER,
  summary TEXT NOT NULL
) STRICT;
CREATE INDEX datasets_public ON datasets (is_public, name);
CREATE INDEX datasets_class ON datasets (is_public, class, name);
CREATE INDEX datasets_gated ON datasets (is_public, is_gated, name);
CREATE INDEX datasets_owner ON datasets (owner, name);
CREATE VIRTUAL TABLE words USING fts5 (text, prefix = '2 3 4');
PRAGMA user_version = 3;
COMMIT;
";

/// The datasets that there are.
#[derive(Debug)]
pub(crate) struct Catalog {
    connection: Mutex<Connection>,
    /// Held by whoever looks through the store.
    sweeping: Mutex<()>,
    is_swept: AtomicBool,
}

impl Catalog {
    /// Opens (or makes) the catalog in the folder of the server's database; in memory without one.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self> {
        let path = folder.map(|it| it.join("catalog.sqlite"));
        let at = |err: Error| match &path {
            Some(path) => err.at(Locus::path(path)),
            None => err,
        };
        let connection = match &path {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        };
        let connection = connection.map_err(|err| at(failed(err)))?;
        Self::prepared(connection).map_err(at)
    }

    fn prepared(connection: Connection) -> Result<Self> {
        connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(failed)?;
        // What a power cut takes is read from the store again.
        let modes = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;";
        connection.execute_batch(modes).map_err(failed)?;
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        if version != TABLES_VERSION {
            connection.execute_batch(TABLES).map_err(failed)?;
        }
        let (sweeping, is_swept) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { connection: Mutex::new(connection), sweeping, is_swept })
    }

    /// Whether all of the store was looked through since the start.
    pub(crate) fn is_swept(&self) -> bool {
        self.is_swept.load(Ordering::Acquire)
    }

    /// Looks through the store, one at a time. `only_first`: not if that was done while others were waited for.
    pub(crate) fn sweep(&self, only_first: bool, look: impl FnOnce() -> Result<()>) -> Result<()> {
        let _alone = self.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
        if only_first && self.is_swept() {
            return Ok(());
        }
        look()?;
        self.is_swept.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes in what the log of a dataset adds up to, unless as much is known.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn take_in(&self, remote: &Arc<dyn Remote>, state: &DatasetState) -> Result<()> {
        if self.next_seq(&state.dataset)?.is_some_and(|it| it >= state.next_seq) {
            return Ok(());
        }
        // A manifest that cannot be read is no reason to hide its dataset.
        let newest = state.head().and_then(|it| published::revision(remote, &state.dataset, it).ok());
        self.note(state, newest.as_ref().map(Revision::manifest))
    }

    fn next_seq(&self, dataset: &DatasetName) -> Result<Option<u64>> {
        self.lock()
            .prepare_cached("SELECT next_seq FROM datasets WHERE name = ?1")
            .and_then(|mut it| {
                it.query_row([dataset.to_string()], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs())).optional()
            })
            .map_err(failed)
    }

    /// Takes in what the log of a dataset adds up to, unless more of it is known. `newest` is the manifest of its newest
    /// revision, for what it says to find it by.
    fn note(&self, state: &DatasetState, newest: Option<&RevisionManifest>) -> Result<()> {
        let summary = summary(state);
        let text = serde_json::to_string(&summary).map_err(std::io::Error::from)?;
        let class = class_text(state.sensitivity.class)?;
        let mut connection = self.lock();
        let at_once = connection.transaction().map_err(failed)?;
        let noted: Option<i64> = at_once
            .prepare_cached(
                "INSERT INTO datasets (name, owner, is_public, class, is_gated, next_seq, summary, is_gone)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (name) DO UPDATE SET is_public = excluded.is_public, class = excluded.class,
                   is_gated = excluded.is_gated, next_seq = excluded.next_seq, summary = excluded.summary,
                   is_gone = excluded.is_gone, bytes = NULL
                 WHERE excluded.next_seq > datasets.next_seq
                 RETURNING id",
            )
            .and_then(|mut it| {
                let values = params![
                    state.dataset.to_string(),
                    state.dataset.owner(),
                    state.visibility == Visibility::Public,
                    class,
                    needs_attestation(state.visibility, &state.sensitivity),
                    state.next_seq.cast_signed(),
                    text,
                    // Renamed or deleted: kept, so that its log is not read again and again.
                    state.moved.is_some() || state.deleted.is_some(),
                ];
                it.query_row(values, |row| row.get(0)).optional()
            })
            .map_err(failed)?;
        if let Some(id) = noted {
            at_once
                .prepare_cached("DELETE FROM words WHERE rowid = ?1")
                .and_then(|mut it| it.execute([id]))
                .map_err(failed)?;
            at_once
                .prepare_cached("INSERT INTO words (rowid, text) VALUES (?1, ?2)")
                .and_then(|mut it| it.execute(params![id, words_of(state, newest)]))
                .map_err(failed)?;
        }
        at_once.commit().map_err(failed)
    }

    /// Notes how much a dataset holds, if no record came since.
    pub(crate) fn measured(&self, dataset: &DatasetName, next_seq: u64, n_bytes: u64) -> Result<()> {
        self.lock()
            .prepare_cached("UPDATE datasets SET bytes = ?3 WHERE name = ?1 AND next_seq = ?2")
            .and_then(|mut it| {
                it.execute(params![dataset.to_string(), next_seq.cast_signed(), n_bytes.cast_signed()])
            })
            .map(drop)
            .map_err(failed)
    }

    /// An owner's datasets of which nobody has noted how much they hold.
    pub(crate) fn unmeasured(&self, owner: &str) -> Result<Vec<DatasetName>> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT name FROM datasets WHERE owner = ?1 AND bytes IS NULL AND is_gone = 0")
            .map_err(failed)?;
        let rows = query.query_map([owner], |row| row.get::<_, String>(0)).map_err(failed)?;
        rows.map(|it| it.map_err(failed)?.parse()).collect()
    }

    /// How much all datasets of an owner hold.
    pub(crate) fn n_bytes_of(&self, owner: &str) -> Result<u64> {
        self.lock()
            .prepare_cached("SELECT coalesce(sum(bytes), 0) FROM datasets WHERE owner = ?1 AND is_gone = 0")
            .and_then(|mut it| it.query_row([owner], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs())))
            .map_err(failed)
    }

    /// Every dataset, with the number of the record that would be news of it.
    pub(crate) fn known(&self) -> Result<BTreeMap<String, u64>> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT name, next_seq FROM datasets").map_err(failed)?;
        let rows = query
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))
            .map_err(failed)?;
        rows.map(|it| it.map_err(failed)).collect()
    }

    /// Forgets a dataset that is no longer there.
    pub(crate) fn forget(&self, dataset: &str) -> Result<()> {
        let mut connection = self.lock();
        let at_once = connection.transaction().map_err(failed)?;
        let words = "DELETE FROM words WHERE rowid = (SELECT id FROM datasets WHERE name = ?1)";
        at_once.execute(words, [dataset]).map_err(failed)?;
        at_once.execute("DELETE FROM datasets WHERE name = ?1", [dataset]).map_err(failed)?;
        at_once.commit().map_err(failed)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dataset as lists show it.
pub(crate) fn summary(state: &DatasetState) -> DatasetSummary {
    let latest = state.head().filter(|it| it.withdrawn.is_none()).map(|it| it.revision.clone());
    DatasetSummary {
        name: state.dataset.clone(),
        visibility: state.visibility,
        sensitivity: state.sensitivity.clone(),
        latest,
        revisions: state.revisions.len() as u64,
    }
}

/// A class as records write it.
fn class_text(class: DataClass) -> Result<String> {
    let text = serde_json::to_value(class).map_err(std::io::Error::from)?;
    Ok(text.as_str().unwrap_or_default().to_owned())
}

/// What a dataset is found by.
fn words_of(state: &DatasetState, newest: Option<&RevisionManifest>) -> String {
    let mut words = vec![state.dataset.to_string()];
    let facts = &state.facts;
    words.extend(
        facts.title.iter().chain(facts.modality.iter().flatten()).chain(facts.tags.iter().flatten()).cloned(),
    );
    words.extend(facts.robot.iter().flatten().map(|(_, value)| value.clone()));
    if let Some(manifest) = newest {
        words.extend(manifest.title.iter().chain(&manifest.modality).chain(&manifest.tags).cloned());
        words.extend(manifest.robot.values().cloned());
    }
    words.join("\n")
}

fn failed(err: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Io, "the server's catalog failed").with_source(err)
}

#[cfg(test)]
mod tests;
