use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use nodedata_core::{Attachment, Error, Loss, StreamId};

use crate::definitions::Definitions;

/// What is known of one file before any row is read.
#[derive(Debug, Default)]
pub(crate) struct LogPlan {
    pub(crate) definitions: Definitions,
    /// In file order.
    pub(crate) units: Vec<Unit>,
    /// `<record name>.<key>` of the Metadata records; the last of a name wins.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) warnings: Vec<Error>,
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
    pub(crate) channels: Option<BTreeSet<u16>>,
    /// Earliest and latest log time; `None` when nothing trustworthy tells.
    pub(crate) times: Option<(u64, u64)>,
    /// Bytes after a chunk that hold its message indexes; empty when there are none.
    pub(crate) index_range: Range<u64>,
}

impl Unit {
    /// A unit nothing is known of yet.
    pub(crate) fn empty(kind: UnitKind, byte_range: Range<u64>) -> Self {
        Self { kind, byte_range, n_uncompressed: 0, channels: None, times: None, index_range: 0..0 }
    }

    /// Notes that the unit holds a message of `channel_id` logged at `log_time`.
    pub(crate) fn saw(&mut self, channel_id: u16, log_time: u64) {
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

/// Damage whose cost per stream is known once streams have their numbers.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) error: Error,
    pub(crate) cost: Cost,
}

/// What damage costs, by channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) byte_range: Option<Range<u64>>,
    pub(crate) records: BTreeMap<u16, u64>,
    pub(crate) uncounted: bool,
    pub(crate) reason: &'static str,
}

impl Cost {
    /// Damage that takes nothing away.
    pub(crate) fn nothing(reason: &'static str) -> Self {
        Self { byte_range: None, records: BTreeMap::new(), uncounted: false, reason }
    }

    /// A range of bytes with nobody knows how many records.
    pub(crate) fn range(reason: &'static str, byte_range: Range<u64>) -> Self {
        Self { byte_range: Some(byte_range), records: BTreeMap::new(), uncounted: true, reason }
    }

    /// The cost by stream; channels that are not selected cost nothing.
    pub(crate) fn loss(self, stream_of: impl Fn(u16) -> Option<StreamId>) -> Loss {
        let mut records: BTreeMap<StreamId, u64> = BTreeMap::new();
        for (channel, n) in &self.records {
            if let Some(stream) = stream_of(*channel) {
                *records.entry(stream).or_default() += n;
            }
        }
        Loss {
            byte_range: self.byte_range,
            records: records.into_iter().collect(),
            uncounted: self.uncounted,
            reason: self.reason,
        }
    }
}
