use arrow_array::{
    Array, ArrayRef,
    cast::AsArray,
    types::{
        Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::DataType;

/// One value of a table, away from Arrow's types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Float32(f32),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Self>),
}

impl Cell {
    /// Whether nothing was there: null, or lists of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(items) => items.iter().all(Self::is_empty),
            Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Float32(_)
            | Self::Text(_)
            | Self::Bytes(_) => false,
        }
    }

    /// The value in row `idx`.
    ///
    /// # Panics
    /// For a type that no feature has.
    pub(crate) fn of(array: &dyn Array, idx: usize) -> Self {
        if array.is_null(idx) {
            return Self::Null;
        }
        match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean().value(idx)),
            DataType::Int8 => Self::Int(array.as_primitive::<Int8Type>().value(idx).into()),
            DataType::Int16 => Self::Int(array.as_primitive::<Int16Type>().value(idx).into()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>().value(idx).into()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>().value(idx).into()),
            DataType::UInt8 => Self::Int(array.as_primitive::<UInt8Type>().value(idx).into()),
            DataType::UInt16 => Self::Int(array.as_primitive::<UInt16Type>().value(idx).into()),
            DataType::UInt32 => Self::Int(array.as_primitive::<UInt32Type>().value(idx).into()),
            DataType::UInt64 => Self::Int(array.as_primitive::<UInt64Type>().value(idx).into()),
            DataType::Float16 => Self::Float32(array.as_primitive::<Float16Type>().value(idx).into()),
            DataType::Float32 => Self::Float32(array.as_primitive::<Float32Type>().value(idx)),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().value(idx)),
            DataType::Utf8 => Self::Text(array.as_string::<i32>().value(idx).to_owned()),
            DataType::LargeUtf8 => Self::Text(array.as_string::<i64>().value(idx).to_owned()),
            DataType::Binary => Self::Bytes(array.as_binary::<i32>().value(idx).to_vec()),
            DataType::LargeBinary => Self::Bytes(array.as_binary::<i64>().value(idx).to_vec()),
            DataType::List(_) => Self::items(&array.as_list::<i32>().value(idx)),
            DataType::LargeList(_) => Self::items(&array.as_list::<i64>().value(idx)),
            DataType::FixedSizeList(..) => Self::items(&array.as_fixed_size_list().value(idx)),
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                Self::of(dictionary.values().as_ref(), dictionary.normalized_keys()[idx])
            }
            // An encoded image or clip: what counts is its bytes.
            DataType::Struct(_) => Self::of(array.as_struct().column(0), idx),
            other => panic!("a column of type {other}"),
        }
    }

    fn items(array: &ArrayRef) -> Self {
        Self::List((0..array.len()).map(|idx| Self::of(array.as_ref(), idx)).collect())
    }
}
