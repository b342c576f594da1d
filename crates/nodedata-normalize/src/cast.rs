use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray,
    cast::AsArray,
    types::{
        Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_buffer::NullBuffer;
use half::f16;
use nodedata_core::DType;

/// A value that its new type cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Position in the array.
    pub(crate) idx: usize,
    pub(crate) message: String,
}

/// Whether values of one type can become another at all; whether each does is seen when it comes.
pub(crate) fn can_cast(from: DType, to: DType) -> bool {
    let is_number = |it: DType| it.is_numeric() || it == DType::Bool;
    from == to || is_number(from) && is_number(to)
}

/// Casts values. Whole numbers and bools must stay the same number, floats may be rounded to a narrower
/// float but not become infinite.
///
/// # Errors
/// The first value that does not fit.
pub(crate) fn cast(array: &ArrayRef, to: DType) -> Result<ArrayRef, Misfit> {
    macro_rules! whole {
        ($from:ty) => {{
            let values = array.as_primitive::<$from>().values();
            whole_to(values.len(), array.nulls(), |idx| i128::from(values[idx]), to)
        }};
    }
    macro_rules! float {
        ($from:ty, $wide:expr) => {{
            let values = array.as_primitive::<$from>().values();
            float_to(values.len(), array.nulls(), |idx| $wide(values[idx]), to)
        }};
    }
    match DType::from_arrow(array.data_type()) {
        Some(from) if from == to => Ok(Arc::clone(array)),
        Some(DType::Bool) => {
            let values = array.as_boolean();
            whole_to(values.len(), array.nulls(), |idx| i128::from(values.value(idx)), to)
        }
        Some(DType::Int8) => whole!(Int8Type),
        Some(DType::Int16) => whole!(Int16Type),
        Some(DType::Int32) => whole!(Int32Type),
        Some(DType::Int64) => whole!(Int64Type),
        Some(DType::UInt8) => whole!(UInt8Type),
        Some(DType::UInt16) => whole!(UInt16Type),
        Some(DType::UInt32) => whole!(UInt32Type),
        Some(DType::UInt64) => whole!(UInt64Type),
        Some(DType::Float16) => float!(Float16Type, f16::to_f64),
        Some(DType::Float32) => float!(Float32Type, f64::from),
        Some(DType::Float64) => float!(Float64Type, f64::from),
        Some(DType::String | DType::Bytes) | None => {
            Err(Misfit { idx: 0, message: format!("{} cannot become {to}", array.data_type()) })
        }
    }
}

fn whole_to(
    n: usize,
    nulls: Option<&NullBuffer>,
    get: impl Fn(usize) -> i128,
    to: DType,
) -> Result<ArrayRef, Misfit> {
    macro_rules! whole {
        ($to:ty) => {
            build::<$to, _>(n, nulls, to, &get, |it| <$to as ArrowPrimitiveType>::Native::try_from(it).ok())
        };
    }
    match to {
        DType::Bool => bools(n, nulls, &get, |it| match it {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }),
        DType::Int8 => whole!(Int8Type),
        DType::Int16 => whole!(Int16Type),
        DType::Int32 => whole!(Int32Type),
        DType::Int64 => whole!(Int64Type),
        DType::UInt8 => whole!(UInt8Type),
        DType::UInt16 => whole!(UInt16Type),
        DType::UInt32 => whole!(UInt32Type),
        DType::UInt64 => whole!(UInt64Type),
        DType::Float16 => build::<Float16Type, _>(n, nulls, to, &get, |it| {
            Some(f16::from_f64(it as f64))
                .filter(|narrow| narrow.is_finite() && narrow.to_f64() as i128 == it)
        }),
        DType::Float32 => build::<Float32Type, _>(n, nulls, to, &get, |it| {
            Some(it as f32).filter(|narrow| *narrow as i128 == it)
        }),
        DType::Float64 => build::<Float64Type, _>(n, nulls, to, &get, |it| {
            Some(it as f64).filter(|wide| *wide as i128 == it)
        }),
        DType::String | DType::Bytes => {
            Err(Misfit { idx: 0, message: format!("a number cannot become {to}") })
        }
    }
}

fn float_to(
    n: usize,
    nulls: Option<&NullBuffer>,
    get: impl Fn(usize) -> f64,
    to: DType,
) -> Result<ArrayRef, Misfit> {
    macro_rules! whole {
        ($to:ty) => {
            build::<$to, _>(n, nulls, to, &get, |it| {
                // Below 2^64 in size, so that an i128 holds it exactly.
                let is_whole = it.fract() == 0.0 && it.abs() < 1.9e19;
                if is_whole { <$to as ArrowPrimitiveType>::Native::try_from(it as i128).ok() } else { None }
            })
        };
    }
    match to {
        DType::Bool => bools(n, nulls, &get, |it| match it {
            0.0 => Some(false),
            1.0 => Some(true),
            _ => None,
        }),
        DType::Int8 => whole!(Int8Type),
        DType::Int16 => whole!(Int16Type),
        DType::Int32 => whole!(Int32Type),
        DType::Int64 => whole!(Int64Type),
        DType::UInt8 => whole!(UInt8Type),
        DType::UInt16 => whole!(UInt16Type),
        DType::UInt32 => whole!(UInt32Type),
        DType::UInt64 => whole!(UInt64Type),
        DType::Float16 => build::<Float16Type, _>(n, nulls, to, &get, |it| {
            Some(f16::from_f64(it)).filter(|narrow| narrow.is_finite() || !it.is_finite())
        }),
        DType::Float32 => build::<Float32Type, _>(n, nulls, to, &get, |it| {
            Some(it as f32).filter(|narrow| narrow.is_finite() || !it.is_finite())
        }),
        DType::Float64 => build::<Float64Type, _>(n, nulls, to, &get, Some),
        DType::String | DType::Bytes => {
            Err(Misfit { idx: 0, message: format!("a number cannot become {to}") })
        }
    }
}

fn build<T: ArrowPrimitiveType, W: Copy + std::fmt::Display>(
    n: usize,
    nulls: Option<&NullBuffer>,
    to: DType,
    get: &impl Fn(usize) -> W,
    fit: impl Fn(W) -> Option<T::Native>,
) -> Result<ArrayRef, Misfit> {
    let mut values = Vec::with_capacity(n);
    for idx in 0..n {
        let wide = get(idx);
        values.push(match fit(wide) {
            Some(value) => value,
            // What lies below a null is nobody's value.
            None if nulls.is_some_and(|it| it.is_null(idx)) => T::default_value(),
            None => return Err(misfit(idx, wide, to)),
        });
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls.cloned())))
}

fn bools<W: Copy + std::fmt::Display>(
    n: usize,
    nulls: Option<&NullBuffer>,
    get: &impl Fn(usize) -> W,
    fit: impl Fn(W) -> Option<bool>,
) -> Result<ArrayRef, Misfit> {
    let mut values = Vec::with_capacity(n);
    for idx in 0..n {
        let wide = get(idx);
        values.push(match fit(wide) {
            Some(value) => value,
            None if nulls.is_some_and(|it| it.is_null(idx)) => false,
            None => return Err(misfit(idx, wide, DType::Bool)),
        });
    }
    Ok(Arc::new(BooleanArray::new(values.into(), nulls.cloned())))
}

fn misfit(idx: usize, value: impl std::fmt::Display, to: DType) -> Misfit {
    Misfit { idx, message: format!("the value {value} does not fit {to}") }
}

/// Numbers as float64, rounded where they must be.
pub(crate) fn floats(array: &dyn Array) -> Vec<f64> {
    macro_rules! wide {
        ($from:ty, $wide:expr) => {
            array.as_primitive::<$from>().values().iter().map(|it| $wide(*it)).collect()
        };
    }
    match DType::from_arrow(array.data_type()) {
        Some(DType::Int8) => wide!(Int8Type, f64::from),
        Some(DType::Int16) => wide!(Int16Type, f64::from),
        Some(DType::Int32) => wide!(Int32Type, f64::from),
        Some(DType::Int64) => wide!(Int64Type, |it| it as f64),
        Some(DType::UInt8) => wide!(UInt8Type, f64::from),
        Some(DType::UInt16) => wide!(UInt16Type, f64::from),
        Some(DType::UInt32) => wide!(UInt32Type, f64::from),
        Some(DType::UInt64) => wide!(UInt64Type, |it| it as f64),
        Some(DType::Float16) => wide!(Float16Type, f16::to_f64),
        Some(DType::Float32) => wide!(Float32Type, f64::from),
        Some(DType::Float64) => array.as_primitive::<Float64Type>().values().to_vec(),
        Some(DType::Bool | DType::String | DType::Bytes) | None => vec![f64::NAN; array.len()],
    }
}

/// An array of one value that stands where there is none: 0, false or empty.
pub(crate) fn blank(dtype: DType) -> ArrayRef {
    macro_rules! zero {
        ($of:ty) => {
            Arc::new(PrimitiveArray::<$of>::from_value(Default::default(), 1))
        };
    }
    match dtype {
        DType::Bool => Arc::new(BooleanArray::from(vec![false])),
        DType::Int8 => zero!(Int8Type),
        DType::Int16 => zero!(Int16Type),
        DType::Int32 => zero!(Int32Type),
        DType::Int64 => zero!(Int64Type),
        DType::UInt8 => zero!(UInt8Type),
        DType::UInt16 => zero!(UInt16Type),
        DType::UInt32 => zero!(UInt32Type),
        DType::UInt64 => zero!(UInt64Type),
        DType::Float16 => zero!(Float16Type),
        DType::Float32 => zero!(Float32Type),
        DType::Float64 => zero!(Float64Type),
        DType::String => Arc::new(arrow_array::StringArray::from(vec![""])),
        DType::Bytes => Arc::new(arrow_array::BinaryArray::from(vec![b"".as_slice()])),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int64Array};

    use super::*;

    #[track_caller]
    fn fits(array: &ArrayRef, to: DType) {
        let there = cast(array, to).unwrap();
        assert_eq!(DType::from_arrow(there.data_type()), Some(to));
        let back = DType::from_arrow(array.data_type()).unwrap();
        assert_eq!(cast(&there, back).unwrap().as_ref(), array.as_ref());
    }

    #[track_caller]
    fn refused(array: &ArrayRef, to: DType, idx: usize) {
        assert_eq!(cast(array, to).unwrap_err().idx, idx);
    }

    #[test]
    fn values_stay_the_same_number_or_are_refused() {
        let ints = |it: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(it.to_vec())) };
        let floats = |it: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(it.to_vec())) };
        fits(&ints(&[0, 1, -128, 127]), DType::Int8);
        fits(&ints(&[1 << 24, -(1 << 24)]), DType::Float32);
        fits(&floats(&[0.0, 255.0]), DType::UInt8);
        fits(&ints(&[0, 1]), DType::Bool);
        refused(&ints(&[0, 128]), DType::Int8, 1);
        refused(&ints(&[0, -1]), DType::UInt64, 1);
        refused(&ints(&[(1 << 24) + 1]), DType::Float32, 0);
        refused(&ints(&[i64::MAX]), DType::Float64, 0);
        refused(&ints(&[2]), DType::Bool, 0);
        refused(&floats(&[1.0, 0.5]), DType::Int32, 1);
        refused(&floats(&[f64::NAN]), DType::Int32, 0);
        refused(&floats(&[1e300]), DType::Float32, 0);
        refused(&floats(&[1.0, 7e4]), DType::Float16, 1);
    }

    #[test]
    fn floats_may_be_rounded_and_nulls_hide_anything() {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![0.1, f64::INFINITY]));
        let narrow = cast(&array, DType::Float32).unwrap();
        assert_eq!(narrow.as_primitive::<Float32Type>().values().as_ref(), [0.1f32, f32::INFINITY]);
        let hidden: ArrayRef =
            Arc::new(Int64Array::new(vec![1, 999].into(), Some(NullBuffer::from(vec![true, false]))));
        assert_eq!(cast(&hidden, DType::Int8).unwrap().null_count(), 1);
    }
}
