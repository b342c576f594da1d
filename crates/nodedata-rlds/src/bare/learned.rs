use nodedata_core::{InputFile, OpenOptions, RowDeal};
use nodedata_steps::PackedStretch;
use serde::{Deserialize, Serialize};

use super::{
    pass::Found,
    seen_keys::{LearnedKey, STEPS_PREFIX},
};
use crate::example::{Cursor, ListKind, Values, entries};

/// Of another version nothing is taken over.
const VERSION: u32 = 2;

/// What the full pass learned: the keys of records.
pub(super) type Learned = nodedata_steps::Learned<Conditions, PackedStretch, Vec<LearnedKey>>;

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

/// As learned.
pub(super) fn learned(conditions: Conditions, inputs: &[InputFile], found: Found) -> Learned {
    Learned::new(VERSION, conditions, inputs, found.stretches, found.keys, found.findings)
}

/// Whether records are episodes.
pub(super) fn has_steps(keys: &[LearnedKey]) -> bool {
    keys.iter().any(|it| it.key.starts_with(STEPS_PREFIX))
}

/// What decides rows besides their bytes.
pub(super) fn types_hash(keys: &[LearnedKey]) -> String {
    let text = serde_json::to_string(keys).expect("words and lists of them are JSON");
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// What was handed to an opening; `None` when there is nothing, or nothing that fits: then it is learned anew.
pub(super) fn fitting(
    options: &OpenOptions,
    conditions: &Conditions,
    inputs: &[InputFile],
) -> Option<Learned> {
    let n_splits = options.n_splits();
    Learned::fitting(options, VERSION, conditions, inputs, |it| {
        PackedStretch::are_sound(&it.stretches, it.n_bytes, n_splits)
    })
}
