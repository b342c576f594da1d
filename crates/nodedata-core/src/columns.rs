mod absent;
mod assemble;
mod layout;
mod texts;

use std::sync::{Arc, atomic::Ordering};

use arrow_array::ArrayRef;
use arrow_buffer::{Buffer, MutableBuffer, NullBuffer, NullBufferBuilder};

pub use self::{
    absent::Mark,
    layout::{Layout, LeafId, Level, ListId},
};
use self::{
    assemble::assemble,
    layout::{LeafLayout, ListLayout, innermost},
    texts::LastTexts,
};
use crate::DType;

/// Rows under construction, column by column.
///
/// Each row pushes, for every list, its length, and for every column its values; then [`Self::end_row`].
/// A row that fails half-way is taken back by [`Self::abort_row`].
#[derive(Debug)]
pub struct Columns {
    layout: Arc<Layout>,
    leaves: Vec<Leaf>,
    lists: Vec<List>,
    /// By list.
    last_texts: Vec<LastTexts>,
    n_rows: usize,
}

#[derive(Debug)]
struct Leaf {
    /// Fixed-width values, packed text and bytes, or one byte per bool.
    values: MutableBuffer,
    /// End offsets of text and bytes, with a leading 0; empty for other types.
    offsets: Vec<i32>,
    /// Per item: is it there. Only for nullable features.
    valid: Option<NullBufferBuilder>,
}

#[derive(Debug)]
struct List {
    /// End offsets with a leading 0.
    offsets: Vec<i32>,
    valid: Option<NullBufferBuilder>,
}

impl Columns {
    /// No rows yet.
    pub fn new(layout: Arc<Layout>) -> Self {
        let leaves = layout.leaves.iter().map(Leaf::new).collect();
        let lists = layout.lists.iter().map(List::new).collect();
        let last_texts = layout.lists.iter().map(|_| LastTexts::default()).collect();
        Self { layout, leaves, lists, last_texts, n_rows: 0 }
    }

    /// The layout the rows follow.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Complete rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Bytes held by values and offsets.
    pub fn n_bytes(&self) -> usize {
        let leaves: usize = self.leaves.iter().map(|it| it.values.len() + it.offsets.len() * 4).sum();
        leaves + self.lists.iter().map(|it| it.offsets.len() * 4).sum::<usize>()
    }

    /// Appends fixed-width values as little-endian bytes. Their number must be the column's values per
    /// item, or a multiple of it for consecutive items of a list.
    #[inline]
    pub fn push_le(&mut self, id: LeafId, bytes: &[u8]) {
        self.leaves[id.0].values.extend_from_slice(bytes);
    }

    /// Appends room for `n_bytes` of fixed-width values and returns it zeroed, to be filled in place.
    #[inline]
    pub fn push_zeroed(&mut self, id: LeafId, n_bytes: usize) -> &mut [u8] {
        let values = &mut self.leaves[id.0].values;
        let start = values.len();
        values.resize(start + n_bytes, 0);
        &mut values.as_slice_mut()[start..]
    }

    /// Appends one bool.
    #[inline]
    pub fn push_bool(&mut self, id: LeafId, value: bool) {
        self.leaves[id.0].values.push(u8::from(value));
    }

    /// Makes room for `n_values` more of a text or bytes column, of `n_bytes` together: growing by doubling copies what is there, and
    /// touches fresh memory for it. Has no effect on what is built.
    pub fn reserve(&mut self, id: LeafId, n_bytes: usize, n_values: usize) {
        let leaf = &mut self.leaves[id.0];
        leaf.values.reserve(n_bytes);
        leaf.offsets.reserve(n_values);
    }

    /// Appends one value of a text or bytes column. Text must be UTF-8.
    #[inline]
    pub fn push_bytes(&mut self, id: LeafId, value: &[u8]) {
        let leaf = &mut self.leaves[id.0];
        leaf.values.extend_from_slice(value);
        leaf.end_value();
    }

    /// Appends `n` items of a list as its length.
    #[inline]
    pub fn push_len(&mut self, id: ListId, n: usize) {
        let list = &mut self.lists[id.0];
        let last = list.offsets.last().copied().unwrap_or(0);
        list.offsets.push(last + offset(n));
        if let Some(valid) = &mut list.valid {
            valid.append_non_null();
        }
    }

    /// Appends an absent list; its columns get no items.
    ///
    /// # Panics
    /// When the list was not declared nullable.
    pub fn push_null_list(&mut self, id: ListId) {
        let list = &mut self.lists[id.0];
        let last = list.offsets.last().copied().unwrap_or(0);
        list.offsets.push(last);
        list.valid.as_mut().expect("only nullable lists may be null").append_null();
    }

    /// Marks the item just pushed to a nullable column as present. Not needed for other columns.
    #[inline]
    pub fn push_valid(&mut self, id: LeafId) {
        if let Some(valid) = &mut self.leaves[id.0].valid {
            valid.append_non_null();
        }
    }

    /// As [`Self::push_valid`] for `n` items.
    #[inline]
    pub fn push_valid_n(&mut self, id: LeafId, n: usize) {
        if let Some(valid) = &mut self.leaves[id.0].valid {
            valid.append_n_non_nulls(n);
        }
    }

    /// Appends an absent item: zeroed values and a cleared validity bit.
    ///
    /// # Panics
    /// When the feature was not declared nullable.
    pub fn push_null(&mut self, id: LeafId) {
        let layout = &self.layout.leaves[id.0];
        let leaf = &mut self.leaves[id.0];
        for _ in 0..layout.values_per_item {
            match layout.feature.stored_dtype() {
                DType::Bool => leaf.values.push(0u8),
                DType::String | DType::Bytes => leaf.end_value(),
                other => {
                    let width = other.byte_width().unwrap_or(0);
                    leaf.values.resize(leaf.values.len() + width, 0);
                }
            }
        }
        leaf.valid.as_mut().expect("only nullable features may be null").append_null();
    }

    /// The bytes of the last value of a text or bytes column in the row under construction.
    pub fn last_bytes(&self, id: LeafId) -> &[u8] {
        let leaf = &self.leaves[id.0];
        let start = leaf.offsets.len().checked_sub(2).map_or(0, |it| leaf.offsets[it]);
        &leaf.values.as_slice()[start as usize..]
    }

    /// The last fixed-width value pushed to a column, little endian; empty when there is none.
    pub fn last_le(&self, id: LeafId) -> &[u8] {
        let width = self.layout.leaves[id.0].feature.dtype.byte_width().unwrap_or(1);
        let values = self.leaves[id.0].values.as_slice();
        &values[values.len().saturating_sub(width)..]
    }

    /// Rewrites the last value of a bytes column in place: `edit` may change the bytes and returns how
    /// many of them stay, counted from the front.
    ///
    /// # Panics
    /// When `edit` returns more than it was given.
    pub fn edit_last_bytes(&mut self, id: LeafId, edit: impl FnOnce(&mut [u8]) -> usize) {
        let leaf = &mut self.leaves[id.0];
        let start = leaf.offsets.len().checked_sub(2).map_or(0, |it| leaf.offsets[it]) as usize;
        let value = &mut leaf.values.as_slice_mut()[start..];
        let n_before = value.len();
        let n_kept = edit(value);
        assert!(n_kept <= n_before, "an edit may only shorten a value");
        leaf.values.truncate(start + n_kept);
        if let Some(last) = leaf.offsets.last_mut() {
            *last = offset(start + n_kept);
        }
    }

    /// Completes the row.
    #[inline]
    pub fn end_row(&mut self) {
        self.n_rows += 1;
        if let Some(first) = self.layout.absent_from {
            self.mark_rest_valid(first);
        }
    }

    /// Takes back whatever was pushed since the last complete row.
    pub fn abort_row(&mut self) {
        self.last_texts.iter_mut().for_each(LastTexts::forget);
        let layout = Arc::clone(&self.layout);
        // Lists come after the list they lie in, so counts flow from the row downwards.
        let mut n_items = vec![0usize; self.lists.len()];
        for (idx, list) in layout.lists.iter().enumerate() {
            let above = list.parent.map_or(self.n_rows, |it| n_items[it.0]);
            let n_lists = above * list.per_item;
            let built = &mut self.lists[idx];
            built.offsets.truncate(n_lists + 1);
            if let Some(valid) = &mut built.valid {
                valid.truncate(n_lists);
            }
            n_items[idx] = built.offsets.last().copied().unwrap_or(0) as usize;
        }
        for (leaf, built) in layout.leaves.iter().zip(&mut self.leaves) {
            let n_items = match innermost(&leaf.levels).0 {
                Some(list) => n_items[list.0],
                None => self.n_rows,
            };
            let n_values = n_items * leaf.values_per_item;
            let n_bytes = match leaf.feature.stored_dtype() {
                DType::Bool => n_values,
                DType::String | DType::Bytes => {
                    built.offsets.truncate(n_values + 1);
                    built.offsets.last().copied().unwrap_or(0) as usize
                }
                other => n_values * other.byte_width().unwrap_or(0),
            };
            built.values.truncate(n_bytes);
            if let Some(valid) = &mut built.valid {
                valid.truncate(n_items);
            }
        }
    }

    /// Hands out the complete rows as arrays in column order, and starts again with none.
    ///
    /// # Panics
    /// When a column or list did not get what the rows need: a mistake of the calling decoder.
    pub fn finish(&mut self) -> Vec<ArrayRef> {
        self.last_texts.iter_mut().for_each(LastTexts::forget);
        let layout = Arc::clone(&self.layout);
        let lists: Vec<(Buffer, Option<NullBuffer>, usize)> = layout
            .lists
            .iter()
            .zip(&mut self.lists)
            .map(|(list, built)| {
                let fresh = List::new(list);
                let mut done = std::mem::replace(built, fresh);
                let n_lists = done.offsets.len() - 1;
                (Buffer::from_vec(done.offsets), done.valid.as_mut().and_then(|it| it.finish()), n_lists)
            })
            .collect();
        let n_rows = std::mem::take(&mut self.n_rows);
        layout
            .leaves
            .iter()
            .zip(&mut self.leaves)
            .map(|(leaf, built)| {
                let done = std::mem::replace(built, Leaf::empty(leaf));
                leaf.room.note(done.values.len(), done.offsets.len());
                let array = assemble(leaf, done, &lists);
                assert_eq!(array.len(), n_rows, "column {} is ragged", leaf.feature.name);
                array
            })
            .collect()
    }
}

impl Leaf {
    /// No values, with room for as many as the last batch had.
    fn new(layout: &LeafLayout) -> Self {
        let mut leaf = Self::empty(layout);
        leaf.values = MutableBuffer::new(layout.room.n_bytes.load(Ordering::Relaxed));
        leaf.offsets.reserve(layout.room.n_offsets.load(Ordering::Relaxed));
        leaf
    }

    fn empty(layout: &LeafLayout) -> Self {
        let has_offsets = matches!(layout.feature.stored_dtype(), DType::String | DType::Bytes);
        Self {
            values: MutableBuffer::new(0),
            offsets: if has_offsets { vec![0] } else { Vec::new() },
            valid: layout.feature.nullable.then(|| NullBufferBuilder::new(0)),
        }
    }

    #[inline]
    fn end_value(&mut self) {
        self.offsets.push(offset(self.values.len()));
    }
}

impl List {
    fn new(layout: &ListLayout) -> Self {
        Self { offsets: vec![0], valid: layout.nullable.then(|| NullBufferBuilder::new(0)) }
    }
}

/// Arrow offsets are 32 bit; a batch is cut long before it holds 2 GiB.
#[inline]
fn offset(n: usize) -> i32 {
    i32::try_from(n).expect("a batch stays below 2 GiB")
}

#[cfg(test)]
mod tests;
