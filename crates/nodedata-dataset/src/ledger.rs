use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Finding};
use serde::{Deserialize, Serialize};

use crate::{NotRead, Nulls};

/// What became of the records of one stream: `read = written + Σ dropped`, or the run fails. Of a stream that steps
/// are made of: `read = used + Σ superseded + Σ dropped`; both hold where its table is written, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLedger {
    /// Records the source walked, and records that an index says were lost.
    pub read: u64,
    /// Rows in the shards, as counted by their footers.
    pub written: u64,
    /// Records that at least one step has a value of; `None` for a stream that no step is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Records that gave way to others, by reason. Where the table is written, also those no step was there
    /// for: they are not left out of the dataset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub superseded: BTreeMap<String, u64>,
    /// Records left out, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
    /// Of those written, records that do not fit the columns, by reason: their rows hold them as they came.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept_as_bytes: BTreeMap<String, u64>,
    /// Of steps: how many of their messages lack a name that `by_name` wants, by `field.name`. Whether such a step is
    /// written without the value or left out, the pipeline says; it is counted here in both cases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, u64>,
    /// Of steps: how many have no value of a field because no message is in reach, by field: within the tolerance, or, where
    /// none is given, within ten periods of the topic. Whether such a step is written, the pipeline says; it is counted
    /// here in both cases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub beyond_tolerance: BTreeMap<String, u64>,
}

/// Reasons of dropped records, and of steps left out, that say what the pipeline asked for: where episodes are, how
/// far a message may be from its step, which names it must hold, transforms that leave steps out, and which episodes are
/// taken. They alone do not make a dataset incomplete.
pub const ASKED_FOR: [&str; 13] = [
    "outside_every_episode",
    "beyond_tolerance",
    "absent_name",
    "action/shift@1",
    "rlds/drop_last_padding@1",
    "delta@1",
    "not_every_nth",
    "excluded_episode",
    "not_included_episode",
    "short_episode",
    "excluded_step",
    "trimmed",
    "idle",
];

/// As [`ASKED_FOR`]: rows of episodes that were left out after the dataset was made. No run gives it.
const WITHDRAWN: &str = "withdrawn";

impl StreamLedger {
    /// Whether every record is accounted for.
    pub fn balances(&self) -> bool {
        let dropped: u64 = self.dropped.values().sum();
        let as_rows = self.read == self.written + dropped;
        match self.used {
            None => as_rows,
            Some(used) => {
                let as_steps = self.read == used + self.superseded.values().sum::<u64>() + dropped;
                as_steps && (self.written == 0 || as_rows)
            }
        }
    }

    /// Whether nothing is left out but what the pipeline asked to leave out, and every record fits its columns.
    pub fn is_complete(&self) -> bool {
        self.kept_as_bytes.is_empty() && self.leaves_out_nothing()
    }

    /// Whether nothing is left out but what the pipeline asked to leave out.
    pub fn leaves_out_nothing(&self) -> bool {
        self.dropped.keys().all(|it| it == WITHDRAWN || ASKED_FOR.contains(&it.as_str()))
    }

    /// Counts rows that were written as left out. Of a stream that steps are made of, nobody knows which records steps had used:
    /// those are taken first.
    pub(crate) fn withdraw(&mut self, n_rows: u64) {
        let n_rows = n_rows.min(self.written);
        if n_rows == 0 {
            return;
        }
        self.written -= n_rows;
        *self.dropped.entry(WITHDRAWN.to_owned()).or_default() += n_rows;
        let Some(used) = &mut self.used else { return };
        let mut rest = n_rows - n_rows.min(*used);
        *used -= n_rows - rest;
        for n in self.superseded.values_mut() {
            let taken = rest.min(*n);
            *n -= taken;
            rest -= taken;
        }
        self.superseded.retain(|_, n| *n > 0);
    }

    /// Adds what became of other records of the stream.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.written += other.written;
        if let Some(used) = other.used {
            *self.used.get_or_insert(0) += used;
        }
        for (of, reasons) in [
            (&mut self.superseded, &other.superseded),
            (&mut self.dropped, &other.dropped),
            (&mut self.kept_as_bytes, &other.kept_as_bytes),
            (&mut self.absent, &other.absent),
            (&mut self.beyond_tolerance, &other.beyond_tolerance),
        ] {
            for (reason, n) in reasons {
                *of.entry(reason.clone()).or_default() += n;
            }
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
            let superseded: u64 = entry.superseded.values().sum();
            let as_steps = entry.used.map(|used| format!("{used} used, {superseded} superseded, "));
            let message = format!(
                "the ledger of stream `{stream}` does not balance: {} read, {} written, {}{dropped} dropped",
                entry.read,
                entry.written,
                as_steps.unwrap_or_default(),
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

impl From<&Finding> for DamageEntry {
    fn from(finding: &Finding) -> Self {
        let Finding { kind: _, reason, message, at, hint, byte_range, records, uncounted, times } = finding;
        Self {
            message: message.clone(),
            at: at.to_string(),
            reason: reason.clone(),
            byte_range: byte_range.as_ref().map(|it| (it.start, it.end)),
            records: records.clone(),
            uncounted: *uncounted,
            times: *times,
            hint: hint.clone(),
        }
    }
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
    /// Rows without a value, of the features that have any. Statistics count them while rows are written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nulls: Nulls,
    /// Where the definitions of topics are from that their recordings do not define: `bundle:` and a distribution or package,
    /// `msg-path`, or why there is none and the messages stay bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: BTreeMap<String, String>,
    /// Streams that exist in the source but were not selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_selected: Vec<String>,
    /// Files of the source that no row comes from.
    #[serde(default, skip_serializing_if = "NotRead::is_empty")]
    pub not_read: NotRead,
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
    /// Records of units that an earlier run had begun and whose rows it had kept, so that they were not read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_reused: Option<u64>,
    /// Where some were not made again, bytes of the input files that the rest was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_bytes: Option<u64>,
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
    fn records_that_steps_are_made_of_balance_on_their_own() {
        let aligned = |used: u64, written: u64| StreamLedger {
            read: 9,
            written,
            used: Some(used),
            superseded: [("not_nearest".to_owned(), 2)].into(),
            dropped: [("beyond_tolerance".to_owned(), 1)].into(),
            ..StreamLedger::default()
        };
        assert!(aligned(6, 0).balances() && aligned(6, 8).balances());
        assert!(!aligned(5, 0).balances() && !aligned(6, 7).balances());
        assert!(aligned(6, 0).is_complete());
        let mut both = aligned(6, 0);
        both.add(&aligned(6, 0));
        assert_eq!((both.used, both.superseded["not_nearest"]), (Some(12), 4));
        both.dropped.insert("undecodable".to_owned(), 1);
        assert!(!both.is_complete());
    }

    #[test]
    fn a_ledger_that_does_not_balance_is_an_error() {
        let mut ledger = Ledger::new();
        ledger.insert(
            "/a".to_owned(),
            StreamLedger {
                read: 5,
                written: 4,
                dropped: [("x".to_owned(), 1)].into(),
                ..StreamLedger::default()
            },
        );
        assert!(check(&ledger).is_ok());
        ledger.insert("/b".to_owned(), StreamLedger { read: 5, written: 4, ..StreamLedger::default() });
        let err = check(&ledger).unwrap_err();
        assert!(err.to_string().contains("`/b`"), "{err}");
    }
}
