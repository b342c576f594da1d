use nodedata_core::{Finding, InputFile, OpenOptions};
use nodedata_message::JsonType;
use serde::{Deserialize, Serialize};

use crate::{
    deal::DealText,
    pass::{Share, Stretch},
};

/// Of another version nothing is taken over.
const VERSION: u32 = 1;

/// What the full pass learned, as text. Whoever hands it back answers for the files being the same; that it was
/// learned of files of these names and lengths, and for the same options, is checked.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Learned {
    version: u32,
    conditions: Conditions,
    files: Vec<LearnedFile>,
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
    pub(crate) deal: Option<DealText>,
    pub(crate) refuses_conflicts: bool,
    pub(crate) decodes: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LearnedFile {
    path: String,
    n_bytes: u64,
    stretches: Vec<LearnedStretch>,
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
        let file = |(input, stretches): (&InputFile, &Vec<Stretch>)| LearnedFile {
            path: input.path.display().to_string(),
            n_bytes: input.n_bytes,
            stretches: stretches.iter().map(stretch).collect(),
        };
        let files = inputs.iter().zip(stretches).map(file).collect();
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
        let same_file = |(file, input): (&LearnedFile, &InputFile)| {
            let is_same = *input.path.display().to_string() == file.path && input.n_bytes == file.n_bytes;
            is_same && file.is_sound(n_splits)
        };
        let fits = learned.version == VERSION
            && learned.conditions == *conditions
            && learned.types.is_some() == conditions.decodes
            && learned.types.as_ref().is_none_or(|it| it.n_leaves() <= JsonType::LEAVES_MAX)
            && learned.files.len() == inputs.len()
            && learned.files.iter().zip(inputs).all(same_file);
        fits.then_some(learned)
    }

    pub(crate) fn stretches(&self) -> Vec<Vec<Stretch>> {
        let stretch = |it: &LearnedStretch| Stretch {
            byte_range: it.0..it.1,
            n_lines: it.2,
            shares: it.3.iter().map(|it| Share { n_records: it.0, n_bytes: it.1 }).collect(),
        };
        self.files.iter().map(|it| it.stretches.iter().map(stretch).collect()).collect()
    }
}

impl LearnedFile {
    /// Whether its stretches lie in it one after the other, and their numbers are possible.
    fn is_sound(&self, n_splits: usize) -> bool {
        let mut at = 0;
        self.stretches.iter().all(|LearnedStretch(start, end, n_lines, shares)| {
            let is_next = at <= *start && start < end && *end <= self.n_bytes;
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
}
