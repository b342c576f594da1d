//! Writers, readers, collections and the server itself are killed while all of them work on one store.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use nodedata_core::Silent;
use nodedata_registry::{B3, DatasetName, Remote as _, Revision, blob_of, layout, pull, record::Lease};
use nodedata_testkit::registry::{ShardSpec, shard_bytes, write_shard};
use serde_json::Value;

use super::{
    asked,
    commands::{Ended, Side, run, run_until_done},
    proxy::Proxy,
    weather::{is_broken_connection, is_crowd, is_sound, open, replayed},
};
use crate::{
    command::Work,
    generated::Random,
    served::Served,
    trust::{local, run as ask},
};

/// The dataset that all writers add to.
const SHARED: &str = "acme/shared";
/// Tries of one push that may be killed: the storm is to end.
const KILLS_OF_ONE: u32 = 6;
/// Processes that are not writers and are killed, in so many of their runs.
const ONE_KILL_IN: u64 = 3;

/// How often what happened.
#[derive(Default)]
struct Tally {
    tries: AtomicU64,
    killed: AtomicU64,
    killed_and_published: AtomicU64,
    refused: AtomicU64,
    rebased: AtomicU64,
    pulls: AtomicU64,
    pulls_killed: AtomicU64,
    collections: AtomicU64,
    collections_killed: AtomicU64,
    blobs_removed: AtomicU64,
    servers_killed: AtomicU64,
}

fn add(count: &AtomicU64, n: u64) {
    count.fetch_add(n, Ordering::Relaxed);
}

/// A push that was told to have been done.
#[derive(Debug)]
struct Told {
    dataset: String,
    episode: u64,
    revision: String,
}

/// How long runs of one kind take, in microseconds: kills are spread over that.
struct Pace(AtomicU64);

const PULLS: usize = 2;
const COLLECTIONS: usize = 3;

impl Pace {
    /// One run more was let end.
    fn note(&self, took: Duration) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store((3 * before + took.as_micros() as u64) / 4, Ordering::Relaxed);
    }

    /// At once, or anywhere up to a little more than a run takes.
    fn moment(&self, random: &mut Random) -> Duration {
        Duration::from_micros(random.below(self.0.load(Ordering::Relaxed) * 5 / 4 + 1))
    }
}

struct Storm<'a> {
    work: &'a Work,
    seed: u64,
    n_pushes: u64,
    /// The folder, and the address in front of whichever server runs.
    store: String,
    url: String,
    tokens: Vec<String>,
    reader: String,
    tally: Tally,
    /// Of pushes into the folder, of those to the server, of pulls and of collections.
    paces: [Pace; 4],
    told: Mutex<Vec<Told>>,
    is_over: AtomicBool,
}

impl Storm<'_> {
    fn random(&self, of: u64) -> Random {
        let mut random = Random(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(of) | 1);
        random.next();
        random
    }

    /// Writers with even numbers write into the folder, the others to the server.
    fn writer(&self, writer: u64) -> Side<'_> {
        match writer % 2 {
            0 => Side { store: &self.store, token: "", user: "folder" },
            _ => Side { store: &self.url, token: &self.tokens[writer as usize], user: "server" },
        }
    }

    fn write(&self, writer: u64) {
        let mut random = self.random(writer);
        for n in 0..self.n_pushes {
            let dataset = if n % 2 == 0 { SHARED.to_owned() } else { format!("acme/own-{writer}") };
            self.push(writer, &dataset, writer * 10_000 + n, &mut random);
        }
    }

    /// Adds an episode, as often as it takes.
    fn push(&self, writer: u64, dataset: &str, episode: u64, random: &mut Random) {
        let folder = shard_of(self.work, episode, 5 + random.below(400) as usize);
        let digest = blob_of(&std::fs::read(folder.join(format!("train-{episode}.parquet"))).unwrap()).b3;
        let paths = folder.display().to_string();
        let op_id = format!("storm-{episode}");
        let mut args = vec!["dataset", "push", "--name", dataset, "--append", "--format", "json", &paths];
        // Some say that they are the same push again, and others do not.
        if episode.is_multiple_of(2) {
            args.extend(["--op-id", &op_id]);
        }
        let side = self.writer(writer);
        let pace = &self.paces[(writer % 2) as usize];
        let mut n_tries = 0;
        let mut since = Instant::now();
        let moment = || {
            since = Instant::now();
            n_tries += 1;
            (n_tries <= KILLS_OF_ONE && random.below(5) < 3).then(|| pace.moment(random))
        };
        let after_kill = || {
            // What a dead push of ours protects may go, as it will in two days. A server may still be at work for one of its own.
            if writer.is_multiple_of(2) {
                make_old(&leases_on(self.work, &digest));
            }
        };
        let is_weather = |stderr: &str| is_crowd(stderr) || is_broken_connection(stderr);
        let tries = run_until_done(self.work, side, &args, moment, after_kill, is_weather);
        pace.note(since.elapsed());
        let report: Value = serde_json::from_str(&tries.stdout).unwrap();
        let is_new = report["outcome"] == "published";
        assert!(is_new || tries.n > 1, "nobody else pushes episode {episode}: {report}");
        add(&self.tally.tries, tries.n);
        add(&self.tally.killed, tries.killed);
        add(&self.tally.refused, tries.refused);
        add(&self.tally.killed_and_published, u64::from(!is_new));
        add(&self.tally.rebased, report["rebased"].as_u64().unwrap());
        let revision = report["revision"].as_str().unwrap().to_owned();
        self.told.lock().unwrap().push(Told { dataset: dataset.to_owned(), episode, revision });
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Pulls what is newest, from the folder and from the server by turns, and verifies it.
    fn read(&self, reader: u64) {
        let mut random = self.random(1000 + reader);
        let mut n = reader;
        while !self.is_over() {
            let side = match n % 2 {
                0 => Side { store: &self.store, token: "", user: "acme" },
                _ => Side { store: &self.url, token: &self.reader, user: "acme" },
            };
            n += 1;
            let out = format!("read-{reader}-{n}");
            let may_be_killed = random.below(ONE_KILL_IN) == 0;
            let mut n_tries = 0;
            let mut since = Instant::now();
            let moment = || {
                since = Instant::now();
                n_tries += 1;
                (may_be_killed && n_tries == 1).then(|| self.paces[PULLS].moment(&mut random))
            };
            // A pull that was killed may have ended, and the next one finds a newer revision.
            let pull = ["dataset", "pull", SHARED, "--overwrite", "--out", &out];
            let tries = run_until_done(self.work, side, &pull, moment, || {}, is_broken_connection);
            self.paces[PULLS].note(since.elapsed());
            add(&self.tally.pulls, 1);
            add(&self.tally.pulls_killed, tries.killed);
            let verify = ["dataset", "verify", SHARED];
            run_until_done(self.work, side, &verify, || None, || {}, is_broken_connection);
            self.work.run(["validate", &out]).exits(0);
            std::fs::remove_dir_all(self.work.path(&out)).unwrap();
        }
    }

    /// Removes whatever nobody needs, without any grace.
    fn collect(&self) {
        let mut random = self.random(2000);
        let side = Side { store: &self.store, token: "", user: "acme" };
        while !self.is_over() {
            // Not all the time: pushes are to meet some, and not to wait for one all the time.
            let pace = &self.paces[COLLECTIONS];
            std::thread::sleep(pace.moment(&mut random));
            let moment = (random.below(ONE_KILL_IN) == 0).then(|| pace.moment(&mut random));
            let since = Instant::now();
            let args = ["store", "gc", "--grace-days", "0", "--format", "json"];
            add(&self.tally.collections, 1);
            match run(self.work, side, &args, moment) {
                Ended::Killed => add(&self.tally.collections_killed, 1),
                Ended::ByItself(ran) => {
                    pace.note(since.elapsed());
                    let removed = ran.exits(0).json()["removed"].as_array().unwrap().len();
                    add(&self.tally.blobs_removed, removed as u64);
                }
            }
        }
    }

    /// Kills the server now and then, at least once, and starts the next one behind the same address.
    fn operate(&self, proxy: &Proxy, mut server: Served) -> Served {
        let mut random = self.random(3000);
        loop {
            let (since, moment) = (Instant::now(), self.paces[0].moment(&mut random) * 8);
            while since.elapsed() < moment && !self.is_over() {
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(server);
            add(&self.tally.servers_killed, 1);
            server = Served::new(self.work);
            proxy.aim(&server.url);
            if self.is_over() {
                return server;
            }
        }
    }
}

/// Says that the storm is over even when a test fails in it, so that nothing goes on for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn spec_of(episode: u64, n_steps: usize) -> ShardSpec {
    ShardSpec { first_episode: episode.cast_signed(), n_episodes: 1, n_steps, seed: episode }
}

/// The folder with the shard of an episode.
fn shard_of(work: &Work, episode: u64, n_steps: usize) -> PathBuf {
    let folder = work.path(format!("shards/{episode}"));
    write_shard(&folder.join(format!("train-{episode}.parquet")), &spec_of(episode, n_steps));
    folder
}

/// Leases that protect a blob, which only tries of one push do.
fn leases_on(work: &Work, digest: &B3) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(work.path("store").join(layout::LEASES)) else { return Vec::new() };
    let names = |path: &PathBuf| {
        let lease = std::fs::read(path).ok().and_then(|it| Lease::parse(&it).ok());
        lease.is_some_and(|it| it.blobs.contains(digest))
    };
    entries.flatten().map(|it| it.path()).filter(names).collect()
}

/// Three days ago.
#[expect(clippy::disallowed_methods, reason = "files of a test are made old, nothing is hashed")]
fn make_old(paths: &[PathBuf]) {
    let then = SystemTime::now() - Duration::from_secs(3 * 24 * 3600);
    for path in paths {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_modified(then).unwrap();
    }
}

fn token(work: &Work, account: &str, scopes: &[&str]) -> String {
    let mut args = vec!["serve", "--data", "server", "--new-token", account];
    scopes.iter().for_each(|it| args.extend(["--scope", it]));
    local(work, &args).exits(0).stdout.trim().to_owned()
}

#[test]
fn what_was_told_is_there_once_whoever_is_killed() {
    let n_writers = asked("NODEDATA_STORM_WRITERS", 4, 8);
    let n_pushes = asked("NODEDATA_STORM_PUSHES", 3, 100);
    let work = Work::new();
    // Each dataset has a revision, so that readers find one.
    let first = shard_of(&work, 9_999_999, 10).display().to_string();
    let names: Vec<String> =
        std::iter::once(SHARED.to_owned()).chain((0..n_writers).map(|it| format!("acme/own-{it}"))).collect();
    let since = Instant::now();
    for name in &names {
        local(&work, &["dataset", "push", "--name", name, &first]).exits(0);
    }
    let of_one = since.elapsed().as_micros() as u64 / names.len() as u64;
    let tokens =
        (0..n_writers).map(|it| token(&work, &format!("writer-{it}"), &["publish:acme/*"])).collect();
    let (reader, root) = (token(&work, "acme", &["read"]), token(&work, "root", &["admin"]));
    let server = Served::new(&work);
    let proxy = Proxy::new(&server.url, Duration::ZERO, |_| None);
    let storm = Storm {
        work: &work,
        seed: asked("NODEDATA_STORM_SEED", 2026, 2026),
        n_pushes,
        store: work.path("store").display().to_string(),
        url: proxy.url(),
        tokens,
        reader,
        tally: Tally::default(),
        paces: [(); 4].map(|()| Pace(AtomicU64::new(of_one))),
        told: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let server = std::thread::scope(|scope| {
        let over = Over(&storm.is_over);
        let storm = &storm;
        let writers: Vec<_> = (0..n_writers).map(|it| scope.spawn(move || storm.write(it))).collect();
        let others: Vec<_> = (0..n_writers / 4).map(|it| scope.spawn(move || storm.read(it))).collect();
        let collector = scope.spawn(|| storm.collect());
        let operator = scope.spawn(|| storm.operate(&proxy, server));
        let ended: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        drop(over);
        let ended = ended.into_iter().chain(others.into_iter().chain([collector]).map(|it| it.join()));
        ended.for_each(|it| it.unwrap_or_else(|err| std::panic::resume_unwind(err)));
        operator.join().unwrap()
    });
    let told = storm.told.lock().unwrap();
    assert_eq!(told.len() as u64, n_writers * n_pushes);
    print(&storm.tally, n_writers, told.len());
    is_as_told(&work, &names, &told, &server.url, &root);
    assert!(storm.tally.killed.load(Ordering::Relaxed) > 0, "nobody was killed in this storm");
}

/// Once everybody is gone.
fn is_as_told(work: &Work, names: &[String], told: &[Told], url: &str, root: &str) {
    let direct = open(&work.path("store"));
    local(work, &["store", "gc", "--grace-days", "0"]).exits(0);
    is_sound(&direct);
    let mut by_server: BTreeSet<String> = BTreeSet::new();
    for name in names {
        let dataset: DatasetName = name.parse().unwrap();
        let (state, published) = replayed(&direct, &dataset);
        let by_tokens = published.iter().filter(|it| it.0.starts_with("writer-"));
        by_server.extend(by_tokens.map(|it| it.1.to_string()));
        let mine: Vec<&Told> = told.iter().filter(|it| it.dataset == *name).collect();
        let revisions: BTreeSet<&str> = mine.iter().map(|it| it.revision.as_str()).collect();
        assert_eq!(revisions.len(), mine.len(), "{name}: each push that was told has a revision of its own");
        assert_eq!(state.revisions.len(), mine.len() + 1, "{name}: and nothing is there twice");
        assert!(revisions.iter().all(|it| state.revision(it).is_some()), "{name}");
        let mut expected: BTreeSet<String> = mine.iter().map(|it| it.episode.to_string()).collect();
        expected.insert("9999999".to_owned());
        for (n, entry) in state.revisions.iter().enumerate() {
            let revision = Revision::open(&direct.shared(), &dataset, entry).unwrap();
            assert_eq!(revision.contents().unwrap().0.len(), n + 1, "{name}@{}", entry.revision);
            for blob in revision.blobs().unwrap() {
                assert_eq!(
                    direct.blob_bytes(&dataset, &blob.b3).unwrap(),
                    Some(blob.bytes),
                    "{name}@{}",
                    entry.revision
                );
            }
            // Of long storms one in ten, and the last.
            let is_last = n + 1 == state.revisions.len();
            if is_last || state.revisions.len() < 20 || n % 10 == 0 {
                pulled(work, &revision, is_last.then_some(&expected));
            }
        }
        local(work, &["dataset", "verify", name]).exits(0);
    }
    let audit = ask(work, url, root, &["audit", "export"]).exits(0).stdout;
    ask(work, url, root, &["audit", "verify"]).exits(0);
    let lines = audit.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
    let lines: Vec<String> = lines
        .filter(|it| it["action"] == "publish" && it["outcome"] == "allowed")
        .map(|it| it["subject"].as_str().unwrap().to_owned())
        .collect();
    let noted: BTreeSet<String> = lines.iter().cloned().collect();
    assert_eq!(noted.len(), lines.len(), "one line each");
    assert_eq!(noted, by_server, "each record has its line, and each line its record");
}

/// Pulls a revision, and looks which episodes came.
fn pulled(work: &Work, revision: &Revision, expected: Option<&BTreeSet<String>>) {
    let out = work.path("pulled");
    pull(revision, &out, false, &Silent).unwrap();
    work.run(["validate", "pulled"]).exits(0);
    let index = work.json("pulled/sample_index.json");
    let keys =
        index["inline_episodes"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap().to_owned());
    let keys: BTreeSet<String> = keys.collect();
    if let Some(expected) = expected {
        assert_eq!(keys, *expected, "{} {}", revision.dataset(), revision.manifest().revision);
    }
    std::fs::remove_dir_all(out).unwrap();
}

fn print(tally: &Tally, n_writers: u64, n_told: usize) {
    let count = |it: &AtomicU64| it.load(Ordering::Relaxed);
    eprintln!(
        "storm of kills: {n_writers} writers, {n_told} pushes in {} tries ({} killed, {} of them or of the refused had published, \
         {} refused, {} rebased); {} pulls ({} killed); {} collections ({} killed), {} blobs removed; {} servers killed",
        count(&tally.tries),
        count(&tally.killed),
        count(&tally.killed_and_published),
        count(&tally.refused),
        count(&tally.rebased),
        count(&tally.pulls),
        count(&tally.pulls_killed),
        count(&tally.collections),
        count(&tally.collections_killed),
        count(&tally.blobs_removed),
        count(&tally.servers_killed),
    );
}

#[test]
fn shards_of_a_storm_are_all_different() {
    let digests: BTreeSet<B3> = (0..20).map(|it| blob_of(&shard_bytes(&spec_of(it, 10))).b3).collect();
    assert_eq!(digests.len(), 20);
}
