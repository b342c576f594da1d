//! Numbers and texts as the types that features say, from the few that a record has.

use std::ops::RangeInclusive;

use half::f16;
use nodedata_core::{DType, Error, ErrorKind, Result};

/// Bytes that must be text.
///
/// # Errors
/// `Corrupt` when they are not.
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    str::from_utf8(bytes)
        .map_err(|err| Error::new(ErrorKind::Corrupt, "the text is not UTF-8").with_source(err))
}

/// A number that is stored in 64 bits and is not one of its type.
pub(crate) fn out_of_range(value: i64, dtype: DType) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{value} is no {dtype}"))
}

/// The integers that a type has, as they are stored; `None` for the type of other values.
pub(crate) fn range_of(dtype: DType) -> Option<RangeInclusive<i64>> {
    Some(match dtype {
        DType::Bool => 0..=1,
        DType::Int8 => i8::MIN.into()..=i8::MAX.into(),
        DType::Int16 => i16::MIN.into()..=i16::MAX.into(),
        DType::Int32 => i32::MIN.into()..=i32::MAX.into(),
        // 64 bits are stored as they are, whatever their sign.
        DType::Int64 | DType::UInt64 => i64::MIN..=i64::MAX,
        DType::UInt8 => 0..=u8::MAX.into(),
        DType::UInt16 => 0..=u16::MAX.into(),
        DType::UInt32 => 0..=u32::MAX.into(),
        DType::Float16 | DType::Float32 | DType::Float64 | DType::String | DType::Bytes => return None,
    })
}

/// A float of half the size that tells the same.
///
/// # Errors
/// `Corrupt` when there is none.
pub(crate) fn halved(value: f32) -> Result<[u8; 2]> {
    let narrow = f16::from_f32(value);
    if narrow.to_f32() == value || value.is_nan() {
        return Ok(narrow.to_le_bytes());
    }
    Err(Error::new(ErrorKind::Corrupt, format!("{value:?} cannot be told as {} exactly", DType::Float16)))
}
