use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{MessageTruth, loaded};

/// What the official reader returns for a bag.
#[derive(Debug, Clone, Deserialize)]
pub struct BagTruth {
    /// Messages over all topics.
    pub message_count: u64,
    /// By topic.
    pub topics: BTreeMap<String, BagTopic>,
}

/// One topic of a bag.
#[derive(Debug, Clone, Deserialize)]
pub struct BagTopic {
    /// Type of its messages, as ROS 2 writes it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Messages.
    pub count: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// First message in the order of log times.
    pub first: MessageTruth,
    /// Last message in that order.
    pub last: MessageTruth,
    /// SHA-256 of all payloads, one after the other in that order.
    pub payload_stream_sha256: String,
}

impl BagTruth {
    /// Reads a truth file.
    ///
    /// # Panics
    /// When it cannot be read as one.
    pub fn load(path: &Path) -> Self {
        loaded(path)
    }
}
