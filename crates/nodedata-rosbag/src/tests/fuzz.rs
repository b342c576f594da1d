//! Seeded damage: whatever is done to a file, reading ends, nothing panics, and nothing is read twice.

use bytes::Bytes;
use nodedata_core::OpenOptions;
use nodedata_testkit::damaged::Random;

use super::{Snapshot, builder, read};
use crate::metadata::BagMetadata;

fn check(snapshot: &Snapshot) {
    for salvage in [false, true] {
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        match snapshot.open(&options) {
            Ok((log, facts)) => {
                let found = read(&*log, &facts, &options);
                assert!(salvage || facts.damage.is_empty());
                assert!(
                    found.damage.iter().all(|it| it.0.locus().byte_offset.is_some()),
                    "{:?}",
                    found.reasons()
                );
            }
            Err(err) => assert!(err.hint().is_some() && err.locus().byte_offset.is_some(), "{}", err.chain()),
        }
    }
}

fn damage(bytes: &Bytes, random: &mut Random) -> Bytes {
    let mut bytes = bytes.to_vec();
    random.damage(&mut bytes);
    bytes.into()
}

#[test]
fn damaged_databases_end_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(7);
    for (page_bytes, n, step) in [(512, 60, 40), (1024, 200, 7), (4096, 40, 300)] {
        let path = folder.path().join(format!("{page_bytes}.db3"));
        builder::bag(&path, page_bytes, n, step);
        let whole = Snapshot::of(&path);
        for _ in 0..300 {
            check(&Snapshot { database: damage(&whole.database, &mut random), ..Snapshot::default() });
        }
        // Heads of pages, where damage does most.
        for round in 0..300 {
            let mut bytes = whole.database.to_vec();
            let page = random.below(bytes.len() / page_bytes as usize) * page_bytes as usize;
            bytes[page + random.below(16)] = [0, 1, 2, 5, 0x0d, 0xff, random.below(256) as u8][round % 7];
            check(&Snapshot { database: bytes.into(), ..Snapshot::default() });
        }
    }
}

#[test]
fn damaged_companions_end_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    builder::create(&connection, 3);
    connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    (0..50).for_each(|it| builder::insert(&connection, 1, it, &[it as u8; 200]));
    let whole = Snapshot::of(&path);
    let wal = whole.wal.clone().unwrap();
    let mut random = Random::new(9);
    for _ in 0..300 {
        let bytes = damage(&wal, &mut random);
        check(&Snapshot { wal: Some(bytes.clone()), ..whole.clone() });
        check(&Snapshot { wal: None, journal: Some(bytes), ..whole.clone() });
    }
}

#[test]
fn damaged_descriptions_are_refused() {
    let text = "rosbag2_bagfile_information:\n  version: 9\n  custom_data: {a: &b 1, c: *b}\n  files: [{path: a, \
                message_count: 3}]\n  topics_with_message_count:\n    - topic_metadata: {name: /a, \
                offered_qos_profiles: \"- depth: 10\"}\n      message_count: 3\n";
    assert!(BagMetadata::parse(text).is_ok());
    let mut random = Random::new(3);
    for _ in 0..3000 {
        let mut bytes = text.as_bytes().to_vec();
        random.damage(&mut bytes);
        drop(BagMetadata::parse(&String::from_utf8_lossy(&bytes)));
    }
    // Depth and names that stand for more and more.
    drop(BagMetadata::parse(&"[".repeat(100_000)));
    drop(BagMetadata::parse(&format!("version: 1\na: {}", "{a: ".repeat(50_000))));
    let laughs: String = (1..30).map(|it| format!("a{it}: &a{it} [*a{0},*a{0},*a{0}]\n", it - 1)).collect();
    assert!(BagMetadata::parse(&format!("version: 1\na0: &a0 [x]\n{laughs}")).is_err());
}
