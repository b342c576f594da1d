//! Arrow's other ways to store the same lists and values, as the plain one.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, GenericListViewArray, ListArray, OffsetSizeTrait, RunArray, UInt32Array,
    cast::AsArray,
    types::{Int16Type, Int32Type, Int64Type, RunEndIndexType},
};
use arrow_buffer::{ArrowNativeType as _, OffsetBuffer};
use arrow_schema::DataType;
use arrow_select::take::take;
use nodedata_core::{Error, ErrorKind, Result};

use crate::arrays::wrong_nulls;

/// Items that the lists of one batch may have together: views may all show the same ones.
const ITEMS_MAX: usize = 1 << 27;
/// Bytes that a batch of one column may have where each value stands for one that is stored once.
const BYTES_MAX: u64 = 1 << 30;

/// A batch of which a column holds more than arrays of 32-bit offsets can count.
pub(crate) fn too_many() -> Error {
    Error::new(ErrorKind::Limit, "the values of one batch of the column take more than 2 GiB")
        .with_hint("write the file again in smaller batches or row groups")
}

/// Whether a type is that of lists that are stored otherwise than in a `List` or a list of fixed size.
pub(crate) fn is_other_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::LargeList(_) | DataType::ListView(_) | DataType::LargeListView(_))
}

/// The same lists with offsets of 32 bits.
pub(crate) fn plain_list(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::LargeList(item) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            let first = offsets[0];
            let n_items = offsets[offsets.len() - 1] - first;
            i32::try_from(n_items).map_err(|_| too_many())?;
            let rebased: Vec<i32> = offsets.iter().map(|it| (it - first) as i32).collect();
            let values = list.values().slice(first as usize, n_items as usize);
            let offsets = OffsetBuffer::new(rebased.into());
            let list = ListArray::try_new(Arc::clone(item), offsets, values, list.nulls().cloned());
            Ok(Arc::new(list.map_err(wrong_nulls)?))
        }
        DataType::ListView(_) => views(array.as_list_view::<i32>()),
        DataType::LargeListView(_) => views(array.as_list_view::<i64>()),
        _ => Ok(Arc::clone(array)),
    }
}

fn views<O: OffsetSizeTrait>(list: &GenericListViewArray<O>) -> Result<ArrayRef> {
    let length = |row: usize| if list.is_valid(row) { list.sizes()[row].as_usize() } else { 0 };
    let n_items = (0..list.len()).try_fold(0usize, |sum, row| sum.checked_add(length(row)));
    let n_items = n_items.filter(|it| *it <= ITEMS_MAX && u32::try_from(list.values().len()).is_ok());
    let mut picked = Vec::with_capacity(n_items.ok_or_else(too_many)?);
    for row in 0..list.len() {
        let start = list.offsets()[row].as_usize();
        picked.extend((start..start + length(row)).map(|it| it as u32));
    }
    let values = take(list.values(), &UInt32Array::from(picked), None).map_err(wrong_nulls)?;
    let (DataType::ListView(item) | DataType::LargeListView(item)) = list.data_type() else {
        return Err(Error::new(ErrorKind::Corrupt, "the column is no list"));
    };
    let offsets = OffsetBuffer::from_lengths((0..list.len()).map(length));
    let list = ListArray::try_new(Arc::clone(item), offsets, values, list.nulls().cloned());
    Ok(Arc::new(list.map_err(wrong_nulls)?))
}

/// The values that a dictionary's keys or runs stand for.
pub(crate) fn looked_up(array: &ArrayRef) -> Result<ArrayRef> {
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let values = dictionary.values();
        if !values.is_empty() {
            bounded(values, &dictionary.normalized_keys())?;
        }
        return take(values, dictionary.keys(), None).map_err(wrong_nulls);
    }
    match array.data_type() {
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs(array.as_run::<Int16Type>()),
            DataType::Int32 => runs(array.as_run::<Int32Type>()),
            _ => runs(array.as_run::<Int64Type>()),
        },
        _ => Ok(Arc::clone(array)),
    }
}

fn runs<R: RunEndIndexType>(array: &RunArray<R>) -> Result<ArrayRef> {
    let rows: Vec<R::Native> = (0..array.len()).filter_map(R::Native::from_usize).collect();
    let places = array.get_physical_indices(&rows).map_err(wrong_nulls)?;
    bounded(array.values(), &places)?;
    let places: UInt32Array = places.into_iter().map(|it| it as u32).collect();
    take(array.values(), &places, None).map_err(wrong_nulls)
}

/// One long value that every row stands for is no reason to take all memory there is.
fn bounded(values: &ArrayRef, places: &[usize]) -> Result<()> {
    let length = |place: usize| -> usize {
        match values.data_type() {
            DataType::Utf8 => values.as_string::<i32>().value_length(place).as_usize(),
            DataType::Binary => values.as_binary::<i32>().value_length(place).as_usize(),
            DataType::LargeUtf8 => values.as_string::<i64>().value_length(place).as_usize(),
            DataType::LargeBinary => values.as_binary::<i64>().value_length(place).as_usize(),
            DataType::List(_) => values.as_list::<i32>().value_length(place).as_usize(),
            DataType::LargeList(_) => values.as_list::<i64>().value_length(place).as_usize(),
            _ => 0,
        }
    };
    let mut n_bytes = 0u64;
    for place in places.iter().filter(|it| **it < values.len()) {
        n_bytes = n_bytes.saturating_add(length(*place) as u64);
    }
    if BYTES_MAX < n_bytes { Err(too_many()) } else { Ok(()) }
}
