//! Values of a table as JSON, away from Arrow's types.

use arrow_array::{
    Array,
    cast::AsArray as _,
    types::{
        Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt64Type,
    },
};
use arrow_schema::DataType;
use serde_json::Value;

/// A value; encoded images are their bytes.
pub(crate) fn value(array: &dyn Array, idx: usize) -> Value {
    let items = |array: &dyn Array| -> Value { (0..array.len()).map(|it| value(array, it)).collect() };
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(idx).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(idx).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(idx).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(idx).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(idx).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(idx).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(idx).into(),
        DataType::Float16 => f64::from(array.as_primitive::<Float16Type>().value(idx)).into(),
        DataType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(idx)).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(idx).into(),
        DataType::Utf8 => array.as_string::<i32>().value(idx).into(),
        DataType::Binary => array.as_binary::<i32>().value(idx).to_vec().into(),
        DataType::List(_) => items(&array.as_list::<i32>().value(idx)),
        DataType::FixedSizeList(..) => items(&array.as_fixed_size_list().value(idx)),
        DataType::Struct(_) => value(array.as_struct().column(0), idx),
        other => panic!("a column of type {other}"),
    }
}
