use std::ops::Range;

use parquet::schema::types::ColumnDescriptor;

use crate::{
    leaf_entries::LeafEntries,
    properties::{PAGE_BYTES, PAGE_ROWS},
    text_dictionary::Dictionary,
};

/// The rows that no page holds yet.
#[derive(Default)]
pub(super) struct OpenPage {
    pub(super) repetitions: Vec<u16>,
    pub(super) definitions: Vec<u16>,
    pub(super) n_entries: usize,
    pub(super) n_rows: usize,
    pub(super) n_values: usize,
    /// Of the texts in the dictionary.
    pub(super) numbers: Vec<u32>,
    /// The texts themselves, once the dictionary is full.
    pub(super) plain: Vec<u8>,
}

impl OpenPage {
    /// How many of some rows of so many numbers go to the page before it is full, or looked at again: at least one.
    pub(super) fn n_rows(&self, dictionary: &Dictionary, n_numbers: usize, n_rows: usize) -> usize {
        // What the dictionary has no room for is plain from the next row on.
        if n_rows == 1 || dictionary.page_len() >= PAGE_BYTES {
            return 1;
        }
        let n_taken = n_rows.min(PAGE_ROWS - self.n_rows);
        let n_all = self.numbers.len() + n_taken * n_numbers;
        match n_bytes_of_numbers(n_all, dictionary.width()) < PAGE_BYTES {
            true => n_taken,
            false => 1,
        }
    }

    pub(super) fn put_levels(
        &mut self,
        column: &ColumnDescriptor,
        entries: &LeafEntries,
        row: Range<usize>,
        n_rows: usize,
    ) {
        if column.max_rep_level() > 0 {
            put_times(&entries.repetitions[row.clone()], n_rows, &mut self.repetitions);
        }
        if column.max_def_level() > 0 {
            put_times(&entries.definitions[row.clone()], n_rows, &mut self.definitions);
        }
        self.n_entries += n_rows * row.len();
        self.n_rows += n_rows;
    }

    /// For the next page, which will be about as large.
    pub(super) fn clear(&mut self) {
        self.repetitions.clear();
        self.definitions.clear();
        self.numbers.clear();
        self.plain.clear();
        (self.n_entries, self.n_rows, self.n_values) = (0, 0, 0);
    }
}

pub(super) fn put_times<T: Copy>(items: &[T], n_times: usize, target: &mut Vec<T>) {
    match items {
        [one] => target.resize(target.len() + n_times, *one),
        _ if n_times == 1 => target.extend_from_slice(items),
        _ => target.extend(items.repeat(n_times)),
    }
}

/// What numbers of so many bits have at most, which is what the Parquet crate goes by: each group of eight has a header.
pub(super) fn n_bytes_of_numbers(n_numbers: usize, width: usize) -> usize {
    1 + n_numbers.div_ceil(8) * (1 + width)
}
