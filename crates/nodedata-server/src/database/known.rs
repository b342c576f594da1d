//! Whose tokens are, as the file of one server said: that counts for as long as nobody has written to the file.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nodedata_core::Result;
use rusqlite::{Connection, OpenFlags};

use crate::{database::failed, principal::Principal};

/// Tokens that are remembered; where there are more, all are looked up anew.
const TOKENS_MAX: usize = 1024;

/// Tokens that were looked up. Whether anybody has written since, the file is asked each time over a connection of its own: it sees what
/// any other one commits, in this process or not, and waits for nobody who writes.
#[derive(Debug)]
pub(super) struct Known(Mutex<State>);

#[derive(Debug)]
struct State {
    connection: Connection,
    /// What the file was when the tokens were looked up.
    version: i64,
    by_hash: BTreeMap<[u8; 32], Found>,
}

/// A token that holds.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) principal: Principal,
    /// Until when nothing need be looked up or noted, in seconds since 1970.
    pub(super) until: i64,
}

impl Known {
    /// # Errors
    /// `Io`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        // Not for reading alone: whoever closes a file last must be able to tidy it up.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        Ok(Self(Mutex::new(State { connection, version: 0, by_hash: BTreeMap::new() })))
    }

    /// Which state of the file this is; `None` when it does not say.
    pub(super) fn version(&self) -> Option<i64> {
        self.lock().look()
    }

    pub(super) fn find(&self, hash: &[u8; 32], seconds: i64) -> Option<Principal> {
        let mut state = self.lock();
        state.look()?;
        state.by_hash.get(hash).filter(|it| seconds < it.until).map(|it| it.principal.clone())
    }

    /// Remembers what was looked up after the file was in a state, if it still is.
    pub(super) fn keep(&self, version: i64, hash: [u8; 32], found: Found) {
        let mut state = self.lock();
        if state.look() != Some(version) {
            return;
        }
        if state.by_hash.len() >= TOKENS_MAX && !state.by_hash.contains_key(&hash) {
            state.by_hash.clear();
        }
        state.by_hash.insert(hash, found);
    }

    #[cfg(test)]
    pub(super) fn n_known(&self) -> usize {
        self.lock().by_hash.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Looks whether the file is what it was, and forgets what was found if it is not.
    fn look(&mut self) -> Option<i64> {
        let version = self
            .connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut it| it.query_row([], |row| row.get(0)));
        if version.as_ref().ok() != Some(&self.version) {
            self.by_hash.clear();
        }
        self.version = version.ok()?;
        Some(self.version)
    }
}
