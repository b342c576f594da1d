//! Whole bags through the format: which files are one, in which order, and what is told of them.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow_array::{cast::AsArray as _, types::Int64Type};
use bytes::Bytes;
use nodedata_core::{
    Confidence, Fact, FindingKind, Format as _, Listing, OpenOptions, ReadOptions, Result, Source,
};
use nodedata_io::MemoryFiles;

use super::{Snapshot, builder, salvage};
use crate::{RosBag2, SQLITE3};

static BAGS: RosBag2 = RosBag2::with(&[&SQLITE3, &nodedata_mcap::MCAP_FILE]);

/// A database with messages at some times.
fn database(times: &[i64]) -> Bytes {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    builder::create(&connection, 4);
    times.iter().for_each(|it| builder::insert(&connection, 1, *it, &[0, 1, 0, 0, 1, 0, 0, 0, 0]));
    drop(connection);
    Snapshot::of(&path).database
}

fn files(all: &[(&str, &[u8])]) -> MemoryFiles {
    all.iter().fold(MemoryFiles::default(), |files, (name, bytes)| files.with(*name, bytes.to_vec()))
}

fn open(all: &[(&str, &[u8])], options: &OpenOptions) -> Result<Box<dyn Source>> {
    BAGS.open(Arc::new(files(all)), options)
}

/// Log times of each episode, in order.
fn times(source: &dyn Source) -> BTreeMap<String, Vec<i64>> {
    let plan = source.plan();
    let mut times: BTreeMap<String, Vec<i64>> =
        plan.episodes.iter().map(|it| (it.key.clone(), Vec::new())).collect();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            let found = times.get_mut(&plan.episodes[partition.episode].key).unwrap();
            found.extend(batch.rows.column(0).as_primitive::<Int64Type>().values());
        }
    }
    times
}

fn told(source: &dyn Source) -> Vec<String> {
    source.plan().findings_of(FindingKind::Warning).map(|it| it.message.clone()).collect()
}

#[test]
fn files_are_put_in_order_by_their_numbers() {
    let (a, b, c) = (database(&[30, 31]), database(&[10, 11]), database(&[20]));
    // Numbering starts anywhere, and 10 comes behind 9.
    let all: &[(&str, &[u8])] = &[("run/run_10.db3", &a), ("run/run_8.db3", &b), ("run/run_9.db3", &c)];
    let source = open(all, &OpenOptions::default()).unwrap();
    assert_eq!(times(&*source), BTreeMap::from([("run/run".to_owned(), vec![10, 11, 20, 30, 31])]));
    assert_eq!(source.plan().episodes[0].metadata["ros_distro"], Fact::Text("jazzy".to_owned()));
    // Several bags, one of them without a number, and one that is a lone file.
    let all: &[(&str, &[u8])] = &[("a/x.db3", &b), ("a/y_0.db3", &c), ("a/y_1.db3", &a), ("b_0.db3", &c)];
    let found = times(&*open(all, &OpenOptions::default()).unwrap());
    let keys: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(keys, ["a/x.db3", "a/y", "b_0.db3"]);
}

#[test]
fn what_is_said_of_a_bag_is_held_against_its_files() {
    let (a, b) = (database(&[10, 11]), database(&[12]));
    let yaml = "rosbag2_bagfile_information:\n  version: 5\n  message_count: 7\n  starting_time: \
                {nanoseconds_since_epoch: 9}\n  relative_file_paths: [old/x_0.db3, x_1.db3, x_2.db3]\n  files:\n  - {path: \
                x_0.db3, message_count: 3}\n  topics_with_message_count:\n  - topic_metadata: {name: /a}\n    message_count: 7\n";
    let all: &[(&str, &[u8])] =
        &[("x/metadata.yaml", yaml.as_bytes()), ("x/x_0.db3", &a), ("x/x_1.db3", &b), ("x/x_7.db3", &b)];
    let source = open(all, &OpenOptions::default()).unwrap();
    assert_eq!(times(&*source)["x"], [10, 11, 12, 12]);
    let told = told(&*source).join("\n");
    for expected in [
        "3 files, of which 1 are not here: `x_2.db3`",
        "1 of the bag's files are not named",
        "`x_0.db3` is said to have 3 messages, and has 2",
        "the bag is said to have 7 messages, and has 4",
        "`/a` 7 and has 4",
        "said to start at 9 ns, and its first message was logged at 10 ns",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!(source.plan().episodes[0].metadata["rosbag2.version"], Fact::Text("5".to_owned()));
    assert_eq!(source.plan().beside, [PathBuf::from("x/metadata.yaml")]);
}

#[test]
fn a_description_is_never_in_the_way() {
    let a = database(&[10]);
    let large = vec![b' '; 100 << 20];
    for (yaml, message) in [
        (&b"rosbag2_bagfile_information: [\n"[..], "not YAML"),
        (b"", "says nothing of a bag"),
        (&large[..], "at most"),
        (b"\xff\xfe", "cannot be used"),
        (b"other: 1", "says nothing of a bag"),
    ] {
        let all: &[(&str, &[u8])] = &[("x/metadata.yaml", yaml), ("x/x_0.db3", &a)];
        let source = open(all, &OpenOptions::default()).unwrap();
        assert_eq!(times(&*source)["x"], [10]);
        let [told] = &told(&*source)[..] else { panic!("{message}") };
        assert!(told.contains(message), "{told}");
    }
}

#[test]
fn files_without_a_byte_are_told() {
    let a = database(&[10]);
    let all: &[(&str, &[u8])] = &[("x_0.db3", b""), ("x_1.db3", &a)];
    let source = open(all, &OpenOptions::default()).unwrap();
    assert_eq!(times(&*source)["x"], [10]);
    assert!(told(&*source)[0].contains("nothing was recorded into it"));
    let yaml = b"rosbag2_bagfile_information: {version: 5, files: [{path: x_0.db3, message_count: 4}], relative_file_paths: [x_0.db3, x_1.db3]}";
    let all: &[(&str, &[u8])] = &[("metadata.yaml", yaml), ("x_0.db3", b""), ("x_1.db3", &a)];
    let err = open(all, &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("said to have 4 messages"), "{err}");
    assert_eq!(times(&*open(all, &salvage()).unwrap())["x"], [10]);
    let err = open(&[("x_0.db3", b"")], &salvage()).err().unwrap();
    assert!(err.to_string().contains("file is empty"), "{err}");
}

#[test]
fn packed_files_are_unpacked_and_not_read_twice() {
    let (a, b) = (database(&[10, 11]), database(&[12]));
    let packed = zstd::encode_all(&a[..], 3).unwrap();
    let all: &[(&str, &[u8])] = &[("x_0.db3.zstd", &packed), ("x_1.db3", &b)];
    let source = open(all, &OpenOptions::default()).unwrap();
    assert_eq!(times(&*source)["x"], [10, 11, 12]);
    assert_eq!(source.plan().inputs[0].n_bytes, packed.len() as u64);
    assert_eq!(source.plan().partitions[0].reads[0].byte_range, 0..packed.len() as u64);
    // Who plays a packed bag leaves what was unpacked.
    let all: &[(&str, &[u8])] = &[("x_0.db3", &a), ("x_0.db3.zstd", &packed)];
    let source = open(all, &OpenOptions::default()).unwrap();
    assert_eq!(times(&*source)["x_0.db3"], [10, 11]);
    assert!(told(&*source)[0].contains("lies beside what was unpacked of it"));
    assert_eq!(source.plan().beside, [PathBuf::from("x_0.db3.zstd")]);
    // Cut.
    let cut = &packed[..packed.len() - 9];
    let err = open(&[("x_0.db3.zstd", cut)], &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("the packed file is damaged"), "{err}");
    assert!(err.locus().path.is_some() && err.hint().is_some());
}

#[test]
fn logs_beside_a_database_are_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x_0.db3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    builder::create(&connection, 2);
    (0..40).for_each(|it| builder::insert(&connection, 1, it, &[7; 300]));
    let Snapshot { database, wal, .. } = Snapshot::of(&path);
    let wal = wal.unwrap();
    let all: &[(&str, &[u8])] = &[("x_0.db3", &database), ("x_0.db3-shm", b"any"), ("x_0.db3-wal", &wal)];
    let undecoded = OpenOptions { undecoded: vec!["*".to_owned()], ..OpenOptions::default() };
    let source = open(all, &undecoded).unwrap();
    assert_eq!(times(&*source)["x_0.db3"], (0..40).collect::<Vec<i64>>());
    let plan = source.plan();
    let names: Vec<_> = plan.inputs.iter().map(|it| it.path.to_str().unwrap()).collect();
    assert_eq!(
        (names, &plan.beside[..]),
        (vec!["x_0.db3", "x_0.db3-wal"], &[PathBuf::from("x_0.db3-shm")][..])
    );
    assert_eq!(plan.partitions[0].reads[1].byte_range, 0..u64::MAX);
    // The rows lie in the log.
    let batch = source.read(0, &ReadOptions::default()).unwrap().next_batch().unwrap().unwrap();
    assert!(batch.spans.iter().all(|it| it.input == 1 && it.byte_range.end <= wal.len() as u64));
}

#[track_caller]
fn detected(all: &[(&str, &[u8])], confidence: Confidence, claims: &[&str]) {
    let files = files(all);
    let found = BAGS.detect(&Listing::new(&files).unwrap());
    let claims: Vec<PathBuf> = claims.iter().map(PathBuf::from).collect();
    assert_eq!((found.confidence, found.claims), (confidence, claims), "{}", found.why);
}

#[test]
fn bags_are_recognised() {
    let db = database(&[1]);
    let packed = zstd::encode_all(&b"x"[..], 1).unwrap();
    let yaml = b"rosbag2_bagfile_information:\n  version: 5\n";
    let mcap = b"\x89MCAP0\r\n\x01\x1c\0\0\0\0\0\0\0\x04\0\0\0ros2\x10\0\0\0libmcap 1.1.0   ";
    let (layout, content, name) = (Confidence::Layout, Confidence::Content, Confidence::Name);
    detected(&[("x_0.db3", &db), ("x_0.db3-wal", b""), ("y", b"")], content, &["x_0.db3", "x_0.db3-wal"]);
    detected(&[("x_0.db3", b"")], name, &["x_0.db3"]);
    detected(&[("bag.sqlite", &db), ("z.txt", b"z")], content, &["bag.sqlite"]);
    detected(&[("x.db3.zstd", &packed)], content, &["x.db3.zstd"]);
    detected(&[("x.mcap.zstd", &packed), ("y.zstd", &packed)], content, &["x.mcap.zstd"]);
    detected(&[("a/metadata.yaml", yaml), ("a/x.mcap", mcap)], layout, &["a/metadata.yaml", "a/x.mcap"]);
    detected(&[("metadata.yaml", b"a: 1"), ("x_0.db3", &db)], layout, &["metadata.yaml", "x_0.db3"]);
    // Logs that are a format of their own stay it, unless something says that they are a bag.
    detected(&[("metadata.yaml", b"a: 1"), ("x_0.mcap", mcap)], Confidence::No, &[]);
    detected(&[("x_0.mcap", mcap), ("x_1.mcap", mcap)], Confidence::No, &[]);
    detected(&[("x/x_0.mcap", mcap), ("x/x_1.mcap", mcap)], layout, &["x/x_0.mcap", "x/x_1.mcap"]);
    detected(&[("x/y_0.mcap", mcap), ("x/x.mcap", mcap)], Confidence::No, &[]);
}
