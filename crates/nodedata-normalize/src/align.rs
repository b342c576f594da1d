mod between;
mod borders;
mod hold;
mod nearest;
mod slerp;

pub(crate) use self::{borders::Borders, slerp::slerp};
use crate::{
    Align,
    mapping::{Reach, Way},
};

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

/// A way of choosing as it is in one recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    align: Align,
    reach: Apart,
    crosses: bool,
}

/// How far may be what a value is made of, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Apart {
    /// Each message from the step.
    Step(i64),
    /// Two messages from each other, one alone from the step. So whether there is something to interpolate between is the same
    /// for all steps between two messages.
    Neighbours(i64),
}

impl Rule {
    /// `measured_ns` is how far messages of the stream may be where nobody says it; `None` for any distance.
    pub(crate) fn new(way: Way, measured_ns: Option<i64>) -> Self {
        let reach = match way.reach {
            Reach::Within(max_ns) => Apart::Step(max_ns),
            Reach::Measured => Apart::Neighbours(measured_ns.unwrap_or(i64::MAX)),
            Reach::Endless => Apart::Step(i64::MAX),
        };
        Self { align: way.align, reach, crosses: way.crosses }
    }

    /// The farthest that a message may be from a step, in nanoseconds.
    pub(crate) fn max_ns(self) -> i64 {
        match self.reach {
            Apart::Step(max_ns) | Apart::Neighbours(max_ns) => max_ns,
        }
    }
}

/// Chooses for every step among the rows of a stream. Both are in order of time.
pub(crate) fn choose(stamps: &[i64], steps: &[i64], borders: &Borders, rule: Rule) -> Choice {
    let around = each_step(stamps, steps, borders, rule.crosses);
    match rule.align {
        Align::Nearest => nearest::choose(stamps, around, rule.max_ns()),
        Align::Hold => hold::choose(stamps, around, rule.max_ns()),
        Align::Linear | Align::Slerp => between::choose(stamps, around, rule.reach),
    }
}

/// Element by element on the straight line.
pub(crate) fn linear(before: &[f64], after: &[f64], weight: f64, out: &mut Vec<f64>) {
    out.extend(before.iter().zip(after).map(|(before, after)| before + (after - before) * weight));
}

fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a piece of a log has fewer than 2^32 messages")
}

/// A step, and the rows next to it that it may take.
#[derive(Debug, Clone, Copy)]
struct Around {
    step: i64,
    /// The last one at or before it.
    before: Option<usize>,
    /// The first one after it.
    after: Option<usize>,
}

/// The rows around each step, but for those that belong to another episode.
fn each_step<'a>(
    stamps: &'a [i64],
    steps: &'a [i64],
    borders: &'a Borders,
    crosses: bool,
) -> impl ExactSizeIterator<Item = Around> + 'a {
    let mut n_before = 0;
    steps.iter().enumerate().map(move |(idx, step)| {
        while n_before < stamps.len() && stamps[n_before] <= *step {
            n_before += 1;
        }
        let open = borders.of(idx);
        let before = n_before.checked_sub(1).filter(|it| crosses || open.holds(stamps[*it]));
        let after = Some(n_before).filter(|it| stamps.get(*it).is_some_and(|it| open.holds(*it)));
        Around { step: *step, before, after }
    })
}
