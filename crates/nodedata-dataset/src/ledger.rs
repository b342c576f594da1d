use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// What became of the records of one stream: `read = written + Σ dropped`, or the run fails.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLedger {
    /// Records the source walked, and records that an index says were lost.
    pub read: u64,
    /// Rows in the shards, as counted by their footers.
    pub written: u64,
    /// Records left out, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
}

impl StreamLedger {
    /// Whether every record is accounted for.
    pub fn balances(&self) -> bool {
        self.read == self.written + self.dropped.values().sum::<u64>()
    }

    /// Adds what became of other records of the stream.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.written += other.written;
        for (reason, n) in &other.dropped {
            *self.dropped.entry(reason.clone()).or_default() += n;
        }
    }
}

/// The conservation ledger of a run, by stream name.
pub type Ledger = BTreeMap<String, StreamLedger>;

/// The first stream whose ledger does not balance, as the error that fails the run.
pub(crate) fn check(ledger: &Ledger) -> Result<(), Error> {
    for (stream, entry) in ledger {
        if !entry.balances() {
            let dropped: u64 = entry.dropped.values().sum();
            let message = format!(
                "the ledger of stream `{stream}` does not balance: {} read, {} written, {dropped} dropped",
                entry.read, entry.written
            );
            return Err(Error::new(ErrorKind::Corrupt, message)
                .with_hint("nothing was committed; please report this with the input's `inspect` output"));
        }
    }
    Ok(())
}

/// One piece of damage, or one remark, as `report.json` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamageEntry {
    /// What happened.
    pub message: String,
    /// Where: file, byte, topic, episode.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// Short name of the cause, as in the ledger.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Bytes of the file that could not be used: first, and one past the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_range: Option<(u64, u64)>,
    /// Records lost per stream, where known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records: BTreeMap<String, u64>,
    /// Whether more records may be lost than `records` says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
    /// How often this happened, when it stands for several.
    #[serde(default, skip_serializing_if = "is_one")]
    pub times: u64,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_one(times: &u64) -> bool {
    *times <= 1
}

/// `report.json`: what a run did. The only file of a dataset that differs between two equal runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `report/1`.
    pub nd: String,
    /// `complete`, or `incomplete` when something named was left out.
    pub result: String,
    /// The ledger by stream.
    pub streams: Ledger,
    /// Episodes of the source and of the dataset.
    pub episodes: u64,
    /// Bytes of the input files.
    pub input_bytes: u64,
    /// Bytes of the shards.
    pub output_bytes: u64,
    /// What could not be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<DamageEntry>,
    /// What the source's metadata said wrongly and the data put right, and what could not be carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<DamageEntry>,
    /// Remarks that lost nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<DamageEntry>,
    /// Streams that exist in the source but were not selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_selected: Vec<String>,
    /// Seconds by stage.
    #[serde(default)]
    pub seconds: BTreeMap<String, f64>,
    /// Most bytes on the heap at one time, when the build measures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_heap_bytes: Option<u64>,
    /// Units that were not made again, because an earlier run or another worker had finished them.
    #[serde(default)]
    pub units_reused: u64,
    /// All units.
    #[serde(default)]
    pub units: u64,
    /// What the inputs looked like, so that the next run need not read those that still look so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs_seen: Vec<InputSeen>,
}

/// An input whose bytes are known as long as its stamp is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSeen {
    /// Relative to SRC.
    pub path: String,
    /// See [`nodedata_core::Files::stamp`].
    pub stamp: String,
    /// BLAKE3-256 of the file, 64 hex digits.
    pub b3: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_does_not_balance_is_an_error() {
        let mut ledger = Ledger::new();
        ledger.insert(
            "/a".to_owned(),
            StreamLedger { read: 5, written: 4, dropped: [("x".to_owned(), 1)].into() },
        );
        assert!(check(&ledger).is_ok());
        ledger.insert("/b".to_owned(), StreamLedger { read: 5, written: 4, ..StreamLedger::default() });
        let err = check(&ledger).unwrap_err();
        assert!(err.to_string().contains("`/b`"), "{err}");
    }
}
