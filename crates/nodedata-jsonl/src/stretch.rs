use std::ops::Range;

use nodedata_steps::{DealtStretch, Share};
use serde::{Deserialize, Serialize};

use crate::records::Spot;

/// Consecutive records of a file: what a partition reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StretchText", into = "StretchText")]
pub(crate) struct Stretch {
    /// In the file, unpacked where it is packed.
    pub(crate) records: Range<u64>,
    /// The bytes of the file that these are made of.
    pub(crate) byte_range: Range<u64>,
    /// Where its first record begins.
    pub(crate) spot: Spot,
    /// Records of the file before it.
    pub(crate) first_record: u64,
    /// Whether values of it are kept as their own text, or records of it are refused whatever the columns are: each of its records
    /// is looked at once more when it is read.
    pub(crate) has_odd: bool,
    /// By split.
    pub(crate) shares: Vec<Share>,
    /// By split, the other inputs that records name. None where nothing is embedded.
    pub(crate) others: Vec<Vec<usize>>,
    /// By split, what records name that is not there. None where nothing is embedded.
    pub(crate) lacks: Vec<Vec<String>>,
}

/// Start and end of the records, and of the bytes that these are made of; line, column (0 where records are lines), records before
/// it, whether some are odd; per split records and their bytes, other inputs, and what is not there.
#[derive(Serialize, Deserialize)]
struct StretchText(
    (u64, u64),
    (u64, u64),
    (u64, u64, u64, bool),
    Vec<(u64, u64)>,
    Vec<Vec<usize>>,
    Vec<Vec<String>>,
);

impl From<StretchText> for Stretch {
    fn from(
        StretchText(records, bytes, (line, column, first_record, has_odd), shares, others, lacks): StretchText,
    ) -> Self {
        let share = |(n_records, n_bytes)| Share { n_records, n_bytes };
        Self {
            records: records.0..records.1,
            byte_range: bytes.0..bytes.1,
            spot: Spot { line, column: (column != 0).then_some(column) },
            first_record,
            has_odd,
            shares: shares.into_iter().map(share).collect(),
            others,
            lacks,
        }
    }
}

impl From<Stretch> for StretchText {
    fn from(it: Stretch) -> Self {
        let pair = |it: &Range<u64>| (it.start, it.end);
        Self(
            pair(&it.records),
            pair(&it.byte_range),
            (it.spot.line, it.spot.column.unwrap_or(0), it.first_record, it.has_odd),
            it.shares.iter().map(|it| (it.n_records, it.n_bytes)).collect(),
            it.others,
            it.lacks,
        )
    }
}

impl DealtStretch for Stretch {
    fn byte_range(&self) -> Range<u64> {
        self.byte_range.clone()
    }

    fn shares(&self) -> &[Share] {
        &self.shares
    }

    fn records(&self) -> Range<u64> {
        self.records.clone()
    }

    fn others(&self, split: usize) -> &[usize] {
        self.others.get(split).map_or(&[], Vec::as_slice)
    }

    fn lacks(&self, split: usize) -> &[String] {
        self.lacks.get(split).map_or(&[], Vec::as_slice)
    }
}

impl Stretch {
    /// Of no records yet, which begin at a place.
    pub(crate) fn at(start: u64, spot: Spot, n_splits: usize) -> Self {
        Self {
            records: start..start,
            byte_range: start..start,
            spot,
            first_record: 0,
            has_odd: false,
            shares: vec![Share::default(); n_splits],
            others: Vec::new(),
            lacks: Vec::new(),
        }
    }

    /// Records of all splits.
    pub(crate) fn n_records(&self) -> u64 {
        self.shares.iter().map(|it| it.n_records).sum()
    }

    /// Whether stretches that were learned of a file lie in it one after the other, and their numbers are possible.
    pub(crate) fn are_sound(stretches: &[Self], n_bytes: u64, n_splits: usize, n_inputs: usize) -> bool {
        let mut at = 0;
        stretches.iter().all(|it| {
            let is_next = at <= it.records.start && it.records.start < it.records.end;
            at = it.records.end;
            let n_records = it.shares.iter().try_fold(0u64, |sum, it| sum.checked_add(it.n_records));
            is_next
                && it.byte_range.start <= it.byte_range.end
                && it.byte_range.end <= n_bytes
                && it.shares.len() == n_splits
                && n_records.is_some_and(|n| n <= it.records.end - it.records.start)
                && it.others.iter().flatten().all(|it| *it < n_inputs)
        })
    }
}
