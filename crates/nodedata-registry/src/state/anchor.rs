use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::{Deserialize, Serialize};

use crate::{
    digest::B3,
    layout,
    name::DatasetName,
    record::{from_bytes, to_canonical},
    remote::LogEntry,
    state::DatasetState,
};

/// A record of a log, as somebody has noted it beside the log: the last record has none behind it that names its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Number of the record.
    pub seq: u64,
    /// Digest of its bytes.
    pub record: B3,
}

/// An anchor as it lies in a store.
#[derive(Serialize, Deserialize)]
struct Noted {
    nd: String,
    seq: u64,
    record: B3,
    /// Digest over all of it: an anchor that was damaged is no reason to distrust the log.
    check: B3,
}

impl Anchor {
    /// Its bytes in a store.
    ///
    /// # Errors
    /// None: it holds no floating-point number.
    pub fn to_bytes(&self, dataset: &DatasetName) -> Result<Vec<u8>> {
        let (nd, check) = ("tip/1".to_owned(), self.check(dataset));
        to_canonical(&Noted { nd, seq: self.seq, record: self.record, check })
    }

    /// The anchor that lies in a store; `None` where it is damaged.
    pub fn parse(dataset: &DatasetName, bytes: &[u8]) -> Option<Self> {
        let Noted { nd, seq, record, check } = from_bytes("anchor", bytes).ok()?;
        let anchor = Self { seq, record };
        let is_whole = nd == "tip/1" && check == anchor.check(dataset);
        // Only as it was written: what differs from that in a byte is damaged.
        (is_whole && anchor.to_bytes(dataset).is_ok_and(|it| it == bytes)).then_some(anchor)
    }

    fn check(&self, dataset: &DatasetName) -> B3 {
        B3::of(format!("tip/1 {dataset} {} {}", self.seq, self.record).as_bytes())
    }

    /// Holds the end of a log against it. `entries` are the last records of what `state` adds up.
    pub(super) fn hold(&self, state: &DatasetState, entries: &[LogEntry]) -> Result<()> {
        if self.seq >= state.next_seq {
            return Err(self.missing(&state.dataset));
        }
        match entries.iter().find(|it| it.record.seq == self.seq) {
            Some(entry) if entry.digest != self.record => {
                let message = "the record is not the one that was written";
                Err(self.broken(&state.dataset, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn missing(&self, dataset: &DatasetName) -> Error {
        self.broken(dataset, "the record was written, and is missing")
    }

    fn broken(&self, dataset: &DatasetName, message: &str) -> Error {
        Error::new(ErrorKind::Corrupt, message)
            .at(Locus::path(layout::record(dataset, self.seq)))
            .with_hint("`node-data store fsck` says what else is damaged")
    }
}
