//! Rows that are without the columns of their message: those of a record that does not fit them.

use std::sync::Arc;

use super::{Columns, LeafId, innermost};
/// How much was pushed to a column.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    n_bytes: usize,
    n_offsets: usize,
}

impl Columns {
    /// Appends nulls to every column from the one that [`super::Layout::allow_absent_from`] names on, but to `kept`: the row
    /// has nothing there. Nothing of the row may have been pushed to them.
    ///
    /// # Panics
    /// When the layout does not allow it.
    pub fn push_absent_but(&mut self, kept: LeafId) {
        let layout = Arc::clone(&self.layout);
        let first = layout.absent_from.expect("only a layout that says so has rows without columns");
        for (idx, list) in layout.lists.iter().enumerate() {
            // A list that is not there has no items, and so no lists in these.
            if list.parent.is_none() {
                (0..list.per_item).for_each(|_| self.push_null_list(super::ListId(idx)));
            }
        }
        for (idx, leaf) in layout.leaves.iter().enumerate().skip(first) {
            if idx != kept.0 && innermost(&leaf.levels).0.is_none() {
                self.push_null(LeafId(idx));
            }
        }
    }

    /// How much was pushed to a column so far, for [`Self::back_to`].
    pub fn mark(&self, id: LeafId) -> Mark {
        let leaf = &self.leaves[id.0];
        Mark { n_bytes: leaf.values.len(), n_offsets: leaf.offsets.len() }
    }

    /// Takes back the values pushed to a column of the row under construction since a mark was taken. Their validity must
    /// not have been pushed yet.
    pub fn back_to(&mut self, id: LeafId, mark: Mark) {
        let leaf = &mut self.leaves[id.0];
        leaf.values.truncate(mark.n_bytes);
        leaf.offsets.truncate(mark.n_offsets);
    }

    /// Counts the items pushed since the last row as there, of columns whose decoder does not know that they may be null.
    pub(super) fn mark_rest_valid(&mut self, first: usize) {
        for (layout, leaf) in self.layout.leaves.iter().zip(&mut self.leaves).skip(first) {
            let Some(valid) = &mut leaf.valid else { continue };
            let n_items = match innermost(&layout.levels).0 {
                Some(list) => self.lists[list.0].offsets.last().copied().unwrap_or(0) as usize,
                None => self.n_rows,
            };
            valid.append_n_non_nulls(n_items.saturating_sub(valid.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array as _, cast::AsArray as _, types::UInt8Type};

    use super::*;
    use crate::{DType, Dim, Feature, Layout, Level};

    /// A decoder that knows nothing of nulls fills three rows, and the second is without its columns.
    #[test]
    fn a_row_may_be_without_its_columns() {
        let mut layout = Layout::default();
        let time = layout.leaf(Feature::new("time", DType::UInt8, Vec::new()), &[]);
        let x = layout.leaf(Feature::new("x", DType::UInt8, Vec::new()), &[]);
        let pair = layout.leaf(Feature::new("pair", DType::UInt8, vec![Dim::Fixed(2)]), &[Level::Fixed(2)]);
        let outer = layout.list(&[], false);
        let inner = layout.list(&[Level::List(outer)], false);
        let levels = [Level::List(outer), Level::List(inner)];
        let texts =
            layout.leaf(Feature::new("texts", DType::String, vec![Dim::Variable, Dim::Variable]), &levels);
        layout.allow_absent_from(x);
        let unknown = layout.leaf(Feature::new("_unknown", DType::Bytes, Vec::new()).nullable(), &[]);
        let fields: Vec<_> = layout.features().map(|it| (it.arrow_type(), it.nullable)).collect();
        assert_eq!(fields.iter().map(|it| it.1).collect::<Vec<_>>(), [false, true, true, true, true]);

        let mut columns = Columns::new(Arc::new(layout));
        for row in 0..3u8 {
            columns.push_le(time, &[row]);
            if row == 1 {
                columns.push_absent_but(unknown);
                columns.push_bytes(unknown, b"raw");
                columns.push_valid(unknown);
            } else {
                columns.push_le(x, &[row]);
                columns.push_le(pair, &[row, row]);
                columns.push_bytes(texts, b"a");
                columns.push_bytes(texts, b"b");
                columns.push_len(inner, 2);
                columns.push_len(outer, 1);
                columns.push_null(unknown);
            }
            columns.end_row();
        }
        let arrays = columns.finish();
        for (array, (data_type, _)) in arrays.iter().zip(&fields) {
            assert_eq!(array.data_type(), data_type);
        }
        for array in &arrays[1..4] {
            assert_eq!([0, 1, 2].map(|it| array.is_null(it)), [false, true, false], "{array:?}");
        }
        assert_eq!(arrays[1].as_primitive::<UInt8Type>().value(2), 2);
        let last = arrays[3].as_list::<i32>().value(2);
        let last = last.as_list::<i32>().value(0);
        assert_eq!(last.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), Some("b")]);
        assert_eq!(arrays[4].as_binary::<i32>().iter().collect::<Vec<_>>(), [None, Some(&b"raw"[..]), None]);
    }

    /// What a decoder pushed before it failed is taken back, nulls and all.
    #[test]
    fn a_row_that_failed_leaves_room_for_an_absent_one() {
        let mut layout = Layout::default();
        let x = layout.leaf(Feature::new("x", DType::UInt8, Vec::new()), &[]);
        let list = layout.list(&[], false);
        let items =
            layout.leaf(Feature::new("items", DType::UInt8, vec![Dim::Variable]), &[Level::List(list)]);
        layout.allow_absent_from(x);
        let unknown = layout.leaf(Feature::new("_unknown", DType::Bytes, Vec::new()).nullable(), &[]);
        let mut columns = Columns::new(Arc::new(layout));
        columns.push_le(x, &[7]);
        columns.push_le(items, &[1, 2]);
        columns.push_len(list, 2);
        columns.push_null(unknown);
        columns.end_row();
        columns.push_le(x, &[8]);
        columns.push_le(items, &[3]);
        columns.abort_row();
        columns.push_absent_but(unknown);
        columns.push_bytes(unknown, b"raw");
        columns.push_valid(unknown);
        columns.end_row();
        let arrays = columns.finish();
        let counts: Vec<_> = arrays.iter().map(|it| (it.len(), it.null_count())).collect();
        assert_eq!(counts, [(2, 1), (2, 1), (2, 1)]);
    }
}
