//! Whole bags through the format: which files are one, in which order, and what is told of them.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow_array::{cast::AsArray as _, types::Int64Type};
use bytes::Bytes;
use nodedata_core::{
    Confidence, ErrorKind, Fact, Files as _, FindingKind, Format as _, Listing, OpenOptions, OptionValue,
    Partition, ReadAt, ReadOptions, Result, Source, TimeRange,
};
use nodedata_io::MemoryFiles;
use nodedata_log::{LogFile, LogStorage as _, Route, Routes, Selector, StoredFile};

use super::{Snapshot, builder, salvage};
use crate::{RosBag2, SQLITE3, packed};

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
    // It decides, and so it is an input of all that the bag gives.
    let plan = source.plan();
    let names: Vec<_> = plan.inputs.iter().map(|it| it.path.to_str().unwrap()).collect();
    assert_eq!(names, ["x/x_0.db3", "x/x_1.db3", "x/x_7.db3", "x/metadata.yaml"]);
    assert_eq!(plan.inputs[3].n_bytes, yaml.len() as u64);
    let is_proven =
        |it: &Partition| it.reads.iter().any(|it| it.input == 3 && it.byte_range == (0..u64::MAX));
    assert!(plan.partitions.iter().all(is_proven) && plan.beside.is_empty());
    // One that describes nothing here is told of nobody.
    let all: &[(&str, &[u8])] = &[("x/metadata.yaml", yaml.as_bytes()), ("x/a.db3", &a), ("x/b.db3", &b)];
    let plan = open(all, &OpenOptions::default()).unwrap().plan().clone();
    assert_eq!((plan.inputs.len(), &plan.beside[..]), (2, &[PathBuf::from("x/metadata.yaml")][..]));
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
    for options in [OpenOptions::default(), salvage()] {
        let err = open(&[("x_0.db3.zstd", &packed[..6])], &options).err().unwrap();
        assert!(err.to_string().contains("damaged, and nothing came out of it"), "{err}");
    }
}

#[test]
fn an_empty_file_is_not_read_in_the_place_of_a_packed_one() {
    let (a, b) = (database(&[10, 11]), database(&[12]));
    let packed = zstd::encode_all(&a[..], 3).unwrap();
    for ending in ["zstd", "zst"] {
        let name = format!("x_0.db3.{ending}");
        let all: &[(&str, &[u8])] =
            &[("x_0.db3", b""), ("x_0.db3-wal", b""), (&name, &packed), ("x_1.db3", &b)];
        for all in [all, &all[..3]] {
            let source = open(all, &OpenOptions::default()).unwrap();
            let found: Vec<i64> = times(&*source).into_values().flatten().collect();
            assert_eq!(found, [&[10_i64, 11][..], &[12]].concat()[..all.len() - 1]);
            assert!(told(&*source).iter().any(|it| it.contains("the packed one beside it is read")));
            let beside = ["x_0.db3-wal", "x_0.db3"].map(PathBuf::from);
            assert_eq!(source.plan().beside, beside);
        }
    }
    // What is not empty is read, be it in its log.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x_0.db3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    builder::create(&connection, 2);
    builder::insert(&connection, 1, 30, &[0, 1, 0, 0, 1, 0, 0, 0, 0]);
    let wal = Snapshot::of(&path).wal.unwrap();
    let all: &[(&str, &[u8])] = &[("x_0.db3", b""), ("x_0.db3-wal", &wal), ("x_0.db3.zstd", &packed)];
    let source =
        open(all, &OpenOptions { undecoded: vec!["*".to_owned()], ..OpenOptions::default() }).unwrap();
    assert_eq!(times(&*source)["x_0.db3"], [30]);
    assert_eq!(source.plan().beside, [PathBuf::from("x_0.db3.zstd")]);
}

#[test]
fn files_of_one_name_are_told_apart_or_refused() {
    let (a, b) = (database(&[10, 11]), database(&[12]));
    let packed = zstd::encode_all(&a[..], 3).unwrap();
    let yaml = b"rosbag2_bagfile_information: {version: 9, relative_file_paths: [x_0.db3.zstd]}";
    // Packed in two ways: the rows would be there twice, or one of two recordings would not.
    let all: &[(&str, &[u8])] =
        &[("x/metadata.yaml", yaml), ("x/x_0.db3.zst", &packed), ("x/x_0.db3.zstd", &packed)];
    for (all, options) in
        [(all, OpenOptions::default()), (&all[1..], OpenOptions::default()), (all, salvage())]
    {
        let err = open(all, &options).err().unwrap();
        assert_eq!(err.kind(), ErrorKind::Config, "{err}");
        assert!(err.to_string().contains("as of `x/x_0.db3.zst`"), "{err}");
        assert_eq!(err.locus().path.as_deref(), Some(Path::new("x/x_0.db3.zstd")));
        assert!(err.hint().is_some_and(|it| it.contains("rename")));
    }
    // In folders of their own they are two bags, and so are files of two storages.
    let log = log_with_attachment();
    let all: &[(&str, &[u8])] = &[("a/x_0.db3", &a), ("b/x_0.db3", &b), ("b/x_0.mcap", &log)];
    let source = open(all, &OpenOptions::default()).unwrap();
    let found: Vec<(String, usize)> = times(&*source).into_iter().map(|(key, it)| (key, it.len())).collect();
    let expected = [("a/x_0.db3", 2), ("b/x_0.db3", 1), ("b/x_0.mcap", 0)];
    assert_eq!(found, expected.map(|(key, n)| (key.to_owned(), n)));
    // Where the description names both, they are one.
    let yaml = b"rosbag2_bagfile_information: {version: 9, relative_file_paths: [x_0.db3, x_0.mcap]}";
    let all: &[(&str, &[u8])] = &[("x/metadata.yaml", yaml), ("x/x_0.db3", &a), ("x/x_0.mcap", &log)];
    let source = open(all, &OpenOptions::default()).unwrap();
    assert_eq!(times(&*source), BTreeMap::from([("x".to_owned(), vec![10, 11])]));
    assert_eq!(source.plan().inputs.len(), 3);
}

/// Names come without their folders: two that are one then may have been two files.
#[test]
fn a_file_that_is_named_twice_is_told() {
    let (a, b) = (database(&[10, 11]), database(&[12]));
    let yaml =
        "rosbag2_bagfile_information: {version: 5, relative_file_paths: [one/x_0.db3, two/x_0.db3, x_1.db3]}";
    let all: &[(&str, &[u8])] = &[("x/metadata.yaml", yaml.as_bytes()), ("x/x_0.db3", &a), ("x/x_1.db3", &b)];
    let source = open(all, &OpenOptions::default()).unwrap();
    assert_eq!(times(&*source)["x"], [10, 11, 12]);
    let [told] = &source.plan().findings_of(FindingKind::Warning).collect::<Vec<_>>()[..] else {
        panic!("{:?}", source.plan().findings)
    };
    assert!(told.message.contains("named more than once, and each that is here is read once: `x_0.db3`"));
    assert_eq!(told.at.path.as_deref(), Some(Path::new("x/metadata.yaml")));
    assert!(told.hint.is_some());
}

/// An MCAP log without a message, but with an attachment.
fn log_with_attachment() -> Vec<u8> {
    let text = |it: &str| [&(it.len() as u32).to_le_bytes()[..], it.as_bytes()].concat();
    let record =
        |op: u8, content: &[u8]| [&[op][..], &(content.len() as u64).to_le_bytes()[..], content].concat();
    let data = &b"fx: 1.0"[..];
    let (name, media_type) = (text("calib.yaml"), text("text/yaml"));
    let n_bytes = (data.len() as u64).to_le_bytes();
    let attachment = [&[0u8; 16][..], &name[..], &media_type[..], &n_bytes[..], data, &[0u8; 4][..]].concat();
    let magic = b"\x89MCAP0\r\n".to_vec();
    let header = record(1, &[text("ros2"), text("any")].concat());
    [magic.clone(), header, record(9, &attachment), record(15, &[0; 4]), record(2, &[0; 20]), magic].concat()
}

#[test]
fn attachments_of_packed_files_have_no_address() {
    let log = log_with_attachment();
    let source = open(&[("x_0.mcap", &log)], &OpenOptions::default()).unwrap();
    assert_eq!(source.plan().attachments.len(), 1);
    let packed = zstd::encode_all(&log[..], 3).unwrap();
    let all: &[(&str, &[u8])] = &[("x_0.mcap.zstd", &packed)];
    let err = open(all, &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("attachment `calib.yaml` lies in a packed file"), "{err}");
    assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Unsupported, Some(0)));
    assert!(err.locus().path.is_some() && err.hint().is_some_and(|it| it.contains("unzstd")));
    let source = open(all, &salvage()).unwrap();
    assert!(source.plan().attachments.is_empty());
    let lost: Vec<&str> =
        source.plan().findings_of(FindingKind::Damage).map(|it| it.reason.as_str()).collect();
    assert_eq!(lost, ["packed_attachment"]);
}

#[test]
fn what_comes_out_of_packed_files_is_bounded_by_an_option() {
    assert!(BAGS.options().iter().any(|it| it.name == "unpack_ratio_max"));
    let packed = zstd::encode_all(&vec![0u8; 65 << 20][..], 1).unwrap();
    let all: &[(&str, &[u8])] = &[("x_0.db3.zstd", &packed)];
    let err = open(all, &OpenOptions::default()).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Limit, "{err}");
    assert!(err.hint().is_some_and(|it| it.contains("--set source.unpack_ratio_max")), "{:?}", err.hint());
    let given = [("unpack_ratio_max".to_owned(), OptionValue::Integer(1 << 20))].into();
    let err = open(all, &OpenOptions { options: given, ..OpenOptions::default() }).err().unwrap();
    assert!(err.chain().contains("SQLite files start with"), "{}", err.chain());
}

/// Where messages of the three topics go, of which some are selected.
fn routes(selected: &[u32]) -> Arc<Routes> {
    let mut routes = Routes::default();
    for channel in [1, 2, 70_000] {
        let stream = selected.iter().position(|it| *it == channel);
        routes.set(channel, stream.map_or(Route::Unselected, Route::Stream));
    }
    Arc::new(routes)
}

/// Stream and ordinal of the selected messages of some units.
fn ordinals(log: &dyn LogFile, units: Range<usize>, selected: &[u32]) -> Vec<(usize, u64)> {
    let selector = Selector::new(routes(selected), TimeRange::ALL);
    let mut cursor = log.messages(units, selector, &OpenOptions::default());
    let mut found = Vec::new();
    while let Some(message) = cursor.next_message().unwrap() {
        found.push((message.stream, message.place.ordinal));
    }
    found
}

#[test]
fn messages_of_packed_files_are_numbered_through() {
    const N: usize = 600;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db3");
    builder::bag(&path, 4096, N, 2);
    let name = Path::new("x.db3.zstd");
    let files =
        MemoryFiles::default().with(name, zstd::encode_all(&std::fs::read(&path).unwrap()[..], 1).unwrap());
    let options = OpenOptions::default();
    let (log, facts) = packed::open(&SQLITE3, name, files.open(name).unwrap(), &options).unwrap();
    let n_units = log.n_units();
    assert!(2 < n_units, "{n_units}");
    // Each unit has its own counts, not those of all in front of it.
    let counts = packed::counts_by_unit(&*log, &facts, &options).unwrap();
    assert_eq!(counts.iter().flatten().map(|it| it.1).sum::<u64>(), N as u64);
    let expected: Vec<(usize, u64)> = (0..N).map(|it| (it % 3, it as u64 / 3)).collect();
    let all = [1, 2, 70_000];
    assert_eq!(ordinals(&*log, 0..n_units, &all), expected);
    for unit in 1..n_units {
        let found = ordinals(&*log, unit..n_units, &all);
        assert_eq!(found, expected[N - found.len()..], "from unit {unit} on");
    }
}

/// A file in memory that counts how often it is read.
struct Counted {
    bytes: Bytes,
    n_reads: AtomicUsize,
}

impl ReadAt for Counted {
    fn n_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        Ok(self.bytes.slice(range.start as usize..range.end as usize))
    }

    fn in_memory(&self) -> Option<Bytes> {
        Some(self.bytes.clone())
    }
}

#[test]
fn units_without_a_selected_message_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    builder::create(&connection, 4);
    connection.execute_batch("BEGIN").unwrap();
    for topic in [1, 2] {
        (0..3000).for_each(|it| builder::insert(&connection, topic, it, &[7; 300]));
    }
    connection.execute_batch("COMMIT").unwrap();
    drop(connection);
    let file = Arc::new(Counted { bytes: Snapshot::of(&path).database, n_reads: AtomicUsize::new(0) });
    let bytes = Arc::clone(&file) as Arc<dyn ReadAt>;
    let stored = StoredFile { path: Path::new("a.db3"), file: bytes, companions: vec![None, None] };
    let (log, _) = SQLITE3.open(stored, &OpenOptions::default()).unwrap();
    let read = |selected: &[u32]| {
        let before = file.n_reads.load(Ordering::Relaxed);
        let n = ordinals(&*log, 0..log.n_units(), selected).len();
        (n, file.n_reads.load(Ordering::Relaxed) - before)
    };
    let ((n, n_reads), (n_of_one, n_reads_of_one)) = (read(&[1, 2]), read(&[2]));
    assert_eq!((n, n_of_one), (6000, 3000));
    assert!(n_reads_of_one * 3 < n_reads * 2, "{n_reads_of_one} of {n_reads}");
}

#[test]
fn files_that_are_one_bag_by_their_names_alone_are_told() {
    let (a, b) = (database(&[10]), database(&[20]));
    // Recordings of their own, whose names end in the second at which they began.
    let names = ["rosbag2_2024_01_01-10_11_12.db3", "rosbag2_2024_01_01-10_11_45.db3"];
    let source = open(&[(names[0], &a), (names[1], &b)], &OpenOptions::default()).unwrap();
    let [found] = &told(&*source)[..] else { panic!("nothing, or more, is told") };
    assert!(found.contains("2 files are read as one bag"), "{found}");
    assert!(names.iter().all(|it| found.contains(it)), "{found}");
    let yaml = b"rosbag2_bagfile_information: {version: 5, relative_file_paths: [x_0.db3, x_1.db3]}";
    let described: &[(&str, &[u8])] = &[("metadata.yaml", yaml), ("x_0.db3", &a), ("x_1.db3", &b)];
    let lone: &[(&str, &[u8])] = &[("x_0.db3", &a)];
    for all in [described, lone] {
        let found = told(&*open(all, &OpenOptions::default()).unwrap());
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn descriptions_in_files_are_bounded() {
    for (n_more, is_parsed) in [(0, true), (17 << 20, false)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db3");
        let connection = rusqlite::Connection::open(&path).unwrap();
        builder::create(&connection, 4);
        builder::insert(&connection, 1, 10, &[0, 1, 0, 0, 1, 0, 0, 0, 0]);
        let text = format!("version: 9\n{}", "\n".repeat(n_more));
        connection.execute("INSERT INTO metadata VALUES (1, 9, ?1)", [text]).unwrap();
        drop(connection);
        let source = open(&[("x_0.db3", &Snapshot::of(&path).database)], &OpenOptions::default()).unwrap();
        let metadata = &source.plan().episodes[0].metadata;
        let found = ["rosbag2.version", "rosbag2.serialized_metadata"].map(|it| metadata.contains_key(it));
        assert_eq!(found, [is_parsed, !is_parsed]);
    }
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
