use std::{collections::BTreeSet, ops::Range};

use crate::{Times, Unit};

/// The smallest piece of a log of chunks and records that can be read alone.
#[derive(Debug, Clone)]
pub struct RecordUnit {
    /// What it is.
    pub kind: UnitKind,
    /// The records with their heads.
    pub byte_range: Range<u64>,
    /// Bytes of records after decompression, as far as known.
    pub n_uncompressed: u64,
    /// Channels with messages; `None` when nothing trustworthy tells.
    pub channels: Option<BTreeSet<u32>>,
    /// Earliest and latest log time; `None` when nothing trustworthy tells.
    pub times: Option<(u64, u64)>,
    /// Messages by channel, where an index of the file counts them.
    pub counts: Option<Vec<(u32, u64)>>,
    /// Bytes after a chunk that hold its message indexes; empty when there are none.
    pub index_range: Range<u64>,
}

/// What a [`RecordUnit`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// One chunk.
    Chunk,
    /// The front of a chunk whose end is not there.
    CutChunk,
    /// Consecutive records outside chunks.
    Records,
}

impl RecordUnit {
    /// A unit nothing is known of yet.
    pub fn empty(kind: UnitKind, byte_range: Range<u64>) -> Self {
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
    pub fn log_times(&self) -> Times {
        match (&self.channels, self.times) {
            (Some(channels), _) if channels.is_empty() => Times::Nothing,
            (_, Some((first, last))) => Times::Within(first, last),
            (_, None) => Times::Unknown,
        }
    }

    /// Notes that the unit holds a message of `channel_id` logged at `log_time`.
    pub fn saw(&mut self, channel_id: u32, log_time: u64) {
        self.channels.get_or_insert_default().insert(channel_id);
        let (first, last) = self.times.unwrap_or((log_time, log_time));
        self.times = Some((first.min(log_time), last.max(log_time)));
    }
}

/// What [`crate::LogFile::unit`] tells of it.
impl From<&RecordUnit> for Unit {
    fn from(unit: &RecordUnit) -> Self {
        let decoded_bytes = unit.n_uncompressed;
        Self { byte_range: unit.byte_range.clone(), decoded_bytes, times: unit.log_times() }
    }
}
