use nodedata_core::{Finding, InputFile, OpenOptions, RowDeal};
use nodedata_message::JsonType;
use nodedata_steps::{LearnedFile, Share, are_of};
use serde::{Deserialize, Serialize};

use crate::pass::Stretch;

/// Of another version nothing is taken over.
const VERSION: u32 = 1;

/// What the full pass learned, as text. Whoever hands it back answers for the files being the same; that it was
/// learned of files of these names and lengths, and for the same options, is checked.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Learned {
    version: u32,
    conditions: Conditions,
    files: Vec<LearnedFile<LearnedStretch>>,
    /// `None` where records stay bytes.
    pub(crate) types: Option<JsonType>,
    pub(crate) findings: Vec<Finding>,
}

/// The options that what is learned depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conditions {
    pub(crate) partition_bytes: u64,
    pub(crate) line_bytes_max: u64,
    pub(crate) deal: Option<RowDeal>,
    pub(crate) refuses_conflicts: bool,
    pub(crate) decodes: bool,
}

/// Start, end, lines, and per split records and their bytes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct LearnedStretch(u64, u64, u64, Vec<(u64, u64)>);

impl Learned {
    pub(crate) fn new(
        conditions: Conditions,
        inputs: &[InputFile],
        stretches: &[Vec<Stretch>],
        types: Option<JsonType>,
        findings: Vec<Finding>,
    ) -> Self {
        let stretch = |it: &Stretch| {
            let shares = it.shares.iter().map(|it| (it.n_records, it.n_bytes)).collect();
            LearnedStretch(it.byte_range.start, it.byte_range.end, it.n_lines, shares)
        };
        let files = LearnedFile::all(inputs, stretches.iter().map(|it| it.iter().map(stretch).collect()));
        Self { version: VERSION, conditions, files, types, findings }
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists of them are JSON")
    }

    /// What was handed to an opening; `None` when there is nothing, or nothing that fits: then it is learned anew.
    pub(crate) fn fitting(
        options: &OpenOptions,
        conditions: &Conditions,
        inputs: &[InputFile],
    ) -> Option<Self> {
        let learned: Self = serde_json::from_str(options.learned.as_deref()?).ok()?;
        let n_splits = options.deal.as_ref().map_or(1, |it| it.fractions.len());
        let fits = learned.version == VERSION
            && learned.conditions == *conditions
            && learned.types.is_some() == conditions.decodes
            && learned.types.as_ref().is_none_or(|it| it.n_leaves() <= JsonType::LEAVES_MAX)
            && are_of(&learned.files, inputs, |it| is_sound(it, n_splits));
        fits.then_some(learned)
    }

    pub(crate) fn stretches(&self) -> Vec<Vec<Stretch>> {
        let of_file = |file: &LearnedFile<LearnedStretch>| {
            let mut first_line = 1;
            let stretch = |LearnedStretch(start, end, n_lines, shares): &LearnedStretch| {
                let share = |it: &(u64, u64)| Share { n_records: it.0, n_bytes: it.1 };
                let shares = shares.iter().map(share).collect();
                let stretch = Stretch { byte_range: *start..*end, first_line, n_lines: *n_lines, shares };
                first_line += n_lines;
                stretch
            };
            file.stretches.iter().map(stretch).collect()
        };
        self.files.iter().map(of_file).collect()
    }
}

/// Whether the stretches of a file lie in it one after the other, and their numbers are possible.
fn is_sound(file: &LearnedFile<LearnedStretch>, n_splits: usize) -> bool {
    let mut at = 0;
    file.stretches.iter().all(|LearnedStretch(start, end, n_lines, shares)| {
        let is_next = at <= *start && start < end && *end <= file.n_bytes;
        at = *end;
        let n_records = shares.iter().try_fold(0u64, |sum, it| sum.checked_add(it.0));
        let n_bytes = shares.iter().try_fold(0u64, |sum, it| sum.checked_add(it.1));
        is_next
            && shares.len() == n_splits
            && *n_lines <= end - start
            && n_records.is_some_and(|it| it <= *n_lines)
            && n_bytes.is_some_and(|it| it <= end - start)
    })
}
