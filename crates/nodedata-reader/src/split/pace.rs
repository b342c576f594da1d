//! How many steps a second a stream has.

use std::collections::BTreeSet;

use nodedata_core::{DType, Result, STEPS, TIMESTAMP_NS};

use super::Split;
use crate::{
    fields::FieldsRequest,
    rows::{Column, Data},
};

/// Episodes whose times are looked at beside the longest, spread over the split.
const EPISODES: usize = 16;
/// How far a step may lie from where the rate puts it.
const TOLERANCE_NS: f64 = 100_000.0;

impl Split {
    /// Steps a second: what the schema says, or else the one rate that all times keep to which are looked at: those of the longest
    /// episode and of 16 others. `None` where there is no one rate, or no time.
    ///
    /// # Errors
    /// Those of reading times, as [`Self::rows`].
    pub fn fps(&self) -> Result<Option<f64>> {
        if let Some(fps) = self.told_fps() {
            return Ok(Some(fps));
        }
        let is_clock =
            |name: &str| self.features().iter().any(|it| *it.name == *name && it.dtype == DType::Int64);
        let lengths = self.lengths();
        let longest = (0..lengths.len()).max_by_key(|it| (lengths.get(*it), std::cmp::Reverse(*it)));
        let Some(longest) = longest.filter(|it| is_clock(TIMESTAMP_NS) && lengths.get(*it) >= Some(&2))
        else {
            return Ok(None);
        };
        let fields = self.fields(&FieldsRequest::named([TIMESTAMP_NS]))?;
        let mut fps = None;
        for episode in std::iter::once(longest).chain(spread(lengths.len())) {
            let rows = self.rows(episode, 0..lengths.get(episode).copied().unwrap_or(0), &fields)?;
            let Some(times) = rows.columns.first().and_then(times) else { return Ok(None) };
            // The longest one tells best.
            let rate = *fps.get_or_insert_with(|| rate_of(&times));
            if !keeps(&times, rate) {
                return Ok(None);
            }
        }
        Ok(fps)
    }

    /// What the schema says: of the table of steps alone.
    pub(super) fn told_fps(&self) -> Option<f64> {
        self.reader().schema().time.as_ref()?.fps.filter(|_| *self.stream() == *STEPS)
    }
}

/// Positions of so many episodes that lie everywhere in a split, the first and the last among them.
fn spread(n_episodes: usize) -> BTreeSet<usize> {
    let n = n_episodes.min(EPISODES);
    (0..n).map(|nth| nth * (n_episodes - 1) / (n - 1).max(1)).collect()
}

/// Nanoseconds since the first step; `None` where some have no time.
fn times(column: &Column) -> Option<Vec<f64>> {
    let Data::Tensor(tensor) = &column.data else { return None };
    if tensor.dtype != DType::Int64 || !tensor.shape.is_empty() || column.valid.is_some() {
        return None;
    }
    let mut times = tensor.bytes.as_chunks::<8>().0.iter().map(|it| i64::from_le_bytes(*it)).peekable();
    let first = times.peek().copied().unwrap_or(0);
    // A float tells nanoseconds exactly for a hundred days.
    Some(times.map(|it| it.wrapping_sub(first) as f64).collect())
}

/// The rate of some times: of those near it the one with the fewest digits that they keep, because rates that people set have few.
fn rate_of(times: &[f64]) -> f64 {
    let n_gaps = times.len().saturating_sub(1) as f64;
    let exact = n_gaps * 1e9 / times.last().copied().unwrap_or(0.0).max(1.0);
    let round = [exact.round_ties_even(), (exact * 1e3).round_ties_even() / 1e3];
    round.into_iter().find(|it| keeps(times, *it)).unwrap_or(exact)
}

/// Whether every step lies where a rate puts it, whose steps lie farther apart than that is known.
fn keeps(times: &[f64], fps: f64) -> bool {
    let gap = 1e9 / fps;
    fps > 0.0
        && TOLERANCE_NS < gap
        && times.iter().enumerate().all(|(step, it)| (it - step as f64 * gap).abs() <= TOLERANCE_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(fps: f64, n: usize, wrong: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..n).map(|step| (step as f64 * 1e9 / fps).round() + wrong(step)).collect()
    }

    #[test]
    fn rates_have_few_digits_where_times_let_them() {
        for fps in [1.0, 10.0, 29.97, 30.0, 59.94, 400.0] {
            let times = at(fps, 500, |step| if step % 2 == 0 { 30_000.0 } else { -40_000.0 });
            assert_eq!(rate_of(&times), fps);
            assert!(keeps(&times, fps));
        }
        // No rate of three digits.
        let exact = rate_of(&at(30_000.0 / 1001.0, 50_000, |_| 0.0));
        assert!((exact - 30_000.0 / 1001.0).abs() < 1e-6, "{exact}");
    }

    #[test]
    fn a_step_that_is_late_or_missing_keeps_no_rate() {
        let late = at(10.0, 50, |step| if step == 7 { 150_000.0 } else { 0.0 });
        assert!(!keeps(&late, rate_of(&late)));
        let mut missing = at(10.0, 50, |_| 0.0);
        missing.remove(20);
        assert!(!keeps(&missing, rate_of(&missing)));
        assert!(!keeps(&[0.0, 0.0, 0.0], rate_of(&[0.0, 0.0, 0.0])), "times that stand still");
        assert!(!keeps(&[0.0, -1e8], rate_of(&[0.0, -1e8])), "times that go back");
        assert!(keeps(&[], 10.0) && keeps(&[0.0], 10.0));
    }

    #[test]
    fn episodes_are_looked_at_everywhere() {
        let of = |n| spread(n).into_iter().collect::<Vec<_>>();
        assert_eq!((of(0), of(1), of(3)), (vec![], vec![0], vec![0, 1, 2]));
        let many = of(100_000);
        assert_eq!((many.len(), many[0], many[15]), (16, 0, 99_999));
    }
}
