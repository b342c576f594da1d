use arrow_array::{Array, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
use nodedata_core::{DType, StreamKind, StreamSchema};
use serde::Serialize;

use crate::Timeline;

/// Steps of the histogram of intervals per doubling.
const STEPS_PER_OCTAVE: usize = 8;
const OCTAVES: usize = 63;

/// Features that say when a message was made, by the names that message definitions use.
const STAMPS: [&str; 3] = ["header.stamp", "stamp", "timestamp"];

/// Position of the column that gives the rows of a stream their time.
pub fn time_column(stream: &StreamSchema) -> Option<usize> {
    let name = stream.kind.time_column()?;
    stream.features.iter().position(|it| it.name == name && it.dtype == DType::Int64)
}

/// Position of the column that holds the message's own stamp in nanoseconds, where it has one.
pub fn stamp_column(stream: &StreamSchema) -> Option<usize> {
    let fits = |name: &str| {
        stream
            .features
            .iter()
            .position(|it| it.name == name && it.dtype == DType::Int64 && it.shape.is_empty())
    };
    match stream.kind {
        StreamKind::Steps | StreamKind::Samples => None,
        StreamKind::Messages => STAMPS.into_iter().find_map(fits),
    }
}

/// How fast and how regular the rows of a stream come.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Rows with a time.
    pub n_times: u64,
    /// Earliest time, in nanoseconds.
    pub first_ns: Option<i64>,
    /// Latest time.
    pub last_ns: Option<i64>,
    /// Longest interval between neighbours, and the time it ends at.
    pub longest_gap: Option<(i64, i64)>,
    /// Rows that are earlier than their predecessor.
    pub n_back: u64,
    /// The first such row's time and its predecessor's.
    pub first_back: Option<(i64, i64)>,
    /// How far the messages' own stamps lie from the times.
    pub offsets: Offsets,
    /// Rows over time.
    pub timeline: Timeline,
    previous_ns: Option<i64>,
    n_intervals: u64,
    spanned_ns: i64,
    /// Mean of the intervals and sum of squared distances to it (Welford).
    mean_ns: f64,
    squares: f64,
    histogram: Vec<u64>,
}

/// Stamp minus time, over the rows that have both.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Offsets {
    /// Rows with both.
    pub n: u64,
    /// Smallest, in nanoseconds.
    pub min_ns: i64,
    /// Largest.
    pub max_ns: i64,
    /// Mean.
    pub mean_ns: f64,
    /// Largest change from one row to the next, and the time it happens at.
    #[serde(skip)]
    pub jump: Option<(i64, i64)>,
    #[serde(skip)]
    previous_ns: Option<i64>,
}

impl Pace {
    /// Takes in rows of one stream. Rows without a time are passed over.
    pub fn observe(&mut self, stream: &StreamSchema, rows: &RecordBatch) {
        let column = |idx: Option<usize>| {
            let array = rows.columns().get(idx?)?;
            array.as_primitive_opt::<Int64Type>()
        };
        if let Some(times) = column(time_column(stream)) {
            self.times(times, column(stamp_column(stream)));
        }
    }

    fn times(&mut self, times: &Int64Array, stamps: Option<&Int64Array>) {
        for idx in (0..times.len()).filter(|it| times.is_valid(*it)) {
            let time_ns = times.value(idx);
            self.tick(time_ns);
            if let Some(stamps) = stamps.filter(|it| it.is_valid(idx)) {
                self.offsets.add(stamps.value(idx).saturating_sub(time_ns), time_ns);
            }
        }
    }

    /// Takes in one time.
    pub fn tick(&mut self, time_ns: i64) {
        self.n_times += 1;
        self.first_ns = Some(self.first_ns.map_or(time_ns, |it| it.min(time_ns)));
        self.last_ns = Some(self.last_ns.map_or(time_ns, |it| it.max(time_ns)));
        self.timeline.add(time_ns);
        let Some(previous) = self.previous_ns.replace(time_ns) else { return };
        let interval = time_ns.saturating_sub(previous);
        self.n_intervals += 1;
        self.spanned_ns = self.spanned_ns.saturating_add(interval);
        let distance = interval as f64 - self.mean_ns;
        self.mean_ns += distance / self.n_intervals as f64;
        self.squares += distance * (interval as f64 - self.mean_ns);
        if interval < 0 {
            self.n_back += 1;
            self.first_back = self.first_back.or(Some((time_ns, previous)));
            return;
        }
        if self.longest_gap.is_none_or(|(longest, _)| longest < interval) {
            self.longest_gap = Some((interval, time_ns));
        }
        if self.histogram.is_empty() {
            self.histogram = vec![0; STEPS_PER_OCTAVE * OCTAVES];
        }
        self.histogram[bucket(interval)] += 1;
    }

    /// The next row belongs to another episode: no interval leads to it.
    pub fn end_episode(&mut self) {
        self.previous_ns = None;
        self.offsets.previous_ns = None;
    }

    /// Rows per second inside episodes, from first to last; `None` below two rows.
    pub fn rate_hz(&self) -> Option<f64> {
        (self.spanned_ns > 0).then(|| self.n_intervals as f64 * 1e9 / self.spanned_ns as f64)
    }

    /// Standard deviation of the intervals in nanoseconds; `None` below two of them.
    pub fn jitter_ns(&self) -> Option<f64> {
        (self.n_intervals > 1).then(|| (self.squares / (self.n_intervals - 1) as f64).max(0.0).sqrt())
    }

    /// Half of the intervals are not longer than this, to a tenth; `None` without intervals.
    pub fn median_ns(&self) -> Option<f64> {
        let half = self.histogram.iter().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        let idx = self.histogram.iter().position(|n| {
            seen += n;
            half > 0 && half <= seen
        })?;
        Some(upper_end(idx))
    }

    /// Intervals longer than `factor` times the median.
    pub fn n_gaps(&self, factor: f64) -> u64 {
        let Some(limit) = self.median_ns().map(|it| it * factor) else { return 0 };
        let above = self.histogram.iter().enumerate().filter(|(idx, _)| limit < lower_end(*idx));
        above.map(|(_, n)| n).sum()
    }

    /// How often intervals of each length occurred: upper end in nanoseconds, and number.
    pub fn intervals(&self) -> Vec<(f64, u64)> {
        let filled = self.histogram.iter().enumerate().filter(|(_, n)| **n > 0);
        filled.map(|(idx, n)| (upper_end(idx), *n)).collect()
    }
}

impl Offsets {
    fn add(&mut self, offset_ns: i64, time_ns: i64) {
        self.n += 1;
        self.min_ns = if self.n == 1 { offset_ns } else { self.min_ns.min(offset_ns) };
        self.max_ns = if self.n == 1 { offset_ns } else { self.max_ns.max(offset_ns) };
        self.mean_ns += (offset_ns as f64 - self.mean_ns) / self.n as f64;
        if let Some(previous) = self.previous_ns.replace(offset_ns) {
            let change = offset_ns.saturating_sub(previous).saturating_abs();
            if self.jump.is_none_or(|(largest, _)| largest < change) {
                self.jump = Some((change, time_ns));
            }
        }
    }
}

fn bucket(interval_ns: i64) -> usize {
    let log = (interval_ns.max(1) as f64).log2() * STEPS_PER_OCTAVE as f64;
    (log.ceil() as usize).min(STEPS_PER_OCTAVE * OCTAVES - 1)
}

fn upper_end(idx: usize) -> f64 {
    (idx as f64 / STEPS_PER_OCTAVE as f64).exp2()
}

fn lower_end(idx: usize) -> f64 {
    if idx == 0 { 0.0 } else { upper_end(idx - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_stream_with_one_gap() {
        let mut pace = Pace::default();
        for idx in 0..100 {
            pace.tick(idx * 10_000_000 + if idx < 50 { 0 } else { 2_000_000_000 });
        }
        assert_eq!(pace.longest_gap, Some((2_010_000_000, 2_500_000_000)));
        assert_eq!(pace.n_gaps(10.0), 1);
        let median = pace.median_ns().unwrap();
        assert!((9_000_000.0..11_000_000.0).contains(&median), "{median}");
        pace.end_episode();
        pace.tick(0);
        assert_eq!((pace.n_back, pace.first_ns), (0, Some(0)));
        pace.tick(-5);
        assert_eq!((pace.n_back, pace.first_back), (1, Some((-5, 0))));
    }

    #[test]
    fn a_clock_that_is_set_is_a_jump_of_the_offset() {
        let mut pace = Pace::default();
        let times: Int64Array = (0..10).map(|it| Some(it * 1_000)).collect();
        let stamps: Int64Array =
            (0..10).map(|it| Some(it * 1_000 - if it < 6 { 100 } else { 5_100 })).collect();
        pace.times(&times, Some(&stamps));
        assert_eq!((pace.offsets.min_ns, pace.offsets.max_ns), (-5_100, -100));
        assert_eq!(pace.offsets.jump, Some((5_000, 6_000)));
    }
}
