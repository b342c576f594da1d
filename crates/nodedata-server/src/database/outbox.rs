use chrono::{DateTime, Utc};
use nodedata_core::Result;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;

use crate::database::{Database, failed};

/// An event on its way to one hook.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) id: i64,
    /// The same for every hook and every try.
    pub(crate) event_id: String,
    pub(crate) kind: String,
    /// JSON, as it is signed.
    pub(crate) body: String,
    /// Seconds since 1970.
    pub(crate) made: i64,
    /// Tries that failed.
    pub(crate) tries: u32,
}

impl Database {
    /// The oldest letter to a hook that is due.
    pub(crate) fn due_letter(&self, url: &str, now: DateTime<Utc>) -> Result<Option<Letter>> {
        self.lock()
            .prepare_cached(
                "SELECT id, event_id, kind, body, made, tries FROM outbox
                 WHERE url = ?1 AND next_at <= ?2 ORDER BY id LIMIT 1",
            )
            .and_then(|mut it| it.query_row(params![url, now.timestamp()], letter).optional())
            .map_err(failed)
    }

    /// A letter that was made then or before, and goes to none of these hooks.
    pub(crate) fn letter_to_nobody(&self, urls: &[&str], made: i64) -> Result<Option<Letter>> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT DISTINCT url FROM outbox").map_err(failed)?;
        for url in query.query_map([], |row| row.get::<_, String>(0)).map_err(failed)? {
            let url = url.map_err(failed)?;
            if urls.contains(&url.as_str()) {
                continue;
            }
            let old = connection
                .prepare_cached(
                    "SELECT id, event_id, kind, body, made, tries FROM outbox
                     WHERE url = ?1 AND made <= ?2 ORDER BY id LIMIT 1",
                )
                .and_then(|mut it| it.query_row(params![url, made], letter).optional())
                .map_err(failed)?;
            if old.is_some() {
                return Ok(old);
            }
        }
        Ok(None)
    }

    /// Forgets a letter that came, or never will.
    pub(crate) fn drop_letter(&self, id: i64) -> Result<()> {
        self.lock().execute("DELETE FROM outbox WHERE id = ?1", [id]).map(drop).map_err(failed)
    }

    /// Keeps a letter that did not come for another time.
    pub(crate) fn put_back(&self, id: i64, next_at: i64) -> Result<()> {
        self.lock()
            .execute("UPDATE outbox SET tries = tries + 1, next_at = ?2 WHERE id = ?1", [id, next_at])
            .map(drop)
            .map_err(failed)
    }

    /// Letters that wait.
    pub(crate) fn n_letters(&self) -> Result<u64> {
        let n: i64 =
            self.lock().query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).map_err(failed)?;
        Ok(n.unsigned_abs())
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    Ok(Letter {
        id: row.get(0)?,
        event_id: row.get(1)?,
        kind: row.get(2)?,
        body: row.get(3)?,
        made: row.get(4)?,
        tries: row.get(5)?,
    })
}

/// Puts an event into the outbox for each hook, in one step with what it tells of. One about something that is gone names those
/// whom the audit log has seen reading the dataset.
pub(super) fn post(at_once: &Connection, urls: &[String], mut event: Value, now: i64) -> Result<()> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let (id, kind) = (text(&event, "id"), text(&event, "event"));
    if kind != "published" {
        // Whoever read a renamed dataset did so under the name that it had.
        let name = if event["from"].is_string() { "from" } else { "dataset" };
        event["readers"] = readers(at_once, &text(&event, name))?.into();
    }
    let body = event.to_string();
    for url in urls {
        at_once
            .execute(
                "INSERT INTO outbox (url, event_id, kind, body, made, next_at, tries)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0)",
                params![url, id, kind, body, now],
            )
            .map_err(failed)?;
    }
    Ok(())
}

/// Accounts that were let have bytes of a dataset, as the audit log says.
fn readers(connection: &Connection, dataset: &str) -> Result<Vec<String>> {
    let mut query = connection
        .prepare_cached("SELECT account FROM readers WHERE dataset = ?1 ORDER BY account")
        .map_err(failed)?;
    let rows = query.query_map([dataset], |row| row.get(0)).map_err(failed)?;
    rows.map(|it| it.map_err(failed)).collect()
}
