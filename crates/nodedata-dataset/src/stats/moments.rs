use arrow_array::{ArrowPrimitiveType, types::*};
use half::f16;

/// A number of an Arrow column.
pub(crate) trait Number: Copy + Default + PartialOrd + std::fmt::Debug + Send + 'static {
    /// Its Arrow type.
    type Arrow: ArrowPrimitiveType<Native = Self>;
    /// Greater than or equal to all finite values; what a minimum starts from.
    const HIGHEST: Self;
    /// Less than or equal to all finite values; what a maximum starts from.
    const LOWEST: Self;
    /// The value, for types of 8 bit; `None` for all others.
    fn narrow(self) -> Option<i32>;
    /// The nearest `f64`.
    fn to_f64(self) -> f64;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;
    /// Neither a number nor infinite.
    fn is_nan(self) -> bool;
    /// How far it lies above `from`, as precisely as an `f64` can tell: integers beyond 2^53, such as
    /// nanosecond stamps, are subtracted first and rounded then.
    fn distance(self, from: Self) -> f64;
    /// About the number that lies `by` above it.
    fn moved(self, by: f64) -> Self;
    /// Exact for integers.
    fn to_json(self) -> serde_json::Value;
    /// All there is to know of it.
    fn to_bits(self) -> u64;
    /// The number of these bits; `None` when there is none.
    fn from_bits(bits: u64) -> Option<Self>;
}

macro_rules! integer {
    ($($t:ty, $arrow:ty, $distance:expr;)*) => {$(
        impl Number for $t {
            type Arrow = $arrow;
            const HIGHEST: Self = Self::MAX;
            const LOWEST: Self = Self::MIN;
            #[inline]
            fn narrow(self) -> Option<i32> {
                // Decided when compiling, so that the sums of wider types do not pay for it.
                if size_of::<Self>() == 1 { Some(self as i32) } else { None }
            }
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline]
            fn is_finite(self) -> bool {
                true
            }
            #[inline]
            fn is_nan(self) -> bool {
                false
            }
            #[inline]
            fn distance(self, from: Self) -> f64 {
                $distance(self, from)
            }
            fn moved(self, by: f64) -> Self {
                // Casts of floats saturate, so the sum does not overflow.
                let moved = i128::from(self) + i128::from(by as i64);
                Self::try_from(moved.clamp(Self::MIN.into(), Self::MAX.into())).unwrap_or(self)
            }
            fn to_json(self) -> serde_json::Value {
                self.into()
            }
            fn to_bits(self) -> u64 {
                // Negative numbers get leading ones, which the way back cuts off.
                self as u64
            }
            fn from_bits(bits: u64) -> Option<Self> {
                let number = bits as Self;
                (number as u64 == bits).then_some(number)
            }
        }
    )*};
}
integer! {
    i8, Int8Type, |it, from| f64::from(it) - f64::from(from);
    i16, Int16Type, |it, from| f64::from(it) - f64::from(from);
    i32, Int32Type, |it, from| f64::from(it) - f64::from(from);
    u8, UInt8Type, |it, from| f64::from(it) - f64::from(from);
    u16, UInt16Type, |it, from| f64::from(it) - f64::from(from);
    u32, UInt32Type, |it, from| f64::from(it) - f64::from(from);
    i64, Int64Type, |it: i64, from: i64| match it.checked_sub(from) {
        Some(distance) => distance as f64,
        None => it as f64 - from as f64,
    };
    u64, UInt64Type, |it: u64, from: u64| match it >= from {
        true => (it - from) as f64,
        false => -((from - it) as f64),
    };
}

macro_rules! float {
    ($($t:ty, $arrow:ty, $to_f64:expr, $from_f64:expr;)*) => {$(
        impl Number for $t {
            type Arrow = $arrow;
            const HIGHEST: Self = Self::INFINITY;
            const LOWEST: Self = Self::NEG_INFINITY;
            #[inline]
            fn narrow(self) -> Option<i32> {
                None
            }
            #[inline]
            fn to_f64(self) -> f64 {
                $to_f64(self)
            }
            #[inline]
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            #[inline]
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            #[inline]
            fn distance(self, from: Self) -> f64 {
                self.to_f64() - from.to_f64()
            }
            fn moved(self, by: f64) -> Self {
                let moved: Self = $from_f64(self.to_f64() + by);
                if moved.is_finite() { moved } else { self }
            }
            fn to_json(self) -> serde_json::Value {
                // Both zeros are one.
                (self.to_f64() + 0.0).into()
            }
            fn to_bits(self) -> u64 {
                <$t>::to_bits(self).into()
            }
            fn from_bits(bits: u64) -> Option<Self> {
                bits.try_into().ok().map(<$t>::from_bits)
            }
        }
    )*};
}
float! {
    f16, Float16Type, f16::to_f64, f16::from_f64;
    f32, Float32Type, f64::from, |it| it as f32;
    f64, Float64Type, std::convert::identity, std::convert::identity;
}

/// Count, mean, sum of squared distances from it, and range of finite values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments<T> {
    pub(crate) count: u64,
    /// One of the values, or near them.
    origin: T,
    /// How far the mean lies above `origin`.
    mean: f64,
    sum_squared: f64,
    pub(crate) min: T,
    pub(crate) max: T,
}

impl<T: Number> Moments<T> {
    pub(crate) fn empty() -> Self {
        let origin = T::default();
        Self { count: 0, origin, mean: 0.0, sum_squared: 0.0, min: T::HIGHEST, max: T::LOWEST }
    }

    /// All of it, to be kept.
    pub(crate) fn to_words(self) -> [u64; 6] {
        let Self { count, origin, mean, sum_squared, min, max } = self;
        [count, origin.to_bits(), mean.to_bits(), sum_squared.to_bits(), min.to_bits(), max.to_bits()]
    }

    /// What was kept; `None` when it is not what [`Self::to_words`] made.
    pub(crate) fn from_words(words: &[u64]) -> Option<Self> {
        let [count, origin, mean, sum_squared, min, max] = *words else { return None };
        Some(Self {
            count,
            origin: T::from_bits(origin)?,
            mean: f64::from_bits(mean),
            sum_squared: f64::from_bits(sum_squared),
            min: T::from_bits(min)?,
            max: T::from_bits(max)?,
        })
    }

    pub(crate) fn mean(&self) -> f64 {
        self.origin.to_f64() + self.mean
    }

    /// A number near the mean.
    pub(crate) fn center(&self) -> T {
        self.origin.moved(self.mean)
    }

    /// Standard deviation of the population.
    pub(crate) fn std(&self) -> f64 {
        (self.sum_squared / self.count as f64).sqrt()
    }

    /// Joins the moments of other values (Chan, Golub and LeVeque), without the cancellation of plain sums.
    pub(crate) fn join(&mut self, other: &Self) {
        if self.count == 0 {
            *self = *other;
            return;
        }
        if other.count == 0 {
            return;
        }
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let all = mine + theirs;
        let apart = other.origin.distance(self.origin) + (other.mean - self.mean);
        self.mean += apart * (theirs / all);
        self.sum_squared += other.sum_squared + apart * apart * (mine * theirs / all);
        self.count += other.count;
        self.min = if other.min < self.min { other.min } else { self.min };
        self.max = if other.max > self.max { other.max } else { self.max };
    }
}

/// Sums of one block of rows, side by side for every position in a group of rows, so that the loop over
/// them runs in vector registers and in an order that does not depend on how rows arrive.
#[derive(Debug, Clone)]
pub(crate) struct Lanes<T> {
    /// Near the mean: what is summed is the distance from it. Where nothing was expected it is the first
    /// value of the lane.
    shift: Vec<T>,
    /// Lanes that wait for their first value.
    is_open: Vec<bool>,
    sum: Vec<f64>,
    sum_squared: Vec<f64>,
    count: Vec<u64>,
    min: Vec<T>,
    max: Vec<T>,
}

impl<T: Number> Lanes<T> {
    pub(crate) fn new(n_lanes: usize) -> Self {
        Self {
            shift: vec![T::default(); n_lanes],
            is_open: vec![true; n_lanes],
            sum: vec![0.0; n_lanes],
            sum_squared: vec![0.0; n_lanes],
            count: vec![0; n_lanes],
            min: vec![T::HIGHEST; n_lanes],
            max: vec![T::LOWEST; n_lanes],
        }
    }

    pub(crate) fn n_lanes(&self) -> usize {
        self.shift.len()
    }

    /// Starts a block: `shift(lane)` is what is expected there, if anything is.
    pub(crate) fn start(&mut self, shift: impl Fn(usize) -> Option<T>) {
        for lane in 0..self.n_lanes() {
            let expected = shift(lane);
            self.shift[lane] = expected.unwrap_or_default();
            self.is_open[lane] = expected.is_none();
            self.sum[lane] = 0.0;
            self.sum_squared[lane] = 0.0;
            self.count[lane] = 0;
            self.min[lane] = T::HIGHEST;
            self.max[lane] = T::LOWEST;
        }
    }

    /// Adds a finite value.
    #[inline]
    pub(crate) fn add(&mut self, lane: usize, value: T) {
        if self.is_open[lane] {
            self.open(lane, value);
        }
        let distance = value.distance(self.shift[lane]);
        self.sum[lane] += distance;
        self.sum_squared[lane] += distance * distance;
        self.count[lane] += 1;
        self.min[lane] = if value < self.min[lane] { value } else { self.min[lane] };
        self.max[lane] = if value > self.max[lane] { value } else { self.max[lane] };
    }

    fn open(&mut self, lane: usize, first: T) {
        self.shift[lane] = first;
        self.is_open[lane] = false;
    }

    /// Adds whole groups of finite values, as [`Self::add`] would one by one.
    pub(crate) fn add_groups(&mut self, values: &[T]) {
        for (lane, first) in values.iter().enumerate().take(self.n_lanes()) {
            if self.is_open[lane] {
                self.open(lane, *first);
            }
        }
        let Self { shift, is_open: _, sum, sum_squared, count, min, max } = self;
        let n_groups = (values.len() / shift.len()) as u64;
        match T::default().narrow() {
            None => add_groups(values, shift, sum, sum_squared, min, max),
            Some(_) => add_narrow_groups(values, shift, sum, sum_squared, min, max),
        }
        count.iter_mut().for_each(|it| *it += n_groups);
    }

    /// What one lane holds.
    pub(crate) fn moments(&self, lane: usize) -> Moments<T> {
        let count = self.count[lane];
        if count == 0 {
            return Moments::empty();
        }
        let mean_distance = self.sum[lane] / count as f64;
        Moments {
            count,
            origin: self.shift[lane],
            mean: mean_distance,
            // Rounding may leave a little less than nothing.
            sum_squared: (self.sum_squared[lane] - self.sum[lane] * mean_distance).max(0.0),
            min: self.min[lane],
            max: self.max[lane],
        }
    }
}

/// A function of its own so that the compiler knows the slices do not overlap.
#[inline(never)]
fn add_groups<T: Number>(
    values: &[T],
    shift: &[T],
    sum: &mut [f64],
    sum_squared: &mut [f64],
    min: &mut [T],
    max: &mut [T],
) {
    let n = shift.len();
    let (sum, sum_squared, min, max) = (&mut sum[..n], &mut sum_squared[..n], &mut min[..n], &mut max[..n]);
    for group in values.chunks_exact(n) {
        for lane in 0..n {
            let value = group[lane];
            let distance = value.distance(shift[lane]);
            sum[lane] += distance;
            sum_squared[lane] += distance * distance;
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
        }
    }
}

/// As [`add_groups`] for values of 8 bit: summed as integers, of which more fit a register, and added to the
/// sums after. Both are exact, so they agree.
#[inline(never)]
fn add_narrow_groups<T: Number>(
    values: &[T],
    shift: &[T],
    sum: &mut [f64],
    sum_squared: &mut [f64],
    min: &mut [T],
    max: &mut [T],
) {
    const TILE: usize = 32;
    let n = shift.len();
    // Squares of 8 bit distances, below 2^16, must not overflow 31 bit.
    assert!(values.len() / n < 1 << 14, "chunks are short");
    let n_tiled = n / TILE * TILE;
    for tile in (0..n_tiled).step_by(TILE) {
        let mut from = [0i32; TILE];
        let (mut distances, mut squares) = ([0i32; TILE], [0i32; TILE]);
        let (mut low, mut high) = ([T::HIGHEST; TILE], [T::LOWEST; TILE]);
        for lane in 0..TILE {
            from[lane] = shift[tile + lane].narrow().unwrap_or(0);
        }
        for group in values.chunks_exact(n) {
            let group = &group[tile..tile + TILE];
            for lane in 0..TILE {
                let value = group[lane];
                let distance = value.narrow().unwrap_or(0) - from[lane];
                distances[lane] += distance;
                squares[lane] += distance * distance;
                low[lane] = if value < low[lane] { value } else { low[lane] };
                high[lane] = if value > high[lane] { value } else { high[lane] };
            }
        }
        for lane in 0..TILE {
            let at = tile + lane;
            sum[at] += f64::from(distances[lane]);
            sum_squared[at] += f64::from(squares[lane]);
            min[at] = if low[lane] < min[at] { low[lane] } else { min[at] };
            max[at] = if high[lane] > max[at] { high[lane] } else { max[at] };
        }
    }
    for group in values.chunks_exact(n) {
        for lane in n_tiled..n {
            let value = group[lane];
            let distance = value.distance(shift[lane]);
            sum[lane] += distance;
            sum_squared[lane] += distance * distance;
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
        }
    }
}
