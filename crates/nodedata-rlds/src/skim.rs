//! Looks through a record once from front to back and keeps where its values lie, without having it in memory.

use std::{collections::BTreeMap, ops::Range};

use nodedata_core::Result;

use crate::{
    example::{LENGTH, LISTS_MAX, ListKind, no_example, too_many_lists},
    pages::Pages,
    table::{Field, Table, append, field},
};

/// The longest key that is read. What is longer is none of a feature.
const KEY_BYTES_MAX: u64 = 4096;

/// The values of a leaf, which is known by its position, under each of its keys.
pub(crate) type Tables = BTreeMap<Vec<u8>, (usize, Table)>;

/// The tables of all keys that `leaf_of` says a leaf for. Of a key that comes twice the last is meant.
///
/// # Errors
/// `Io`; `Corrupt` when the bytes are no `Example`; `Limit`; what `leaf_of` returns.
pub(crate) fn skim(
    pages: &mut Pages<'_>,
    leaf_of: impl Fn(&[u8]) -> Result<Option<usize>>,
) -> Result<Tables> {
    let mut tables = Tables::new();
    let mut example = 0..pages.n_bytes();
    while let Some(mut features) = part(pages, &mut example)? {
        while let Some(entry) = part(pages, &mut features)? {
            let Entry { key, kind, lists } = Entry::of(pages, entry)?;
            if let Some(leaf) = leaf_of(&key)? {
                let table = Table::of(kind, lists, pages)?;
                tables.insert(key, (leaf, table));
            }
        }
    }
    Ok(tables)
}

/// What the one field of a message holds next, where that is its first and another message.
fn part(pages: &mut Pages<'_>, left: &mut Range<u64>) -> Result<Option<Range<u64>>> {
    if left.is_empty() {
        return Ok(None);
    }
    let Field { number, wire, content, end } = field(pages, left.clone())?;
    if (number, wire) != (1, LENGTH) {
        return Err(no_example("a field that no `tf.train.Example` has", left.start));
    }
    left.start = end;
    Ok(Some(content..end))
}

/// A key, and where its values lie.
#[derive(Default)]
struct Entry {
    key: Vec<u8>,
    kind: Option<ListKind>,
    lists: Vec<Range<u64>>,
}

impl Entry {
    fn of(pages: &mut Pages<'_>, mut left: Range<u64>) -> Result<Self> {
        let mut entry = Self::default();
        while !left.is_empty() {
            let Field { number, wire, content, end } = field(pages, left.clone())?;
            match (number, wire) {
                (1, LENGTH) if end - content <= KEY_BYTES_MAX => {
                    entry.key.clear();
                    append(pages, content..end, &mut entry.key)?;
                }
                (1, LENGTH) => return Err(no_example("a key longer than any", content)),
                (2, LENGTH) => entry.add_feature(pages, content..end)?,
                _ => return Err(no_example("a field that no entry has", left.start)),
            }
            left.start = end;
        }
        Ok(entry)
    }

    /// Of several kinds the last is meant; pieces of one kind are one list.
    fn add_feature(&mut self, pages: &mut Pages<'_>, mut left: Range<u64>) -> Result<()> {
        while !left.is_empty() {
            let Field { number, wire, content, end } = field(pages, left.clone())?;
            let kind = ListKind::of_field(number).filter(|_| wire == LENGTH);
            let kind = kind.ok_or_else(|| no_example("a field that no feature has", left.start))?;
            if self.kind != Some(kind) {
                self.kind = Some(kind);
                self.lists.clear();
            }
            if self.lists.len() == LISTS_MAX {
                return Err(too_many_lists());
            }
            if content != end {
                self.lists.push(content..end);
            }
            left.start = end;
        }
        Ok(())
    }
}
