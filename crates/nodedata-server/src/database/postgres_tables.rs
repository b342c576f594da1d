//! The tables of `tables.rs`, as Postgres has them: names sort by their bytes, and numbers are as wide as SQLite's.

use nodedata_core::{Error, ErrorKind, Result};

use crate::database::session::Session;

/// What makes the tables, one step for each version. A step that was published never changes.
const STEPS: &[&str] = &[FIRST];

const FIRST: &str = r#"
CREATE TABLE tokens (
  rowid BIGINT GENERATED ALWAYS AS IDENTITY,
  id TEXT COLLATE "C" PRIMARY KEY,
  hash BYTEA NOT NULL UNIQUE,
  account TEXT COLLATE "C" NOT NULL,
  scopes TEXT NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  revoked BIGINT NOT NULL DEFAULT 0,
  last_used BIGINT,
  is_exchanged BIGINT NOT NULL DEFAULT 0,
  rotated_from TEXT COLLATE "C"
);
CREATE INDEX rotated_tokens ON tokens (rotated_from);
CREATE INDEX exchanged_tokens ON tokens (expires) WHERE is_exchanged = 1;
CREATE TABLE attestations (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id TEXT COLLATE "C" NOT NULL UNIQUE,
  dataset TEXT COLLATE "C" NOT NULL,
  account TEXT COLLATE "C" NOT NULL,
  body TEXT NOT NULL
);
CREATE INDEX attestations_of ON attestations (dataset, account, seq);
CREATE TABLE audit (
  seq BIGINT PRIMARY KEY,
  line TEXT NOT NULL
);
CREATE TABLE possessions (
  account TEXT COLLATE "C" NOT NULL,
  b3 BYTEA NOT NULL,
  PRIMARY KEY (account, b3)
);
CREATE TABLE intents (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  begun BIGINT NOT NULL,
  dataset TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  digest BYTEA NOT NULL,
  event TEXT NOT NULL,
  notice TEXT
);
CREATE TABLE revocations (
  epoch BIGINT PRIMARY KEY,
  body TEXT NOT NULL,
  is_apart BIGINT NOT NULL
);
CREATE INDEX revocations_not_apart ON revocations (epoch) WHERE is_apart = 0;
CREATE TABLE facts (
  name TEXT COLLATE "C" PRIMARY KEY,
  value TEXT NOT NULL
);
INSERT INTO facts VALUES ('server', replace(gen_random_uuid()::text, '-', ''));
CREATE TABLE outbox (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  url TEXT COLLATE "C" NOT NULL,
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  made BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  tries BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (url, id);
CREATE TABLE readers (
  dataset TEXT COLLATE "C" NOT NULL,
  account TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (dataset, account)
);
CREATE TABLE members (
  group_name TEXT COLLATE "C" NOT NULL,
  account TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (group_name, account)
);
CREATE INDEX members_of ON members (account);
CREATE TABLE roles (
  holder TEXT COLLATE "C" NOT NULL,
  pattern TEXT COLLATE "C" NOT NULL,
  role TEXT NOT NULL,
  PRIMARY KEY (holder, pattern)
);
CREATE TABLE login_groups (
  token TEXT COLLATE "C" NOT NULL,
  group_name TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (token, group_name)
);
CREATE TABLE stagings (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account TEXT COLLATE "C" NOT NULL,
  b3 BYTEA NOT NULL,
  push TEXT COLLATE "C" NOT NULL,
  begun BIGINT NOT NULL,
  handed_over BIGINT NOT NULL DEFAULT 0,
  UNIQUE (account, b3, push)
);
CREATE TABLE checkpoints (
  dataset TEXT COLLATE "C" PRIMARY KEY,
  seq BIGINT NOT NULL,
  record BYTEA NOT NULL,
  is_private BIGINT NOT NULL,
  moved TEXT
);
CREATE TABLE tried (bytes BYTEA);
ALTER TABLE tried ALTER COLUMN bytes SET STORAGE EXTERNAL;
"#;

/// Takes the steps that are not taken yet, each whole or not at all, whichever other node starts.
///
/// # Errors
/// `Unsupported` when a newer version made the tables; `Config` when the database keeps no Unicode; `Io`.
pub(super) fn bring_up_to_date(session: &Session<'_>) -> Result<()> {
    let encoding = session.row("SELECT current_setting('server_encoding')", &[], |it| it.get::<String>(0))?;
    if encoding.as_deref() != Some("UTF8") {
        let message = format!("the database keeps text as {}", encoding.unwrap_or_default());
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("make it with `createdb --encoding UTF8 --template template0`"));
    }
    session.at_once(|it| {
        it.batch("CREATE TABLE IF NOT EXISTS nodedata_version (version BIGINT NOT NULL)")?;
        let version =
            it.row("SELECT max(version) FROM nodedata_version", &[], |it| it.get::<Option<i64>>(0))?;
        let version = version.flatten().unwrap_or_default();
        let known = STEPS.len() as i64;
        let taken = usize::try_from(version).ok().filter(|it| *it <= STEPS.len()).ok_or_else(|| {
            let message = format!("the database has version {version}, this build knows {known}");
            Error::new(ErrorKind::Unsupported, message).with_hint("run a newer node-data")
        })?;
        STEPS.iter().skip(taken).try_for_each(|step| it.batch(step))?;
        if taken < STEPS.len() {
            it.execute("DELETE FROM nodedata_version", &[])?;
            it.execute("INSERT INTO nodedata_version VALUES (?1)", &[known.into()])?;
        }
        Ok(())
    })
}
