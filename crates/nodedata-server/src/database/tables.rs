use nodedata_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, TransactionBehavior};

use crate::database::failed;

/// What makes the tables, one step for each version; how many were taken is kept in the file's own header. A step that was
/// published never changes.
const STEPS: &[&str] = &[FIRST, RECORDED, TOLD, ROLES, SEEN, LOGINS, TAKEN_OVER, ROTATED];

const FIRST: &str = "
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

/// What is about to be written to a store, what was taken back, and what the server knows of itself.
const RECORDED: &str = "
CREATE TABLE intents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  begun INTEGER NOT NULL,
  dataset TEXT NOT NULL,
  seq INTEGER NOT NULL,
  digest BLOB NOT NULL,
  event TEXT NOT NULL
) STRICT;
CREATE TABLE revocations (
  epoch INTEGER PRIMARY KEY,
  body TEXT NOT NULL,
  is_apart INTEGER NOT NULL
) STRICT;
CREATE TABLE facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO facts VALUES ('server', lower(hex(randomblob(16))));
";

/// What others are told, and who has read what.
const TOLD: &str = "
ALTER TABLE intents ADD COLUMN notice TEXT;
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  url TEXT NOT NULL,
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  made INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  tries INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (url, id);
CREATE TABLE readers (
  dataset TEXT NOT NULL,
  account TEXT NOT NULL,
  PRIMARY KEY (dataset, account)
) STRICT, WITHOUT ROWID;
INSERT INTO readers
  SELECT DISTINCT json_extract(line, '$.dataset'), json_extract(line, '$.who') FROM audit
  WHERE json_extract(line, '$.action') = 'read' AND json_extract(line, '$.outcome') = 'allowed'
    AND json_extract(line, '$.dataset') IS NOT NULL;
";

/// Groups of accounts, and who has which role.
const ROLES: &str = "
CREATE TABLE members (
  group_name TEXT NOT NULL,
  account TEXT NOT NULL,
  PRIMARY KEY (group_name, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_of ON members (account);
CREATE TABLE roles (
  holder TEXT NOT NULL,
  pattern TEXT NOT NULL,
  role TEXT NOT NULL,
  PRIMARY KEY (holder, pattern)
) STRICT, WITHOUT ROWID;
";

/// Which pushes of accounts bring blobs by parts, and what was seen of logs.
const SEEN: &str = "
CREATE TABLE stagings (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  b3 BLOB NOT NULL,
  push TEXT NOT NULL,
  begun INTEGER NOT NULL,
  handed_over INTEGER NOT NULL DEFAULT 0,
  UNIQUE (account, b3, push)
) STRICT;
CREATE TABLE checkpoints (
  dataset TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  record BLOB NOT NULL,
  is_private INTEGER NOT NULL,
  moved TEXT
) STRICT, WITHOUT ROWID;
";

/// Which tokens stand in the place of identity tokens.
const LOGINS: &str = "
ALTER TABLE tokens ADD COLUMN is_exchanged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX exchanged_tokens ON tokens (expires) WHERE is_exchanged = 1;
";

/// Which groups of the issuer a token of a login is in.
const TAKEN_OVER: &str = "
CREATE TABLE login_groups (
  token TEXT NOT NULL,
  group_name TEXT NOT NULL,
  PRIMARY KEY (token, group_name)
) STRICT, WITHOUT ROWID;
";

/// Which token made another in its own place.
const ROTATED: &str = "
ALTER TABLE tokens ADD COLUMN rotated_from TEXT;
CREATE INDEX rotated_tokens ON tokens (rotated_from);
";

/// Takes the steps that are not taken yet, each whole or not at all, whoever else opens the file.
///
/// # Errors
/// `Unsupported` when a newer version wrote the file; `Io`.
pub(super) fn bring_up_to_date(connection: &mut Connection) -> Result<()> {
    let at_once = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let version: i64 = at_once.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let known = STEPS.len() as i64;
    let taken = usize::try_from(version).ok().filter(|it| *it <= STEPS.len()).ok_or_else(|| {
        let message = format!("the database has version {version}, this build knows {known}");
        Error::new(ErrorKind::Unsupported, message).with_hint("run a newer node-data")
    })?;
    for step in STEPS.iter().skip(taken) {
        at_once.execute_batch(step).map_err(failed)?;
    }
    if taken < STEPS.len() {
        at_once.execute_batch(&format!("PRAGMA user_version = {known};")).map_err(failed)?;
    }
    at_once.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_any_version_is_brought_up_to_date_and_keeps_its_rows() {
        for taken in 0..STEPS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for step in &STEPS[..taken] {
                connection.execute_batch(step).unwrap();
            }
            connection.execute_batch(&format!("PRAGMA user_version = {taken}")).unwrap();
            if taken > 0 {
                connection.execute("INSERT INTO audit VALUES (0, '{}')", []).unwrap();
            }
            bring_up_to_date(&mut connection).unwrap();
            bring_up_to_date(&mut connection).unwrap();
            let rows: i64 = connection.query_row("SELECT count(*) FROM audit", [], |it| it.get(0)).unwrap();
            assert_eq!(rows, i64::from(taken > 0), "{taken}");
            connection.query_row("SELECT value FROM facts", [], |it| it.get::<_, String>(0)).unwrap();
        }
        let mut newer = Connection::open_in_memory().unwrap();
        newer.execute_batch(&format!("PRAGMA user_version = {}", STEPS.len() + 1)).unwrap();
        assert_eq!(bring_up_to_date(&mut newer).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
