//! Truth files: what the official reader of a format returns for a recording, and whether a table says
//! the same.
//!
//! A struct becomes dotted columns, a list of structs parallel lists, a time nanoseconds. Bytes longer
//! than 32 are told by their length and SHA-256.

mod bag;
mod compare;
mod leaves;

use std::{collections::BTreeMap, path::Path};

use arrow_array::RecordBatch;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub use bag::{BagTopic, BagTruth};

use crate::pixels::Picture;

/// What the official reader returns for a recording.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// Messages over all topics.
    pub message_count: u64,
    /// By topic and channel id, joined by `#`.
    pub topics: BTreeMap<String, TopicTruth>,
    /// Files the recording carries.
    #[serde(default)]
    pub attachments: Vec<AttachmentTruth>,
    /// Metadata records.
    #[serde(default)]
    pub metadata: Vec<MetadataTruth>,
    /// What wrote it, by its header.
    #[serde(default)]
    pub library: String,
    /// What its channels follow, by its header.
    #[serde(default)]
    pub profile: String,
}

/// One channel of a recording.
#[derive(Debug, Clone, Deserialize)]
pub struct TopicTruth {
    /// The topic.
    pub topic: String,
    /// Number of the channel; two channels may share a topic.
    pub channel_id: u16,
    /// Type of its messages.
    pub schema_name: Option<String>,
    /// How the type is described.
    pub schema_encoding: Option<String>,
    /// SHA-256 of that description.
    pub schema_sha256: Option<String>,
    /// How messages are encoded.
    pub message_encoding: String,
    /// Messages.
    pub count: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Earliest log time, in nanoseconds.
    pub first_log_time: u64,
    /// Latest log time, in nanoseconds.
    pub last_log_time: u64,
    /// First message in file order.
    pub first: MessageTruth,
    /// Last message in file order.
    pub last: MessageTruth,
    /// SHA-256 of all payloads, one after the other in file order.
    pub payload_stream_sha256: String,
}

/// One message.
#[derive(Debug, Clone, Deserialize)]
pub struct MessageTruth {
    /// Log time in nanoseconds.
    pub log_time: u64,
    /// Publish time in nanoseconds; bags have none.
    #[serde(default)]
    pub publish_time: Option<u64>,
    /// Sequence number; bags have none.
    #[serde(default)]
    pub sequence: Option<u64>,
    /// SHA-256 of the payload.
    pub sha256: String,
    /// Length of the payload.
    pub size: u64,
    /// What the official decoder returns; absent where it fails or where there is none.
    pub decoded: Option<Value>,
}

/// A file that a recording carries.
#[derive(Debug, Clone, Deserialize)]
pub struct AttachmentTruth {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its length.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// A metadata record.
#[derive(Debug, Clone, Deserialize)]
pub struct MetadataTruth {
    /// Its name.
    pub name: String,
    /// Its content.
    pub metadata: BTreeMap<String, String>,
}

/// Message types whose `data` are raw pixels.
const RAW_PICTURES: [&str; 3] = ["sensor_msgs/msg/Image", "sensor_msgs/Image", "foxglove.RawImage"];

impl Truth {
    /// Reads a truth file.
    ///
    /// # Panics
    /// When it cannot be read as one.
    pub fn load(path: &Path) -> Self {
        loaded(path)
    }
}

fn loaded<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let bytes = std::fs::read(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

impl TopicTruth {
    /// Whether messages are raw pictures, whose pixels are normalized.
    pub fn is_raw_picture(&self) -> bool {
        self.schema_name.as_deref().is_some_and(|it| RAW_PICTURES.contains(&it))
    }
}

impl MessageTruth {
    /// What row `row` of a table says differently from this message, one line a difference. `None` when
    /// the official decoder has nothing to compare with.
    ///
    /// # Panics
    /// When the table has a column of a type that no feature has.
    pub fn differences(&self, rows: &RecordBatch, row: usize) -> Option<Vec<String>> {
        let decoded = self.decoded.as_ref()?;
        let message = decoded.get("_protobuf").unwrap_or(decoded);
        let mut found = compare::times(self, rows, row);
        found.extend(compare::message(message, rows, row));
        Some(found)
    }

    /// The same message with its pixels as datasets store them, worked out from the payload.
    ///
    /// # Panics
    /// When the payload is not that of this message, or does not hold the picture.
    #[must_use]
    pub fn with_stored_pixels(mut self, payload: &[u8]) -> Self {
        assert_eq!(sha256(payload), self.sha256, "the payload of another message");
        let Some(decoded) = &mut self.decoded else { return self };
        let message = match decoded.get_mut("_protobuf") {
            Some(message) => message,
            None => decoded,
        };
        let number = |key: &str| message[key].as_u64().unwrap_or_default() as usize;
        let picture = Picture {
            encoding: message["encoding"].as_str().expect("a picture has an encoding"),
            width: number("width"),
            height: number("height"),
            step: number("step"),
            is_bigendian: number("is_bigendian") != 0,
        };
        let pixels = find_pixels(&message["data"], picture.step * picture.height, payload);
        let stored = picture.stored(pixels);
        message["data"] = json!({"len": stored.len(), "sha256": sha256(&stored)});
        self
    }
}

/// The pixels in a payload: the only bytes of that length with the hash told, or, where the truth tells
/// them in base64, those bytes.
fn find_pixels<'a>(told: &Value, n_bytes: usize, payload: &'a [u8]) -> &'a [u8] {
    let wanted = match told {
        Value::String(text) => sha256(&compare::from_base64(text).expect("base64 of pixels")),
        hashed => hashed["sha256"].as_str().expect("a hash of pixels").to_owned(),
    };
    let places = payload.windows(n_bytes);
    places.into_iter().find(|it| sha256(it) == wanted).expect("the payload holds the pixels")
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|it| format!("{it:02x}")).collect()
}

#[cfg(test)]
mod tests;
