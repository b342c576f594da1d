use nodedata_core::{Finding, InputFile, OpenOptions, RowDeal};
use nodedata_steps::{LearnedFile, PackedStretch, are_of};
use serde::{Deserialize, Serialize};

use super::{
    pass::Found,
    seen_keys::{LearnedKey, STEPS_PREFIX},
};
use crate::example::{Cursor, ListKind, Values, entries};

/// Of another version nothing is taken over.
const VERSION: u32 = 1;

/// What the full pass learned, as text. Whoever hands it back answers for the files being the same; that it was learned of files of
/// these names and lengths, and for the same options, is checked.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Learned {
    version: u32,
    conditions: Conditions,
    files: Vec<LearnedFile<PackedStretch>>,
    pub(super) keys: Vec<LearnedKey>,
    pub(super) findings: Vec<Finding>,
}

/// The options that what is learned depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conditions {
    pub(super) partition_bytes: u64,
    pub(super) record_bytes_max: u64,
    pub(super) verify_checksums: bool,
    pub(super) deal: Option<RowDeal>,
}

/// Position of the split that a record is dealt to: by its bytes, or the values of a key. One without the key, or that cannot be read, is
/// dealt by its bytes.
pub(super) fn split_of(deal: &RowDeal, record: &[u8]) -> usize {
    deal.split_of_record(record, |name| value_of(record, name))
}

/// The values of a key, which a column is called by: bytes as they are, numbers as text, several with spaces between them.
fn value_of(record: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut found = None;
    entries(record, |key, values| {
        if column_name(&String::from_utf8_lossy(key)) == name {
            found = Some(values);
        }
        Ok(())
    })
    .ok()?;
    let values: Values = found?;
    let n = values.count(record).ok().filter(|it| *it > 0)?;
    let mut cursor = values.cursor();
    let mut out = Vec::new();
    for idx in 0..n {
        if idx > 0 {
            out.push(b' ');
        }
        push_value(&mut cursor, values.kind()?, record, &mut out)?;
    }
    Some(out)
}

fn push_value(cursor: &mut Cursor, kind: ListKind, record: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match kind {
        ListKind::Bytes => out.extend_from_slice(cursor.bytes(record).ok()?),
        ListKind::Int => out.extend_from_slice(cursor.int(record).ok()?.to_string().as_bytes()),
        ListKind::Float => {
            let mut value = [0; 4];
            cursor
                .floats(record, 1, |it| {
                    value.copy_from_slice(it);
                    Ok(())
                })
                .ok()?;
            out.extend_from_slice(f32::from_le_bytes(value).to_string().as_bytes());
        }
    }
    Some(())
}

/// What the column of a key is called.
pub(super) fn column_name(key: &str) -> String {
    key.replace('/', ".")
}

impl Learned {
    pub(super) fn new(conditions: Conditions, inputs: &[InputFile], found: Found) -> Self {
        let files = LearnedFile::all(inputs, found.stretches);
        Self { version: VERSION, conditions, files, keys: found.keys, findings: found.findings }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists of them are JSON")
    }

    /// Whether records are episodes.
    pub(super) fn has_steps(&self) -> bool {
        self.keys.iter().any(|it| it.key.starts_with(STEPS_PREFIX))
    }

    /// What decides rows besides their bytes.
    pub(super) fn types_hash(&self) -> String {
        let text = serde_json::to_string(&self.keys).expect("words and lists of them are JSON");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// What was handed to an opening; `None` when there is nothing, or nothing that fits: then it is learned anew.
    pub(super) fn fitting(
        options: &OpenOptions,
        conditions: &Conditions,
        inputs: &[InputFile],
    ) -> Option<Self> {
        let learned: Self = serde_json::from_str(options.learned.as_deref()?).ok()?;
        let n_splits = options.deal.as_ref().map_or(1, |it| it.fractions.len());
        let fits = learned.version == VERSION
            && learned.conditions == *conditions
            // Damage that was left out once is not to be left out by whoever does not want that.
            && (options.salvage || learned.findings.is_empty())
            && are_of(&learned.files, inputs, |it| PackedStretch::are_sound(&it.stretches, it.n_bytes, n_splits));
        fits.then_some(learned)
    }

    pub(super) fn stretches(&self) -> Vec<Vec<PackedStretch>> {
        self.files.iter().map(|it| it.stretches.clone()).collect()
    }
}
