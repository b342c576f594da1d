use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::Result;
use rusqlite::{Connection, params};

use crate::database::{Database, failed};

impl Database {
    /// The groups of the issuer that the token of a login is in.
    pub(crate) fn login_groups(&self, token: &str) -> Result<Vec<String>> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT group_name FROM login_groups WHERE token = ?1 ORDER BY group_name")
            .map_err(failed)?;
        let rows = query.query_map([token], |row| row.get(0)).map_err(failed)?;
        rows.map(|it| it.map_err(failed)).collect()
    }
}

/// Notes the groups of a token of a login, and forgets those of tokens that are no longer listed.
pub(super) fn put(at_once: &Connection, token: &str, groups: &BTreeSet<String>) -> Result<()> {
    at_once
        .execute("DELETE FROM login_groups WHERE token NOT IN (SELECT id FROM tokens)", [])
        .map_err(failed)?;
    for group in groups {
        at_once
            .execute("INSERT INTO login_groups (token, group_name) VALUES (?1, ?2)", params![token, group])
            .map_err(failed)?;
    }
    Ok(())
}

/// The groups of every token of an account, or of every account, by the token's name.
pub(super) fn by_token(
    connection: &Connection,
    account: Option<&str>,
) -> Result<BTreeMap<String, Vec<String>>> {
    let mut query = connection
        .prepare_cached(
            "SELECT token, group_name FROM login_groups JOIN tokens ON id = token
             WHERE ?1 IS NULL OR account = ?1 ORDER BY token, group_name",
        )
        .map_err(failed)?;
    let rows = query.query_map([account], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let (token, group): (String, String) = row.map_err(failed)?;
        groups.entry(token).or_default().push(group);
    }
    Ok(groups)
}
