//! Databases of every shape: our own walk gives what SQLite gives.

use std::path::Path;

use nodedata_core::OpenOptions;
use nodedata_testkit::damaged::Random;
use rusqlite::{Connection, params};

use super::{Snapshot, Stored, builder, read, salvage};

/// How many databases are made.
const N_DATABASES: u64 = 500;

/// What SQLite finds in a database and what lies beside it.
fn oracle(snapshot: &Snapshot) -> Vec<Stored> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    std::fs::write(&path, &snapshot.database).unwrap();
    for (ending, bytes) in [("-wal", &snapshot.wal), ("-journal", &snapshot.journal)] {
        if let Some(bytes) = bytes {
            std::fs::write(format!("{}{ending}", path.display()), bytes).unwrap();
        }
    }
    let connection = Connection::open(&path).unwrap();
    let mut statement =
        connection.prepare("SELECT topic_id, timestamp, data FROM messages ORDER BY id").unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Stored { topic: row.get(0)?, time: row.get::<_, i64>(1)?.cast_unsigned(), data: row.get(2)? })
    });
    rows.unwrap().map(|it| it.unwrap()).collect()
}

/// Returns whether committed rows are lost, which SQLite does not say.
fn check(at: &str, snapshot: &Snapshot) -> bool {
    let (mut options, mut is_told) = (OpenOptions::default(), false);
    let opened = snapshot.open(&options).or_else(|err| {
        assert!(err.to_string().contains("write-ahead log"), "{at}: {}", err.chain());
        (options, is_told) = (salvage(), true);
        snapshot.open(&options)
    });
    let (log, facts) = opened.unwrap_or_else(|err| panic!("{at}: {}", err.chain()));
    assert_eq!(facts.damage.len(), usize::from(is_told), "{at}");
    let topics: Vec<&str> = facts.definitions.channels.values().map(|it| it.topic.as_str()).collect();
    assert_eq!(topics, ["/a", "/bé", "/c"], "{at}");
    let found = read(&*log, &facts, &options);
    assert!(found.damage.is_empty(), "{at}: {:?}", found.reasons());
    let expected = oracle(snapshot);
    let n = expected.len().min(found.messages.len());
    let first = (0..n).find(|it| found.messages[*it] != expected[*it]);
    assert_eq!((found.messages.len(), first), (expected.len(), None), "{at}");
    is_told
}

/// Sizes around those at which a record changes its form, and others.
fn size(random: &mut Random, page_bytes: usize) -> usize {
    let (whole, per_page) = (page_bytes - 35, page_bytes - 4);
    let around = |n: usize, random: &mut Random| (n + random.below(40)).saturating_sub(30);
    match random.below(8) {
        0 => around(whole, random),
        1 => around(whole + per_page, random),
        2 => around(per_page * (1 + random.below(4)), random),
        3 => random.below(page_bytes * 6),
        4 => 0,
        _ => random.below(300),
    }
}

fn change(connection: &Connection, random: &mut Random, page_bytes: usize) {
    for _ in 0..random.below(40) {
        let data = vec![random.below(256) as u8; size(random, page_bytes)];
        let topic = [1, 2, 70_000][random.below(3)];
        let time = random.below(1 << 40) as i64;
        match random.below(12) {
            // Numbers far apart.
            0 => {
                let id = random.below(1 << 50) as i64;
                let sql = "INSERT OR IGNORE INTO messages VALUES (?1, ?2, ?3, ?4)";
                connection.execute(sql, params![id, topic, time, data]).unwrap();
            }
            1 => {
                let sql = "DELETE FROM messages WHERE id IN (SELECT id FROM messages ORDER BY data LIMIT ?1)";
                connection.execute(sql, params![random.below(20) as i64]).unwrap();
            }
            2 => {
                let sql = "UPDATE messages SET data = ?1 WHERE id = (SELECT max(id) FROM messages)";
                connection.execute(sql, params![data]).unwrap();
            }
            _ => builder::insert(connection, topic, time, &data),
        }
    }
}

/// A database made of a seed, with how it was left.
fn database(seed: u64, path: &Path) -> (String, Snapshot) {
    let mut random = Random::new(seed);
    let page_bytes = 512usize << random.below(8);
    let encoding = ["UTF-8", "UTF-16le", "UTF-16be"][random.below(3)];
    let vacuum = random.below(3);
    let connection = Connection::open(path).unwrap();
    let pragmas = format!(
        "PRAGMA page_size = {page_bytes}; PRAGMA encoding = '{encoding}'; PRAGMA auto_vacuum = {vacuum}; PRAGMA synchronous = OFF"
    );
    connection.execute_batch(&pragmas).unwrap();
    let schema = 1 + random.below(4);
    builder::create(&connection, schema);
    for _ in 0..1 + random.below(4) {
        connection.execute_batch("BEGIN").unwrap();
        change(&connection, &mut random, page_bytes);
        connection.execute_batch("COMMIT").unwrap();
    }
    if random.below(4) == 0 {
        connection.execute_batch("VACUUM").unwrap();
    }
    let state = ["closed", "wal", "wal begun anew", "open transaction"][random.below(4)];
    let at = format!("seed {seed}, pages of {page_bytes}, {encoding}, schema {schema}, {state}");
    match state {
        "closed" => {
            drop(connection);
            return (at, Snapshot::of(path));
        }
        "open transaction" => {
            // With next to no cache, pages are written over before anything is committed.
            connection.execute_batch("PRAGMA cache_size = 2; BEGIN").unwrap();
            (0..3).for_each(|_| change(&connection, &mut random, page_bytes));
            return (at, Snapshot::of(path));
        }
        _ => connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap(),
    }
    for round in 0..1 + random.below(3) {
        connection.execute_batch("BEGIN").unwrap();
        change(&connection, &mut random, page_bytes);
        connection.execute_batch("COMMIT").unwrap();
        if state == "wal begun anew" && round == 0 {
            // What is behind the new frames are those of before.
            connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        }
    }
    if random.below(3) == 0 {
        connection.execute_batch("PRAGMA cache_size = 2; BEGIN").unwrap();
        (0..3).for_each(|_| change(&connection, &mut random, page_bytes));
    }
    (at, Snapshot::of(path))
}

#[test]
fn every_database_reads_as_sqlite_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut n_wal, mut n_journal) = (0, 0);
    for seed in 1..=N_DATABASES {
        let (at, snapshot) = database(seed, &folder.path().join(format!("{seed}.db3")));
        n_wal += u32::from(snapshot.wal.as_ref().is_some_and(|it| !it.is_empty()));
        n_journal += u32::from(snapshot.journal.as_ref().is_some_and(|it| !it.is_empty()));
        assert!(!check(&at, &snapshot), "{at}: nothing is lost");
    }
    assert!(80 < n_wal && 50 < n_journal, "{n_wal} logs and {n_journal} journals");
}

#[test]
fn torn_logs_and_journals_read_as_sqlite_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mut n_checked, mut n_lost) = (0, 0);
    for seed in 1..=N_DATABASES / 5 {
        let (at, snapshot) = database(seed, &folder.path().join(format!("{seed}.db3")));
        let mut random = Random::new(seed);
        for round in 0..4 {
            let mut torn = snapshot.clone();
            let Some(wal) = torn.wal.as_mut().filter(|it| 64 < it.len()) else { continue };
            let mut bytes = wal.to_vec();
            if round % 2 == 0 {
                bytes.truncate(random.below(bytes.len()));
            } else {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            *wal = bytes.into();
            let is_told = check(&format!("{at}, torn in round {round}"), &torn);
            // A log that ends early holds nothing that was committed and cannot be read.
            assert!(!is_told || round % 2 == 1, "{at}, cut in round {round}");
            (n_checked, n_lost) = (n_checked + 1, n_lost + u32::from(is_told));
        }
    }
    assert!(50 < n_checked && 10 < n_lost, "{n_checked} logs, of which {n_lost} lost something");
}
