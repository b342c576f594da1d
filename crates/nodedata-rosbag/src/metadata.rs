//! `metadata.yaml`, which says of a bag what its files say as well, and more. Every version since 2018; keys that are not known are
//! left alone, and nothing that is wrong in it is in the way of the messages.

use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

/// Larger documents are not read: a bag of thousands of files has some hundred kilobytes.
pub(crate) const BYTES_MAX: u64 = 16 << 20;
/// The key that all others are below, in a file of its own.
const ROOT: &str = "rosbag2_bagfile_information";

/// What a recorder says of a bag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BagMetadata {
    /// As it is told of the episode.
    pub(crate) facts: BTreeMap<String, String>,
    pub(crate) ros_distro: Option<String>,
    /// Names of the files, without folders.
    pub(crate) files: Vec<String>,
    /// Messages of each file, where they are said.
    pub(crate) file_counts: BTreeMap<String, u64>,
    pub(crate) message_count: Option<u64>,
    /// When the first message was logged.
    pub(crate) starting_time: Option<u64>,
    pub(crate) topics: BTreeMap<String, TopicMetadata>,
}

/// What a recorder says of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicMetadata {
    pub(crate) message_count: Option<u64>,
    pub(crate) qos: Option<String>,
    pub(crate) type_hash: Option<String>,
}

impl BagMetadata {
    /// Reads a document, with the root key or without, as it is embedded in files.
    ///
    /// # Errors
    /// `Corrupt` when it is no YAML, or says nothing of a bag.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let broken = |message: String| Error::new(ErrorKind::Corrupt, message);
        // A topic may be called `y`, which was a truth in YAML 1.1.
        let options = serde_saphyr::options! { strict_booleans: true };
        let read: std::result::Result<Value, _> = serde_saphyr::from_str_with_options(text, options);
        let document = read.map_err(|err| {
            let place = err.location().map(|it| format!(" at line {}", it.line())).unwrap_or_default();
            let cause = err.without_snippet().to_string();
            let cause = cause.split(" at line ").next().unwrap_or_default();
            let cause = cause.lines().next().unwrap_or_default().trim().trim_end_matches('.');
            broken(format!("this is not YAML that can be read{place}: {cause}"))
        })?;
        let map = match &document {
            Value::Object(map) => map.get(ROOT).map_or(Some(map), Value::as_object),
            _ => None,
        };
        let has = |map: &&Map<String, Value>| {
            ["version", "relative_file_paths", TOPICS].iter().any(|it| map.contains_key(*it))
        };
        let Some(map) = map.filter(has) else {
            return Err(broken(format!(
                "it says nothing of a bag: there is no `{ROOT}` with what belongs to it"
            )));
        };
        Ok(Self::of(map))
    }

    fn of(map: &Map<String, Value>) -> Self {
        let mut metadata = Self::default();
        let mut put = |key: String, value: Option<String>| {
            if let Some(value) = value.filter(|it| !it.is_empty()) {
                metadata.facts.insert(key, value);
            }
        };
        for key in ["version", "storage_identifier", "compression_format", "compression_mode"] {
            put(format!("rosbag2.{key}"), map.get(key).and_then(text));
        }
        for (key, value) in objects(map.get("custom_data")) {
            put(format!("custom_data.{key}"), text(value));
        }
        metadata.ros_distro = map.get("ros_distro").and_then(text).filter(|it| !it.is_empty());
        for path in items(map.get("relative_file_paths")).filter_map(Value::as_str) {
            metadata.files.push(base_name(path));
        }
        for file in items(map.get("files")) {
            let path = file.get("path").and_then(Value::as_str);
            if let Some((path, n)) = path.zip(file.get("message_count").and_then(Value::as_u64)) {
                metadata.file_counts.insert(base_name(path), n);
            }
        }
        metadata.message_count = map.get("message_count").and_then(Value::as_u64);
        let start = map.get("starting_time").and_then(|it| it.get("nanoseconds_since_epoch"));
        // An empty bag starts at the end of time.
        metadata.starting_time = start.and_then(Value::as_u64).filter(|it| *it < i64::MAX.cast_unsigned());
        for topic in items(map.get(TOPICS)) {
            let about = topic.get("topic_metadata").or_else(|| topic.get("topic_and_type"));
            let Some(about) = about else { continue };
            let Some(name) = about.get("name").and_then(Value::as_str) else { continue };
            let said = |key: &str| about.get(key).and_then(text).filter(|it| !it.is_empty());
            let told = TopicMetadata {
                message_count: topic.get("message_count").and_then(Value::as_u64),
                qos: said("offered_qos_profiles"),
                type_hash: said("type_description_hash"),
            };
            metadata.topics.insert(name.to_owned(), told);
        }
        for (name, topic) in &metadata.topics {
            if let Some(qos) = &topic.qos {
                metadata.facts.insert(format!("qos.{name}"), qos.clone());
            }
        }
        metadata
    }
}

/// The key of what is said of each topic.
const TOPICS: &str = "topics_with_message_count";

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn objects(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

/// A value as text: what is none, as JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        other => Some(other.to_string()),
    }
}

/// The name of a file without its folders: those are of the machine that recorded it.
fn base_name(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_read() {
        let first = "rosbag2_bagfile_information:\n  version: 1\n  storage_identifier: sqlite3\n  message_count: 84\n  \
                     topics_with_message_count:\n    - topic_and_type:\n        name: /a\n        type: p/A\n      \
                     message_count: 84\n  relative_file_paths:\n    - bag/bag_0.db3\n";
        let metadata = BagMetadata::parse(first).unwrap();
        assert_eq!((metadata.message_count, &metadata.files[..]), (Some(84), &["bag_0.db3".to_owned()][..]));
        assert_eq!(metadata.topics["/a"].message_count, Some(84));
        let last = "version: 9\nros_distro: jazzy\nunknown: [1, {a: b}]\ncustom_data: {task: pick, n: 2, empty: ~}\n\
                    starting_time: {nanoseconds_since_epoch: 9223372036854775807}\ncompression_mode: ''\nfiles:\n  - {path: \
                    'C:\\bags\\x_3.mcap', message_count: 5}\ntopics_with_message_count:\n  - topic_metadata: {name: /b, \
                    offered_qos_profiles: [{depth: 10}], type_description_hash: RIHS01_0}\n    message_count: 0\n";
        let metadata = BagMetadata::parse(last).unwrap();
        assert_eq!((metadata.starting_time, metadata.ros_distro.as_deref()), (None, Some("jazzy")));
        assert_eq!(metadata.file_counts["x_3.mcap"], 5);
        let facts: Vec<String> = metadata.facts.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected =
            ["custom_data.n=2", "custom_data.task=pick", "qos./b=[{\"depth\":10}]", "rosbag2.version=9"];
        assert_eq!(facts, expected);
        for broken in ["", "x", "a: [", "a: 1", "rosbag2_bagfile_information: 3", "\0"] {
            assert!(BagMetadata::parse(broken).is_err(), "{broken:?}");
        }
    }
}
