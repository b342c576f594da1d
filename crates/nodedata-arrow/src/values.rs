//! Values of types that no feature has as those that one stores: times in nanoseconds, decimals as text, numbers in a wider type.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, GenericByteArray, OffsetSizeTrait, PrimitiveArray, StringArray,
    builder::{BinaryBuilder, StringBuilder},
    cast::AsArray,
    types::*,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, TimeUnit};
use nodedata_core::{Error, ErrorKind, Result};

use crate::{
    arrays::{Flaw, wrong_nulls},
    floats,
    forms::too_many,
    integers,
};

/// What can be done about a time that is too far away.
pub(crate) const OVERFLOW_HINT: &str =
    "leave the column out by naming the others with `--topic`, or write it in a type that holds its times";

/// Values in the type of a feature.
pub(crate) fn converted(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, Flaw> {
    match (array.data_type(), target) {
        (
            DataType::Timestamp(unit, _)
            | DataType::Duration(unit)
            | DataType::Time64(unit)
            | DataType::Time32(unit),
            DataType::Int64,
        ) => nanoseconds(array, *unit),
        (DataType::Date32, DataType::Int32) => {
            Ok(Arc::new(array.as_primitive::<Date32Type>().reinterpret_cast::<Int32Type>()))
        }
        (DataType::Date64, DataType::Int64) => {
            Ok(Arc::new(array.as_primitive::<Date64Type>().reinterpret_cast::<Int64Type>()))
        }
        (DataType::Decimal32(..), DataType::Utf8) => Ok(digits::<Decimal32Type>(array)),
        (DataType::Decimal64(..), DataType::Utf8) => Ok(digits::<Decimal64Type>(array)),
        (DataType::Decimal128(..), DataType::Utf8) => Ok(digits::<Decimal128Type>(array)),
        (DataType::Decimal256(..), DataType::Utf8) => Ok(digits::<Decimal256Type>(array)),
        (DataType::LargeUtf8, DataType::Utf8) => {
            let (offsets, values) = small(array.as_string::<i64>())?;
            let texts = StringArray::try_new(offsets, values, array.nulls().cloned());
            Ok(Arc::new(texts.map_err(wrong_nulls)?))
        }
        (DataType::LargeBinary, DataType::Binary) => {
            let (offsets, values) = small(array.as_binary::<i64>())?;
            let bytes = BinaryArray::try_new(offsets, values, array.nulls().cloned());
            Ok(Arc::new(bytes.map_err(wrong_nulls)?))
        }
        (DataType::Utf8View, DataType::Utf8) => {
            let texts = array.as_string_view();
            fits(texts.lengths().map(u64::from).sum())?;
            let mut all = StringBuilder::new();
            texts.iter().for_each(|it| all.append_option(it));
            Ok(Arc::new(all.finish()))
        }
        (DataType::BinaryView, DataType::Binary) => {
            let bytes = array.as_binary_view();
            fits(bytes.lengths().map(u64::from).sum())?;
            let mut all = BinaryBuilder::new();
            bytes.iter().for_each(|it| all.append_option(it));
            Ok(Arc::new(all.finish()))
        }
        (DataType::FixedSizeBinary(n), DataType::Binary) => {
            let bytes = array.as_fixed_size_binary();
            fits(bytes.len() as u64 * u64::try_from(*n).unwrap_or(0))?;
            let mut all = BinaryBuilder::new();
            bytes.iter().for_each(|it| all.append_option(it));
            Ok(Arc::new(all.finish()))
        }
        _ => Ok(widened(array, target)?),
    }
}

/// What offsets of 32 bits count.
pub(crate) fn fits(n_bytes: u64) -> Result<()> {
    i32::try_from(n_bytes).map(drop).map_err(|_| too_many())
}

/// Times, each a number of nanoseconds.
fn nanoseconds(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef, Flaw> {
    let per_unit = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1000,
        TimeUnit::Nanosecond => 1,
    };
    // Whatever its type says, it is a number of 32 or 64 bits.
    let data = array.to_data();
    let mut values: Vec<i64> = match array.data_type() {
        DataType::Time32(_) => {
            data.buffer::<i32>(0).iter().copied().map(i64::from).take(array.len()).collect()
        }
        _ => data.buffer::<i64>(0).iter().copied().take(array.len()).collect(),
    };
    let nulls = array.nulls();
    for (item, value) in values.iter_mut().enumerate() {
        match value.checked_mul(per_unit) {
            Some(product) => *value = product,
            // Whatever a null hides.
            None if nulls.is_some_and(|it| it.is_null(item)) => *value = 0,
            None => {
                let message = format!(
                    "the time {value} ({}) has more nanoseconds than 64 bits hold",
                    array.data_type()
                );
                let err = Error::new(ErrorKind::Unsupported, message).with_hint(OVERFLOW_HINT);
                return Err(Flaw::at(item, err));
            }
        }
    }
    Ok(Arc::new(PrimitiveArray::<Int64Type>::new(values.into(), nulls.cloned())))
}

/// Decimals as they are written: all of their digits.
fn digits<T: DecimalType>(array: &ArrayRef) -> ArrayRef {
    let values = array.as_primitive::<T>();
    let mut all = StringBuilder::new();
    for row in 0..values.len() {
        all.append_option(values.is_valid(row).then(|| values.value_as_string(row)));
    }
    Arc::new(all.finish())
}

/// Offsets of 32 bits from 0, and the bytes they span.
fn small<T: ByteArrayType<Offset = O>, O: OffsetSizeTrait>(
    array: &GenericByteArray<T>,
) -> Result<(OffsetBuffer<i32>, arrow_buffer::Buffer)> {
    let offsets = array.value_offsets();
    let first = offsets[0].as_usize();
    let n_bytes = offsets[offsets.len() - 1].as_usize() - first;
    fits(n_bytes as u64)?;
    let rebased: Vec<i32> = offsets.iter().map(|it| (it.as_usize() - first) as i32).collect();
    Ok((OffsetBuffer::new(rebased.into()), array.values().slice_with_length(first, n_bytes)))
}

/// Numbers in a wider type. The plan allows no others, so that none fails to fit.
fn widened(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let refused = || {
        let message = format!("values of {} do not fit {target}", array.data_type());
        Error::new(ErrorKind::SchemaMismatch, message)
    };
    macro_rules! whole_numbers {
        ($kind:ty) => {{
            let values = integers(array).ok_or_else(refused)?;
            let fitting =
                |it: Option<i64>| it.map(<$kind as ArrowPrimitiveType>::Native::try_from).transpose();
            let values: Result<Vec<_>, _> = values.into_iter().map(fitting).collect();
            let values: PrimitiveArray<$kind> = values.map_err(|_| refused())?.into_iter().collect();
            Ok(Arc::new(values))
        }};
    }
    match target {
        DataType::Int16 => whole_numbers!(Int16Type),
        DataType::Int32 => whole_numbers!(Int32Type),
        DataType::Int64 => whole_numbers!(Int64Type),
        DataType::UInt16 => whole_numbers!(UInt16Type),
        DataType::UInt32 => whole_numbers!(UInt32Type),
        DataType::UInt64 => whole_numbers!(UInt64Type),
        DataType::Float32 => {
            let values: Vec<f32> =
                floats(array).ok_or_else(refused)?.into_iter().map(|it| it as f32).collect();
            Ok(Arc::new(PrimitiveArray::<Float32Type>::new(values.into(), array.nulls().cloned())))
        }
        DataType::Float64 => {
            let values = floats(array).ok_or_else(refused)?;
            Ok(Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), array.nulls().cloned())))
        }
        _ => Err(refused()),
    }
}
