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
    if dtype == DType::Bool {
        return Some(0..=1);
    }
    let range = dtype.integers()?;
    // 64 bits are stored as they are, whatever their sign.
    let stored = |it: i128| i64::try_from(it).ok();
    Some(
        stored(*range.start())
            .zip(stored(*range.end()))
            .map_or(i64::MIN..=i64::MAX, |(low, high)| low..=high),
    )
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
