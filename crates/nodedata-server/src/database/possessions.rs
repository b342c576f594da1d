use nodedata_core::Result;
use nodedata_registry::B3;

use crate::database::Database;

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
}
