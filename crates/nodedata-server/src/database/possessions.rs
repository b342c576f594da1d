use std::collections::BTreeSet;

use nodedata_core::Result;
use nodedata_registry::B3;
use rusqlite::params;

use crate::database::{Database, failed};

impl Database {
    /// Notes that an account has shown a blob's bytes.
    pub(crate) fn note_possession(&self, account: &str, b3: &B3) -> Result<()> {
        self.lock()
            .prepare_cached("INSERT OR IGNORE INTO possessions (account, b3) VALUES (?1, ?2)")
            .and_then(|mut it| it.execute(params![account, b3.0]))
            .map(drop)
            .map_err(failed)
    }

    /// Whether an account has shown a blob's bytes.
    pub(crate) fn possesses(&self, account: &str, b3: &B3) -> Result<bool> {
        self.lock()
            .prepare_cached("SELECT 1 FROM possessions WHERE account = ?1 AND b3 = ?2")
            .and_then(|mut it| it.exists(params![account, b3.0]))
            .map_err(failed)
    }

    /// Notes that an account has shown the bytes of blobs: of all of them or of none.
    pub(crate) fn note_possessions(&self, account: &str, blobs: &[B3]) -> Result<()> {
        self.at_once(|at_once| {
            let noted =
                at_once.prepare_cached("INSERT OR IGNORE INTO possessions (account, b3) VALUES (?1, ?2)");
            let mut noted = noted.map_err(failed)?;
            blobs.iter().try_for_each(|b3| noted.execute(params![account, b3.0]).map(drop)).map_err(failed)
        })
    }

    /// Of which blobs an account has shown the bytes.
    pub(crate) fn possessed(&self, account: &str, blobs: &BTreeSet<B3>) -> Result<BTreeSet<B3>> {
        let connection = self.lock();
        let query = connection.prepare_cached("SELECT 1 FROM possessions WHERE account = ?1 AND b3 = ?2");
        let mut query = query.map_err(failed)?;
        let mut found = BTreeSet::new();
        for b3 in blobs {
            if query.exists(params![account, b3.0]).map_err(failed)? {
                found.insert(*b3);
            }
        }
        Ok(found)
    }
}
