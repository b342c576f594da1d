//! Bags without damage: rows do not depend on how they were compressed, indexed or left.

use std::sync::Arc;

use bytes::Bytes;
use nodedata_core::{
    Confidence, ErrorKind, FindingKind, Format as _, Listing, OpenOptions, ReadOptions, TimeRange,
};
use nodedata_io::MemoryFiles;
use nodedata_testkit::source::{Case, Damage, conformance};

use super::{
    damage, found, open, read, salvage, undecoded,
    writer::{Writer, at, string, strings},
};
use crate::ROSBAG1;

const COMPRESSIONS: [&str; 3] = ["none", "bz2", "lz4"];

/// Two topics in three chunks.
fn writer(compression: &str) -> Writer {
    let mixed = |range: std::ops::Range<u64>| {
        let mut all = at(0, range.clone());
        all.extend(at(1, range.start..range.start + 3));
        all
    };
    Writer::new(&[strings(0, "/a"), strings(1, "/b")])
        .chunk(compression, &mixed(100..120))
        .chunk(compression, &mixed(200..220))
        .chunk(compression, &at(0, 300..310))
}

fn times_of_a() -> Vec<i64> {
    [100..120, 200..220, 300..310].into_iter().flatten().collect()
}

#[test]
fn every_compression_with_and_without_an_index() {
    for compression in COMPRESSIONS {
        let bags = [writer(compression).close(), writer(compression).leave_open()];
        for (bag, is_closed) in bags.iter().zip([true, false]) {
            for options in [undecoded(), salvage()] {
                let (source, outcome) = read(bag, &options);
                assert!(outcome.errors.is_empty(), "{compression}: {:?}", outcome.errors);
                assert!(damage(&*source).is_empty(), "{compression}: {:?}", damage(&*source));
                assert_eq!(outcome.log_times("/a"), times_of_a(), "{compression}");
                assert_eq!(outcome.log_times("/b").len(), 6, "{compression}");
                assert_eq!(outcome.payloads("/a")[20], string("message 200"), "{compression}");
                // The index, or the walk, counts all of them.
                assert!(source.plan().partitions.iter().all(|it| it.counts.is_some()), "{compression}");
                let metadata = &source.plan().episodes[0].metadata;
                assert_eq!(metadata["rosbag1.compression"].to_string(), compression);
                assert_eq!(metadata["rosbag1.chunks"].to_string(), "3");
                assert_eq!(metadata["rosbag1.version"].to_string(), "2.0");
                let warnings = found(&*source, FindingKind::Warning);
                assert_eq!(warnings.is_empty(), is_closed, "{warnings:?}");
                assert!(warnings.iter().all(|it| it.message.contains("did not close the bag")));
            }
        }
    }
}

#[test]
fn the_conformance_kit_holds() {
    for compression in COMPRESSIONS {
        for (name, bag) in
            [("closed", writer(compression).close()), ("open", writer(compression).leave_open())]
        {
            conformance(
                &ROSBAG1,
                &Case {
                    name: format!("{name} {compression}"),
                    files: vec![("x.bag".into(), bag)],
                    damage: Damage::Prefix(40),
                },
            );
        }
    }
}

#[test]
fn messages_outside_of_chunks_are_rows() {
    // An uncompressed chunk that its recorder never came back to: its length is 0, and its records follow it.
    let head = super::writer::chunk("none", 0, b"");
    let records: Vec<u8> = (0..50).flat_map(|it| super::writer::message(0, it, &string("x"))).collect();
    let bag = Writer::new(&[]).raw(&head).raw(&strings(0, "/a")).raw(&records).leave_open();
    for options in [undecoded(), salvage()] {
        for partition_bytes in [1, 100, 1 << 20] {
            let (source, outcome) = read(&bag, &OpenOptions { partition_bytes, ..options.clone() });
            assert_eq!(outcome.log_times("/a"), (0..50).collect::<Vec<_>>());
            assert!(outcome.errors.is_empty() && damage(&*source).is_empty());
        }
    }
}

#[test]
fn a_bag_without_messages() {
    for bag in
        [Writer::new(&[]).close(), Writer::new(&[strings(0, "/a")]).close(), Writer::new(&[]).leave_open()]
    {
        for options in [undecoded(), salvage()] {
            let (source, outcome) = read(&bag, &options);
            assert_eq!(outcome.n_rows(), 0);
            assert!(outcome.errors.is_empty() && damage(&*source).is_empty());
        }
    }
}

#[test]
fn times_are_seconds_and_nanoseconds() {
    // The latest that two u32 hold, nanoseconds beyond a second, and the epoch itself.
    let latest = [0xff; 8];
    let late_nanos = [7u32.to_le_bytes(), 4_000_000_000u32.to_le_bytes()].concat();
    let record = |time: &[u8]| {
        let fields = [("conn", &0u32.to_le_bytes()[..]), ("op", &[2]), ("time", time)];
        super::writer::record(&fields, &string("x"))
    };
    let records = [strings(0, "/a"), record(&[0; 8]), record(&late_nanos), record(&latest)].concat();
    let chunk = super::writer::chunk("none", records.len() as u32, &records);
    let bag = Writer::new(&[]).raw(&chunk).leave_open();
    let (_, outcome) = read(&bag, &undecoded());
    let expected = [0, 11_000_000_000, 4_294_967_295 * 1_000_000_000 + 4_294_967_295];
    assert_eq!(outcome.log_times("/a"), expected);
    let options =
        OpenOptions { time_range: TimeRange { start_ns: 1, end_ns: Some(12_000_000_000) }, ..undecoded() };
    assert_eq!(read(&bag, &options).1.log_times("/a"), [11_000_000_000]);
}

#[test]
fn only_what_is_selected_is_read() {
    let bag = writer("lz4").close();
    let options = OpenOptions { topics: Some(vec!["/b".to_owned()]), ..undecoded() };
    let (source, outcome) = read(&bag, &options);
    assert_eq!(source.plan().unselected, ["/a"]);
    assert_eq!(outcome.log_times("/b"), [100, 101, 102, 200, 201, 202]);
    let time_range = TimeRange { start_ns: 110, end_ns: Some(205) };
    let (_, outcome) = read(&bag, &OpenOptions { time_range, ..undecoded() });
    assert_eq!(outcome.log_times("/a"), (110..120).chain(200..205).collect::<Vec<_>>());
    let err = open(&bag, &OpenOptions { topics: Some(vec!["/c".to_owned()]), ..undecoded() }).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Config);
}

#[test]
fn messages_lie_beside_other_bags_as_episodes_of_their_own() {
    let files = MemoryFiles::default()
        .with("day/b.bag", writer("none").close())
        .with("day/a.bag.active", writer("none").leave_open());
    let source = ROSBAG1.open(Arc::new(files), &OpenOptions::default()).unwrap();
    let keys: Vec<&str> = source.plan().episodes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["day/a.bag.active", "day/b.bag"]);
    assert_eq!(source.plan().streams.len(), 2);
    let features = &source.plan().streams[0].features;
    let names: Vec<(&str, bool)> = features.iter().map(|it| (it.name.as_str(), it.nullable)).collect();
    assert_eq!(
        names,
        [("log_time_ns", false), ("publish_time_ns", true), ("sequence", true), ("data", false)]
    );
    for (idx, _) in source.plan().partitions.iter().enumerate() {
        assert!(source.read(idx, &ReadOptions::default()).unwrap().next_batch().unwrap().is_some());
    }
}

#[test]
fn bags_are_known_by_their_first_bytes() {
    let check = |name: &str, bytes: &[u8], confidence: Confidence| {
        let files = MemoryFiles::default().with(name, Bytes::copy_from_slice(bytes));
        let detected = ROSBAG1.detect(&Listing::new(&files).unwrap());
        assert_eq!(detected.confidence, confidence, "{name}");
    };
    let bag = writer("none").close();
    check("a.bag", &bag, Confidence::Content);
    check("a.bag.active", &bag, Confidence::Content);
    check("a.bin", &bag, Confidence::Content);
    check("a.bag", b"#ROSBAG V1.2\n", Confidence::Content);
    check("a.bag", b"else", Confidence::Name);
    check("a.active", b"else", Confidence::No);
    check("a.bin", b"else", Confidence::No);
}

#[test]
fn a_bag_behind_a_bag_is_named_and_not_read() {
    let bag = writer("lz4").close();
    let both: Bytes = [&bag[..], &bag[..]].concat().into();
    let (source, outcome) = read(&both, &undecoded());
    assert_eq!(outcome.log_times("/a"), times_of_a());
    assert!(outcome.errors.is_empty() && damage(&*source).is_empty());
    let warnings = found(&*source, FindingKind::Warning);
    assert_eq!(warnings.len(), 1);
    let named = format!("the index names nothing in bytes {}..{},", bag.len(), both.len());
    assert!(warnings[0].message.starts_with(&named), "{}", warnings[0].message);
    assert!(warnings[0].message.contains("something else was appended"), "{}", warnings[0].message);
    let (_, outcome) = read(&both, &salvage());
    assert_eq!(outcome.log_times("/a"), [times_of_a(), times_of_a()].concat());
}

#[test]
fn what_reindexing_leaves_behind_the_last_chunk_is_not_read() {
    for compression in COMPRESSIONS {
        let records: Vec<u8> =
            (0..40).flat_map(|it| super::writer::message(0, 400 + it, &string("more"))).collect();
        let whole = super::writer::chunk(
            compression,
            records.len() as u32,
            &super::writer::stored(compression, &records),
        );
        let junk = &whole[..whole.len() * 2 / 3];
        let bag = writer(compression).raw(junk).close();
        let (source, outcome) = read(&bag, &undecoded());
        assert_eq!(outcome.log_times("/a"), times_of_a(), "{compression}");
        assert!(outcome.errors.is_empty() && damage(&*source).is_empty());
        let warnings = found(&*source, FindingKind::Warning);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].message.contains("`rosbag reindex` leaves there"), "{}", warnings[0].message);
        // Salvage reads what is sound in it, and says that its end is missing.
        let (source, outcome) = read(&bag, &salvage());
        let times = outcome.log_times("/a");
        assert!(times.starts_with(&times_of_a()), "{compression}: {times:?}");
        let more = &times[50..];
        assert_eq!(more, (400..400 + more.len() as i64).collect::<Vec<_>>(), "{compression}");
        if compression == "none" {
            assert!(20 < more.len(), "{more:?}");
        }
        assert!(!damage(&*source).is_empty(), "{compression}");
    }
}
