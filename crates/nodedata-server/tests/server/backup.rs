//! Backups are made while the server writes, and put in without anything coming back that was taken back.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use nodedata_core::ErrorKind;
use nodedata_registry::{
    DataClass, DatasetName, OpenStore, Sensitivity, Store, StoreLocation, Visibility,
    gate::{Attestation, goes_through},
    http::Token,
};
use nodedata_server::{Database, ServerOptions, start};
use reqwest::Method;

use crate::site::{Site, attest_body};

const TEXT: &str = "I will not identify anybody.";

fn open(store: &Store, data: &Path) -> Site {
    Site::over(store.clone(), |it| it.data = Some(data.to_owned()))
}

fn options(data: &Path) -> ServerOptions {
    ServerOptions {
        listen: "127.0.0.1:0".to_owned(),
        data: Some(data.to_owned()),
        ..ServerOptions::default()
    }
}

#[test]
fn backups_under_writes_are_whole_and_each_a_part_of_the_log() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let out = tempfile::tempdir().unwrap();
    let site = open(&store, data.path());
    let root = site.token("root", &["admin"]);
    let (database, is_over) = (site.running.database().clone(), AtomicBool::new(false));
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let backups = std::thread::scope(|scope| {
        let (database, is_over) = (&database, &is_over);
        let writers: Vec<_> = (0..2)
            .map(|idx| {
                scope.spawn(move || {
                    let mut n_made = 0;
                    // Some in any case, whichever thread the system prefers.
                    while n_made < 20 || !is_over.load(Ordering::Relaxed) {
                        let account = format!("w{idx}-{n_made}");
                        database.create_token(&account, &["read".parse().unwrap()], 1, now).unwrap();
                        n_made += 1;
                    }
                    n_made
                })
            })
            .collect();
        let backups: Vec<_> = (0..6)
            .map(|idx| {
                let file = out.path().join(format!("{idx}.sqlite"));
                (Database::back_up(data.path(), &file).unwrap(), file)
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        let n_made: usize = writers.into_iter().map(|it| it.join().unwrap()).sum();
        assert!(n_made >= 40);
        backups
    });
    let text = site.remote(Some(&root)).audit(0).unwrap();
    for (backup, file) in &backups {
        assert!(goes_through(&text, &backup.audit).unwrap());
        assert_eq!(backup.bytes, file.metadata().unwrap().len());
        // A token and its line come into a backup together.
        let connection = rusqlite::Connection::open(file).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |it| it.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM tokens"), backup.audit.next_seq.cast_signed());
    }
    let (_, file) = &backups[0];
    let err = Database::back_up(data.path(), file).unwrap_err();
    assert!(err.to_string().contains("not replaced"), "{err}");
    let names: Vec<_> = std::fs::read_dir(out.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), backups.len(), "nothing else is left: {names:?}");
    let empty = tempfile::tempdir().unwrap();
    let err = Database::back_up(empty.path(), &out.path().join("none")).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Config);
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "no database is made by asking for one");
}

struct Gate {
    site: Site,
    dataset: DatasetName,
    reviewer: Token,
}

impl Gate {
    fn ask(&self, token: &Token) -> Attestation {
        let body = attest_body(TEXT);
        self.site.remote(Some(token)).attest(&self.dataset, &body).unwrap()
    }

    fn decide(&self, id: &str, action: &str) {
        self.site.remote(Some(&self.reviewer)).decide(&self.dataset, id, action, None).unwrap();
    }

    fn read(&self, token: &Token) -> (u16, String) {
        let answer = self.site.get("v1/d/acme/faces/shards/0", Some(token));
        (answer.status, answer.code())
    }
}

#[test]
fn a_backup_that_is_put_in_revives_nothing() {
    let store = Store::memory();
    let (data, other, out) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = out.path().join("backup.sqlite");
    let site = open(&store, data.path());
    let gate = site.gate("acme/faces", TEXT, "auto");
    let sensitivity = Sensitivity { class: DataClass::Biometric, gate: Some(gate), ..Sensitivity::default() };
    let dataset = site.publish("acme/faces", Visibility::Public, sensitivity);
    let reviewer = site.token("privacy", &["review:acme/faces"]);
    let tokens = ["kept", "revoked", "late"].map(|it| site.token(it, &["read"]));
    let [kept, revoked, late] = &tokens;
    let (gone, turned) = (site.new_token("gone", &["read"]), site.new_token("turned", &["read"]));
    let root = site.token("root", &["admin"]);
    let it = Gate { site, dataset, reviewer };
    it.ask(kept);
    let asked = it.ask(revoked);
    assert_eq!(it.read(revoked).0, 200);

    Database::back_up(data.path(), &file).unwrap();
    it.decide(&asked.id, "revoke");
    let asked = it.ask(late);
    it.decide(&asked.id, "revoke");
    let remote = it.site.remote(Some(&root));
    remote.revoke_token(&gone.id).unwrap();
    remote.rotate_token(&turned.id, &Default::default()).unwrap();
    let n_lines = it.site.audit().len();
    it.site.running.stop();

    // Put in by hand, without a word.
    std::fs::copy(&file, other.path().join("server.sqlite")).unwrap();
    assert_eq!(start(store.clone(), options(other.path())).unwrap_err().kind(), ErrorKind::Conflict);
    let err = Database::restore(&file, other.path()).unwrap_err();
    assert!(err.to_string().contains("not replaced"), "{err}");
    std::fs::remove_file(other.path().join("server.sqlite")).unwrap();
    for left in ["server.sqlite-wal", "server.sqlite-shm"] {
        drop(std::fs::remove_file(other.path().join(left)));
    }

    let backup = Database::restore(&file, other.path()).unwrap();
    assert_eq!(backup.epoch, 0);
    let it = Gate { site: open(&store, other.path()), ..it };
    assert_eq!(it.read(kept).0, 200, "what was not taken back goes on");
    assert_eq!(it.read(revoked), (403, "attestation-revoked".to_owned()));
    assert_eq!(it.read(late), (403, "attestation-revoked".to_owned()), "nor may they ask again");
    for token in [&gone.token, &turned.token] {
        assert_eq!(it.site.get("v1/whoami", Some(token)).status, 401);
    }
    let lines = it.site.audit();
    let restored = lines.iter().find(|it| it.event.action == "restore").unwrap();
    assert!(restored.event.subject.as_ref().unwrap().contains("another key"), "{restored:?}");
    assert_eq!(lines.iter().filter(|it| it.event.action == "revoke-again").count(), 4);
    assert!(restored.seq < n_lines as u64);
    // From then on it is a database like any other.
    it.site.running.stop();
    start(store.clone(), options(other.path())).unwrap().stop();
    // The one that it was put in for is no longer believed.
    assert_eq!(start(store, options(data.path())).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn what_is_taken_back_is_told_to_be_done_once_it_is_kept_apart() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let location = StoreLocation::Folder(folder.path().to_owned());
    let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
    let site = open(&store, data.path());
    let root = site.token("root", &["admin"]);
    let made = ["a", "b"].map(|it| site.new_token(it, &["read"]));
    let revoke = |id: &str| site.ask(Method::DELETE, &format!("v1/tokens/{id}"), Some(&root), |it| it).status;
    let server = std::fs::read_dir(folder.path().join("server")).unwrap().next().unwrap().unwrap().path();
    // Where the list of it would be, something else is.
    std::fs::write(server.join("revoked"), "").unwrap();
    assert_eq!(revoke(&made[0].id), 503);
    assert_eq!(site.get("v1/whoami", Some(&made[0].token)).status, 401, "it acts all the same");
    assert!(site.get("metrics", None).text().contains("nodedata_revocations_not_apart 1\n"));
    std::fs::remove_file(server.join("revoked")).unwrap();
    assert_eq!(revoke(&made[1].id), 204);
    assert_eq!(std::fs::read_dir(server.join("revoked")).unwrap().count(), 2, "the first is kept as well");
    assert!(site.get("metrics", None).text().contains("nodedata_revocations_not_apart 0\n"));
}

#[test]
fn what_is_no_backup_is_not_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for bytes in [b"".as_slice(), b"no database", &[0; 4096]] {
        std::fs::write(&file, bytes).unwrap();
        let err = Database::restore(&file, &folder.path().join("data")).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config, "{err}");
        assert!(!folder.path().join("data/server.sqlite").exists());
    }
    // A line that was changed in the file.
    let data = folder.path().join("sound");
    let site = open(&Store::memory(), &data);
    site.token("a", &["read"]);
    site.token("b", &["read"]);
    assert_eq!(site.ask(Method::GET, "healthz", None, |it| it).status, 200);
    site.running.stop();
    let forged = folder.path().join("forged");
    Database::back_up(&data, &forged).unwrap();
    let connection = rusqlite::Connection::open(&forged).unwrap();
    connection.execute("UPDATE audit SET line = replace(line, ' a ', ' c ') WHERE seq = 0", []).unwrap();
    drop(connection);
    let err = Database::restore(&forged, &folder.path().join("data")).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
}
