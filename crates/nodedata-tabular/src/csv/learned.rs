use nodedata_core::{Finding, InputFile, OpenOptions};
use serde::{Deserialize, Serialize};

use super::{
    dialect::{DELIMITER, Dialect, HEADER, QUOTE},
    pass::{Share, Stretch, TextFile},
    types::ColumnType,
};
use crate::deal::DealText;

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
    pub(crate) columns: Vec<LearnedColumn>,
    pub(crate) findings: Vec<Finding>,
}

/// A column of all files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LearnedColumn {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) column_type: ColumnType,
    pub(crate) nullable: bool,
}

/// The options that what is learned depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conditions {
    pub(crate) partition_bytes: u64,
    pub(crate) record_bytes_max: u64,
    pub(crate) deal: Option<DealText>,
    dialect: [String; 3],
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LearnedFile {
    path: String,
    n_bytes: u64,
    dialect: Dialect,
    names: Vec<String>,
    n_header_lines: u64,
    stretches: Vec<LearnedStretch>,
}

/// Start and end in the text, start and end in the file, lines, records, and what is dealt to each split.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct LearnedStretch((u64, u64), (u64, u64), u64, u64, Vec<Share>);

/// A file as it was learned of: what is in it, and where in it each of its stretches lies.
pub(crate) struct Known {
    pub(crate) file: TextFile,
    /// By stretch.
    pub(crate) in_file: Vec<std::ops::Range<u64>>,
}

impl Conditions {
    pub(crate) fn new(options: &OpenOptions, record_bytes_max: u64) -> Self {
        Self {
            partition_bytes: options.partition_bytes,
            record_bytes_max,
            deal: options.deal.as_ref().map(DealText::new),
            dialect: [DELIMITER, QUOTE, HEADER].map(|it| options.option(&it).to_string()),
        }
    }
}

impl Learned {
    pub(crate) fn new(
        conditions: Conditions,
        inputs: &[InputFile],
        files: Vec<Known>,
        columns: Vec<LearnedColumn>,
        findings: Vec<Finding>,
    ) -> Self {
        let file = |(input, Known { file, in_file }): (&InputFile, Known)| {
            let stretches = file.stretches.into_iter().zip(in_file).map(|(it, in_file)| {
                let text = (it.byte_range.start, it.byte_range.end);
                LearnedStretch(text, (in_file.start, in_file.end), it.n_lines, it.n_records, it.shares)
            });
            LearnedFile {
                path: input.path.display().to_string(),
                n_bytes: input.n_bytes,
                dialect: file.dialect,
                names: file.names,
                n_header_lines: file.n_header_lines,
                stretches: stretches.collect(),
            }
        };
        let files = inputs.iter().zip(files).map(file).collect();
        Self { version: VERSION, conditions, files, columns, findings }
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists of them are JSON")
    }

    /// What decides rows besides their bytes.
    pub(crate) fn types_hash(&self) -> String {
        let dialects: Vec<Dialect> = self.files.iter().map(|it| it.dialect).collect();
        let text = serde_json::to_string(&(&self.columns, dialects));
        let text = text.expect("words and lists of them are JSON");
        blake3::hash(text.as_bytes()).to_hex().to_string()
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
        let is_damage = |it: &Finding| it.kind == nodedata_core::FindingKind::Damage;
        let fits = learned.version == VERSION
            && learned.conditions == *conditions
            // Damage that was left out once is not to be left out by whoever does not want that.
            && (options.salvage || !learned.findings.iter().any(is_damage))
            && learned.files.len() == inputs.len()
            && learned.files.iter().zip(inputs).all(same_file);
        fits.then_some(learned)
    }

    pub(crate) fn known(&self) -> Vec<Known> {
        let stretch = |it: &LearnedStretch| Stretch {
            byte_range: it.0.0..it.0.1,
            n_lines: it.2,
            n_records: it.3,
            shares: it.4.clone(),
        };
        let file = |it: &LearnedFile| Known {
            file: TextFile {
                dialect: it.dialect,
                names: it.names.clone(),
                n_header_lines: it.n_header_lines,
                stretches: it.stretches.iter().map(stretch).collect(),
            },
            in_file: it.stretches.iter().map(|it| it.1.0..it.1.1).collect(),
        };
        self.files.iter().map(file).collect()
    }
}

impl LearnedFile {
    /// Whether its stretches lie in it one after the other, and their numbers are possible.
    fn is_sound(&self, n_splits: usize) -> bool {
        let mut at = 0;
        self.stretches.iter().all(|LearnedStretch(text, in_file, n_lines, n_records, shares)| {
            let is_next = at <= text.0 && text.0 < text.1;
            at = text.1;
            let n_dealt = shares.iter().try_fold(0u64, |sum, it| sum.checked_add(it.n_records));
            is_next
                && in_file.0 <= in_file.1
                && in_file.1 <= self.n_bytes
                && shares.len() == n_splits
                && *n_records <= *n_lines
                && *n_lines <= text.1 - text.0
                && n_dealt == Some(*n_records)
        })
    }
}
