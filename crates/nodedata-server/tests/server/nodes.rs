//! Several nodes over one store and one database of PostgreSQL. Left out where that is not installed.

use std::{collections::BTreeMap, path::Path, time::Duration};

use nodedata_core::ErrorKind;
use nodedata_registry::{
    B3, DataClass, DatasetState, OpenStore, Operation, Remote as _, Sensitivity, Store, StoreLocation,
    Visibility,
    gate::{AuditLine, Outcome, verify_audit},
    http::Token,
    layout,
    record::CommitRecord,
    trust::SignedAuditHead,
};
use nodedata_server::{Database, DatabaseAddress, ServerOptions, start};
use nodedata_testkit::postgres::Postgres;
use reqwest::Method;
use tempfile::TempDir;

use crate::{
    hooks::{Receiver, push},
    protocol::none,
    site::{Site, attest_body, undated},
};

const TEXT: &str = "I will not identify anybody.";
/// What keeps the database from taking a line of the audit log.
const REFUSING: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON audit EXECUTE FUNCTION refuse();
    CREATE TRIGGER refuse BEFORE INSERT ON tried EXECUTE FUNCTION refuse()";
const TAKING: &str = "DROP FUNCTION refuse() CASCADE";

/// What nodes share, and the folder of each.
struct Shared {
    postgres: Postgres,
    store: Store,
    folders: [TempDir; 2],
}

impl Shared {
    fn new() -> Option<Self> {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        Some(Self { postgres: Postgres::start()?, store: Store::memory(), folders })
    }

    fn address(&self) -> DatabaseAddress {
        DatabaseAddress::parse(&self.postgres.url()).unwrap()
    }

    fn node(&self, idx: usize, change: impl FnOnce(&mut ServerOptions)) -> Site {
        // As an operator gives it to each.
        let key = |idx: usize| self.folders[idx].path().join("audit.key");
        if idx > 0 && !key(idx).exists() {
            std::fs::copy(key(0), key(idx)).unwrap();
        }
        Site::over(self.store.clone(), |it| {
            (it.data, it.database) = (Some(self.folders[idx].path().to_owned()), Some(self.address()));
            change(it);
        })
    }

    fn both(&self) -> [Site; 2] {
        [self.node(0, |_| ()), self.node(1, |_| ())]
    }

    fn options(&self, data: Option<&Path>) -> ServerOptions {
        ServerOptions {
            listen: "127.0.0.1:0".to_owned(),
            data: data.map(Path::to_owned),
            database: Some(self.address()),
            ..ServerOptions::default()
        }
    }

    /// Why a node does not start.
    fn refused(&self, options: ServerOptions) -> (ErrorKind, String) {
        let err = start(self.store.clone(), options).map(|it| it.stop()).unwrap_err();
        (err.kind(), format!("{} {}", err.chain(), err.hint().unwrap_or_default()))
    }
}

fn status(site: &Site, token: &Token) -> u16 {
    site.get("v1/whoami", Some(token)).status
}

fn commit(site: &Site, token: &Token, record: &CommitRecord) -> u16 {
    site.ask(Method::POST, "v1/d/kit/x/commits", Some(token), |it| it.json(record)).status
}

/// The next record of `kit/x`: a tag.
fn tagged(site: &Site, tag: &str) -> CommitRecord {
    let state = DatasetState::open(&site.direct(), &"kit/x".parse().unwrap()).unwrap();
    let op = Operation::Tag { tag: tag.to_owned(), revision: Some("1.0.0".to_owned()) };
    undated(state.next_record(op, tag, "kit"))
}

fn tags(lines: &[AuditLine]) -> Vec<(Outcome, Option<&str>)> {
    let tags = lines.iter().filter(|it| it.event.action == "tag");
    tags.map(|it| (it.event.outcome, it.event.reason.as_deref())).collect()
}

#[test]
fn what_one_node_gives_or_takes_holds_at_the_other_at_once() {
    let Some(shared) = Shared::new() else { return };
    let [a, b] = shared.both();
    let root = a.token("root", &["admin"]);
    let made = a.new_token("kit", &["roles"]);
    for _ in 0..3 {
        assert_eq!((status(&a, &made.token), status(&b, &made.token)), (200, 200));
    }
    // A role, by a group.
    let dataset = a.publish("lab/x", Visibility::Private, none());
    let sees = |site: &Site| site.get(&format!("v1/d/{dataset}"), Some(&made.token)).status;
    assert_eq!((sees(&a), sees(&b)), (404, 404));
    b.remote(Some(&root)).add_member("readers", "kit").unwrap();
    a.remote(Some(&root)).give_role("group:readers", "lab/x", "reader").unwrap();
    assert_eq!((sees(&a), sees(&b)), (200, 200));
    b.remote(Some(&root)).remove_member("readers", "kit").unwrap();
    assert_eq!((sees(&a), sees(&b)), (404, 404));
    // A grant.
    let gate = b.gate("acme/faces", TEXT, "auto");
    let sensitivity = Sensitivity { class: DataClass::Biometric, gate: Some(gate), ..Sensitivity::default() };
    let faces = b.publish("acme/faces", Visibility::Public, sensitivity);
    let (reader, reviewer) = (a.token("reader", &["read"]), b.token("privacy", &["review:acme/faces"]));
    let body = attest_body(TEXT);
    let reads = |site: &Site| site.get("v1/d/acme/faces/shards/0", Some(&reader)).status;
    assert_eq!((reads(&a), reads(&b)), (403, 403));
    let asked = a.remote(Some(&reader)).attest(&faces, &body).unwrap();
    assert_eq!((reads(&a), reads(&b)), (200, 200));
    b.remote(Some(&reviewer)).decide(&faces, &asked.id, "revoke", None).unwrap();
    assert_eq!((reads(&a), reads(&b)), (403, 403));
    // The token itself.
    assert!(a.remote(Some(&root)).revoke_token(&made.id).unwrap());
    assert_eq!((status(&b, &made.token), status(&a, &made.token)), (401, 401));
    let exported = [&a, &b].map(|it| it.remote(Some(&root)).audit(0).unwrap());
    verify_audit(&exported[1]).unwrap();
    assert!(exported[1].starts_with(&exported[0]), "one log, whoever is asked");
}

#[test]
fn commits_through_both_nodes_have_one_line_each() {
    let Some(shared) = Shared::new() else { return };
    let nodes = shared.both();
    nodes[0].publish("kit/x", Visibility::Public, none());
    let token = nodes[0].token("kit", &["read", "publish:kit/*"]);
    std::thread::scope(|scope| {
        for (idx, url) in nodes.iter().map(|it| it.url("")).enumerate() {
            let (store, token) = (shared.store.clone(), &token);
            scope.spawn(move || {
                let remote =
                    nodedata_registry::http::HttpRemote::new(&url.parse().unwrap(), Some(token.clone()));
                let (remote, direct) = (remote.unwrap(), nodedata_registry::Direct::new(store));
                let dataset = "kit/x".parse().unwrap();
                for n in 0..15 {
                    let tag = format!("t{idx}-{n}");
                    loop {
                        let state = DatasetState::open(&direct, &dataset).unwrap();
                        let op = Operation::Tag { tag: tag.clone(), revision: Some("1.0.0".to_owned()) };
                        let record = undated(state.next_record(op, &tag, "kit"));
                        if let nodedata_registry::Appended::Done { .. } =
                            remote.append(&dataset, &record).unwrap()
                        {
                            break;
                        }
                    }
                }
            });
        }
    });
    for (idx, node) in nodes.iter().enumerate() {
        push(node, &token, &format!("kit/of-{idx}"));
    }
    let lines = nodes[1].audit();
    let mut allowed: BTreeMap<&str, usize> = BTreeMap::new();
    let done = lines.iter().filter(|it| it.event.outcome == Outcome::Allowed && it.event.action == "tag");
    done.for_each(|it| *allowed.entry(it.event.subject.as_deref().unwrap()).or_default() += 1);
    let log = nodes[0].direct().log(&"kit/x".parse().unwrap(), 0).unwrap();
    let tagged = log.iter().filter(|it| matches!(it.record.op, Operation::Tag { .. }));
    let digests: Vec<String> = tagged.map(|it| it.digest.to_string()).collect();
    assert_eq!(digests.len(), 30);
    assert!(digests.iter().all(|it| allowed.get(it.as_str()) == Some(&1)), "{allowed:?}");
    assert_eq!(allowed.len(), digests.len(), "and no line tells of another");
    let others = tags(&lines).into_iter().filter(|it| it.0 != Outcome::Allowed);
    assert!(others.into_iter().all(|it| it == (Outcome::NotDone, Some("slot-taken"))));
    let pushed =
        lines.iter().filter(|it| it.event.action == "publish" && it.event.outcome == Outcome::Allowed);
    assert_eq!(pushed.count(), 2);
    assert_eq!(shared.postgres.sql("SELECT count(*) FROM intents"), "0");
}

#[test]
fn what_a_node_left_is_settled_by_another_once_and_what_it_is_writing_is_not() {
    let Some(shared) = Shared::new() else { return };
    // In a folder a server that is alone knows that nothing is under way when it starts.
    let folder = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(folder.path().to_owned());
    let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
    let shared = Shared { store, ..shared };
    let [a, b] = shared.both();
    a.publish("kit/x", Visibility::Public, none());
    let token = a.token("kit", &["read", "publish:kit/*"]);
    // The record is there, and the node ended before its line was.
    shared.postgres.sql(REFUSING);
    let record = tagged(&a, "stable");
    assert_eq!(commit(&a, &token, &record), 507);
    a.running.stop();
    shared.postgres.sql(TAKING);
    let lines = b.audit();
    assert_eq!(tags(&lines), [(Outcome::Allowed, None)]);
    assert_eq!(commit(&b, &token, &record), 201, "whoever asks again is told");
    // Begun by a node that may live, or not.
    let never = tagged(&b, "never");
    let digest = B3::of(&never.to_bytes().unwrap()).hex();
    shared.postgres.sql(&format!(
        r#"INSERT INTO intents (begun, dataset, seq, digest, event) VALUES (1800000000, 'kit/x', {}, '\x{digest}',
           '{{"who":"kit","action":"tag","outcome":"allowed"}}')"#,
        never.seq
    ));
    let a = shared.node(0, |_| ());
    assert_eq!(tags(&a.audit()).len(), 1, "a node that starts does not know");
    b.clock.advance(299);
    assert_eq!(tags(&b.audit()).len(), 1);
    // The one that is writing says that it is: the other one waits once more.
    shared.postgres.sql("UPDATE intents SET begun = begun + 200");
    b.clock.advance(1);
    assert_eq!(tags(&b.audit()).len(), 1);
    b.clock.advance(200);
    let lines = b.audit();
    assert_eq!(tags(&lines)[1], (Outcome::NotDone, Some("not-written")));
    a.clock.advance(500);
    assert_eq!(tags(&a.audit()).len(), 2, "one line, whoever looks");
}

#[test]
fn hooks_are_told_by_one_node() {
    let Some(shared) = Shared::new() else { return };
    let receiver = Receiver::new(&[]);
    let nodes = [0, 1].map(|idx| shared.node(idx, |it| it.hooks = vec![receiver.hook()]));
    let token = nodes[0].token("acme", &["read", "publish:acme/*"]);
    let mut told = Vec::new();
    for (idx, node) in nodes.iter().enumerate() {
        push(node, &token, &format!("acme/of-{idx}"));
        told.push(receiver.next().json()["dataset"].clone());
    }
    assert_eq!(told, ["acme/of-0", "acme/of-1"]);
    assert!(receiver.is_quiet_for(Duration::from_millis(1500)), "once each");
    // A node that was ended while it sent: the letter is another one's when its time is over.
    shared.postgres.sql(
        r#"INSERT INTO outbox (url, event_id, kind, body, made, next_at, tries)
           SELECT url, 'left', 'published', '{"dataset": "acme/left"}', 1800000000, 1800000060, 0 FROM
           (VALUES ('HOOK')) AS it (url)"#
            .replace("HOOK", &receiver.url())
            .as_str(),
    );
    assert!(receiver.is_quiet_for(Duration::from_millis(1500)), "it is somebody's");
    nodes[1].clock.advance(60);
    assert_eq!(receiver.next().json()["dataset"], "acme/left");
}

#[test]
fn a_database_that_is_away_turns_nodes_red_and_loses_nothing() {
    let Some(mut shared) = Shared::new() else { return };
    let [a, b] = shared.both();
    a.publish("kit/x", Visibility::Public, none());
    let token = a.token("kit", &["read", "publish:kit/*"]);
    assert_eq!(commit(&a, &token, &tagged(&a, "before")), 201);
    let n_lines = a.audit().len();
    let health = |site: &Site| site.get("healthz", None).status;
    assert_eq!((health(&a), health(&b)), (200, 200));
    shared.postgres.kill();
    assert_eq!((health(&a), health(&b)), (503, 503));
    assert_eq!((status(&a, &token), commit(&b, &token, &tagged(&b, "meanwhile"))), (503, 503));
    shared.postgres.start_again();
    assert_eq!((health(&a), health(&b)), (200, 200));
    assert_eq!((status(&a, &token), commit(&b, &token, &tagged(&b, "after"))), (200, 201));
    let lines = b.audit();
    assert_eq!(tags(&lines), [(Outcome::Allowed, None), (Outcome::Allowed, None)]);
    assert!(lines.len() > n_lines);
    for line in a.log.lock().unwrap().iter().chain(b.log.lock().unwrap().iter()) {
        assert!(!line.contains("nodedata:") && !line.contains("user="), "{line}");
    }
}

#[test]
fn a_node_goes_by_no_database_that_lacks_what_was_there() {
    let Some(shared) = Shared::new() else { return };
    let often = |it: &mut ServerOptions| it.tend_every = Duration::from_millis(20);
    let node = shared.node(0, often);
    let token = node.token("kit", &["read"]);
    let server = shared.postgres.sql("SELECT value FROM facts WHERE name = 'server'");
    let mut is_kept = || {
        let kept = shared.store.get(&layout::audit_head(&server)).unwrap().unwrap();
        SignedAuditHead::parse(&kept).unwrap().verify(None).unwrap().head.next_seq > 0
    };
    wait_until(&mut is_kept);
    assert_eq!((status(&node, &token), node.get("healthz", None).status), (200, 200));
    // As a machine that followed, and had not got everything, takes over.
    shared.postgres.sql("DELETE FROM audit");
    wait_until(&mut || node.get("healthz", None).status == 503);
    assert_eq!(status(&node, &token), 503);
    wait_until(&mut || node.log.lock().unwrap().iter().any(|it| it.contains("cut or replaced")));
    node.running.stop();
    assert!(is_kept(), "what was kept apart is not replaced");
    let (kind, told) = shared.refused(shared.options(Some(shared.folders[0].path())));
    assert!(kind == ErrorKind::Conflict && told.contains("cut or replaced"), "{told}");
}

/// Waits for what the server does by itself.
#[track_caller]
fn wait_until(is_so: &mut dyn FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it never was");
}

#[test]
fn a_full_database_refuses_what_it_cannot_note() {
    let Some(shared) = Shared::new() else { return };
    let node = shared.node(0, |_| ());
    let token = node.token("kit", &["read"]);
    let denied = || node.get("v1/audit", Some(&token));
    assert_eq!(denied().status, 403);
    shared.postgres.sql(REFUSING);
    let answer = denied();
    assert_eq!((answer.status, answer.code().as_str()), (507, "database-full"));
    assert_eq!(node.get("healthz", None).status, 507);
    assert_eq!(node.ask(Method::DELETE, "v1/pushes/p", Some(&token), |it| it).status, 507);
    shared.postgres.sql(TAKING);
    assert_eq!((node.get("healthz", None).status, denied().status), (200, 403));
}

#[test]
fn a_node_needs_a_folder_of_its_own_and_the_key_of_the_others() {
    let Some(shared) = Shared::new() else { return };
    let a = shared.node(0, |_| ());
    let data = shared.folders[1].path();
    let (kind, told) = shared.refused(shared.options(None));
    assert!(kind == ErrorKind::Config && told.contains("`--data`"), "{told}");
    let (kind, told) = shared.refused(shared.options(Some(data)));
    assert!(kind == ErrorKind::Conflict && told.contains("`audit.key`"), "{told}");
    assert!(!data.join("audit.key").exists(), "no other key is made");
    std::fs::copy(shared.folders[0].path().join("audit.key"), data.join("audit.key")).unwrap();
    start(shared.store.clone(), shared.options(Some(data))).unwrap().stop();
    let (kind, told) = shared.refused(shared.options(Some(shared.folders[0].path())));
    assert!(kind == ErrorKind::Conflict && told.contains("another server runs"), "{told}");
    std::fs::write(data.join("server.sqlite"), "").unwrap();
    let (kind, told) = shared.refused(shared.options(Some(data)));
    assert!(kind == ErrorKind::Conflict && told.contains("a database of its own"), "{told}");
    drop(a);
}

#[test]
fn a_backup_that_is_put_in_revives_nothing() {
    let Some(mut shared) = Shared::new() else { return };
    let [a, b] = shared.both();
    let root = a.token("root", &["admin"]);
    let [kept, gone] = ["kept", "gone"].map(|it| a.new_token(it, &["read"]));
    shared.postgres.dumped("restored");
    b.remote(Some(&root)).revoke_token(&gone.id).unwrap();
    let late = a.token("late", &["read"]);
    let n_lines = a.audit().len();
    let err = Database::mark_restored(&shared.address()).unwrap_err();
    assert!(err.kind() == ErrorKind::Conflict && err.to_string().contains("a node runs"), "{err}");
    a.running.stop();
    b.running.stop();
    let restored = DatabaseAddress::parse(&shared.postgres.url_of("restored")).unwrap();
    let options = |idx: usize| ServerOptions {
        database: Some(restored.clone()),
        ..shared.options(Some(shared.folders[idx].path()))
    };
    let (kind, told) = shared.refused(options(0));
    assert!(kind == ErrorKind::Conflict && told.contains("cut or replaced"), "{told}");
    let marked = Database::mark_restored(&restored).unwrap();
    assert_eq!((marked.epoch, marked.audit.next_seq), (0, 3));
    let [a, b] = [0, 1].map(|idx| shared.node(idx, |it| it.database = Some(restored.clone())));
    for node in [&a, &b] {
        assert_eq!([&kept.token, &gone.token, &late].map(|it| status(node, it)), [200, 401, 401]);
    }
    let lines = a.audit();
    let of = |action: &str| lines.iter().filter(|it| it.event.action == action).count();
    assert_eq!((of("restore"), of("revoke-again")), (1, 1));
    assert!(lines.iter().all(|it| it.event.action != "restore" || it.seq < n_lines as u64));
    drop((a, b));
    shared.postgres.kill();
}
