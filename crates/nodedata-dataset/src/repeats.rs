//! Text that repeats from row to row, as names of joints and frames do: found by comparing stretches of memory, so that
//! whoever hashes or counts it looks at one row of many.

use std::ops::Range;

use arrow_array::{StringArray, cast::AsArray};
use nodedata_core::{Nested, NestedDim};

/// Rows compared at once, after as many were found to be the same, before they are compared one by one.
const ROWS_AT_ONCE: usize = 64;

/// The texts of a column's leaf, packed one behind the other.
pub(crate) struct PackedTexts<'a> {
    offsets: &'a [i32],
    bytes: &'a [u8],
    /// Texts of a row, as the first row has them: the distance at which a repetition is looked for.
    n_row: usize,
}

impl<'a> PackedTexts<'a> {
    /// `None` for texts that lie otherwise, or with nulls among them.
    pub(crate) fn of(leaf: &'a Nested) -> Option<Self> {
        let texts: &StringArray = leaf.values.as_string_opt()?;
        if leaf.items.last()?.valid.is_some() {
            return None;
        }
        let n_row = match leaf.dims.last() {
            None => 1,
            Some(NestedDim::Fixed(n)) => *n,
            Some(NestedDim::List(lists)) if lists.n_lists() > 0 => lists.range(0).len(),
            Some(NestedDim::List(_)) => 0,
        };
        Some(Self::in_rows(texts, n_row.max(1)))
    }

    /// The bytes of one text.
    #[inline]
    pub(crate) fn text(&self, idx: usize) -> &'a [u8] {
        &self.bytes[self.offsets[idx] as usize..self.offsets[idx + 1] as usize]
    }

    /// Texts one behind the other, of which rows have `n_row`.
    pub(crate) fn in_rows(texts: &'a StringArray, n_row: usize) -> Self {
        Self { offsets: texts.value_offsets(), bytes: texts.value_data(), n_row }
    }

    /// Stretches that together are all texts in their order: positions of some neighbours, and how many times those
    /// follow each other.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = (Range<usize>, usize)> {
        let n = self.offsets.len() - 1;
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = n.min(start + self.n_row);
            if start == end {
                return None;
            }
            let texts = start..end;
            let n_times = 1 + self.n_repeats(start, end);
            start += n_times * (end - start);
            Some((texts, n_times))
        })
    }

    /// How many times the texts follow themselves.
    fn n_repeats(&self, start: usize, end: usize) -> usize {
        let n_row = end - start;
        let n = self.offsets.len() - 1;
        // One row tells of most text that it does not repeat.
        if end + n_row > n || !self.repeats(start, n_row, 1) {
            return 0;
        }
        let n_left = (n - end) / n_row;
        let mut n_found = 1;
        while n_found < n_left {
            let from = start + n_found * n_row;
            let n_rows = ROWS_AT_ONCE.min(n_found).min(n_left - n_found);
            if self.repeats(from, n_row, n_rows) {
                n_found += n_rows;
                continue;
            }
            return n_found + (0..n_rows).take_while(|it| self.repeats(from + it * n_row, n_row, 1)).count();
        }
        n_found
    }

    /// Whether each of `n_rows` rows behind the one at `start` equals the one before it.
    fn repeats(&self, start: usize, n_row: usize, n_rows: usize) -> bool {
        let first = &self.offsets[start..=start + n_rows * n_row];
        let second = &self.offsets[start + n_row..=start + (n_rows + 1) * n_row];
        let shift = second[0] - first[0];
        let same_lengths = first.iter().zip(second).fold(true, |all, (a, b)| all & (b - a == shift));
        let bytes = |offsets: &[i32]| &self.bytes[offsets[0] as usize..offsets[n_rows * n_row] as usize];
        same_lengths && bytes(first) == bytes(second)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, LargeStringArray, ListArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::Field;
    use nodedata_core::{DType, Dim, Feature};
    use proptest::prelude::*;

    use super::*;
    use crate::{logical_hash::FieldHasher, stats::FeatureStats};

    fn lists(rows: &[Vec<&str>]) -> ArrayRef {
        lists_of(rows, Arc::new(StringArray::from_iter_values(rows.iter().flatten())))
    }

    fn lists_of(rows: &[Vec<&str>], texts: ArrayRef) -> ArrayRef {
        let offsets = OffsetBuffer::from_lengths(rows.iter().map(Vec::len));
        let item = Arc::new(Field::new("element", texts.data_type().clone(), false));
        Arc::new(ListArray::new(item, offsets, texts, None))
    }

    /// What is hashed and measured of a column that comes in pieces.
    fn measured(column: &ArrayRef, cuts: &[usize]) -> ([u8; 32], String) {
        let feature = Feature::new("name", DType::String, vec![Dim::Variable]);
        let (mut hasher, mut stats) = (FieldHasher::new(&feature), FeatureStats::new(&feature));
        let mut bounds: Vec<usize> = cuts.iter().map(|it| it % (column.len() + 1)).collect();
        bounds.extend([0, column.len()]);
        bounds.sort_unstable();
        for it in bounds.windows(2) {
            let piece = column.slice(it[0], it[1] - it[0]);
            hasher.update(&piece);
            stats.update(&piece);
        }
        (hasher.finish(), serde_json::to_string(&stats.finish()).unwrap())
    }

    fn stretches(array: &ArrayRef) -> Vec<(Range<usize>, usize)> {
        let leaf = Nested::of(array);
        PackedTexts::of(&leaf).unwrap().stretches().collect()
    }

    #[test]
    fn rows_that_repeat_are_one_stretch() {
        let mut rows = vec![vec!["a", "bc"]; 200];
        assert_eq!(stretches(&lists(&rows)), [(0..2, 200)]);
        rows[150] = vec!["ab", "c"];
        assert_eq!(
            stretches(&lists(&rows)),
            [(0..2, 150), (300..302, 1), (302..304, 49)],
            "the same bytes in other texts are no repetition"
        );
        assert_eq!(stretches(&lists(&rows).slice(140, 30)), [(0..2, 10), (20..22, 1), (22..24, 19)]);
        let scalars: ArrayRef = Arc::new(StringArray::from(vec!["", "", "x", "x", "x", "y"]));
        assert_eq!(stretches(&scalars), [(0..1, 2), (2..3, 3), (5..6, 1)]);
    }

    proptest! {
        #[test]
        fn stretches_are_all_texts_in_order(
            rows in prop::collection::vec((prop::collection::vec("[ab]{0,2}", 0..4), 1_usize..200), 0..6),
        ) {
            let rows: Vec<Vec<&str>> = rows
                .iter()
                .flat_map(|(row, n)| vec![row.iter().map(String::as_str).collect(); *n])
                .collect();
            let array = lists(&rows);
            let leaf = Nested::of(&array);
            let packed = PackedTexts::of(&leaf).unwrap();
            let mut found: Vec<&[u8]> = Vec::new();
            for (texts, n) in packed.stretches() {
                (0..n).for_each(|_| found.extend(texts.clone().map(|it| packed.text(it))));
            }
            let expected: Vec<&[u8]> = rows.iter().flatten().map(|it| it.as_bytes()).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_repeats_is_hashed_and_counted_as_if_it_did_not(
            rows in prop::collection::vec((prop::collection::vec("[ab]{0,2}", 0..4), 1_usize..900), 0..6),
            cuts in prop::collection::vec(any::<usize>(), 0..4),
        ) {
            let rows: Vec<Vec<&str>> = rows
                .iter()
                .flat_map(|(row, n)| vec![row.iter().map(String::as_str).collect(); *n])
                .collect();
            let packed = lists(&rows);
            // Lies otherwise, so that each text is looked at.
            let one_by_one =
                lists_of(&rows, Arc::new(LargeStringArray::from_iter_values(rows.iter().flatten())));
            prop_assert_eq!(measured(&packed, &cuts), measured(&one_by_one, &[]));
        }
    }
}
