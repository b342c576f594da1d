use std::borrow::Cow;

use arrow_array::{Array, ArrowPrimitiveType, cast::AsArray, types};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

/// The numbers of a column, however deep they lie in lists, and which of them belong to which row.
pub(crate) struct Leaves<'a> {
    values: Cow<'a, [f64]>,
    nulls: Option<NullBuffer>,
    /// Where the numbers of each row end; those of the first start at `start`.
    start: usize,
    ends: Vec<usize>,
}

impl<'a> Leaves<'a> {
    /// `None` for a column that does not hold numbers.
    pub(crate) fn of(column: &'a dyn Array) -> Option<Self> {
        let mut start = 0;
        let mut ends: Vec<usize> = (1..=column.len()).collect();
        let mut array = column;
        loop {
            match array.data_type() {
                DataType::List(_) => {
                    let lists = array.as_list_opt::<i32>()?;
                    let offsets = lists.value_offsets();
                    start = usize::try_from(offsets[start]).ok()?;
                    for end in &mut ends {
                        *end = usize::try_from(offsets[*end]).ok()?;
                    }
                    array = lists.values();
                }
                DataType::FixedSizeList(_, n) => {
                    let n = usize::try_from(*n).ok()?;
                    let lists = array.as_fixed_size_list_opt()?;
                    // `values` of a slice starts with the slice.
                    start *= n;
                    ends.iter_mut().for_each(|it| *it *= n);
                    array = lists.values();
                }
                _ => break,
            }
        }
        Some(Self { values: numbers(array)?, nulls: array.nulls().cloned(), start, ends })
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.ends.len()
    }

    /// The numbers of one row, nulls included as they lie there.
    pub(crate) fn row(&self, idx: usize) -> &[f64] {
        let start = if idx == 0 { self.start } else { self.ends[idx - 1] };
        self.values.get(start..self.ends[idx]).unwrap_or_default()
    }

    /// Position of each number of a row that is not null, inside the row, and the number.
    pub(crate) fn valid(&self, idx: usize) -> impl Iterator<Item = (usize, f64)> {
        let start = if idx == 0 { self.start } else { self.ends[idx - 1] };
        let values = self.row(idx).iter().copied().enumerate();
        values.filter(move |(at, _)| self.nulls.as_ref().is_none_or(|it| it.is_valid(start + at)))
    }
}

fn numbers(array: &dyn Array) -> Option<Cow<'_, [f64]>> {
    fn cast<T: ArrowPrimitiveType>(array: &dyn Array, convert: impl Fn(T::Native) -> f64) -> Cow<'_, [f64]> {
        let values = array.as_primitive::<T>().values();
        Cow::Owned(values.iter().map(|it| convert(*it)).collect())
    }
    Some(match array.data_type() {
        DataType::Float64 => Cow::Borrowed(array.as_primitive::<types::Float64Type>().values()),
        DataType::Float32 => cast::<types::Float32Type>(array, f64::from),
        DataType::Float16 => cast::<types::Float16Type>(array, f64::from),
        DataType::Int8 => cast::<types::Int8Type>(array, f64::from),
        DataType::Int16 => cast::<types::Int16Type>(array, f64::from),
        DataType::Int32 => cast::<types::Int32Type>(array, f64::from),
        DataType::Int64 => cast::<types::Int64Type>(array, |it| it as f64),
        DataType::UInt8 => cast::<types::UInt8Type>(array, f64::from),
        DataType::UInt16 => cast::<types::UInt16Type>(array, f64::from),
        DataType::UInt32 => cast::<types::UInt32Type>(array, f64::from),
        DataType::UInt64 => cast::<types::UInt64Type>(array, |it| it as f64),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::{FixedSizeListArray, ListArray, types::Float32Type};

    use super::*;

    #[test]
    fn rows_of_slices_are_their_own() {
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([
            Some(vec![Some(1.0), Some(2.0)]),
            None,
            Some(vec![Some(3.0), None]),
        ]);
        let sliced = lists.slice(1, 2);
        let leaves = Leaves::of(&sliced).unwrap();
        assert_eq!(leaves.n_rows(), 2);
        assert!(leaves.row(0).is_empty());
        assert_eq!(leaves.valid(1).collect::<Vec<_>>(), [(0, 3.0)]);
        let fixed = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
            (0..4).map(|it| Some(vec![Some(it as f32), Some(10.0)])),
            2,
        );
        let sliced = fixed.slice(2, 2);
        let leaves = Leaves::of(&sliced).unwrap();
        assert_eq!((leaves.row(0), leaves.row(1)), (&[2.0, 10.0][..], &[3.0, 10.0][..]));
    }
}
