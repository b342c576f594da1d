use std::ops::Range;

use nodedata_core::{Finding, FindingKind, InputFile, OpenOptions, RowDeal};
use nodedata_steps::{LearnedFile, Share, are_of};
use serde::{Deserialize, Serialize};

use super::{
    column_types::ColumnType,
    dialect::{DELIMITER, Dialect, HEADER, QUOTE},
    pass::{Stretch, TextFile},
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
    files: Vec<LearnedFile<LearnedStretch>>,
    /// By file.
    texts: Vec<LearnedText>,
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
    pub(crate) deal: Option<RowDeal>,
    dialect: [String; 3],
}

/// How a file is written, and the names of its columns.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LearnedText {
    dialect: Dialect,
    names: Vec<String>,
    n_header_lines: u64,
}

/// Start and end in the text, start and end in the file, lines, records, and per split records and their bytes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct LearnedStretch((u64, u64), (u64, u64), u64, u64, Vec<(u64, u64)>);

impl Conditions {
    pub(crate) fn new(options: &OpenOptions, record_bytes_max: u64) -> Self {
        Self {
            partition_bytes: options.partition_bytes,
            record_bytes_max,
            deal: options.deal.clone(),
            dialect: [DELIMITER, QUOTE, HEADER].map(|it| options.option(&it).to_string()),
        }
    }
}

impl Learned {
    pub(crate) fn new(
        conditions: Conditions,
        inputs: &[InputFile],
        files: Vec<TextFile>,
        columns: Vec<LearnedColumn>,
        findings: Vec<Finding>,
    ) -> Self {
        let stretch = |it: &Stretch| {
            let pair = |it: &Range<u64>| (it.start, it.end);
            let shares = it.shares.iter().map(|it| (it.n_records, it.n_bytes)).collect();
            LearnedStretch(pair(&it.text), pair(&it.in_file), it.n_lines, it.n_records, shares)
        };
        let stretches = files.iter().map(|it| it.stretches.iter().map(stretch).collect());
        let learned = LearnedFile::all(inputs, stretches);
        let text = |it: TextFile| {
            let TextFile { dialect, names, n_header_lines, .. } = it;
            LearnedText { dialect, names, n_header_lines }
        };
        let texts = files.into_iter().map(text).collect();
        Self { version: VERSION, conditions, files: learned, texts, columns, findings }
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists of them are JSON")
    }

    /// What decides rows besides their bytes.
    pub(crate) fn types_hash(&self) -> String {
        let dialects: Vec<Dialect> = self.texts.iter().map(|it| it.dialect).collect();
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
        let is_damage = |it: &Finding| it.kind == FindingKind::Damage;
        let fits = learned.version == VERSION
            && learned.conditions == *conditions
            // Damage that was left out once is not to be left out by whoever does not want that.
            && (options.salvage || !learned.findings.iter().any(is_damage))
            && learned.texts.len() == inputs.len()
            && are_of(&learned.files, inputs, |it| is_sound(it, n_splits));
        fits.then_some(learned)
    }

    /// The files that it was learned of.
    pub(crate) fn text_files(&self) -> Vec<TextFile> {
        let of_file = |(file, text): (&LearnedFile<LearnedStretch>, &LearnedText)| {
            let LearnedText { dialect, names, n_header_lines } = text;
            let (mut first_line, mut first_record) = (1 + n_header_lines, 0);
            let stretch = |it: &LearnedStretch| {
                let LearnedStretch(text, in_file, n_lines, n_records, shares) = it;
                let share = |it: &(u64, u64)| Share { n_records: it.0, n_bytes: it.1 };
                let stretch = Stretch {
                    text: text.0..text.1,
                    in_file: in_file.0..in_file.1,
                    first_line,
                    n_lines: *n_lines,
                    first_record,
                    n_records: *n_records,
                    shares: shares.iter().map(share).collect(),
                };
                first_line += n_lines;
                first_record += n_records;
                stretch
            };
            TextFile {
                dialect: *dialect,
                names: names.clone(),
                n_header_lines: *n_header_lines,
                stretches: file.stretches.iter().map(stretch).collect(),
            }
        };
        self.files.iter().zip(&self.texts).map(of_file).collect()
    }
}

/// Whether the stretches of a file lie in it one after the other, and their numbers are possible.
fn is_sound(file: &LearnedFile<LearnedStretch>, n_splits: usize) -> bool {
    let mut at = 0;
    file.stretches.iter().all(|LearnedStretch(text, in_file, n_lines, n_records, shares)| {
        let is_next = at <= text.0 && text.0 < text.1;
        at = text.1;
        let n_dealt = shares.iter().try_fold(0u64, |sum, it| sum.checked_add(it.0));
        is_next
            && in_file.0 <= in_file.1
            && in_file.1 <= file.n_bytes
            && shares.len() == n_splits
            && *n_records <= *n_lines
            && *n_lines <= text.1 - text.0
            && n_dealt == Some(*n_records)
    })
}
