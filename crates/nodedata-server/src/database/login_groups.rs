use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::Result;

use crate::database::{Database, session::Session};

impl Database {
    /// The groups of the issuer that the token of a login is in.
    pub(crate) fn login_groups(&self, token: &str) -> Result<Vec<String>> {
        self.session()?.rows(
            "SELECT group_name FROM login_groups WHERE token = ?1 ORDER BY group_name",
            &[token.into()],
            |row| row.get(0),
        )
    }
}

/// Notes the groups of a token of a login, and forgets those of tokens that are no longer listed.
pub(super) fn put(at_once: &Session<'_>, token: &str, groups: &BTreeSet<String>) -> Result<()> {
    at_once.execute("DELETE FROM login_groups WHERE token NOT IN (SELECT id FROM tokens)", &[])?;
    for group in groups {
        let sql = "INSERT INTO login_groups (token, group_name) VALUES (?1, ?2)";
        at_once.execute(sql, &[token.into(), group.into()])?;
    }
    Ok(())
}

/// The groups of every token of an account, or of every account, by the token's name.
pub(super) fn by_token(
    session: &Session<'_>,
    account: Option<&str>,
) -> Result<BTreeMap<String, Vec<String>>> {
    let rows: Vec<(String, String)> = session.rows(
        "SELECT token, group_name FROM login_groups JOIN tokens ON id = token
         WHERE ?1 IS NULL OR account = ?1 ORDER BY token, group_name",
        &[account.into()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (token, group) in rows {
        groups.entry(token).or_default().push(group);
    }
    Ok(groups)
}
