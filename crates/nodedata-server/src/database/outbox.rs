use chrono::{DateTime, Utc};
use nodedata_core::Result;
use nodedata_registry::gate::AuditEvent;
use serde_json::Value;

use crate::{
    clock::stamp,
    database::{
        Database,
        audit::append_line,
        session::{Row, Session},
    },
};

/// How long a letter is one node's, in seconds: longer than a try takes. After that it is due again, as when the node was killed.
const LEASE_SECONDS: i64 = 60;

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
    /// The oldest letter to a hook that is due. Where other nodes send as well, it is due to none of them for a while.
    pub(crate) fn due_letter(&self, url: &str, now: DateTime<Utc>) -> Result<Option<Letter>> {
        let (session, now) = (self.session()?, now.timestamp());
        if !self.is_shared() {
            return session.row(
                "SELECT id, event_id, kind, body, made, tries FROM outbox
                 WHERE url = ?1 AND next_at <= ?2 ORDER BY id LIMIT 1",
                &[url.into(), now.into()],
                letter,
            );
        }
        session.row(
            "UPDATE outbox SET next_at = ?3
             WHERE id = (SELECT id FROM outbox WHERE url = ?1 AND next_at <= ?2 ORDER BY id LIMIT 1)
               AND next_at <= ?2
             RETURNING id, event_id, kind, body, made, tries",
            &[url.into(), now.into(), (now + LEASE_SECONDS).into()],
            letter,
        )
    }

    /// A letter that was made then or before, and goes to none of these hooks.
    pub(crate) fn letter_to_nobody(&self, urls: &[&str], made: i64) -> Result<Option<Letter>> {
        let session = self.session()?;
        let found =
            session.rows("SELECT DISTINCT url FROM outbox ORDER BY url", &[], |row| row.get::<String>(0))?;
        for url in found.iter().filter(|it| !urls.contains(&it.as_str())) {
            let old = session.row(
                "SELECT id, event_id, kind, body, made, tries FROM outbox
                 WHERE url = ?1 AND made <= ?2 ORDER BY id LIMIT 1",
                &[url.into(), made.into()],
                letter,
            )?;
            if old.is_some() {
                return Ok(old);
            }
        }
        Ok(None)
    }

    /// Forgets a letter that came.
    pub(crate) fn drop_letter(&self, id: i64) -> Result<()> {
        self.session()?.execute("DELETE FROM outbox WHERE id = ?1", &[id.into()]).map(drop)
    }

    /// Forgets a letter that never will come, with the line that says so: one, whichever nodes give it up.
    pub(crate) fn give_up_letter(&self, id: i64, now: DateTime<Utc>, event: AuditEvent) -> Result<()> {
        self.at_once(|it| match it.execute("DELETE FROM outbox WHERE id = ?1", &[id.into()])? {
            0 => Ok(()),
            _ => append_line(it, stamp(now), event),
        })
    }

    /// Keeps a letter that did not come for another time.
    pub(crate) fn put_back(&self, id: i64, next_at: i64) -> Result<()> {
        let sql = "UPDATE outbox SET tries = tries + 1, next_at = ?2 WHERE id = ?1";
        self.session()?.execute(sql, &[id.into(), next_at.into()]).map(drop)
    }

    /// Letters that wait.
    pub(crate) fn n_letters(&self) -> Result<u64> {
        let n = self.session()?.row("SELECT count(*) FROM outbox", &[], |row| row.get::<i64>(0))?;
        Ok(n.unwrap_or_default().unsigned_abs())
    }
}

fn letter(row: &Row<'_>) -> Result<Letter> {
    Ok(Letter {
        id: row.get(0)?,
        event_id: row.get(1)?,
        kind: row.get(2)?,
        body: row.get(3)?,
        made: row.get(4)?,
        tries: u32::try_from(row.get::<i64>(5)?).unwrap_or(u32::MAX),
    })
}

/// Puts an event into the outbox for each hook, in one step with what it tells of. One about something that is gone names those
/// whom the audit log has seen reading the dataset.
pub(super) fn post(at_once: &Session<'_>, urls: &[String], mut event: Value, now: i64) -> Result<()> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let (id, kind) = (text(&event, "id"), text(&event, "event"));
    if kind != "published" {
        // Whoever read a renamed dataset did so under the name that it had.
        let name = if event["from"].is_string() { "from" } else { "dataset" };
        event["readers"] = readers(at_once, &text(&event, name))?.into();
    }
    let body = event.to_string();
    for url in urls {
        at_once.execute(
            "INSERT INTO outbox (url, event_id, kind, body, made, next_at, tries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0)",
            &[url.into(), (&id).into(), (&kind).into(), (&body).into(), now.into()],
        )?;
    }
    Ok(())
}

/// Accounts that were let have bytes of a dataset, as the audit log says.
fn readers(session: &Session<'_>, dataset: &str) -> Result<Vec<String>> {
    let sql = "SELECT account FROM readers WHERE dataset = ?1 ORDER BY account";
    session.rows(sql, &[dataset.into()], |row| row.get(0))
}
