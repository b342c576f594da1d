//! A ROS 2 bag of SQLite with the messages of an MCAP recording, and its rows read back with the crate `rusqlite`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use nodedata_core::{Files, OpenOptions, TimeRange};
use nodedata_io::LocalFiles;
use nodedata_log::{LogStorage, Route, Routes, Selector, StoredFile};
use nodedata_rosbag::SQLITE3;
use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::messages::Message;
use crate::workspace::Result;

/// Tables of schema 4, as rosbag2 makes them since Iron.
const TABLES: &str = "
CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, serialization_format TEXT NOT NULL,
    offered_qos_profiles TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL,
    encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
INSERT INTO schema VALUES (4, 'jazzy');
";

/// Writes the bag.
///
/// # Errors
/// When SQLite refuses, or a message cannot be read.
pub(super) fn write(path: &Path, messages: impl Iterator<Item = Result<Message>>) -> Result<()> {
    let failed = |err: rusqlite::Error| format!("cannot write {}: {err}", path.display());
    let mut connection = Connection::open(path).map_err(failed)?;
    // As the recorder does while nobody else looks.
    connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;").map_err(failed)?;
    connection.execute_batch(TABLES).map_err(failed)?;
    let rows = connection.transaction().map_err(failed)?;
    insert(&rows, messages, failed)?;
    rows.commit().map_err(failed)
}

fn insert(
    rows: &Transaction<'_>,
    messages: impl Iterator<Item = Result<Message>>,
    failed: impl Fn(rusqlite::Error) -> String,
) -> Result<()> {
    let mut topics: BTreeMap<String, usize> = BTreeMap::new();
    let mut message =
        rows.prepare("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)").map_err(&failed)?;
    for it in messages {
        let it = it?;
        let n_topics = topics.len();
        let id = *topics.entry(it.topic.clone()).or_insert(n_topics + 1);
        if id > n_topics {
            rows.execute(
                "INSERT INTO topics VALUES (?, ?, ?, 'cdr', '', '')",
                params![id as i64, it.topic, it.type_name],
            )
            .map_err(&failed)?;
            rows.execute(
                "INSERT INTO message_definitions VALUES (?, ?, 'ros2msg', ?, '')",
                params![id as i64, it.type_name, it.definition],
            )
            .map_err(&failed)?;
        }
        message.execute(params![id as i64, it.time_ns as i64, it.data]).map_err(&failed)?;
    }
    Ok(())
}

/// Reads all messages of a bag by its pages, as a conversion does before it decodes them, and of each payload a byte in every 4,096.
///
/// # Errors
/// When it cannot be read, or has another number of messages.
pub(in crate::bench) fn by_walk(path: &Path, n_wanted: u64) -> Result<()> {
    let failed = |err: &dyn std::fmt::Display| format!("cannot read {}: {err}", path.display());
    let (folder, name) = (path.parent().unwrap_or(Path::new(".")), path.file_name().unwrap_or_default());
    let name = Path::new(name);
    let file = LocalFiles::folder(folder).and_then(|it| it.open(name)).map_err(|err| failed(&err))?;
    let companions = SQLITE3.companions().iter().map(|_| None).collect();
    let options = OpenOptions::default();
    let (log, facts) =
        SQLITE3.open(StoredFile { path: name, file, companions }, &options).map_err(|err| failed(&err))?;
    let mut routes = Routes::default();
    facts.definitions.channels.keys().for_each(|id| routes.set(*id, Route::Stream(0)));
    let selector = Selector::new(Arc::new(routes), TimeRange::ALL);
    let mut messages = log.messages(0..log.n_units(), selector, &options);
    let (mut n_rows, mut sum) = (0, 0_u64);
    while let Some(message) = messages.next_message().map_err(|damage| failed(&damage.error))? {
        let data = message.payload;
        sum = data.iter().step_by(4096).fold(sum, |sum, it| sum.wrapping_add(u64::from(*it)));
        sum = sum.wrapping_add(message.log_time);
        n_rows += 1;
    }
    if n_rows != n_wanted {
        return Err(format!("{n_rows} messages of {n_wanted} were read of {}", path.display()));
    }
    println!("{sum}");
    Ok(())
}

/// Reads all messages of a bag with the crate `rusqlite`, and of each payload a byte in every 4,096.
///
/// # Errors
/// When it cannot be read, or has another number of messages.
pub(in crate::bench) fn by_crate(path: &Path, n_wanted: u64) -> Result<()> {
    let failed = |err: rusqlite::Error| format!("cannot read {}: {err}", path.display());
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let mut rows = connection
        .prepare("SELECT id, topic_id, timestamp, data FROM messages ORDER BY id")
        .map_err(failed)?;
    let mut rows = rows.query([]).map_err(failed)?;
    let (mut n_rows, mut sum) = (0, 0_u64);
    while let Some(row) = rows.next().map_err(failed)? {
        let data = row.get_ref(3).map_err(failed)?;
        let data = data.as_blob().map_err(|err| format!("a payload is no blob: {err}"))?;
        sum = data.iter().step_by(4096).fold(sum, |sum, it| sum.wrapping_add(u64::from(*it)));
        let time: i64 = row.get(2).map_err(failed)?;
        sum = sum.wrapping_add(time as u64);
        n_rows += 1;
    }
    if n_rows != n_wanted {
        return Err(format!("{n_rows} messages of {n_wanted} were read of {}", path.display()));
    }
    println!("{sum}");
    Ok(())
}
