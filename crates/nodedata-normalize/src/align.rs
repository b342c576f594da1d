mod between;
mod hold;
mod nearest;
mod slerp;

pub(crate) use self::slerp::slerp;
use crate::{Align, mapping::Way};

/// Stands for no row.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// Which rows of a stream give each step its value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Choice {
    /// The row, or the one before the step; [`NO_ROW`] where none is in reach.
    pub(crate) rows: Vec<u32>,
    /// The row after the step. Empty where nothing is interpolated.
    pub(crate) after: Vec<u32>,
    /// How much of the row after counts, from 0 to 1. Empty where nothing is interpolated.
    pub(crate) weights: Vec<f64>,
    /// Message minus step in nanoseconds, of the nearer of two; 0 where there is no row.
    pub(crate) skew_ns: Vec<i64>,
}

impl Choice {
    fn with_capacity(n: usize, interpolates: bool) -> Self {
        let n_after = if interpolates { n } else { 0 };
        Self {
            rows: Vec::with_capacity(n),
            after: Vec::with_capacity(n_after),
            weights: Vec::with_capacity(n_after),
            skew_ns: Vec::with_capacity(n),
        }
    }

    fn push(&mut self, row: Option<usize>, skew_ns: i64) {
        self.rows.push(row.map_or(NO_ROW, row_number));
        self.skew_ns.push(skew_ns);
    }

    /// Rows that give any step a value.
    pub(crate) fn used(&self) -> impl Iterator<Item = usize> + '_ {
        self.rows.iter().chain(&self.after).filter(|it| **it != NO_ROW).map(|it| *it as usize)
    }
}

/// Chooses for every step among the rows of a stream. Both are in order of time.
pub(crate) fn choose(stamps: &[i64], steps: &[i64], way: Way) -> Choice {
    let reach = way.max_ns.unwrap_or(i64::MAX);
    match way.align {
        Align::Nearest => nearest::choose(stamps, steps, reach),
        Align::Hold => hold::choose(stamps, steps, reach),
        Align::Linear | Align::Slerp => between::choose(stamps, steps, reach),
    }
}

/// Element by element on the straight line.
pub(crate) fn linear(before: &[f64], after: &[f64], weight: f64, out: &mut Vec<f64>) {
    out.extend(before.iter().zip(after).map(|(before, after)| before + (after - before) * weight));
}

fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a piece of a log has fewer than 2^32 messages")
}

/// For every step how many rows lie at or before it.
fn each_step<'a>(stamps: &'a [i64], steps: &'a [i64]) -> impl Iterator<Item = (i64, usize)> + 'a {
    let mut n_before = 0;
    steps.iter().map(move |step| {
        while n_before < stamps.len() && stamps[n_before] <= *step {
            n_before += 1;
        }
        (*step, n_before)
    })
}
