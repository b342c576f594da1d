use std::{ops::Sub, sync::Arc};

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray,
    cast::AsArray,
    types::{
        Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use half::f16;
use nodedata_core::DType;

use crate::cast::Misfit;

/// What becomes of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum NumberOp {
    Invert,
    /// The greatest value that becomes 0.
    Binarize(f64),
    /// Least and greatest value.
    Clip(Option<f64>, Option<f64>),
}

/// Which values are meant: every `step`-th from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Which {
    pub(super) first: usize,
    pub(super) step: usize,
}

impl Which {
    pub(super) const ALL: Self = Self { first: 0, step: 1 };

    fn of(self, n: usize) -> impl Iterator<Item = usize> {
        (self.first..n).step_by(self.step.max(1))
    }
}

/// Applies it to values. What lies below a null is nobody's value: `is_hidden` tells which those are.
///
/// # Errors
/// The first value whose result the type cannot hold.
pub(super) fn apply(
    op: NumberOp,
    values: &ArrayRef,
    which: Which,
    is_hidden: &dyn Fn(usize) -> bool,
) -> Result<ArrayRef, Misfit> {
    macro_rules! whole {
        ($of:ty) => {
            wholes(op, values.as_primitive::<$of>(), which, is_hidden)
        };
    }
    Ok(match DType::from_arrow(values.data_type()) {
        Some(DType::Bool) => bools(op, values.as_boolean(), which),
        Some(DType::Float16) => floats(op, values.as_primitive::<Float16Type>(), which, f16::from_f64),
        Some(DType::Float32) => floats(op, values.as_primitive::<Float32Type>(), which, |it| it as f32),
        Some(DType::Float64) => floats(op, values.as_primitive::<Float64Type>(), which, |it| it),
        Some(DType::Int8) => whole!(Int8Type)?,
        Some(DType::Int16) => whole!(Int16Type)?,
        Some(DType::Int32) => whole!(Int32Type)?,
        Some(DType::Int64) => whole!(Int64Type)?,
        Some(DType::UInt8) => whole!(UInt8Type)?,
        Some(DType::UInt16) => whole!(UInt16Type)?,
        Some(DType::UInt32) => whole!(UInt32Type)?,
        Some(DType::UInt64) => whole!(UInt64Type)?,
        Some(DType::String | DType::Bytes) | None => {
            return Err(Misfit { idx: 0, message: format!("{} is no number", values.data_type()) });
        }
    })
}

fn floats<T: ArrowPrimitiveType>(
    op: NumberOp,
    values: &PrimitiveArray<T>,
    which: Which,
    narrow: impl Fn(f64) -> T::Native,
) -> ArrayRef
where
    T::Native: PartialOrd + Sub<Output = T::Native>,
{
    let (zero, one) = (narrow(0.0), narrow(1.0));
    let each = |change: &dyn Fn(T::Native) -> T::Native| {
        let mut changed = values.values().to_vec();
        for value in changed.iter_mut().skip(which.first).step_by(which.step.max(1)) {
            *value = change(*value);
        }
        PrimitiveArray::<T>::new(changed.into(), values.nulls().cloned())
    };
    Arc::new(match op {
        NumberOp::Invert => each(&|it| one - it),
        NumberOp::Binarize(threshold) => {
            let threshold = narrow(threshold);
            each(&|it| {
                let is_nan = it.partial_cmp(&it).is_none();
                if is_nan {
                    it
                } else if it > threshold {
                    one
                } else {
                    zero
                }
            })
        }
        NumberOp::Clip(min, max) => {
            let (min, max) = (min.map(&narrow), max.map(&narrow));
            // NaN is neither below nor above, and stays.
            each(&|it| match (min, max) {
                (Some(min), _) if it < min => min,
                (_, Some(max)) if it > max => max,
                _ => it,
            })
        }
    })
}

fn wholes<T: ArrowPrimitiveType>(
    op: NumberOp,
    values: &PrimitiveArray<T>,
    which: Which,
    is_hidden: &dyn Fn(usize) -> bool,
) -> Result<ArrayRef, Misfit>
where
    T::Native: TryFrom<i128> + Into<i128>,
{
    let change = |it: i128| match op {
        NumberOp::Invert => 1 - it,
        // Above a threshold is above the whole number below it.
        NumberOp::Binarize(threshold) => i128::from(it > threshold.floor() as i128),
        NumberOp::Clip(min, max) => {
            let it = min.map_or(it, |min| it.max(min.ceil() as i128));
            max.map_or(it, |max| it.min(max.floor() as i128))
        }
    };
    let mut changed = values.values().to_vec();
    for idx in which.of(changed.len()) {
        let before: i128 = changed[idx].into();
        match T::Native::try_from(change(before)) {
            Ok(value) => changed[idx] = value,
            Err(_) if is_hidden(idx) => {}
            Err(_) => {
                let message =
                    format!("{before} becomes {}, which {} cannot hold", change(before), T::DATA_TYPE);
                return Err(Misfit { idx, message });
            }
        }
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(changed.into(), values.nulls().cloned())))
}

/// A bool can only be turned around: the plan takes it for nothing else.
fn bools(op: NumberOp, values: &BooleanArray, which: Which) -> ArrayRef {
    let inverts = op == NumberOp::Invert;
    let mut changed: Vec<bool> = values.values().iter().collect();
    for idx in which.of(changed.len()).filter(|_| inverts) {
        changed[idx] = !changed[idx];
    }
    Arc::new(BooleanArray::new(changed.into(), values.nulls().cloned()))
}

/// Why a type has no value inside of bounds, or cannot hold them; `None` where it can.
pub(super) fn no_value_inside(dtype: DType, min: Option<f64>, max: Option<f64>) -> Option<String> {
    match dtype {
        // A bound that became infinite would make all values so.
        DType::Float16 => return not_held(dtype, 65_504.0, min, max),
        DType::Float32 => return not_held(dtype, f64::from(f32::MAX), min, max),
        _ => {}
    }
    let (least, greatest) = dtype.integers()?.into_inner();
    let low = min.map_or(least, |it| it.ceil() as i128).max(least);
    let high = max.map_or(greatest, |it| it.floor() as i128).min(greatest);
    (high < low).then(|| format!("no value of {dtype} lies inside of these bounds"))
}

fn not_held(dtype: DType, greatest: f64, min: Option<f64>, max: Option<f64>) -> Option<String> {
    let bound = [min, max].into_iter().flatten().find(|it| it.abs() > greatest)?;
    Some(format!("{dtype} cannot hold the bound {bound}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float32Array, Int64Array, UInt8Array};
    use arrow_buffer::NullBuffer;

    use super::*;

    fn of_all(op: NumberOp, values: &ArrayRef) -> ArrayRef {
        apply(op, values, Which::ALL, &|idx| values.is_null(idx)).unwrap()
    }

    fn floats_of(array: &ArrayRef) -> Vec<f32> {
        array.as_primitive::<Float32Type>().values().to_vec()
    }

    #[test]
    fn floats_are_changed_in_their_own_type_and_nan_stays() {
        let values: ArrayRef =
            Arc::new(Float32Array::from(vec![0.0, 0.1, 0.5, 1.0, -2.0, f32::INFINITY, f32::NAN]));
        let inverted = floats_of(&of_all(NumberOp::Invert, &values));
        assert_eq!(inverted[..6], [1.0, 1.0 - 0.1f32, 0.5, 0.0, 3.0, f32::NEG_INFINITY]);
        let binary = floats_of(&of_all(NumberOp::Binarize(0.1), &values));
        // The threshold is rounded as the values were: 0.1 is not above 0.1.
        assert_eq!(binary[..6], [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
        let clipped = floats_of(&of_all(NumberOp::Clip(Some(-1.0), Some(0.1)), &values));
        assert_eq!(clipped[..6], [0.0, 0.1, 0.1, 0.1, -1.0, 0.1]);
        let open = floats_of(&of_all(NumberOp::Clip(Some(0.25), None), &values));
        assert_eq!(open[..6], [0.25, 0.25, 0.5, 1.0, 0.25, f32::INFINITY]);
        for changed in [inverted, binary, clipped, open] {
            assert!(changed[6].is_nan());
        }
    }

    #[test]
    fn inverting_twice_is_the_identity_where_nothing_is_rounded() {
        let values: ArrayRef = Arc::new(Float32Array::from_iter_values((0..=64).map(|it| it as f32 / 64.0)));
        let twice = of_all(NumberOp::Invert, &of_all(NumberOp::Invert, &values));
        assert_eq!(&twice, &values);
    }

    #[test]
    fn whole_numbers_stay_whole_or_are_refused() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, -7, i64::MAX - 1]));
        let ints = |it: &ArrayRef| it.as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(ints(&of_all(NumberOp::Invert, &values)), [1, 0, 8, 3 - i64::MAX - 1]);
        assert_eq!(ints(&of_all(NumberOp::Binarize(0.5), &values)), [0, 1, 0, 1]);
        assert_eq!(ints(&of_all(NumberOp::Binarize(1.0), &values)), [0, 0, 0, 1]);
        let clipped = of_all(NumberOp::Clip(Some(-0.5), Some(1.5)), &values);
        assert_eq!(ints(&clipped), [0, 1, 0, 1]);
        let bytes: ArrayRef = Arc::new(UInt8Array::from(vec![1, 2]));
        let refused = apply(NumberOp::Invert, &bytes, Which::ALL, &|_| false).unwrap_err();
        assert_eq!((refused.idx, refused.message.as_str()), (1, "2 becomes -1, which UInt8 cannot hold"));
        let hidden: ArrayRef =
            Arc::new(UInt8Array::new(vec![1, 2].into(), Some(NullBuffer::from(vec![true, false]))));
        assert_eq!(of_all(NumberOp::Invert, &hidden).null_count(), 1);
    }

    #[test]
    fn one_element_of_each_vector_is_meant() {
        let values: ArrayRef = Arc::new(Float32Array::from(vec![0.0, 0.25, 1.0, 0.75]));
        let last = Which { first: 1, step: 2 };
        let changed = apply(NumberOp::Invert, &values, last, &|_| false).unwrap();
        assert_eq!(floats_of(&changed), [0.0, 0.75, 1.0, 0.25]);
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, true, false, false]));
        let changed = apply(NumberOp::Invert, &flags, last, &|_| false).unwrap();
        assert_eq!(changed.as_boolean(), &BooleanArray::from(vec![true, false, false, true]));
    }

    #[test]
    fn bounds_without_a_value_between_them_are_told() {
        assert!(no_value_inside(DType::UInt8, None, Some(-0.5)).is_some());
        assert!(no_value_inside(DType::Int32, Some(0.2), Some(0.8)).is_some());
        assert!(no_value_inside(DType::UInt8, Some(-5.0), Some(300.0)).is_none());
        assert!(no_value_inside(DType::Float32, Some(0.2), Some(0.8)).is_none());
        assert!(no_value_inside(DType::Float16, Some(1e6), None).is_some());
        assert!(no_value_inside(DType::Float32, None, Some(1e300)).is_some());
    }
}
