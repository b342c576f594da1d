//! One scene in every storage that recorders have: whichever it is, each topic has the same values.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array as _, ArrayRef};
use nodedata_core::{FindingKind, Format, OpenOptions, PUBLISH_TIME_NS, ReadOptions, SEQUENCE};
use nodedata_io::MemoryFiles;
use nodedata_rosbag::{ROSBAG1, RosBag2, SQLITE3};
use rusqlite::{Connection, params};

/// Names and bytes.
type Files = Vec<(&'static str, Vec<u8>)>;

static BAGS: RosBag2 = RosBag2::with(&[&SQLITE3, &nodedata_mcap::MCAP_FILE]);

/// Messages of each topic.
const N: usize = 200;

struct Topic {
    name: &'static str,
    package: &'static str,
    type_name: &'static str,
    definition: &'static str,
    md5: &'static str,
}

const TOPICS: [Topic; 4] = [
    Topic {
        name: "/text",
        package: "std_msgs",
        type_name: "String",
        definition: "string data\n",
        md5: "992ce8a1687cec8c8bd883ec73ca41d1",
    },
    Topic {
        name: "/count",
        package: "std_msgs",
        type_name: "Int32",
        definition: "int32 data\n",
        md5: "da5909fbe378aeaf85e547e830cc1bb7",
    },
    Topic {
        name: "/force",
        package: "geometry_msgs",
        type_name: "Vector3",
        definition: "float64 x\nfloat64 y\nfloat64 z\n",
        md5: "4a842b65f413084dc2b10fb484ea7f17",
    },
    Topic {
        name: "/area",
        package: "geometry_msgs",
        type_name: "Polygon",
        definition: "geometry_msgs/Point32[] points\n\
                     ================================================================================\n\
                     MSG: geometry_msgs/Point32\nfloat32 x\nfloat32 y\nfloat32 z\n",
        md5: "cd60a26494a087f577976f0329fa120e",
    },
];

impl Topic {
    fn ros2_type(&self) -> String {
        format!("{}/msg/{}", self.package, self.type_name)
    }
}

/// The payload of a message, without what the encodings have in front of it and behind its text.
fn payload(topic: usize, idx: usize, text_end: &[u8]) -> Vec<u8> {
    let floats = |values: &[f32]| values.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>();
    match topic {
        0 => {
            // Now and then one that no page holds.
            let text = format!("message {idx} ").repeat(if idx % 50 == 7 { 2000 } else { 1 });
            let n = (text.len() + text_end.len()) as u32;
            [&n.to_le_bytes()[..], text.as_bytes(), text_end].concat()
        }
        1 => (idx as i32 - 100).to_le_bytes().to_vec(),
        2 => [0.5f64, -1.0, 1e9].iter().flat_map(|it| (it * idx as f64).to_le_bytes()).collect(),
        _ => {
            let points: Vec<f32> = (0..3 * (idx % 5)).map(|it| it as f32 + idx as f32 / 7.0).collect();
            [((points.len() / 3) as u32).to_le_bytes().to_vec(), floats(&points)].concat()
        }
    }
}

fn cdr(topic: usize, idx: usize) -> Vec<u8> {
    [&[0, 1, 0, 0][..], &payload(topic, idx, &[0])[..]].concat()
}

/// Topic, number and log time of all messages, as they were recorded.
fn recorded() -> impl Iterator<Item = (usize, usize, u64)> {
    let all = (0..N).flat_map(|idx| (0..TOPICS.len()).map(move |topic| (topic, idx)));
    all.zip(1_700_000_000_000_000_000..).map(|((topic, idx), time)| (topic, idx, time))
}

/// What the tables of each schema have that those before have not.
fn create(connection: &Connection, schema: usize) {
    let more = ["", ", offered_qos_profiles TEXT NOT NULL", ", type_description_hash TEXT NOT NULL"];
    let more = more[..schema.min(2)].concat() + if schema == 4 { more[2] } else { "" };
    let mut sql = format!(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, \
         serialization_format TEXT NOT NULL{more});
         CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, \
         data BLOB NOT NULL);
         CREATE INDEX timestamp_idx ON messages (timestamp ASC);"
    );
    if 3 <= schema {
        sql += "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
                CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL, metadata TEXT NOT NULL);";
        sql += &format!("INSERT INTO schema VALUES ({schema}, 'humble');");
    }
    if schema == 4 {
        sql += "CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL, \
                encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);";
    }
    connection.execute_batch(&sql).unwrap();
    for (idx, topic) in TOPICS.iter().enumerate() {
        let more = ["", ", ''", ", ''", ", '', ''"][schema - 1];
        let sql = format!("INSERT INTO topics VALUES (?1, ?2, ?3, 'cdr'{more})");
        connection.execute(&sql, params![idx as i64 + 1, topic.name, topic.ros2_type()]).unwrap();
        if schema == 4 {
            let sql = "INSERT INTO message_definitions(topic_type, encoding, encoded_message_definition, \
                       type_description_hash) VALUES (?1, 'ros2msg', ?2, '')";
            connection.execute(sql, params![topic.ros2_type(), topic.definition]).unwrap();
        }
    }
}

fn insert(connection: &Connection, message: (usize, usize, u64), packs: bool) {
    let (topic, idx, time) = message;
    let plain = cdr(topic, idx);
    let data = if packs { zstd::encode_all(&plain[..], 1).unwrap() } else { plain };
    let sql = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare_cached(sql).unwrap();
    statement.execute(params![topic as i64 + 1, time as i64, data]).unwrap();
}

/// A database, with what lies beside it where its second half was never moved into it.
fn database(schema: usize, packs: bool, keeps_log: bool) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    let connection = Connection::open(&path).unwrap();
    create(&connection, schema);
    let all: Vec<_> = recorded().collect();
    let (first, second) = all.split_at(all.len() / 2);
    for (half, is_second) in [(first, false), (second, true)] {
        if is_second && keeps_log {
            connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
        }
        connection.execute_batch("BEGIN").unwrap();
        half.iter().for_each(|it| insert(&connection, *it, packs));
        connection.execute_batch("COMMIT").unwrap();
    }
    let mut files = vec![("scene/scene_0.db3", std::fs::read(&path).unwrap())];
    if keeps_log {
        files.push(("scene/scene_0.db3-wal", std::fs::read(folder.path().join("a.db3-wal")).unwrap()));
    }
    files
}

fn block(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

fn mcap() -> Vec<u8> {
    let text = |it: &str| block(it.as_bytes());
    let record = |op: u8, parts: &[&[u8]]| {
        let content = parts.concat();
        [&[op][..], &(content.len() as u64).to_le_bytes()[..], &content[..]].concat()
    };
    let magic = b"\x89MCAP0\r\n";
    let mut log = magic.to_vec();
    log.extend(record(1, &[&text("ros2"), &text("scene")]));
    for (idx, topic) in TOPICS.iter().enumerate() {
        let id = (idx as u16 + 1).to_le_bytes();
        log.extend(record(3, &[&id, &text(&topic.ros2_type()), &text("ros2msg"), &text(topic.definition)]));
        log.extend(record(4, &[&id, &id, &text(topic.name), &text("cdr"), &[0; 4]]));
    }
    for (topic, idx, time) in recorded() {
        let (id, sequence, time) =
            ((topic as u16 + 1).to_le_bytes(), (idx as u32).to_le_bytes(), time.to_le_bytes());
        log.extend(record(5, &[&id, &sequence, &time, &time, &cdr(topic, idx)]));
    }
    log.extend(record(15, &[&[0; 4]]));
    log.extend(record(2, &[&[0; 20]]));
    log.extend(magic);
    log
}

/// A bag whose recorder was killed, so that it has no index.
fn ros1() -> Vec<u8> {
    let header = |fields: &[(&str, &[u8])]| -> Vec<u8> {
        fields.iter().flat_map(|(name, value)| block(&[name.as_bytes(), b"=", value].concat())).collect()
    };
    let record = |fields: &[(&str, &[u8])], data: &[u8]| [block(&header(fields)), block(data)].concat();
    let mut bag = b"#ROSBAG V2.0\n".to_vec();
    let nothing = [0; 8];
    bag.extend(record(
        &[
            ("chunk_count", &nothing[..4]),
            ("conn_count", &nothing[..4]),
            ("index_pos", &nothing),
            ("op", &[3]),
        ],
        b" ",
    ));
    let mut records = Vec::new();
    for (idx, topic) in TOPICS.iter().enumerate() {
        let conn = (idx as u32).to_le_bytes();
        let type_name = format!("{}/{}", topic.package, topic.type_name);
        let about = header(&[
            ("topic", topic.name.as_bytes()),
            ("type", type_name.as_bytes()),
            ("md5sum", topic.md5.as_bytes()),
            ("message_definition", topic.definition.as_bytes()),
        ]);
        records.extend(record(&[("conn", &conn), ("op", &[7]), ("topic", topic.name.as_bytes())], &about));
    }
    for (topic, idx, time) in recorded() {
        let (conn, seconds, nanos) = (
            (topic as u32).to_le_bytes(),
            ((time / 1_000_000_000) as u32).to_le_bytes(),
            ((time % 1_000_000_000) as u32).to_le_bytes(),
        );
        let time = [seconds, nanos].concat();
        let fields: [(&str, &[u8]); 3] = [("conn", &conn), ("op", &[2]), ("time", &time)];
        records.extend(record(&fields, &payload(topic, idx, &[])));
    }
    let size = (records.len() as u32).to_le_bytes();
    bag.extend(record(&[("compression", b"none"), ("op", &[5]), ("size", &size)], &records));
    bag
}

/// Of a topic, its columns beside those that not every storage has, and where its definition is from.
#[derive(Debug)]
struct Found {
    columns: Vec<(String, ArrayRef)>,
    definition: Option<String>,
}

fn read(format: &dyn Format, files: &[(&str, Vec<u8>)]) -> BTreeMap<String, Found> {
    let all = files.iter().fold(MemoryFiles::default(), |all, (name, bytes)| all.with(*name, bytes.clone()));
    let at = files[0].0;
    let source = format.open(Arc::new(all), &OpenOptions::default());
    let source = source.unwrap_or_else(|err| panic!("{at}: {}", err.chain()));
    let plan = source.plan();
    assert_eq!((plan.findings_of(FindingKind::Damage).count(), plan.partitions.len()), (0, 1), "{at}");
    let mut rows = source.read(0, &ReadOptions { batch_bytes_max: usize::MAX, streams: None }).unwrap();
    let mut found = BTreeMap::new();
    while let Some(batch) = rows.next_batch().unwrap() {
        let stream = &plan.streams[batch.stream.0 as usize];
        let schema = batch.rows.schema();
        let named =
            schema.fields().iter().map(|it| it.name().clone()).zip(batch.rows.columns().iter().cloned());
        let columns = named.filter(|it| ![PUBLISH_TIME_NS, SEQUENCE].contains(&it.0.as_str())).collect();
        let definition = stream.metadata.get("definition").cloned();
        let before = found.insert(stream.name.to_string(), Found { columns, definition });
        assert!(before.is_none(), "{at}: {} came in pieces", stream.name);
    }
    assert!(rows.warnings().is_empty(), "{at}: {:?}", rows.warnings());
    found
}

#[test]
fn a_scene_is_the_same_in_every_storage() {
    let expected = read(&nodedata_mcap::MCAP, &[("scene.mcap", mcap())]);
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["/area", "/count", "/force", "/text"]);
    assert!(expected.values().all(|it| it.columns.iter().all(|it| it.1.len() == N)), "{expected:?}");
    let packed =
        |files: Files| vec![("scene/scene_0.db3.zstd", zstd::encode_all(&files[0].1[..], 1).unwrap())];
    let cases: [(&str, &dyn Format, Files, Option<&str>); 10] = [
        ("schema 1", &BAGS, database(1, false, false), Some("bundle:lyrical")),
        ("schema 2", &BAGS, database(2, false, false), Some("bundle:lyrical")),
        ("schema 3", &BAGS, database(3, false, false), Some("bundle:humble")),
        ("schema 4", &BAGS, database(4, false, false), Some("embedded")),
        ("a log beside it", &BAGS, database(3, false, true), Some("bundle:humble")),
        ("packed files", &BAGS, packed(database(4, false, false)), Some("embedded")),
        ("packed messages", &BAGS, database(4, true, false), Some("embedded")),
        ("packed messages of schema 1", &BAGS, database(1, true, false), Some("bundle:lyrical")),
        ("MCAP as a bag", &BAGS, vec![("scene/scene_0.mcap", mcap())], Some("embedded")),
        ("ROS 1", &ROSBAG1, vec![("scene.bag", ros1())], None),
    ];
    for (storage, format, files, definition) in cases {
        let found = read(format, &files);
        assert!(found.keys().eq(expected.keys()), "{storage}: {:?}", found.keys());
        for (topic, found) in found {
            assert_eq!(found.definition.as_deref(), definition, "{storage}, {topic}");
            let expected = &expected[&topic].columns;
            let names = |it: &[(String, ArrayRef)]| it.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
            assert_eq!(names(&found.columns), names(expected), "{storage}, {topic}");
            for ((name, found), (_, expected)) in found.columns.iter().zip(expected) {
                assert!(found == expected, "{storage}, {topic}: other values in `{name}`");
            }
        }
    }
    assert!(database(3, false, true)[1].1.len() > 40_000, "the log holds half of the scene");
}
