use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, ListArray, PrimitiveArray,
    cast::AsArray,
    types::{
        Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use arrow_select::concat::concat;
use nodedata_core::{DType, Feature, Nested, Storage};

use super::{
    fit_ops::{Refusal, has_differences},
    lists::{around, nulled},
};
use crate::cast::Misfit;

/// Another field of the same step that is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Minus {
    pub(super) column: usize,
    /// Whether it may be null.
    pub(super) is_nullable: bool,
}

impl Minus {
    /// # Errors
    /// Where the values of both fields are not of one kind.
    pub(super) fn new(column: usize, one: &Feature, other: &Feature) -> Result<Self, Refusal> {
        let is_number = |it: &Feature| it.storage == Storage::Plain && it.dtype.is_numeric();
        if !is_number(one) || !has_differences(one) {
            return Err(Refusal::Kind);
        }
        if (one.dtype, &one.shape, one.storage) != (other.dtype, &other.shape, other.storage) {
            let message = format!("it is {}, and `{}` is {}", one.told(), other.name, other.told());
            let hint = "only values of one type and shape are subtracted: `type`, `slice` and the other transforms make them so";
            return Err(Refusal::Told(message, hint.to_owned()));
        }
        Ok(Self { column, is_nullable: other.nullable })
    }
}

/// One column minus another of the same type, row by row: null where one of them is. Floats are rounded in their own type.
///
/// # Errors
/// The first row whose difference the type cannot hold, or whose vectors differ in length.
pub(super) fn minus(one: &ArrayRef, other: &ArrayRef) -> Result<ArrayRef, Misfit> {
    if let DataType::List(item) = one.data_type() {
        return lists(one.as_list(), other.as_list(), item);
    }
    let (left, right) = (Nested::of(one.as_ref()), Nested::of(other.as_ref()));
    let rows = NullBuffer::union(one.nulls(), other.nulls());
    let row_of = |idx: usize| left.row_of(left.dims.len(), idx);
    let is_hidden = |idx: usize| rows.as_ref().is_some_and(|it| it.is_null(row_of(idx)));
    // Items of vectors of one length are never null one by one; what a null hides need not be there.
    let values = values(&left.values, &right.values, None, &is_hidden)
        .map_err(|it| Misfit { idx: row_of(it.idx), ..it })?;
    let column = around(one.as_ref(), values, one.data_type());
    let column = column.map_err(|err| Misfit { idx: 0, message: err.to_string() })?;
    Ok(nulled(&column, rows))
}

/// Vectors whose lengths only the rows tell.
fn lists(one: &ListArray, other: &ListArray, item: &arrow_schema::FieldRef) -> Result<ArrayRef, Misfit> {
    let rows = NullBuffer::union(one.nulls(), other.nulls());
    // What lies below a null is left out on both sides, so that the rest lies side by side.
    let there: Vec<(usize, usize)> = match &rows {
        Some(rows) => rows.valid_slices().collect(),
        None => vec![(0, one.len())],
    };
    let mut lengths = vec![0; one.len()];
    for row in there.iter().flat_map(|(start, end)| *start..*end) {
        let (a, b) = (one.value_length(row), other.value_length(row));
        if a != b {
            let message = format!("a vector of {a} minus one of {b} is nothing");
            return Err(Misfit { idx: row, message });
        }
        lengths[row] = a as usize;
    }
    let misfit = |err: arrow_schema::ArrowError| Misfit { idx: 0, message: err.to_string() };
    let joined = |list: &ListArray| {
        let bounds = list.value_offsets();
        let slice = |(start, end): &(usize, usize)| {
            let (first, last) = (bounds[*start] as usize, bounds[*end] as usize);
            list.values().slice(first, last - first)
        };
        let parts: Vec<ArrayRef> = there.iter().map(slice).collect();
        match parts.as_slice() {
            [] => Ok(list.values().slice(0, 0)),
            parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>()).map_err(misfit),
        }
    };
    let (left, right) = (joined(one)?, joined(other)?);
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    let is_hidden = |idx: usize| nulls.as_ref().is_some_and(|it| it.is_null(idx));
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let row_of = |idx: usize| offsets.partition_point(|end| (*end as usize) <= idx).saturating_sub(1);
    let values = values(&left, &right, nulls.clone(), &is_hidden)
        .map_err(|it| Misfit { idx: row_of(it.idx), ..it })?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, rows).map_err(misfit)?))
}

/// The values of one column minus those of another; `nulls` are those of the result, and what is hidden is nobody's value.
fn values(
    one: &ArrayRef,
    other: &ArrayRef,
    nulls: Option<NullBuffer>,
    is_hidden: &dyn Fn(usize) -> bool,
) -> Result<ArrayRef, Misfit> {
    if one.data_type() != other.data_type() || one.len() != other.len() {
        let message = format!("{} minus {} is nothing", one.data_type(), other.data_type());
        return Err(Misfit { idx: 0, message });
    }
    macro_rules! float {
        ($of:ty) => {
            Ok(each::<$of>(one, other, nulls, |a, b| a - b))
        };
    }
    macro_rules! whole {
        ($of:ty) => {
            wholes::<$of>(one, other, (nulls, is_hidden), |a, b| a.checked_sub(b))
        };
    }
    match DType::from_arrow(one.data_type()) {
        Some(DType::Float16) => float!(Float16Type),
        Some(DType::Float32) => float!(Float32Type),
        Some(DType::Float64) => float!(Float64Type),
        Some(DType::Int8) => whole!(Int8Type),
        Some(DType::Int16) => whole!(Int16Type),
        Some(DType::Int32) => whole!(Int32Type),
        Some(DType::Int64) => whole!(Int64Type),
        Some(DType::UInt8) => whole!(UInt8Type),
        Some(DType::UInt16) => whole!(UInt16Type),
        Some(DType::UInt32) => whole!(UInt32Type),
        Some(DType::UInt64) => whole!(UInt64Type),
        Some(DType::Bool | DType::String | DType::Bytes) | None => {
            Err(Misfit { idx: 0, message: format!("{} is no number", one.data_type()) })
        }
    }
}

fn each<T: ArrowPrimitiveType>(
    one: &ArrayRef,
    other: &ArrayRef,
    nulls: Option<NullBuffer>,
    minus: impl Fn(T::Native, T::Native) -> T::Native,
) -> ArrayRef {
    let (one, other) = (one.as_primitive::<T>(), other.as_primitive::<T>());
    let values: Vec<T::Native> =
        one.values().iter().zip(other.values()).map(|(a, b)| minus(*a, *b)).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}

fn wholes<T: ArrowPrimitiveType>(
    one: &ArrayRef,
    other: &ArrayRef,
    (nulls, is_hidden): (Option<NullBuffer>, &dyn Fn(usize) -> bool),
    minus: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Result<ArrayRef, Misfit>
where
    T::Native: std::fmt::Display,
{
    let (left, right) = (one.as_primitive::<T>(), other.as_primitive::<T>());
    let mut values = Vec::with_capacity(left.len());
    for (idx, (a, b)) in left.values().iter().zip(right.values()).enumerate() {
        values.push(match minus(*a, *b) {
            Some(value) => value,
            None if is_hidden(idx) => T::default_value(),
            None => {
                let message = format!("{a} minus {b} is more than {} can hold", T::DATA_TYPE);
                return Err(Misfit { idx, message });
            }
        });
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float32Array, UInt8Array, types::Float32Type};

    use super::*;

    #[test]
    fn scalars_are_subtracted_and_null_stays() {
        let one: ArrayRef = Arc::new(Float32Array::from(vec![Some(3.0), None, Some(1.0)]));
        let other: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.0), Some(1.0), None]));
        let made = minus(&one, &other).unwrap();
        assert_eq!(made.as_primitive::<Float32Type>(), &Float32Array::from(vec![Some(2.0), None, None]));
        let itself = minus(&one, &one).unwrap();
        assert_eq!(
            itself.as_primitive::<Float32Type>(),
            &Float32Array::from(vec![Some(0.0), None, Some(0.0)])
        );
    }

    #[test]
    fn a_vector_minus_nothing_is_null() {
        let feature = Feature::new("v", DType::Float32, vec![nodedata_core::Dim::Fixed(2)]).nullable();
        let values: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0]));
        let flat = crate::flat::Flat { values, starts: crate::flat::Starts::Each(2), valid: None };
        let one = flat.into_column(&feature);
        // As rows behind the end of an episode are made: null with nothing in them.
        let other = arrow_array::new_null_array(one.data_type(), 2);
        let made = minus(&one, &other).unwrap();
        assert_eq!((made.null_count(), made.data_type()), (2, one.data_type()));
        let whole: ArrayRef = Arc::new(UInt8Array::from(vec![1, 2]));
        assert_eq!(
            minus(&whole, &arrow_array::new_null_array(whole.data_type(), 2)).unwrap().null_count(),
            2
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_row() {
        let bytes = |it: Vec<Option<u8>>| -> ArrayRef { Arc::new(UInt8Array::from(it)) };
        let refused = minus(&bytes(vec![Some(3), Some(1)]), &bytes(vec![Some(3), Some(2)])).unwrap_err();
        assert_eq!((refused.idx, refused.message.as_str()), (1, "1 minus 2 is more than UInt8 can hold"));
        assert!(minus(&bytes(vec![None]), &bytes(vec![Some(2)])).is_ok());
        let lists = |rows: Vec<Option<Vec<Option<f32>>>>| -> ArrayRef {
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
        };
        let one = lists(vec![Some(vec![Some(1.0), Some(2.0)]), None, Some(vec![Some(5.0)])]);
        let other =
            lists(vec![Some(vec![Some(1.0), Some(1.0)]), Some(vec![Some(1.0)]), Some(vec![Some(2.0)])]);
        let expected = lists(vec![Some(vec![Some(0.0), Some(1.0)]), None, Some(vec![Some(3.0)])]);
        assert_eq!(minus(&one, &other).unwrap().as_ref(), expected.as_ref());
        assert_eq!(
            minus(&one.slice(2, 1), &other.slice(2, 1)).unwrap().as_ref(),
            expected.slice(2, 1).as_ref()
        );
        let nothing = lists(vec![None, None, None]);
        assert_eq!(minus(&one, &nothing).unwrap().as_ref(), nothing.as_ref());
        let short = lists(vec![Some(vec![Some(1.0)]), None, Some(vec![Some(2.0)])]);
        assert_eq!(minus(&one, &short).unwrap_err().idx, 0);
    }
}
