//! Lists of texts that are the same in every row, as names of joints are. They are recognised by the bytes they were
//! read from, before anything of them is looked at.

use super::{Columns, Leaf, LeafId, List, ListId, offset};

/// Longer lists are not remembered: those are data, and seldom the same again.
const SOURCE_BYTES_MAX: usize = 4 << 10;

/// The last list of texts that was pushed to a list, and what it was read from.
#[derive(Debug, Default)]
pub(super) struct LastTexts {
    /// Empty while there is none.
    source: Vec<u8>,
    reading: u8,
    /// Position of its first text among the values of the column.
    first: usize,
    n_texts: usize,
}

impl LastTexts {
    pub(super) fn forget(&mut self) {
        self.source.clear();
    }
}

impl Columns {
    /// Appends the list of texts that stands at the front of `source` if it is the one remembered last, and says how many
    /// bytes it takes there. `reading` stands for whatever else decides what bytes mean, such as their order.
    #[inline]
    pub fn push_texts_again(
        &mut self,
        id: ListId,
        leaf: LeafId,
        source: &[u8],
        reading: u8,
    ) -> Option<usize> {
        let last = &self.last_texts[id.0];
        let n_source = last.source.len();
        if n_source == 0 || last.reading != reading || !source.starts_with(&last.source) {
            return None;
        }
        let (first, n_texts) = (last.first, last.n_texts);
        self.push_len(id, n_texts);
        let Leaf { values, offsets, .. } = &mut self.leaves[leaf.0];
        let (start, end) = (offsets[first] as usize, offsets[first + n_texts] as usize);
        let at = values.len();
        values.resize(at + end - start, 0);
        values.as_slice_mut().copy_within(start..end, at);
        // Checks what the end of the last text, the greatest, would be.
        let shift = offset(values.len()) - offsets[first + n_texts];
        offsets.reserve(n_texts);
        for idx in first + 1..=first + n_texts {
            offsets.push(offsets[idx] + shift);
        }
        Some(n_source)
    }

    /// Remembers that the list of texts just pushed was read from `source`, for [`Self::push_texts_again`]. Its column
    /// must be the list's only one.
    pub fn remember_texts(&mut self, id: ListId, leaf: LeafId, source: &[u8], reading: u8) {
        let List { offsets, .. } = &self.lists[id.0];
        let n_texts = offsets.last_chunk::<2>().map_or(0, |[start, end]| (end - start) as usize);
        let n_values = self.leaves[leaf.0].offsets.len() - 1;
        let last = &mut self.last_texts[id.0];
        last.forget();
        if source.len() <= SOURCE_BYTES_MAX {
            last.source.extend_from_slice(source);
            (last.reading, last.n_texts, last.first) = (reading, n_texts, n_values - n_texts);
        }
    }

    /// Whether the last value of a text column is this one; then it needs no check.
    #[inline]
    pub fn is_last_text(&self, id: LeafId, value: &[u8]) -> bool {
        self.last_bytes(id) == value
    }
}
