/// Most rows a sample holds; a power of two, so that halving keeps it systematic.
const ROWS_MAX: usize = 8192;
/// Most values a sample holds: one MiB.
const VALUES_MAX: usize = 1 << 17;

/// The quantiles given, as numbers between 0 and 1.
pub(crate) const QUANTILES: [f64; 5] = [0.01, 0.10, 0.50, 0.90, 0.99];

/// A systematic sample: every k-th row from the first, where k doubles whenever the sample is full. It
/// depends on the sequence of rows alone and is all of them up to [`ROWS_MAX`] (fewer for long rows).
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    stride: usize,
    rows_max: usize,
    every: u64,
    /// Rows of `stride` values each; NaN for one that is null or not finite.
    values: Vec<f64>,
}

impl Sample {
    /// Nothing yet, for rows of `stride` values.
    pub(crate) fn new(stride: usize) -> Self {
        let per_row = stride.max(1);
        // The largest power of two that fits.
        let rows_max = ROWS_MAX.min(1 << (VALUES_MAX / per_row).max(1).ilog2());
        Self { stride: per_row, rows_max, every: 1, values: Vec::new() }
    }

    /// What was kept; `None` when it cannot be a sample.
    pub(crate) fn from_values(stride: usize, every: u64, values: Vec<f64>) -> Option<Self> {
        let empty = Self::new(stride);
        let fits = values.len() <= empty.rows_max * empty.stride
            && values.len().is_multiple_of(empty.stride)
            && every.is_power_of_two();
        fits.then_some(Self { every, values, ..empty })
    }

    /// Every so manieth row is held.
    pub(crate) fn every(&self) -> u64 {
        self.every
    }

    /// The values held, row by row.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Takes in the sample of the rows that follow, as densely as the sparser of the two.
    pub(crate) fn join(&mut self, mut other: Self) {
        while self.every < other.every {
            self.halve();
        }
        while other.every < self.every {
            other.halve();
        }
        self.values.append(&mut other.values);
        while self.values.len() > self.rows_max * self.stride {
            self.halve();
        }
    }

    /// Whether every row so far is held.
    pub(crate) fn is_complete(&self) -> bool {
        self.every == 1
    }

    /// Takes its share of `n_rows` rows, the first of which is row `first_row` of all. `value(row, lane)` is
    /// asked for the rows taken.
    pub(crate) fn take(&mut self, first_row: u64, n_rows: usize, value: impl Fn(usize, usize) -> f64) {
        let end = first_row + n_rows as u64;
        let mut row = first_row.next_multiple_of(self.every);
        while row < end {
            if self.values.len() >= self.rows_max * self.stride {
                self.halve();
                row = row.next_multiple_of(self.every);
                continue;
            }
            // Below `n_rows`, so it fits.
            let idx = (row - first_row) as usize;
            self.values.extend((0..self.stride).map(|lane| value(idx, lane)));
            row += self.every;
        }
    }

    /// The same sample seen as single values, one of which is a row from now on.
    pub(crate) fn flatten(mut self) -> Self {
        self.stride = 1;
        self.rows_max = ROWS_MAX;
        while self.values.len() > self.rows_max {
            self.halve();
        }
        self
    }

    /// Keeps every other row.
    fn halve(&mut self) {
        let stride = self.stride;
        let n_rows = self.values.len() / stride;
        let n_kept = n_rows.div_ceil(2);
        for row in 1..n_kept {
            self.values.copy_within(2 * row * stride..(2 * row + 1) * stride, row * stride);
        }
        self.values.truncate(n_kept * stride);
        self.every *= 2;
    }

    /// The quantiles of one position in the rows; `None` without values.
    pub(crate) fn quantiles(&self, lane: usize) -> Option<[f64; 5]> {
        quantiles(self.values.iter().skip(lane).step_by(self.stride).copied().collect())
    }

    /// The quantiles of all values; `None` without values.
    pub(crate) fn pooled_quantiles(&self) -> Option<[f64; 5]> {
        quantiles(self.values.clone())
    }
}

/// Between neighbours a quantile is interpolated, as `numpy.quantile` does.
fn quantiles(mut values: Vec<f64>) -> Option<[f64; 5]> {
    values.retain(|it| !it.is_nan());
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(QUANTILES.map(|quantile| {
        let position = quantile * last as f64;
        let below = position.floor();
        let (low, high) = (values[below as usize], values[(below as usize + 1).min(last)]);
        // Not `low + t * (high - low)`, which overflows for values of opposite sign and great size.
        let weight = position - below;
        if low == high { low } else { low * (1.0 - weight) + high * weight }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_are_all_held_and_many_evenly() {
        let mut sample = Sample::new(1);
        sample.take(0, 101, |row, _| row as f64);
        assert_eq!(sample.pooled_quantiles(), Some([1.0, 10.0, 50.0, 90.0, 99.0]));
        assert!(sample.is_complete());
        sample.take(101, 1_000_000, |row, _| (row + 101) as f64);
        assert_eq!((sample.every, sample.values.len()), (128, 1_000_101_usize.div_ceil(128)));
        assert!(sample.values.iter().enumerate().all(|(idx, it)| *it == idx as f64 * 128.0));
        assert!(Sample::new(1).pooled_quantiles().is_none());
    }

    #[test]
    fn long_rows_are_sampled_within_the_memory_bound() {
        let mut sample = Sample::new(1000);
        sample.take(0, 500, |row, lane| (row * 1000 + lane) as f64);
        assert!(sample.values.len() <= VALUES_MAX);
        assert_eq!(sample.values[1001], 1000.0 * sample.every as f64 + 1.0);
        let flat = sample.flatten();
        assert!(flat.values.len() <= ROWS_MAX && flat.values[1] as u64 * 1000 <= 1000 * flat.every);
    }
}
