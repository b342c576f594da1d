//! Databases as recorders write them, and as they never would.

use std::path::Path;

use rusqlite::{Connection, params};

/// The tables of each schema, from 1.
pub(super) const SCHEMAS: [&str; 4] = [
    "CREATE TABLE topics(id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,serialization_format TEXT NOT NULL);",
    "CREATE TABLE topics(id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,serialization_format TEXT NOT NULL,\
     offered_qos_profiles TEXT NOT NULL);",
    "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY,ros_distro TEXT NOT NULL);\
     CREATE TABLE metadata(id INTEGER PRIMARY KEY,metadata_version INTEGER NOT NULL,metadata TEXT NOT NULL);\
     CREATE TABLE topics(id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,serialization_format TEXT NOT NULL,\
     offered_qos_profiles TEXT NOT NULL);\
     INSERT INTO schema VALUES (3, 'humble');",
    "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY,ros_distro TEXT NOT NULL);\
     CREATE TABLE metadata(id INTEGER PRIMARY KEY,metadata_version INTEGER NOT NULL,metadata TEXT NOT NULL);\
     CREATE TABLE topics(id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,serialization_format TEXT NOT NULL,\
     offered_qos_profiles TEXT NOT NULL,type_description_hash TEXT NOT NULL);\
     CREATE TABLE message_definitions(id INTEGER PRIMARY KEY,topic_type TEXT NOT NULL,encoding TEXT NOT NULL,\
     encoded_message_definition TEXT NOT NULL,type_description_hash TEXT NOT NULL);\
     INSERT INTO schema VALUES (4, 'jazzy');\
     INSERT INTO message_definitions VALUES (1, 'std_msgs/msg/String', 'ros2msg', 'string data', 'RIHS01_1');",
];

/// The table of messages, with its index.
pub(super) const MESSAGES: &str = "CREATE TABLE messages(id INTEGER PRIMARY KEY,topic_id INTEGER NOT NULL,timestamp INTEGER \
                                   NOT NULL, data BLOB NOT NULL);\
                                   CREATE INDEX timestamp_idx ON messages (timestamp ASC);";

/// Makes the tables of a bag with three topics.
pub(super) fn create(connection: &Connection, schema: usize) {
    connection.execute_batch(SCHEMAS[schema - 1]).unwrap();
    connection.execute_batch(MESSAGES).unwrap();
    for (id, name) in [(1, "/a"), (2, "/bé"), (70_000, "/c")] {
        let more = ["", ", 'qos'", ", 'qos'", ", 'qos', 'RIHS01_1'"][schema - 1];
        let sql = format!("INSERT INTO topics VALUES (?1, ?2, 'std_msgs/msg/String', 'cdr'{more})");
        connection.execute(&sql, params![id, name]).unwrap();
    }
}

/// Adds a message.
pub(super) fn insert(connection: &Connection, topic: i64, time: i64, data: &[u8]) {
    let sql = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql).unwrap().execute(params![topic, time, data]).unwrap();
}

/// A bag of schema 4 with `n` messages, the payload of which is the size of their number times `step`.
pub(super) fn bag(path: &Path, page_bytes: u32, n: usize, step: usize) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(&format!("PRAGMA page_size = {page_bytes}")).unwrap();
    create(&connection, 4);
    connection.execute_batch("BEGIN").unwrap();
    for idx in 0..n {
        insert(&connection, [1, 2, 70_000][idx % 3], 1000 + idx as i64, &vec![idx as u8; idx * step]);
    }
    connection.execute_batch("COMMIT").unwrap();
}
