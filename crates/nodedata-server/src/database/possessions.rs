use std::collections::BTreeSet;

use nodedata_core::Result;
use nodedata_registry::B3;

use crate::database::{Database, session::Value};

/// Blobs of one question: an answer is a round to a database elsewhere, and SQLite takes so many parameters.
const ASKED_AT_ONCE: usize = 500;

impl Database {
    /// Notes that an account has shown a blob's bytes.
    pub(crate) fn note_possession(&self, account: &str, b3: &B3) -> Result<()> {
        let sql = "INSERT INTO possessions (account, b3) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.session()?.execute(sql, &[account.into(), (&b3.0).into()]).map(drop)
    }

    /// Whether an account has shown a blob's bytes.
    pub(crate) fn possesses(&self, account: &str, b3: &B3) -> Result<bool> {
        let sql = "SELECT 1 FROM possessions WHERE account = ?1 AND b3 = ?2";
        Ok(self.session()?.row(sql, &[account.into(), (&b3.0).into()], |_| Ok(()))?.is_some())
    }

    /// Notes that an account has shown the bytes of blobs: of all of them or of none.
    pub(crate) fn note_possessions(&self, account: &str, blobs: &[B3]) -> Result<()> {
        let sql = "INSERT INTO possessions (account, b3) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.at_once(|it| {
            blobs.iter().try_for_each(|b3| it.execute(sql, &[account.into(), (&b3.0).into()]).map(drop))
        })
    }

    /// Of which blobs an account has shown the bytes.
    pub(crate) fn possessed(&self, account: &str, blobs: &BTreeSet<B3>) -> Result<BTreeSet<B3>> {
        let session = self.session()?;
        let blobs: Vec<&B3> = blobs.iter().collect();
        let mut found = BTreeSet::new();
        for asked in blobs.chunks(ASKED_AT_ONCE) {
            let marks: Vec<String> = (2..asked.len() + 2).map(|it| format!("?{it}")).collect();
            let sql =
                format!("SELECT b3 FROM possessions WHERE account = ?1 AND b3 IN ({})", marks.join(", "));
            let mut params: Vec<Value<'_>> = vec![account.into()];
            params.extend(asked.iter().map(|it| Value::from(&it.0)));
            found.extend(session.rows(&sql, &params, |row| row.digest(0))?);
        }
        Ok(found)
    }
}
