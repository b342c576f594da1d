use std::borrow::Cow;

use arrow_array::{Array, ArrowPrimitiveType, cast::AsArray, types::*};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use nodedata_core::DType;

/// The numbers of a column's leaf, borrowed unless they are a dictionary.
///
/// # Panics
/// When the column is of another type.
pub(crate) fn numbers<T: ArrowPrimitiveType>(values: &dyn Array) -> Cow<'_, [T::Native]> {
    match values.as_any_dictionary_opt() {
        None => Cow::Borrowed(values.as_primitive::<T>().values()),
        Some(dictionary) => {
            let words = dictionary.values().as_primitive::<T>().values();
            // Keys of null rows point anywhere.
            let word = |key: usize| words.get(key).copied().unwrap_or_default();
            Cow::Owned(keys(values).into_iter().map(word).collect())
        }
    }
}

/// The numbers of a column's leaf as they lie in memory, those of null slots included.
pub(crate) fn number_bytes(values: &dyn Array, dtype: DType) -> Buffer {
    let width = dtype.byte_width().unwrap_or(1);
    if values.as_any_dictionary_opt().is_none() {
        let data = values.to_data();
        return data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width);
    }
    macro_rules! decoded {
        ($t:ty) => {
            numbers::<$t>(values).iter().flat_map(|it| it.to_le_bytes()).collect()
        };
    }
    let bytes: Vec<u8> = match dtype {
        DType::Int8 => decoded!(Int8Type),
        DType::Int16 => decoded!(Int16Type),
        DType::Int32 => decoded!(Int32Type),
        DType::Int64 => decoded!(Int64Type),
        DType::UInt8 => decoded!(UInt8Type),
        DType::UInt16 => decoded!(UInt16Type),
        DType::UInt32 => decoded!(UInt32Type),
        DType::UInt64 => decoded!(UInt64Type),
        DType::Float16 => decoded!(Float16Type),
        DType::Float32 => decoded!(Float32Type),
        DType::Float64 => decoded!(Float64Type),
        DType::Bool | DType::String | DType::Bytes => Vec::new(),
    };
    Buffer::from_vec(bytes)
}

/// The bools of a column's leaf, one byte each.
///
/// # Panics
/// When the column is of another type.
pub(crate) fn bools(values: &dyn Array) -> Vec<u8> {
    let bits = |array: &dyn Array| array.as_boolean().values().iter().map(u8::from).collect::<Vec<u8>>();
    match values.as_any_dictionary_opt() {
        None => bits(values),
        Some(dictionary) => {
            let words = bits(dictionary.values());
            keys(values).into_iter().map(|key| words.get(key).copied().unwrap_or_default()).collect()
        }
    }
}

/// Calls `visit` with position and bytes of each text or bytes value, those of null slots included.
///
/// # Panics
/// When the column is of another type.
pub(crate) fn for_each_bytes<'a>(values: &'a dyn Array, mut visit: impl FnMut(usize, &'a [u8])) {
    let Some(dictionary) = values.as_any_dictionary_opt() else {
        return for_each_plain_bytes(values, visit);
    };
    let mut words = Vec::new();
    for_each_plain_bytes(dictionary.values().as_ref(), |_, word| words.push(word));
    for (idx, key) in keys(values).into_iter().enumerate() {
        // Keys of null rows point anywhere.
        visit(idx, words.get(key).copied().unwrap_or_default());
    }
}

fn for_each_plain_bytes<'a>(values: &'a dyn Array, mut visit: impl FnMut(usize, &'a [u8])) {
    let n = values.len();
    match values.data_type() {
        DataType::Utf8 => {
            let array = values.as_string::<i32>();
            (0..n).for_each(|idx| visit(idx, array.value(idx).as_bytes()));
        }
        DataType::LargeUtf8 => {
            let array = values.as_string::<i64>();
            (0..n).for_each(|idx| visit(idx, array.value(idx).as_bytes()));
        }
        DataType::Utf8View => {
            let array = values.as_string_view();
            (0..n).for_each(|idx| visit(idx, array.value(idx).as_bytes()));
        }
        DataType::LargeBinary => {
            let array = values.as_binary::<i64>();
            (0..n).for_each(|idx| visit(idx, array.value(idx)));
        }
        DataType::BinaryView => {
            let array = values.as_binary_view();
            (0..n).for_each(|idx| visit(idx, array.value(idx)));
        }
        _ => {
            let array = values.as_binary::<i32>();
            (0..n).for_each(|idx| visit(idx, array.value(idx)));
        }
    }
}

/// The keys of a dictionary as positions. Those of null rows may be any number.
fn keys(dictionary: &dyn Array) -> Vec<usize> {
    fn positions<K: ArrowDictionaryKeyType>(array: &dyn Array) -> Vec<usize>
    where
        K::Native: TryInto<usize>,
    {
        let keys = array.as_dictionary::<K>().keys().values();
        keys.iter().map(|it| (*it).try_into().unwrap_or(usize::MAX)).collect()
    }
    let DataType::Dictionary(key, _) = dictionary.data_type() else { return Vec::new() };
    match **key {
        DataType::Int8 => positions::<Int8Type>(dictionary),
        DataType::Int16 => positions::<Int16Type>(dictionary),
        DataType::Int64 => positions::<Int64Type>(dictionary),
        DataType::UInt8 => positions::<UInt8Type>(dictionary),
        DataType::UInt16 => positions::<UInt16Type>(dictionary),
        DataType::UInt32 => positions::<UInt32Type>(dictionary),
        DataType::UInt64 => positions::<UInt64Type>(dictionary),
        _ => positions::<Int32Type>(dictionary),
    }
}
