use serde::Serialize;

/// How many bins a timeline has at the most.
const BINS_MAX: usize = 128;
/// Width of a bin at first: a millisecond.
const FIRST_WIDTH_NS: i64 = 1_000_000;

/// How many records fell into each stretch of time. Bins grow with the time they cover, so that memory is
/// constant and no span has to be known before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Where the first bin starts, in nanoseconds.
    pub start_ns: i64,
    /// What one bin covers, in nanoseconds; 0 before the first record.
    pub bin_ns: i64,
    /// Records by bin.
    pub bins: Vec<u64>,
}

impl Timeline {
    /// Counts one record.
    pub fn add(&mut self, time_ns: i64) {
        if self.bin_ns == 0 {
            self.bin_ns = FIRST_WIDTH_NS;
            self.start_ns = time_ns;
        }
        while time_ns < self.start_ns || self.bin_of(time_ns).is_none() {
            self.widen(time_ns);
        }
        if let Some(bin) = self.bin_of(time_ns) {
            if self.bins.len() <= bin {
                self.bins.resize(bin + 1, 0);
            }
            self.bins[bin] += 1;
        }
    }

    fn bin_of(&self, time_ns: i64) -> Option<usize> {
        let bin = (i128::from(time_ns) - i128::from(self.start_ns)) / i128::from(self.bin_ns);
        usize::try_from(bin).ok().filter(|it| *it < BINS_MAX)
    }

    /// Doubles the bins; towards the past when `time_ns` lies before them.
    fn widen(&mut self, time_ns: i64) {
        let width = self.bin_ns.saturating_mul(2);
        if width == self.bin_ns || width == i64::MAX {
            // Nothing is wider: the ends of the calendar share a bin.
            self.start_ns = self.start_ns.min(time_ns);
            return;
        }
        // Into the past by whole wide bins, so that old bins fall into new ones.
        let n_before = if time_ns < self.start_ns { BINS_MAX / 2 } else { 0 };
        let shift = self.bin_ns.saturating_mul(i64::try_from(n_before).unwrap_or(0));
        let Some(start_ns) = self.start_ns.checked_sub(shift) else {
            self.bins.clear();
            self.start_ns = i64::MIN;
            self.bin_ns = width;
            return;
        };
        let mut bins = vec![0; (self.bins.len() + n_before).div_ceil(2)];
        for (idx, n) in self.bins.iter().enumerate() {
            bins[(idx + n_before) / 2] += n;
        }
        *self = Self { start_ns, bin_ns: width, bins };
    }

    /// The records of `n_cells` equal stretches of `first_ns..=last_ns`, each bin counted where its middle lies.
    pub fn cells(&self, first_ns: i64, last_ns: i64, n_cells: usize) -> Vec<u64> {
        let mut cells = vec![0; n_cells];
        let span = (i128::from(last_ns) - i128::from(first_ns)).max(1);
        for (idx, n) in self.bins.iter().enumerate().filter(|(_, n)| **n > 0) {
            let middle = i128::from(self.start_ns) + i128::from(self.bin_ns) * (2 * idx as i128 + 1) / 2;
            let middle = middle.clamp(i128::from(first_ns), i128::from(last_ns)) - i128::from(first_ns);
            let cell = usize::try_from(middle * n_cells as i128 / span).unwrap_or(0);
            if let Some(cell) = cells.get_mut(cell.min(n_cells.saturating_sub(1))) {
                *cell += n;
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_whatever_the_span() {
        let mut timeline = Timeline::default();
        let times = [0, 1, 999_999, 5_000_000, 3_600_000_000_000, -7_000_000_000, 86_400_000_000_000];
        for time in times {
            timeline.add(time);
        }
        assert_eq!(timeline.bins.iter().sum::<u64>(), times.len() as u64);
        assert!(timeline.bins.len() <= BINS_MAX);
        let cells = timeline.cells(-7_000_000_000, 86_400_000_000_000, 10);
        assert_eq!(cells.iter().sum::<u64>(), times.len() as u64);
        assert_eq!(cells[9], 1);
    }

    #[test]
    fn the_ends_of_the_calendar_do_no_harm() {
        let mut timeline = Timeline::default();
        for time in [0, i64::MAX, i64::MIN, i64::MIN + 1, -1] {
            timeline.add(time);
        }
        assert!(timeline.bins.len() <= BINS_MAX);
    }
}
