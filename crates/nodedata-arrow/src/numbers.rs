//! Columns of numbers, however wide their writer stored them.

use arrow_array::{Array, ArrayRef, cast::AsArray, types::*};
use arrow_schema::DataType;

/// A column of whole numbers, wherever it is stored in 64 bits or fewer. `None` for other types.
pub fn integers(array: &ArrayRef) -> Option<Vec<Option<i64>>> {
    macro_rules! collect {
        ($kind:ty) => {
            Some(
                array
                    .as_primitive::<$kind>()
                    .iter()
                    .map(|it| it.and_then(|it| i64::try_from(it).ok()))
                    .collect(),
            )
        };
    }
    match array.data_type() {
        DataType::Int8 => collect!(Int8Type),
        DataType::Int16 => collect!(Int16Type),
        DataType::Int32 => collect!(Int32Type),
        DataType::Int64 => collect!(Int64Type),
        DataType::UInt8 => collect!(UInt8Type),
        DataType::UInt16 => collect!(UInt16Type),
        DataType::UInt32 => collect!(UInt32Type),
        DataType::UInt64 => collect!(UInt64Type),
        // Some writers keep every scalar as a list of one.
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let is_one = |pair: &[i32]| pair[1] - pair[0] == 1;
            if list.null_count() > 0 || !list.value_offsets().windows(2).all(is_one) {
                return None;
            }
            integers(&list.values().slice(list.value_offsets()[0] as usize, list.len()))
        }
        _ => None,
    }
}

/// A column of real numbers; a null is NaN. `None` for other types.
pub fn floats(array: &ArrayRef) -> Option<Vec<f64>> {
    match array.data_type() {
        DataType::Float16 => {
            let values = array.as_primitive::<Float16Type>().iter();
            Some(values.map(|it| it.map_or(f64::NAN, |it| it.to_f64())).collect())
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().iter();
            Some(values.map(|it| it.map_or(f64::NAN, f64::from)).collect())
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().iter();
            Some(values.map(|it| it.unwrap_or(f64::NAN)).collect())
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let is_one = |pair: &[i32]| pair[1] - pair[0] == 1;
            if list.null_count() > 0 || !list.value_offsets().windows(2).all(is_one) {
                return None;
            }
            floats(&list.values().slice(list.value_offsets()[0] as usize, list.len()))
        }
        _ => None,
    }
}
