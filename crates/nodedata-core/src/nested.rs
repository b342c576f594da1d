use std::ops::Range;

use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;

/// A column seen as the levels of its feature's shape: rows, then the items of each dimension, then the
/// values. However the column is sliced, and whatever a null slot hides, the view tells what is there.
#[derive(Debug, Clone)]
pub struct Nested {
    /// The items of each level: `items[0]` are the rows, `items[dims.len()]` the values.
    pub items: Vec<NestedItems>,
    /// `dims[i]` says how `items[i]` hold `items[i + 1]`.
    pub dims: Vec<NestedDim>,
    /// The values of all rows, those below nulls included. Text may be a dictionary or a view.
    pub values: ArrayRef,
}

/// The items of one level.
#[derive(Debug, Clone)]
pub struct NestedItems {
    /// How many, with those that are null or lie below a null.
    pub n_items: usize,
    /// Which lie below no null; `None` for all.
    pub reached: Option<NullBuffer>,
    /// Which lie below no null and are not null themselves; `None` for all.
    pub valid: Option<NullBuffer>,
}

/// One dimension of a column.
#[derive(Debug, Clone)]
pub enum NestedDim {
    /// Every item holds this many.
    Fixed(usize),
    /// A list each.
    List(ListOffsets),
}

/// Where the lists of one level lie in the level below, counted from its first item.
#[derive(Debug, Clone)]
pub enum ListOffsets {
    /// Of a `List`.
    Small(OffsetBuffer<i32>),
    /// Of a `LargeList`.
    Large(OffsetBuffer<i64>),
}

impl Nested {
    /// Looks through the lists of a column, and through the struct of a media column.
    pub fn of(array: &dyn Array) -> Self {
        let mut items = Vec::new();
        let mut dims = Vec::new();
        let mut reached: Option<NullBuffer> = None;
        let mut array: ArrayRef = array.slice(0, array.len());
        loop {
            let (dim, child, nulls) = match array.data_type() {
                DataType::List(_) => {
                    let list = array.as_list::<i32>();
                    let offsets = list.offsets().clone();
                    let range = offsets[0] as usize..offsets[offsets.len() - 1] as usize;
                    let child = list.values().slice(range.start, range.len());
                    (NestedDim::List(ListOffsets::Small(offsets)), child, list.nulls().cloned())
                }
                DataType::LargeList(_) => {
                    let list = array.as_list::<i64>();
                    let offsets = list.offsets().clone();
                    let range = offsets[0] as usize..offsets[offsets.len() - 1] as usize;
                    let child = list.values().slice(range.start, range.len());
                    (NestedDim::List(ListOffsets::Large(offsets)), child, list.nulls().cloned())
                }
                DataType::FixedSizeList(_, n) => {
                    let list = array.as_fixed_size_list();
                    let n = usize::try_from(*n).unwrap_or(0);
                    (NestedDim::Fixed(n), list.values().clone(), list.nulls().cloned())
                }
                _ => break,
            };
            let valid = NullBuffer::union(reached.as_ref(), nulls.filter(|it| it.null_count() > 0).as_ref());
            let below = dim.reached_below(valid.as_ref());
            items.push(NestedItems { n_items: array.len(), reached, valid });
            dims.push(dim);
            reached = below;
            array = child;
        }
        let (values, nulls) = match array.data_type() {
            DataType::Struct(fields) if fields.len() == 2 && fields[0].name() == "bytes" => {
                let media = array.as_struct();
                let bytes = media.column(0);
                (bytes.clone(), NullBuffer::union(media.nulls(), bytes.nulls()))
            }
            _ => (array.clone(), array.logical_nulls()),
        };
        let valid = NullBuffer::union(reached.as_ref(), nulls.filter(|it| it.null_count() > 0).as_ref());
        items.push(NestedItems { n_items: values.len(), reached, valid });
        Self { items, dims, values }
    }

    /// The row that holds item `idx` of `items[level]`.
    pub fn row_of(&self, level: usize, idx: usize) -> usize {
        self.dims[..level].iter().rev().fold(idx, |idx, dim| dim.parent_of(idx).0)
    }

    /// The row that holds value `idx`, and where in it, outermost dimension first.
    pub fn place_of(&self, idx: usize) -> (usize, Vec<usize>) {
        let mut place = Vec::with_capacity(self.dims.len());
        let mut item = idx;
        for dim in self.dims.iter().rev() {
            let (parent, position) = dim.parent_of(item);
            place.push(position);
            item = parent;
        }
        place.reverse();
        (item, place)
    }
}

impl NestedDim {
    /// The item that holds item `idx` of the level below, and its position in there.
    fn parent_of(&self, idx: usize) -> (usize, usize) {
        match self {
            Self::Fixed(n) => (idx.checked_div(*n).unwrap_or(0), idx.checked_rem(*n).unwrap_or(0)),
            Self::List(offsets) => {
                let list = offsets.list_of(idx);
                (list, idx - offsets.range(list).start)
            }
        }
    }

    /// Which items of the level below can be reached, given the valid items of this one.
    fn reached_below(&self, valid: Option<&NullBuffer>) -> Option<NullBuffer> {
        let valid = valid?;
        match self {
            Self::Fixed(n) => Some(valid.expand(*n)),
            Self::List(offsets) => {
                let hides = |idx: usize| valid.is_null(idx) && !offsets.range(idx).is_empty();
                if !(0..offsets.n_lists()).any(hides) {
                    return None;
                }
                let mut reached = BooleanBufferBuilder::new(offsets.n_items());
                for idx in 0..offsets.n_lists() {
                    reached.append_n(offsets.range(idx).len(), valid.is_valid(idx));
                }
                Some(NullBuffer::new(reached.finish()))
            }
        }
    }
}

impl ListOffsets {
    /// How many lists.
    pub fn n_lists(&self) -> usize {
        match self {
            Self::Small(it) => it.len() - 1,
            Self::Large(it) => it.len() - 1,
        }
    }

    /// How many items all lists hold.
    pub fn n_items(&self) -> usize {
        match self {
            Self::Small(it) => (it[it.len() - 1] - it[0]) as usize,
            Self::Large(it) => (it[it.len() - 1] - it[0]) as usize,
        }
    }

    /// The items of list `idx`.
    #[inline]
    pub fn range(&self, idx: usize) -> Range<usize> {
        match self {
            Self::Small(it) => (it[idx] - it[0]) as usize..(it[idx + 1] - it[0]) as usize,
            Self::Large(it) => (it[idx] - it[0]) as usize..(it[idx + 1] - it[0]) as usize,
        }
    }

    /// How many lists from `start` on hold exactly `n_items`.
    pub fn n_lists_of_len(&self, start: usize, n_items: usize) -> usize {
        match self {
            Self::Small(it) => {
                i32::try_from(n_items).map_or(0, |n| run_length(&it[start..], |a, b| b.wrapping_sub(a) != n))
            }
            Self::Large(it) => {
                i64::try_from(n_items).map_or(0, |n| run_length(&it[start..], |a, b| b.wrapping_sub(a) != n))
            }
        }
    }

    fn list_of(&self, item: usize) -> usize {
        match self {
            Self::Small(it) => it.partition_point(|end| (*end - it[0]) as usize <= item) - 1,
            Self::Large(it) => it.partition_point(|end| (*end - it[0]) as usize <= item) - 1,
        }
    }
}

/// How many neighbours from the front do not differ. Looks at blocks without branches, because nearly
/// all lists of robot data have one length.
fn run_length<T: Copy>(offsets: &[T], differs: impl Fn(T, T) -> bool) -> usize {
    const BLOCK: usize = 256;
    let n_lists = offsets.len() - 1;
    let mut done = 0;
    while done < n_lists {
        let end = n_lists.min(done + BLOCK);
        let block = &offsets[done..=end];
        if block.windows(2).fold(false, |any, it| any | differs(it[0], it[1])) {
            return done + block.windows(2).take_while(|it| !differs(it[0], it[1])).count();
        }
        done = end;
    }
    n_lists
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        FixedSizeListArray, Int32Array, ListArray,
        types::{Float64Type, Int32Type},
    };
    use arrow_schema::Field;

    use super::*;

    #[test]
    fn a_sliced_list_counts_from_its_own_first_item() {
        let rows = [Some(vec![Some(1)]), Some(vec![Some(2), None]), None, Some(vec![]), Some(vec![Some(3)])];
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(rows).slice(1, 4);
        let nested = Nested::of(&list);
        assert_eq!(nested.items[0].n_items, 4);
        assert_eq!(nested.items[0].valid.as_ref().map(NullBuffer::null_count), Some(1));
        assert_eq!(
            nested.values.as_primitive::<Int32Type>(),
            &Int32Array::from(vec![Some(2), None, Some(3)])
        );
        // The null list hides nothing, so only the null item is missing.
        assert!(nested.items[1].reached.is_none());
        assert_eq!(nested.items[1].valid.as_ref().map(NullBuffer::null_count), Some(1));
        assert_eq!([0, 1, 2].map(|idx| nested.row_of(1, idx)), [0, 0, 3]);
        assert_eq!([0, 1, 2].map(|idx| nested.place_of(idx)), [(0, vec![0]), (0, vec![1]), (3, vec![0])]);
    }

    #[test]
    fn items_below_a_null_are_not_reached() {
        let values: ArrayRef = Arc::new(Int32Array::from_iter_values(0..6));
        let field = Arc::new(Field::new_list_field(DataType::Int32, false));
        let nulls = NullBuffer::from(vec![true, false, true]);
        let fixed = FixedSizeListArray::new(field.clone(), 2, values.clone(), Some(nulls.clone()));
        let expected = NullBuffer::from(vec![true, true, false, false, true, true]);
        assert_eq!(Nested::of(&fixed).items[1].reached, Some(expected));
        let offsets = OffsetBuffer::new(vec![0, 1, 4, 6].into());
        let list = ListArray::new(field, offsets, values, Some(nulls));
        let expected = NullBuffer::from(vec![true, false, false, false, true, true]);
        assert_eq!(Nested::of(&list).items[1].valid, Some(expected));
    }

    #[test]
    fn runs_of_one_length_end_at_the_first_other_one() {
        let mut rows = vec![Some(vec![Some(0.5); 7]); 700];
        rows[600] = Some(vec![Some(0.5); 8]);
        let list = ListArray::from_iter_primitive::<Float64Type, _, _>(rows);
        let NestedDim::List(offsets) = &Nested::of(&list).dims[0] else { panic!("a list") };
        assert_eq!(offsets.n_lists_of_len(0, 7), 600);
        assert_eq!(offsets.n_lists_of_len(600, 8), 1);
        assert_eq!(offsets.n_lists_of_len(601, 7), 99);
        assert_eq!(offsets.n_lists_of_len(0, 8), 0);
    }
}
