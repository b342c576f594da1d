//! What hooks are told: each event at least once, under one name, signed.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use nodedata_registry::{
    DataClass, DatasetState, Gate, Operation, Sensitivity, Store, Visibility, delete_dataset,
    gate::AuditLine, http::Token, move_dataset,
};
use nodedata_server::{EVENT, EVENT_ID, Hook, SIGNATURE};
use reqwest::Method;
use serde_json::Value;

use crate::{
    protocol::none,
    site::{Site, attest_body, undated},
};

const SECRET: &str = "a secret that both sides know";

/// What came to a receiver.
pub(crate) struct Came {
    headers: Vec<(String, String)>,
    body: String,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|it| it.0 == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A program that is told, and answers with these statuses first and with 204 from then on.
pub(crate) struct Receiver {
    address: SocketAddr,
    came: mpsc::Receiver<Came>,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn new(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (send, came) = mpsc::sync_channel(100);
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, statuses) = (Arc::clone(&is_over), Mutex::new(VecDeque::from(statuses.to_vec())));
        let thread = std::thread::Builder::new().spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let status = statuses.lock().unwrap().pop_front().unwrap_or(204);
                if let Some(it) = answer(stream.unwrap(), status) {
                    send.send(it).unwrap();
                }
            }
        });
        Self { address, came, is_over, thread: Some(thread.unwrap()) }
    }

    pub(crate) fn hook(&self) -> Hook {
        Hook::new(&self.url(), SECRET).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    #[track_caller]
    pub(crate) fn next(&self) -> Came {
        self.came.recv_timeout(Duration::from_secs(60)).expect("nothing came")
    }

    /// Whether nothing comes for so long.
    pub(crate) fn is_quiet_for(&self, wait: Duration) -> bool {
        self.came.recv_timeout(wait).is_err()
    }

    /// What comes as time goes on for the server: when it notes that something was refused, nobody sees.
    #[track_caller]
    fn next_when_due(&self, site: &Site, seconds: i64) -> Came {
        for _ in 0..600 {
            site.clock.advance(seconds);
            if let Ok(came) = self.came.recv_timeout(Duration::from_millis(100)) {
                return came;
            }
        }
        panic!("nothing came");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// Reads one request and answers it.
fn answer(mut stream: TcpStream, status: u16) -> Option<Came> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut headers = Vec::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|it| it.0 == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    Some(Came { headers, body: String::from_utf8(body).unwrap() })
}

fn open(store: &Store, data: &Path, hook: Hook) -> Site {
    Site::over(store.clone(), |it| (it.data, it.hooks) = (Some(data.to_owned()), vec![hook]))
}

/// Publishes what is there once more, under the next number, through the server.
fn withdraw(site: &Site, token: &Token, name: &str) -> u16 {
    let dataset = name.parse().unwrap();
    let state = DatasetState::open(&site.direct(), &dataset).unwrap();
    let op = Operation::Withdraw { revision: "1.0.0".to_owned(), reason: "wrong units".to_owned() };
    let record = undated(state.next_record(op, "withdraw", "acme"));
    let path = format!("v1/d/{name}/commits");
    site.ask(Method::POST, &path, Some(token), |it| it.json(&record)).status
}

pub(crate) fn push(site: &Site, token: &Token, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let spec = nodedata_testkit::registry::ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 9, seed: 1 };
    nodedata_testkit::registry::write_shard(&folder.path().join("train-0.parquet"), &spec);
    let options =
        nodedata_registry::PushOptions::new(name.parse().unwrap(), vec![folder.path().to_owned()], "acme");
    nodedata_registry::push(&site.shared(Some(token)), &options, &nodedata_core::Silent).unwrap();
}

/// As a receiver checks it, with the code of another library.
fn check_signature(came: &Came) {
    let (seconds, claimed) = came.header(SIGNATURE).split_once(",v1=").unwrap();
    let seconds = seconds.strip_prefix("t=").unwrap();
    let mut key = [0u8; 64];
    key[..SECRET.len()].copy_from_slice(SECRET.as_bytes());
    let pad = |with: u8| key.map(|it| it ^ with).to_vec();
    let inner = sha256(&[pad(0x36), format!("{seconds}.{}", came.body).into_bytes()].concat());
    let outer = sha256(&[pad(0x5c), inner].concat());
    let hex: String = outer.iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(claimed, hex);
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let hex = nodedata_registry::blob_of(&bytes::Bytes::copy_from_slice(bytes)).sha256;
    (0..32).map(|it| u8::from_str_radix(&hex[2 * it..2 * it + 2], 16).unwrap()).collect()
}

#[test]
fn what_is_published_and_withdrawn_is_told_signed_and_again_until_it_is_taken() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let receiver = Receiver::new(&[500, 301]);
    let site = open(&store, data.path(), receiver.hook());
    let token = site.token("acme", &["read", "publish:acme/*"]);
    push(&site, &token, "acme/x");
    let first = receiver.next();
    check_signature(&first);
    let event = first.json();
    assert_eq!(
        (&event["event"], &event["dataset"], &event["revision"]),
        (&"published".into(), &"acme/x".into(), &"1.0.0".into())
    );
    assert_eq!((first.header(EVENT), first.header(EVENT_ID)), ("published", event["id"].as_str().unwrap()));
    assert_eq!((&event["nd"], &event["by"]), (&"event/1".into(), &"acme".into()));
    let state = DatasetState::open(&site.direct(), &"acme/x".parse().unwrap()).unwrap();
    assert_eq!(event["record"], state.last.to_string());
    // What is not taken comes again when its time has come, under the same name; nobody is followed elsewhere.
    for _ in 0..2 {
        let again = receiver.next_when_due(&site, 3600);
        assert_eq!((again.header(EVENT_ID), &again.body), (first.header(EVENT_ID), &first.body));
        check_signature(&again);
    }
    assert_eq!(withdraw(&site, &token, "acme/x"), 201);
    let withdrawn = receiver.next().json();
    assert_eq!((&withdrawn["event"], &withdrawn["reason"]), (&"withdrawn".into(), &"wrong units".into()));
    assert_ne!(withdrawn["id"], event["id"]);
    let metrics = site.get("metrics", None).text();
    assert!(metrics.contains("nodedata_hook_failures_total 2\n"), "{metrics}");
    for line in site.log.lock().unwrap().iter() {
        assert!(!line.contains("/hook") && !line.contains(SECRET), "{line}");
    }
}

#[test]
fn what_was_not_taken_outlives_the_server() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let receiver = Receiver::new(&[503]);
    let site = open(&store, data.path(), receiver.hook());
    let token = site.token("acme", &["read", "publish:acme/*"]);
    push(&site, &token, "acme/x");
    let refused = receiver.next();
    site.running.stop();
    let site = open(&store, data.path(), receiver.hook());
    let taken = receiver.next_when_due(&site, 3600);
    assert_eq!((taken.header(EVENT_ID), &taken.body), (refused.header(EVENT_ID), &refused.body));
}

/// The line of an event that is no longer tried, once it is there.
fn given_up(site: &Site) -> AuditLine {
    let line = (0..600).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        site.audit().into_iter().find(|it| it.event.action == "notify")
    });
    line.unwrap()
}

#[test]
fn what_nobody_takes_for_a_month_is_given_up_with_a_line() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let receiver = Receiver::new(&[500; 100]);
    let site = open(&store, data.path(), receiver.hook());
    let token = site.token("acme", &["read", "publish:acme/*"]);
    push(&site, &token, "acme/x");
    let id = receiver.next().header(EVENT_ID).to_owned();
    // Whether the first try is noted before or after that is the server's to say: then another one comes, or none.
    site.clock.advance(31 * 86_400);
    let line = given_up(&site);
    assert_eq!((line.event.subject, line.event.reason.as_deref()), (Some(id), Some("status 500")));
    assert!(site.get("metrics", None).text().contains("nodedata_hook_events_waiting 0\n"));
}

/// What waits for a hook that the operator has taken away is kept as long as anything is tried for, and goes with a line then.
#[test]
fn what_waits_for_a_hook_that_is_gone_goes_after_a_month() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let receiver = Receiver::new(&[500; 100]);
    let site = open(&store, data.path(), receiver.hook());
    let token = site.token("acme", &["read", "publish:acme/*"]);
    push(&site, &token, "acme/x");
    let id = receiver.next().header(EVENT_ID).to_owned();
    site.running.stop();
    let tended = Duration::from_millis(20);
    let site = Site::over(store, |it| (it.data, it.tend_every) = (Some(data.path().to_owned()), tended));
    let waits = "nodedata_hook_events_waiting 1\n";
    assert!(site.get("metrics", None).text().contains(waits), "without a hook it waits");
    let day = |n: i64| site.clock.advance(n * 86_400);
    day(29);
    // A line that comes now would be there once the server has tended what it has a few times.
    std::thread::sleep(tended * 10);
    assert!(site.get("metrics", None).text().contains(waits));
    day(2);
    let line = given_up(&site);
    assert_eq!(
        (line.event.subject, line.event.reason.as_deref()),
        (Some(id), Some("the hook is no longer named"))
    );
    assert!((0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        site.get("metrics", None).text().contains("nodedata_hook_events_waiting 0\n")
    }));
}

#[test]
fn renamed_given_away_and_deleted_datasets_are_told() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let receiver = Receiver::new(&[]);
    let site = open(&store, data.path(), receiver.hook());
    let token = site.token("acme", &["read", "publish:acme/*", "publish:lab/*"]);
    push(&site, &token, "acme/x");
    receiver.next();
    let remote = site.shared(Some(&token));
    let [x, y, z] = ["acme/x", "acme/y", "lab/y"].map(|it| it.parse().unwrap());
    move_dataset(&*remote, &x, &y, "acme", "a better name").unwrap();
    move_dataset(&*remote, &y, &z, "acme", "given away").unwrap();
    delete_dataset(&*remote, &z, "acme", "a test").unwrap();
    let told = [(); 3].map(|()| receiver.next());
    told.iter().for_each(check_signature);
    let told = told.map(|it| it.json());
    for (event, kind, from, dataset) in [
        (&told[0], "renamed", Some("acme/x"), "acme/y"),
        (&told[1], "transferred", Some("acme/y"), "lab/y"),
        (&told[2], "deleted", None, "lab/y"),
    ] {
        assert_eq!((event["event"].as_str(), event["from"].as_str()), (Some(kind), from), "{event}");
        assert_eq!((event["dataset"].as_str(), event["by"].as_str()), (Some(dataset), Some("acme")));
        assert!(event["readers"].is_array(), "{event}");
    }
    assert_eq!(told[2]["reason"], "a test");
}

/// The record is in the log, and the server was killed before anything else.
#[test]
fn what_a_kill_came_before_is_told_at_the_next_start() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let receiver = Receiver::new(&[]);
    let site = open(&store, data.path(), receiver.hook());
    let token = site.token("acme", &["read", "publish:acme/*"]);
    site.publish("acme/x", Visibility::Public, none());
    let sql = |text: &str| {
        let connection = rusqlite::Connection::open(data.path().join("server.sqlite")).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.execute_batch(text).unwrap();
    };
    sql("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END");
    assert_eq!(withdraw(&site, &token, "acme/x"), 503);
    site.running.stop();
    sql("DROP TRIGGER full");
    let _site = open(&store, data.path(), receiver.hook());
    assert_eq!(receiver.next().json()["event"], "withdrawn");
}

#[test]
fn a_withdrawal_names_those_who_were_let_read() {
    let (store, data) = (Store::memory(), tempfile::tempdir().unwrap());
    let receiver = Receiver::new(&[]);
    let site = open(&store, data.path(), receiver.hook());
    let gate: Gate = site.gate("acme/faces", "I agree.", "auto");
    let sensitivity = Sensitivity { class: DataClass::Biometric, gate: Some(gate), ..Sensitivity::default() };
    site.publish("acme/faces", Visibility::Public, sensitivity);
    let (owner, reader) = (site.token("acme", &["read", "publish:acme/*"]), site.token("reader", &["read"]));
    let other = site.token("other", &["read"]);
    let body = attest_body("I agree.");
    site.remote(Some(&reader)).attest(&"acme/faces".parse().unwrap(), &body).unwrap();
    assert_eq!(site.get("v1/d/acme/faces/shards/0", Some(&reader)).status, 200);
    assert_eq!(site.get("v1/d/acme/faces/shards/0", Some(&other)).status, 403);
    assert_eq!(withdraw(&site, &owner, "acme/faces"), 201);
    assert_eq!(receiver.next().json()["readers"], serde_json::json!(["reader"]));
}
