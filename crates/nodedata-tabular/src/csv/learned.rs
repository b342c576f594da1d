use std::ops::Range;

use nodedata_core::{Finding, InputFile, OpenOptions, RowDeal};
use nodedata_steps::{LearnedFile, Share};
use serde::{Deserialize, Serialize};

use super::{
    column_types::ColumnType,
    dialect::{DELIMITER, Dialect, HEADER, QUOTE},
    pass::{Stretch, TextFile},
};

/// Of another version nothing is taken over.
const VERSION: u32 = 2;

/// What the full pass learned.
pub(crate) type Learned = nodedata_steps::Learned<Conditions, LearnedStretch, Texts>;

/// What texts are, and the columns of all of them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Texts {
    /// By file.
    texts: Vec<LearnedText>,
    pub(crate) columns: Vec<LearnedColumn>,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LearnedStretch((u64, u64), (u64, u64), u64, u64, Vec<(u64, u64)>);

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

/// As learned.
pub(crate) fn learned(
    conditions: Conditions,
    inputs: &[InputFile],
    files: Vec<TextFile>,
    columns: Vec<LearnedColumn>,
    findings: Vec<Finding>,
) -> Learned {
    let stretch = |it: &Stretch| {
        let pair = |it: &Range<u64>| (it.start, it.end);
        let shares = it.shares.iter().map(|it| (it.n_records, it.n_bytes)).collect();
        LearnedStretch(pair(&it.text), pair(&it.in_file), it.n_lines, it.n_records, shares)
    };
    let stretches: Vec<Vec<LearnedStretch>> =
        files.iter().map(|it| it.stretches.iter().map(stretch).collect()).collect();
    let text = |it: TextFile| {
        let TextFile { dialect, names, n_header_lines, .. } = it;
        LearnedText { dialect, names, n_header_lines }
    };
    let texts = files.into_iter().map(text).collect();
    Learned::new(VERSION, conditions, inputs, stretches, Texts { texts, columns }, findings)
}

/// What was handed to an opening; `None` when there is nothing, or nothing that fits: then it is learned anew.
pub(crate) fn fitting(
    options: &OpenOptions,
    conditions: &Conditions,
    inputs: &[InputFile],
) -> Option<Learned> {
    let n_splits = options.n_splits();
    let learned = Learned::fitting(options, VERSION, conditions, inputs, |it| is_sound(it, n_splits))?;
    (learned.what.texts.len() == inputs.len()).then_some(learned)
}

impl Texts {
    /// What decides rows besides their bytes.
    pub(crate) fn types_hash(&self) -> String {
        let dialects: Vec<Dialect> = self.texts.iter().map(|it| it.dialect).collect();
        let text = serde_json::to_string(&(&self.columns, dialects));
        let text = text.expect("words and lists of them are JSON");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// The files that it was learned of.
    pub(crate) fn files(&self, files: &[LearnedFile<LearnedStretch>]) -> Vec<TextFile> {
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
        files.iter().zip(&self.texts).map(of_file).collect()
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
