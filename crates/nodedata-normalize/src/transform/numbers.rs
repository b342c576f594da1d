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
    /// Computed in float64 and rounded once. Floats only.
    Linear(Linear),
}

/// A straight line, by as few roundings as it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Linear {
    Times(f64),
    Over(f64),
    /// Times the first, over the second.
    TimesOver(f64, f64),
    Plus(f64),
}

impl Linear {
    /// What becomes of one value.
    #[inline]
    pub(super) fn of(self, value: f64) -> f64 {
        match self {
            Self::Times(times) => value * times,
            Self::Over(over) => value / over,
            Self::TimesOver(times, over) => value * times / over,
            Self::Plus(plus) => value + plus,
        }
    }
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
        Some(DType::Float16) => {
            let of = (f16::to_f64, f16::from_f64);
            Floats { values: values.as_primitive::<Float16Type>(), which, of }.apply(op, is_hidden)?
        }
        Some(DType::Float32) => {
            let of = (<f64 as From<f32>>::from, |it: f64| it as f32);
            Floats { values: values.as_primitive::<Float32Type>(), which, of }.apply(op, is_hidden)?
        }
        Some(DType::Float64) => {
            let of = (|it: f64| it, |it: f64| it);
            Floats { values: values.as_primitive::<Float64Type>(), which, of }.apply(op, is_hidden)?
        }
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

/// Values of one type of floats, with the way to float64 and back. Each change is a loop of its own, which the compiler makes wide.
struct Floats<'a, T: ArrowPrimitiveType, W, N> {
    values: &'a PrimitiveArray<T>,
    which: Which,
    of: (W, N),
}

impl<T: ArrowPrimitiveType, W, N> Floats<'_, T, W, N>
where
    T::Native: PartialOrd + Sub<Output = T::Native>,
    W: Fn(T::Native) -> f64 + Copy,
    N: Fn(f64) -> T::Native + Copy,
{
    fn apply(&self, op: NumberOp, is_hidden: &dyn Fn(usize) -> bool) -> Result<ArrayRef, Misfit> {
        let narrow = self.of.1;
        let (zero, one) = (narrow(0.0), narrow(1.0));
        Ok(match op {
            NumberOp::Invert => self.each(|it| one - it),
            NumberOp::Binarize(threshold) => {
                let threshold = narrow(threshold);
                self.each(|it| {
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
                let (min, max) = (min.map(narrow), max.map(narrow));
                // NaN is neither below nor above, and stays.
                self.each(|it| match (min, max) {
                    (Some(min), _) if it < min => min,
                    (_, Some(max)) if it > max => max,
                    _ => it,
                })
            }
            NumberOp::Linear(linear) => return self.linear(linear, is_hidden),
        })
    }

    #[inline]
    fn each(&self, change: impl Fn(T::Native) -> T::Native) -> ArrayRef {
        let Which { first, step } = self.which;
        let mut changed = self.values.values().to_vec();
        if step <= 1 {
            changed.iter_mut().skip(first).for_each(|it| *it = change(*it));
        } else {
            changed.iter_mut().skip(first).step_by(step).for_each(|it| *it = change(*it));
        }
        Arc::new(PrimitiveArray::<T>::new(changed.into(), self.values.nulls().cloned()))
    }

    fn linear(&self, linear: Linear, is_hidden: &dyn Fn(usize) -> bool) -> Result<ArrayRef, Misfit> {
        let (widen, narrow) = self.of;
        // A loop for each kind of line.
        let changed = match linear {
            Linear::Times(times) => self.each(|it| narrow(widen(it) * times)),
            Linear::Over(over) => self.each(|it| narrow(widen(it) / over)),
            Linear::TimesOver(times, over) => self.each(|it| narrow(widen(it) * times / over)),
            Linear::Plus(plus) => self.each(|it| narrow(widen(it) + plus)),
        };
        let values = self.values.values();
        let overflows = |idx: usize, after: T::Native| {
            widen(after).is_infinite() && !widen(values[idx]).is_infinite() && !is_hidden(idx)
        };
        // Hardly ever is there any: one look without branches finds out.
        let after = changed.as_primitive::<T>().values();
        let n_infinite = after.iter().map(|it| usize::from(widen(*it).is_infinite())).sum::<usize>();
        let overflow = (n_infinite != 0).then(|| (0..after.len()).find(|it| overflows(*it, after[*it])));
        match overflow.flatten() {
            None => Ok(changed),
            Some(idx) => {
                let (before, after) = (widen(values[idx]), linear.of(widen(values[idx])));
                let message = format!("{before} becomes {after}, which {} cannot hold", T::DATA_TYPE);
                Err(Misfit { idx, message })
            }
        }
    }
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
        // The plan takes it for floats alone.
        NumberOp::Linear(_) => it,
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
    use proptest::prelude::*;

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

    fn linear(linear: Linear, values: &[f32]) -> Vec<f32> {
        let values: ArrayRef = Arc::new(Float32Array::from(values.to_vec()));
        floats_of(&of_all(NumberOp::Linear(linear), &values))
    }

    #[test]
    fn lines_are_computed_wide_and_rounded_once() {
        assert_eq!(
            linear(Linear::Times(0.1), &[3.0, -0.0, f32::INFINITY]),
            [(3.0f64 * 0.1) as f32, -0.0, f32::INFINITY]
        );
        assert_eq!(linear(Linear::Over(3.0), &[1.0]), [(1.0f64 / 3.0) as f32]);
        assert_eq!(linear(Linear::TimesOver(5.0, 18.0), &[36.0]), [10.0]);
        assert_eq!(linear(Linear::Plus(0.1), &[0.2]), [(f64::from(0.2f32) + 0.1) as f32]);
        assert!(linear(Linear::Plus(1.0), &[f32::NAN])[0].is_nan());
        let values: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 1e30]));
        let op = NumberOp::Linear(Linear::Times(1e30));
        let refused = apply(op, &values, Which::ALL, &|_| false).unwrap_err();
        assert_eq!(refused.idx, 1);
        assert!(refused.message.ends_with("which Float32 cannot hold"), "{}", refused.message);
        assert!(apply(op, &values, Which::ALL, &|idx| idx == 1).is_ok());
        assert!(apply(op, &values, Which { first: 0, step: 2 }, &|_| false).is_ok());
    }

    proptest! {
        /// Times a power of two and over it again, and any number plus 0 changed back: nothing is lost where nothing is rounded.
        #[test]
        fn inverse_pairs_are_the_identity(values in proptest::collection::vec(-1e6..1e6f32, 0..40), power in -8..8i32, by in 0.01..100.0f64) {
            let factor = 2.0f64.powi(power);
            prop_assert_eq!(&linear(Linear::Over(factor), &linear(Linear::Times(factor), &values)), &values);
            let there = linear(Linear::Times(by), &values);
            let back = linear(Linear::Times(1.0 / by), &there);
            for (before, after) in values.iter().zip(back) {
                // Two roundings to 24 bits.
                prop_assert!((before - after).abs() <= 2.0 * f32::EPSILON * before.abs(), "{before} {after}");
            }
            prop_assert_eq!(linear(Linear::Times(1.0), &values), values);
        }

        /// Degrees as radians as degrees.
        #[test]
        fn angles_come_back(degrees in -1e4..1e4f64) {
            let of = |from: &str, to: &str| {
                let of = |name: &str| super::super::units::find(name).unwrap();
                super::super::units::conversion(of(from), of(to)).unwrap()
            };
            let there = of("deg", "rad").of(degrees);
            prop_assert_eq!(there, degrees.to_radians());
            let back = of("rad", "deg").of(there);
            prop_assert!((back - degrees).abs() <= 4.0 * f64::EPSILON * degrees.abs());
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
