//! The values of a media column, without what else their batch keeps in memory.

use arrow_array::{Array, ArrayRef, BinaryArray, cast::AsArray};
use arrow_schema::Field;

use crate::leaf_entries::{Leaf, LeafEntries};

/// Bytes that a batch may keep in memory besides those of its values: as much as these, and this much more.
const SLACK_BYTES: usize = 64 << 10;

/// The bytes of a batch, and where each stands in its rows.
pub(crate) struct Values {
    pub(crate) bytes: BinaryArray,
    pub(crate) entries: LeafEntries,
}

impl Values {
    pub(crate) fn new(field: &Field, array: &ArrayRef) -> Self {
        let leaf = Leaf::of(field, array);
        Self { bytes: lean(leaf.values.as_binary()), entries: leaf.entries(0..array.len()) }
    }

    /// The value of an entry, where it is there.
    pub(crate) fn value(&self, idx: usize) -> Option<&[u8]> {
        self.entries.value(idx).map(|it| self.bytes.value(it))
    }
}

/// The values alone, where they are a small part of the memory that they keep.
fn lean(values: &BinaryArray) -> BinaryArray {
    let offsets = values.value_offsets();
    let n_bytes = (offsets[values.len()] - offsets[0]) as usize;
    match values.values().capacity() > 2 * n_bytes + SLACK_BYTES {
        true => values.iter().collect(),
        false => values.clone(),
    }
}
