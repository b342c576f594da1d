use std::ops::Range;

use nodedata_core::{Finding, FindingKind, InputFile, OpenOptions, RowDeal};
use nodedata_steps::{DealtStretch, LearnedFile, PackedStretch, Share, are_of};
use serde::{Deserialize, Serialize};

use crate::{fields::LearnedField, pass::Found};

/// Of another version nothing is taken over.
const VERSION: u32 = 2;

/// What the full pass learned, as text. Whoever hands it back answers for the files being the same; that it was learned of
/// files of these names and lengths, and for the same options, is checked.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Learned {
    version: u32,
    conditions: Conditions,
    files: Vec<LearnedFile<PackedStretch>>,
    /// By name.
    pub(crate) fields: Vec<LearnedField>,
    pub(crate) findings: Vec<Finding>,
}

/// The options that what is learned depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conditions {
    pub(crate) partition_bytes: u64,
    pub(crate) member_bytes_max: u64,
    pub(crate) unpack_ratio_max: u64,
    pub(crate) undecoded: Vec<String>,
    pub(crate) deal: Option<RowDeal>,
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

    fn own_range(&self) -> Option<Range<u64>> {
        self.samples.own_range()
    }
}

impl Learned {
    pub(crate) fn new(conditions: Conditions, inputs: &[InputFile], found: Found) -> Self {
        let files = LearnedFile::all(inputs, found.stretches);
        Self { version: VERSION, conditions, files, fields: found.fields, findings: found.findings }
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists of them are JSON")
    }

    /// What decides rows besides their bytes.
    pub(crate) fn types_hash(&self) -> String {
        let text = serde_json::to_string(&self.fields).expect("words and lists of them are JSON");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// By input.
    pub(crate) fn stretches(&self) -> Vec<Vec<ArchiveStretch>> {
        let of_file = |file: &LearnedFile<PackedStretch>| {
            let mut n_before = 0;
            let stretch = |it: &PackedStretch| {
                let stretch = ArchiveStretch { samples: it.clone(), n_before };
                n_before += it.n_records;
                stretch
            };
            file.stretches.iter().map(stretch).collect()
        };
        self.files.iter().map(of_file).collect()
    }

    /// What was handed to an opening; `None` when there is nothing, or nothing that fits: then it is learned anew.
    pub(crate) fn fitting(
        options: &OpenOptions,
        conditions: &Conditions,
        inputs: &[InputFile],
    ) -> Option<Self> {
        let learned: Self = serde_json::from_str(options.learned.as_deref()?).ok()?;
        let n_splits = options.deal.as_ref().map_or(1, |it| it.fractions.len());
        let has_damage = learned.findings.iter().any(|it| it.kind == FindingKind::Damage);
        let is_in_order = learned.fields.is_sorted_by(|one, other| one.name < other.name);
        let fits = learned.version == VERSION
            && learned.conditions == *conditions
            // Damage that was left out once is not to be left out by whoever does not want that.
            && (options.salvage || !has_damage)
            && is_in_order
            && learned.fields.iter().all(|it| it.kind.is_sound())
            && are_of(&learned.files, inputs, |it| {
                PackedStretch::are_sound(&it.stretches, it.n_bytes, n_splits)
            });
        fits.then_some(learned)
    }
}
