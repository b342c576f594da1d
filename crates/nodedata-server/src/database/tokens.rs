use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{DatasetName, clock::fresh_id, http::Token};
use rusqlite::{OptionalExtension as _, params};

use crate::{
    clock::stamp,
    database::{Database, failed},
    principal::{Principal, Scope},
};

/// Longest time a token may hold, in days.
pub(crate) const VALID_DAYS_MAX: u32 = 3660;
/// How exact `last_used` is, in seconds: writing it on each request would be a write per read.
const LAST_USED_SECONDS: i64 = 3600;

/// A token that was just made: the only time that it is known.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name, for taking it back.
    pub id: String,
    /// The secret.
    pub token: Token,
    /// When it ends, UTC.
    pub expires: String,
}

impl Database {
    /// Makes a token for an account.
    ///
    /// # Errors
    /// `Config` for an account name that could be no owner, for no scopes, and for a time out of range; `Io`.
    pub fn create_token(
        &self,
        account: &str,
        scopes: &[Scope],
        valid_days: u32,
        now: DateTime<Utc>,
    ) -> Result<NewToken> {
        // Accounts are owners of datasets.
        DatasetName::new(account, "x")?;
        let refused =
            |message: String, hint: &str| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
        if scopes.is_empty() {
            return refused("a token without scopes may do nothing".to_owned(), "name at least one scope");
        }
        if valid_days == 0 || valid_days > VALID_DAYS_MAX {
            return refused(format!("a token holds 1 to {VALID_DAYS_MAX} days"), "365 is usual");
        }
        let token = Token::generate()?;
        let id = fresh_id();
        let expires = now + chrono::Days::new(u64::from(valid_days));
        let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        self.lock()
            .execute(
                "INSERT INTO tokens (id, hash, account, scopes, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, token.hash(), account, scopes.join(" "), now.timestamp(), expires.timestamp()],
            )
            .map_err(failed)?;
        Ok(NewToken { id, token, expires: stamp(expires) })
    }

    /// Whose token it is; `None` for one that is unknown, taken back, or over.
    pub(crate) fn principal_of(&self, token: &Token, now: DateTime<Utc>) -> Result<Option<Principal>> {
        let connection = self.lock();
        let seconds = now.timestamp();
        let found: Option<(String, String, String, Option<i64>)> = connection
            .prepare_cached(
                "SELECT id, account, scopes, last_used FROM tokens WHERE hash = ?1 AND revoked = 0 AND expires > ?2",
            )
            .and_then(|mut it| {
                it.query_row(params![token.hash(), seconds], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()
            })
            .map_err(failed)?;
        let Some((id, account, scopes, last_used)) = found else { return Ok(None) };
        if last_used.is_none_or(|it| it + LAST_USED_SECONDS < seconds) {
            connection
                .execute("UPDATE tokens SET last_used = ?2 WHERE id = ?1", params![id, seconds])
                .map_err(failed)?;
        }
        let scopes = scopes.split(' ').map(str::parse).collect::<Result<Vec<Scope>>>()?;
        Ok(Some(Principal { account: Some(account), scopes }))
    }

    /// Takes a token back, at once. Says whether there was one that held.
    pub(crate) fn revoke_token(&self, id: &str) -> Result<bool> {
        let n = self.lock().execute("UPDATE tokens SET revoked = 1 WHERE id = ?1 AND revoked = 0", [id]);
        Ok(n.map_err(failed)? == 1)
    }
}
