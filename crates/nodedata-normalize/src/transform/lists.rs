use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, ListArray, StructArray, cast::AsArray, make_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType};

/// The lists of `array` around other values, of the type that the lists are to have: `values` takes the place of
/// [`nodedata_core::Nested::values`], as many as there were.
///
/// # Errors
/// When the values are not of the type that is inside of `wanted`.
pub(super) fn around(array: &dyn Array, values: ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), wanted) {
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let offsets = list.offsets();
            let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
            let inside = list.values().slice(first as usize, (last - first) as usize);
            let values = around(inside.as_ref(), values, item.data_type())?;
            let offsets = OffsetBuffer::new(offsets.iter().map(|it| it - first).collect());
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, list.nulls().cloned())?))
        }
        (DataType::FixedSizeList(..), DataType::FixedSizeList(item, n)) => {
            let list = array.as_fixed_size_list();
            let values = around(list.values().as_ref(), values, item.data_type())?;
            let (item, nulls) = (Arc::clone(item), list.nulls().cloned());
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(item, *n, values, nulls, list.len())?))
        }
        _ => Ok(values),
    }
}

/// The same values in a column that may be null where this one could not, or the reverse: types of lists say so of their
/// items.
///
/// # Errors
/// When the values are of another type than `wanted`.
pub(super) fn retyped(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), wanted) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let of = array.as_struct();
            let columns = of.columns().to_vec();
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, of.nulls().cloned())?))
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = retyped(list.values(), item.data_type())?;
            let (item, offsets) = (Arc::clone(item), list.offsets().clone());
            Ok(Arc::new(ListArray::try_new(item, offsets, values, list.nulls().cloned())?))
        }
        (DataType::FixedSizeList(..), DataType::FixedSizeList(item, n)) => {
            let list = array.as_fixed_size_list();
            let values = retyped(list.values(), item.data_type())?;
            let (item, nulls) = (Arc::clone(item), list.nulls().cloned());
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(item, *n, values, nulls, list.len())?))
        }
        (found, _) => Err(ArrowError::InvalidArgumentError(format!("{found} is not {wanted}"))),
    }
}

/// The same column, null where `nulls` says so.
pub(super) fn nulled(array: &ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    let Some(nulls) = nulls else { return Arc::clone(array) };
    let data = array.to_data().into_builder().nulls(Some(nulls));
    make_array(data.build().expect("only the validity of sound values changes"))
}
