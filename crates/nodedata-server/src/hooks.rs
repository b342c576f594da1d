//! What is told to other programs when something was published, withdrawn, removed or renamed: each event at least once, signed,
//! from an outbox in the database.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    DatasetName,
    clock::fresh_id,
    gate::{AuditEvent, Outcome},
    record::{CommitRecord, Operation},
};
use reqwest::{Client, header};
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use crate::{
    app::App,
    clock::stamp,
    database::{Letter, SERVER},
};

/// Header with the event's name, the same for every try: who has seen it before drops it.
pub const EVENT_ID: &str = "nd-event-id";
/// Header with what happened: `published`, `withdrawn`, `purged`, `renamed`, `transferred` or `deleted`.
pub const EVENT: &str = "nd-event";
/// Header with the signature: `t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 of `SECONDS.BODY` under the shared secret.
pub const SIGNATURE: &str = "nd-signature";

/// Shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 16;
/// How often the outbox is looked into.
const LOOKED_EVERY: Duration = Duration::from_millis(500);
/// How long one try may take.
pub(crate) const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait between two tries, in seconds.
const WAIT_SECONDS_MAX: i64 = 3600;
/// How long an event is tried for, and kept for a hook that is not named any more, in seconds: 30 days.
const TRIED_SECONDS_MAX: i64 = 30 * 86_400;

/// Where events go, and the secret that signs them.
#[derive(Clone)]
pub struct Hook {
    url: Url,
    secret: Arc<[u8]>,
}

impl Hook {
    /// A hook at an address, with a secret of at least 16 bytes that both sides know.
    ///
    /// # Errors
    /// `Config` for what is no address of HTTP, and for a short secret. Neither is in the message.
    pub fn new(url: &str, secret: &str) -> Result<Self> {
        let refused = |message: &str, hint: &str| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
        let url = Url::parse(url).ok().filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
        let Some(url) = url else {
            return refused("this is no address of a hook", "write https://HOST/PATH");
        };
        if secret.len() < SECRET_BYTES_MIN {
            let message = "the secret of the hooks is too short";
            return refused(message, "take 32 random bytes, such as `openssl rand -hex 32` gives");
        }
        Ok(Self { url, secret: secret.as_bytes().into() })
    }

    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The signature of a body sent at a time.
    fn signature(&self, seconds: i64, body: &str) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.secret);
        let tag = ring::hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
        let hex: String = tag.as_ref().iter().map(|it| format!("{it:02x}")).collect();
        format!("t={seconds},v1={hex}")
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Addresses of hooks hold secrets of their own, behind the host.
        f.debug_struct("Hook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// What a record is to those who listen; `None` where it is nothing to them.
pub(crate) fn event_of(
    dataset: &DatasetName,
    record: &CommitRecord,
    digest: &str,
    now: DateTime<Utc>,
) -> Option<Value> {
    let mut event = match &record.op {
        Operation::Publish { revision, manifest, tags, .. } => {
            json!({"event": "published", "revision": revision, "manifest": manifest, "tags": tags})
        }
        Operation::Withdraw { revision, reason } => {
            json!({"event": "withdrawn", "revision": revision, "reason": reason})
        }
        Operation::Purge { blobs, revisions, reason } => {
            json!({"event": "purged", "blobs": blobs, "revisions": revisions, "reason": reason})
        }
        // The record of the old name comes first and does not end it: the new name may be taken meanwhile.
        Operation::Adopt { from, .. } => {
            let event = if from.owner() == dataset.owner() { "renamed" } else { "transferred" };
            json!({"event": event, "from": from})
        }
        Operation::Delete { reason } => json!({"event": "deleted", "reason": reason}),
        Operation::Create { .. }
        | Operation::Tag { .. }
        | Operation::Attach { .. }
        | Operation::Declare { .. }
        | Operation::Move { .. } => return None,
    };
    let common = json!({
        "nd": "event/1",
        "id": fresh_id(),
        "at": stamp(now),
        "dataset": dataset,
        "by": record.author,
        "seq": record.seq,
        "record": digest,
    });
    if let (Some(event), Value::Object(common)) = (event.as_object_mut(), common) {
        event.extend(common);
    }
    Some(event)
}

/// Sends what is in the outbox, for as long as the server runs.
pub(crate) async fn deliver(app: Arc<App>, client: Client, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOKED_EVERY) => {}
            _ = stopped.changed() => return,
        }
        // One that does not answer holds up no other.
        let sent = app.options.hooks.iter().map(|it| deliver_one(&app, &client, it));
        futures_util::future::join_all(sent).await;
    }
}

/// Sends, one after the other, what is due at a hook; the first that fails ends it.
async fn deliver_one(app: &Arc<App>, client: &Client, hook: &Hook) {
    loop {
        let (asked, url) = (Arc::clone(app), hook.url().to_owned());
        let due = in_database(move || asked.database.due_letter(&url, asked.options.clock.now())).await;
        let Some(letter) = due.flatten() else { return };
        let failure = send(client, hook, &letter, app.options.clock.now()).await.err();
        let (settled, is_sent) = (Arc::clone(app), failure.is_none());
        let done = in_database(move || settled.settle_letter(&letter, failure)).await;
        if done.is_none() || !is_sent {
            return;
        }
    }
}

/// `None` when the database does not answer: what was to be done is tried again.
async fn in_database<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(act).await.ok()?.ok()
}

/// Why it was not taken, without the address, whose path may be secret.
async fn send(client: &Client, hook: &Hook, letter: &Letter, now: DateTime<Utc>) -> Result<(), String> {
    let request = client
        .post(hook.url.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(EVENT_ID, &letter.event_id)
        .header(EVENT, &letter.kind)
        .header(SIGNATURE, hook.signature(now.timestamp(), &letter.body))
        .body(letter.body.clone());
    let answer = request.send().await.map_err(|err| match err.is_timeout() {
        true => "no answer in time".to_owned(),
        false => "no connection, or none that held".to_owned(),
    })?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(format!("status {}", answer.status().as_u16())),
    }
}

impl App {
    /// Takes a letter out of the outbox, or puts it back for later.
    fn settle_letter(&self, letter: &Letter, failure: Option<String>) -> Result<()> {
        let now = self.options.clock.now();
        let Some(why) = failure else {
            self.metrics.hooks_sent.fetch_add(1, Ordering::Relaxed);
            return self.database.drop_letter(letter.id);
        };
        self.metrics.hooks_failed.fetch_add(1, Ordering::Relaxed);
        let line = json!({
            "event": "hook", "at": stamp(now), "id": letter.event_id, "tries": letter.tries + 1, "why": why,
        });
        self.options.log.write(&line.to_string());
        if now.timestamp() - letter.made < TRIED_SECONDS_MAX {
            let wait = 1i64.checked_shl(letter.tries.min(20)).unwrap_or(i64::MAX).min(WAIT_SECONDS_MAX);
            return self.database.put_back(letter.id, now.timestamp() + wait);
        }
        self.give_up(letter, why)
    }

    /// Drops what is in the outbox for hooks that this server has no more, once it is as old as anything is tried for: a hook that is
    /// left out for a while loses nothing.
    ///
    /// # Errors
    /// `Io` of the database: the rest stays for the next time.
    pub(crate) fn give_up_on_removed_hooks(&self) -> Result<()> {
        let hooks: Vec<&str> = self.options.hooks.iter().map(Hook::url).collect();
        let made = self.options.clock.now().timestamp() - TRIED_SECONDS_MAX;
        while let Some(letter) = self.database.letter_to_nobody(&hooks, made)? {
            self.give_up(&letter, "the hook is no longer named".to_owned())?;
        }
        Ok(())
    }

    /// Takes a letter out of the outbox that never came, with a line that says so.
    fn give_up(&self, letter: &Letter, why: String) -> Result<()> {
        let event = AuditEvent {
            who: SERVER.to_owned(),
            action: "notify".to_owned(),
            outcome: Outcome::NotDone,
            subject: Some(letter.event_id.clone()),
            reason: Some(why),
            ..AuditEvent::default()
        };
        self.noted(self.database.give_up_letter(letter.id, self.options.clock.now(), event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_2104() {
        // Counted with Python: hmac.new(b"0123456789abcdef", b"1800000000.{}", "sha256").
        let hook = Hook::new("https://host/path-that-is-secret", "0123456789abcdef").unwrap();
        assert_eq!(hook.signature(1_800_000_000, "{}"), format!("t=1800000000,v1={EXPECTED}"));
        assert!(!format!("{hook:?}").contains("secret") && !format!("{hook:?}").contains("0123"));
        for (url, secret) in
            [("https://h", "0123456789abcde"), ("ftp://h", "0123456789abcdef"), ("h", "0123456789abcdef")]
        {
            let err = Hook::new(url, secret).unwrap_err();
            assert!(!err.chain().contains(secret), "{err}");
        }
    }

    #[test]
    fn a_purge_is_told_with_what_is_gone_and_a_tag_is_nothing() {
        let blob = nodedata_registry::B3::of(b"gone");
        let told = |op| {
            let record = CommitRecord {
                nd: "commit/1".to_owned(),
                seq: 7,
                prev: None,
                op_id: "op".to_owned(),
                author: "acme".to_owned(),
                at: String::new(),
                op,
                state: None,
                sig: None,
            };
            let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            event_of(&"acme/x".parse().unwrap(), &record, "b3:0", now)
        };
        let revisions = vec!["1.0.0".to_owned()];
        let purge = Operation::Purge { blobs: vec![blob], revisions, reason: "asked to".to_owned() };
        let mut event = told(purge).unwrap();
        assert!(event["id"].take().as_str().is_some_and(|it| !it.is_empty()));
        assert_eq!(
            event,
            json!({
                "nd": "event/1", "event": "purged", "id": null, "at": "2027-01-15T08:00:00Z",
                "dataset": "acme/x", "by": "acme", "seq": 7, "record": "b3:0",
                "blobs": [blob], "revisions": ["1.0.0"], "reason": "asked to",
            })
        );
        assert_eq!(told(Operation::Tag { tag: "a".to_owned(), revision: None }), None);
        // Under the new name, once it is there.
        for (from, event) in [("acme/before", "renamed"), ("lab/x", "transferred")] {
            let adopted =
                told(Operation::Adopt { from: from.parse().unwrap(), moved_at: 6, last: blob }).unwrap();
            assert_eq!((&adopted["event"], &adopted["from"]), (&event.into(), &from.into()));
            assert_eq!(adopted["dataset"], "acme/x");
        }
        let moved = Operation::Move { to: "acme/y".parse().unwrap(), reason: "a better name".to_owned() };
        assert_eq!(told(moved), None);
        let deleted = told(Operation::Delete { reason: "a test".to_owned() }).unwrap();
        assert_eq!((&deleted["event"], &deleted["reason"]), (&"deleted".into(), &"a test".into()));
    }

    const EXPECTED: &str = "1313ae9c874eb1a0868ad0b65f841c4243c23fdcfad69a3ada227726fad9960e";
}
