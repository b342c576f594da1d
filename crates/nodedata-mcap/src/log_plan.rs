use std::{collections::BTreeSet, ops::Range};

use nodedata_log::{LogFacts, Times};

use crate::metadata::MetadataRecord;

/// What is known of one file before any row is read.
#[derive(Debug, Default)]
pub(crate) struct LogPlan {
    /// What it declares and carries.
    pub(crate) facts: LogFacts,
    /// Its Metadata records, in file order; the header is the first of them.
    pub(crate) metadata: Vec<MetadataRecord>,
    /// In file order.
    pub(crate) units: Vec<Unit>,
}

/// The smallest piece that can be read alone.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) kind: UnitKind,
    /// The records with their heads.
    pub(crate) byte_range: Range<u64>,
    /// Bytes of records after decompression, as far as known.
    pub(crate) n_uncompressed: u64,
    /// Channels with messages; `None` when nothing trustworthy tells.
    pub(crate) channels: Option<BTreeSet<u32>>,
    /// Earliest and latest log time; `None` when nothing trustworthy tells.
    pub(crate) times: Option<(u64, u64)>,
    /// Messages by channel, where the summary counts them.
    pub(crate) counts: Option<Vec<(u32, u64)>>,
    /// Bytes after a chunk that hold its message indexes; empty when there are none.
    pub(crate) index_range: Range<u64>,
}

impl Unit {
    /// A unit nothing is known of yet.
    pub(crate) fn empty(kind: UnitKind, byte_range: Range<u64>) -> Self {
        Self {
            kind,
            byte_range,
            n_uncompressed: 0,
            channels: None,
            times: None,
            counts: None,
            index_range: 0..0,
        }
    }

    /// The log times of its messages, as far as known.
    pub(crate) fn log_times(&self) -> Times {
        match (&self.channels, self.times) {
            (Some(channels), _) if channels.is_empty() => Times::Nothing,
            (_, Some((first, last))) => Times::Within(first, last),
            (_, None) => Times::Unknown,
        }
    }

    /// Notes that the unit holds a message of `channel_id` logged at `log_time`.
    pub(crate) fn saw(&mut self, channel_id: u32, log_time: u64) {
        self.channels.get_or_insert_default().insert(channel_id);
        let (first, last) = self.times.unwrap_or((log_time, log_time));
        self.times = Some((first.min(log_time), last.max(log_time)));
    }
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitKind {
    /// One Chunk record.
    Chunk,
    /// The front of a chunk that the end of the file cuts off.
    CutChunk,
    /// Consecutive records outside chunks.
    Records,
}
