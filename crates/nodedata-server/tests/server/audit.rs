//! No operation is told to have been done without its line in the audit log, and no line is lost.

use std::path::Path;

use nodedata_core::ErrorKind;
use nodedata_registry::{
    DatasetState, Operation, Store, Visibility,
    gate::{AuditLine, Outcome, goes_through},
    http::Token,
    record::CommitRecord,
    trust::PublicKey,
};
use nodedata_server::{ServerOptions, start};
use reqwest::Method;

use crate::{
    protocol::none,
    site::{Site, undated},
};

/// A database that takes no line of the audit log, as on a disk that is full.
struct Full<'a>(&'a Path);

impl<'a> Full<'a> {
    fn new(data: &'a Path) -> Self {
        let trigger = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END";
        sql(data, trigger);
        Self(data)
    }
}

impl Drop for Full<'_> {
    fn drop(&mut self) {
        sql(self.0, "DROP TRIGGER full");
    }
}

fn sql(data: &Path, text: &str) {
    let connection = rusqlite::Connection::open(data.join("server.sqlite")).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection.execute_batch(text).unwrap();
}

fn open(store: &Store, data: &Path) -> Site {
    Site::over(store.clone(), |it| it.data = Some(data.to_owned()))
}

/// The next record: a tag.
fn tagged(site: &Site, op_id: &str) -> CommitRecord {
    let state = DatasetState::open(&site.direct(), &"kit/x".parse().unwrap()).unwrap();
    let op = Operation::Tag { tag: op_id.to_owned(), revision: Some("1.0.0".to_owned()) };
    undated(state.next_record(op, op_id, "kit"))
}

fn commit(site: &Site, token: &Token, record: &CommitRecord) -> u16 {
    site.ask(Method::POST, "v1/d/kit/x/commits", Some(token), |it| it.json(record)).status
}

fn of_tags(lines: &[AuditLine]) -> Vec<(Outcome, Option<String>)> {
    let tags = lines.iter().filter(|it| it.event.action == "tag");
    tags.map(|it| (it.event.outcome, it.event.reason.clone())).collect()
}

fn has_tag(site: &Site, tag: &str) -> bool {
    DatasetState::open(&site.direct(), &"kit/x".parse().unwrap()).unwrap().tags.contains_key(tag)
}

#[test]
fn a_record_is_not_told_to_be_there_before_its_line_is() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let site = open(&store, data.path());
    site.publish("kit/x", Visibility::Public, none());
    let token = site.token("kit", &["publish:kit/*"]);
    let record = tagged(&site, "stable");
    let full = Full::new(data.path());
    assert_eq!(commit(&site, &token, &record), 503);
    assert!(has_tag(&site, "stable"), "the store took it");
    assert_eq!(commit(&site, &token, &record), 503, "asked again, it still has no line");
    drop(full);
    assert_eq!(commit(&site, &token, &record), 201);
    assert_eq!(commit(&site, &token, &record), 201);
    assert_eq!(of_tags(&site.audit()), [(Outcome::Allowed, None)], "one line, however often it is asked");
}

#[test]
fn lines_that_a_kill_took_are_there_at_the_next_start() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let site = open(&store, data.path());
    site.publish("kit/x", Visibility::Public, none());
    let token = site.token("kit", &["publish:kit/*"]);
    let full = Full::new(data.path());
    assert_eq!(commit(&site, &token, &tagged(&site, "stable")), 503);
    // What was begun, and ended before the record was written.
    let never = tagged(&site, "never");
    site.running.stop();
    drop(full);
    let digest = nodedata_registry::B3::of(&never.to_bytes().unwrap());
    sql(
        data.path(),
        &format!(
            "INSERT INTO intents (begun, dataset, seq, digest, event)
             VALUES (1800000000, 'kit/x', {}, x'{}', '{{\"who\":\"kit\",\"action\":\"tag\",\"outcome\":\"allowed\"}}')",
            never.seq,
            digest.hex()
        ),
    );
    let site = open(&store, data.path());
    assert_eq!(of_tags(&site.audit()), [(Outcome::Allowed, None)]);
    // A store that is no folder may still bring what it was sent.
    site.clock.advance(299);
    assert_eq!(of_tags(&site.audit()).len(), 1);
    site.clock.advance(1);
    let lines = of_tags(&site.audit());
    assert_eq!(lines[1], (Outcome::NotDone, Some("not-written".to_owned())), "{lines:?}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_race_that_was_lost_has_a_line_too() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let site = open(&store, data.path());
    site.publish("kit/x", Visibility::Public, none());
    let other = tagged(&site, "other");
    // Begun by a server that was killed; then another record took the number.
    let intent = format!(
        "INSERT INTO intents (begun, dataset, seq, digest, event)
         VALUES (1800000000, 'kit/x', {}, zeroblob(32), '{{\"who\":\"kit\",\"action\":\"tag\",\"outcome\":\"allowed\"}}')",
        other.seq
    );
    sql(data.path(), &intent);
    site.running.stop();
    let site = open(&store, data.path());
    let token = site.token("kit", &["publish:kit/*"]);
    assert_eq!(commit(&site, &token, &other), 201);
    let lines = of_tags(&site.audit());
    assert_eq!(lines, [(Outcome::Allowed, None), (Outcome::NotDone, Some("slot-taken".to_owned()))]);
}

#[test]
fn nothing_is_granted_made_or_taken_back_without_its_line() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let site = open(&store, data.path());
    let (root, kept) = (site.token("root", &["admin"]), site.new_token("kit", &["read"]));
    let body = serde_json::json!({"account": "lab", "scopes": ["read"], "valid_days": 1});
    let make = || site.ask(Method::POST, "v1/tokens", Some(&root), |it| it.json(&body)).status;
    let path = format!("v1/tokens/{}", kept.id);
    let rotate = || site.ask(Method::POST, &format!("{path}/rotate"), Some(&root), |it| it).status;
    let revoke = || site.ask(Method::DELETE, &path, Some(&root), |it| it).status;
    let n_tokens = || site.remote(Some(&root)).tokens().unwrap().len();
    let full = Full::new(data.path());
    assert_eq!((make(), rotate(), revoke()), (503, 503, 503));
    assert_eq!(n_tokens(), 2);
    assert_eq!(site.get("v1/whoami", Some(&kept.token)).status, 200, "it was not taken back either");
    drop(full);
    assert_eq!((make(), revoke(), make()), (201, 204, 201));
    assert_eq!(site.get("v1/whoami", Some(&kept.token)).status, 401);
    let lines = site.audit();
    let has = |action: &str, who: &str| {
        lines.iter().filter(|it| it.event.action == action && it.event.who == who).count()
    };
    assert_eq!(
        (has("create-token", "root"), has("revoke-token", "root"), has("rotate-token", "root")),
        (2, 1, 0)
    );
    assert!(has("create-token", "the operator") >= 2, "those that are made on the machine have lines too");
}

/// When a token was used last is no line of the log: who reads what is open is not turned away for it.
#[test]
fn a_database_that_takes_nothing_turns_away_nobody_who_reads_what_is_open() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let site = open(&store, data.path());
    site.publish("kit/x", Visibility::Public, none());
    let token = site.token("reader", &["read"]);
    sql(data.path(), "CREATE TRIGGER used BEFORE UPDATE ON tokens BEGIN SELECT RAISE(ABORT, 'full'); END");
    for token in [None, Some(&token)] {
        assert_eq!(site.get("v1/d/kit/x/shards/0", token).status, 200);
    }
    sql(data.path(), "DROP TRIGGER used");
    let listed = site.remote(Some(&token)).tokens().unwrap();
    assert!(listed[0].last_used.is_some(), "noted once it can be");
}

#[test]
fn a_log_whose_tail_was_cut_is_noticed_and_so_is_one_that_was_written_anew() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let begin = || {
        let options = ServerOptions {
            listen: "127.0.0.1:0".to_owned(),
            data: Some(data.path().to_owned()),
            ..ServerOptions::default()
        };
        start(store.clone(), options)
    };
    let site = open(&store, data.path());
    for account in ["a", "b", "c"] {
        site.token(account, &["read"]);
    }
    let signed = site.remote(Some(&site.token("root", &["admin"]))).audit_head().unwrap();
    let text = site.remote(Some(&site.token("root", &["admin"]))).audit(0).unwrap();
    let pem = std::fs::read_to_string(data.path().join("audit.key.pub")).unwrap();
    let key = PublicKey::from_pem(&pem).unwrap();
    let head = signed.verify(Some(&key)).unwrap().head;
    assert!(goes_through(&text, &head).unwrap());
    let cut: Vec<&str> = text.lines().take(2).collect();
    assert!(!goes_through(&cut.join("\n"), &head).unwrap());
    site.running.stop();
    begin().unwrap().stop();
    // Whoever has the database cuts what they did not want to be seen.
    sql(data.path(), "CREATE TABLE kept AS SELECT * FROM audit; DELETE FROM audit WHERE seq >= 3");
    let err = begin().unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Conflict);
    assert!(err.to_string().contains("cut") && err.hint().unwrap().contains("serve restore"), "{err}");
    // As many lines, the last of them another one.
    sql(data.path(), "INSERT INTO audit SELECT seq, replace(line, 'root', 'toor') FROM kept WHERE seq >= 3");
    assert_eq!(begin().unwrap_err().kind(), ErrorKind::Conflict);
    sql(data.path(), "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept");
    begin().unwrap().stop();
}

/// A restored folder of data gets the secret key alone, as `docs/operating.md` says.
#[test]
fn the_public_key_lies_beside_the_secret_one_wherever_that_was_copied_to() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let public = data.path().join("audit.key.pub");
    open(&store, data.path()).running.stop();
    let pem = std::fs::read_to_string(&public).unwrap();
    std::fs::remove_file(&public).unwrap();
    open(&store, data.path()).running.stop();
    assert_eq!(std::fs::read_to_string(&public).unwrap(), pem, "it was not there");
    std::fs::write(&public, "of another key").unwrap();
    open(&store, data.path()).running.stop();
    assert_eq!(std::fs::read_to_string(&public).unwrap(), pem, "it was that of another");
}

#[test]
fn one_folder_of_data_has_one_server() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let site = open(&store, data.path());
    let options = ServerOptions {
        listen: "127.0.0.1:0".to_owned(),
        data: Some(data.path().to_owned()),
        ..ServerOptions::default()
    };
    let err = start(store.clone(), options.clone()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Conflict, "{err}");
    site.running.stop();
    start(store, options).unwrap().stop();
}
