use arrow_array::Array;
use nodedata_core::{DType, Feature, Storage};

use crate::{Rule, Rules, leaves::Leaves};

/// Elements of a vector that are looked at one by one; longer ones are no joints.
const ELEMENTS_MAX: usize = 64;

/// What the numbers of one feature were in one episode.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    pub(crate) n_rows: u64,
    pub(crate) non_finite: Count,
    pub(crate) out_of_range: Count,
    /// Rows that differ from their predecessor.
    pub(crate) n_changes: u64,
    /// The longest time without a change: how long in nanoseconds, and when it began.
    pub(crate) longest_still: Option<(i64, i64)>,
    still_since_ns: Option<i64>,
    previous: Vec<f64>,
    first: Vec<f64>,
    moved: Vec<bool>,
    /// Whether rows have different lengths, so that elements have no identity.
    ragged: bool,
}

/// How often something was met, and where first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Count {
    pub(crate) n: u64,
    /// Row, element and value.
    pub(crate) first: Option<(u64, usize, f64)>,
}

impl Count {
    fn add(&mut self, row: u64, element: usize, value: f64) {
        self.n += 1;
        self.first = self.first.or(Some((row, element, value)));
    }
}

/// What of a feature's numbers is looked at.
#[derive(Debug, Clone)]
pub(crate) struct NumbersPlan {
    pub(crate) column: usize,
    is_float: bool,
    moves: bool,
    min: Option<f64>,
    max: Option<f64>,
}

impl NumbersPlan {
    /// `None` when no rule is interested.
    pub(crate) fn new(rules: &Rules, stream: &str, column: usize, feature: &Feature) -> Option<Self> {
        let is_plain = match feature.storage {
            Storage::Plain => true,
            Storage::EncodedMedia | Storage::RawMedia => false,
        };
        if !is_plain || !feature.dtype.is_numeric() {
            return None;
        }
        let is_float = matches!(feature.dtype, DType::Float16 | DType::Float32 | DType::Float64);
        let bounds = rules
            .ranges
            .iter()
            .find(|it| it.feature == feature.name && it.stream.as_deref().is_none_or(|it| it == stream));
        let bounds = bounds.filter(|_| rules.is_on(Rule::Range));
        let moves = is_float && (rules.is_on(Rule::Frozen) || rules.is_on(Rule::DeadJoint));
        let wanted = bounds.is_some() || moves || (is_float && rules.is_on(Rule::NonFinite));
        wanted.then(|| Self {
            column,
            is_float,
            moves,
            min: bounds.and_then(|it| it.min),
            max: bounds.and_then(|it| it.max),
        })
    }
}

impl Numbers {
    /// Takes in the rows of a column, with the times of its rows.
    pub(crate) fn observe(&mut self, plan: &NumbersPlan, column: &dyn Array, times: Option<&[i64]>) {
        let Some(leaves) = Leaves::of(column) else { return };
        let has_bounds = plan.min.is_some() || plan.max.is_some();
        for idx in 0..leaves.n_rows() {
            let row = self.n_rows;
            self.n_rows += 1;
            if !column.is_valid(idx) {
                continue;
            }
            if plan.is_float || has_bounds {
                for (element, value) in leaves.valid(idx) {
                    if !value.is_finite() {
                        self.non_finite.add(row, element, value);
                    } else if plan.min.is_some_and(|it| value < it) || plan.max.is_some_and(|it| it < value) {
                        self.out_of_range.add(row, element, value);
                    }
                }
            }
            if plan.moves {
                self.movement(leaves.row(idx), times.and_then(|it| it.get(idx)).copied());
            }
        }
    }

    fn movement(&mut self, row: &[f64], time_ns: Option<i64>) {
        if self.first.is_empty() && self.previous.is_empty() {
            self.previous.extend_from_slice(row);
            self.first.extend_from_slice(&row[..row.len().min(ELEMENTS_MAX)]);
            self.moved = vec![false; self.first.len()];
            self.ragged |= ELEMENTS_MAX < row.len();
            self.still_since_ns = time_ns;
            return;
        }
        let same = |one: f64, other: f64| one.to_bits() == other.to_bits();
        let changed = row.len() != self.previous.len()
            || row.iter().zip(&self.previous).any(|(one, other)| !same(*one, *other));
        if let (Some(since), Some(now)) = (self.still_since_ns, time_ns) {
            let still = now.saturating_sub(since);
            if self.longest_still.is_none_or(|(longest, _)| longest < still) {
                self.longest_still = Some((still, since));
            }
        }
        if !changed {
            return;
        }
        self.n_changes += 1;
        self.still_since_ns = time_ns;
        self.ragged |= row.len() != self.previous.len();
        for (moved, (value, first)) in self.moved.iter_mut().zip(row.iter().zip(&self.first)) {
            *moved |= !same(*value, *first);
        }
        self.previous.clear();
        self.previous.extend_from_slice(row);
    }

    /// Whether the signal moves with most rows, so that standing still means something.
    pub(crate) fn is_lively(&self, median_ns: Option<f64>) -> bool {
        // The rows of the longest stand-still do not count, or a signal that froze early would look calm.
        let still = self.longest_still.map_or(0.0, |(still, _)| still as f64);
        let n_still = median_ns.map_or(0.0, |it| still / it.max(1.0));
        let n_awake = (self.n_rows as f64 - n_still).max(1.0);
        10 <= self.n_changes && self.n_changes as f64 >= 0.5 * n_awake
    }

    /// Elements that never moved, when at least half of the elements did.
    pub(crate) fn dead(&self) -> Vec<usize> {
        let n_moved = self.moved.iter().filter(|it| **it).count();
        if self.ragged || self.moved.len() < 2 || 2 * n_moved < self.moved.len() {
            return Vec::new();
        }
        let dead = self.moved.iter().enumerate().filter(|(_, moved)| !**moved);
        dead.map(|(idx, _)| idx).collect()
    }
}
