use std::ops::Range;

use nodedata_core::{InputFile, OpenOptions, RowDeal};
use nodedata_steps::{DealtStretch, PackedStretch, Share};
use serde::{Deserialize, Serialize};

use crate::{fields::LearnedField, pass::Found};

/// Of another version nothing is taken over.
const VERSION: u32 = 3;

/// What the full pass learned: the fields, by name.
pub(crate) type Learned = nodedata_steps::Learned<Conditions, PackedStretch, Vec<LearnedField>>;

/// The options that what is learned depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conditions {
    pub(crate) partition_bytes: u64,
    pub(crate) member_bytes_max: u64,
    pub(crate) unpack_ratio_max: u64,
    pub(crate) undecoded: Vec<String>,
    pub(crate) deal: Option<RowDeal>,
    /// Whether archives were held against the MD5 that indexes tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) shard_md5: bool,
}

/// Consecutive samples of an archive.
#[derive(Debug, Clone)]
pub(crate) struct ArchiveStretch {
    pub(crate) samples: PackedStretch,
    /// Samples of the archive before it.
    pub(crate) n_before: u64,
}

impl DealtStretch for ArchiveStretch {
    fn byte_range(&self) -> Range<u64> {
        self.samples.byte_range()
    }

    fn shares(&self) -> &[Share] {
        self.samples.shares()
    }

    fn records(&self) -> Range<u64> {
        self.samples.records.clone()
    }
}

/// As learned.
pub(crate) fn learned(conditions: Conditions, inputs: &[InputFile], found: Found) -> Learned {
    Learned::new(VERSION, conditions, inputs, found.stretches, found.fields, found.findings)
}

/// What decides rows besides their bytes.
pub(crate) fn types_hash(fields: &[LearnedField]) -> String {
    let text = serde_json::to_string(fields).expect("words and lists of them are JSON");
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The stretches, by input.
pub(crate) fn stretches(learned: &Learned) -> Vec<Vec<ArchiveStretch>> {
    let of_file = |stretches: Vec<PackedStretch>| {
        let mut n_before = 0;
        let stretch = |samples: PackedStretch| {
            let stretch = ArchiveStretch { n_before, samples };
            n_before += stretch.samples.n_records;
            stretch
        };
        stretches.into_iter().map(stretch).collect()
    };
    learned.stretches().into_iter().map(of_file).collect()
}

/// What was handed to an opening; `None` when there is nothing, or nothing that fits: then it is learned anew.
pub(crate) fn fitting(
    options: &OpenOptions,
    conditions: &Conditions,
    inputs: &[InputFile],
) -> Option<Learned> {
    let n_splits = options.n_splits();
    let learned = Learned::fitting(options, VERSION, conditions, inputs, |it| {
        PackedStretch::are_sound(&it.stretches, it.n_bytes, n_splits)
    })?;
    let is_in_order = learned.what.is_sorted_by(|one, other| one.name < other.name);
    (is_in_order && learned.what.iter().all(|it| it.kind.is_sound())).then_some(learned)
}
