use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types::Float64Type};
use arrow_schema::DataType;
use nodedata_core::{DType, Result, Source, Storage, StreamId, StreamKind, StreamSchema, placed::Mistake};
use serde::{Deserialize, Serialize};

use super::topics::stamp_of;
use crate::{
    StepSpec,
    cast::cast,
    far::{Near, Offsets},
    flat::cast_leaves,
    loaded::{each_batch, log_times},
    path::{Brackets, Lost, resolve},
    stamp::{NO_TIME, Stamp},
};

/// Steps at the ends of episodes that are left out, and steps at which nothing moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trim {
    /// Steps less than so many nanoseconds behind the start of the episode.
    #[serde(skip_serializing_if = "is_default")]
    pub start_ns: i64,
    /// Steps less than so many nanoseconds before its end.
    #[serde(skip_serializing_if = "is_default")]
    pub end_ns: i64,
    /// Steps before a field first moves, and behind where it last does.
    #[serde(skip_serializing_if = "is_default")]
    pub idle: Option<Idle>,
}

/// When a field stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// Path of its numbers, such as `/joint_states.position`.
    pub field: String,
    /// It moves between two messages where one of its elements changes at least so fast: in its unit a second.
    pub below: Speed,
    /// Steps so many nanoseconds before and behind where it moves are kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep_ns: i64,
    /// Stretches inside of an episode in which it stands still for at least so many nanoseconds are left out as well; `None` where
    /// only ends are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stretches_ns: Option<i64>,
}

/// A speed, written exactly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Speed(#[serde(with = "nodedata_core::exact")] pub f64);

/// Speeds come of documents, which have no NaN.
impl Eq for Speed {}

/// Why steps are left out, as ledgers say it.
pub(crate) const TRIMMED: &str = "trimmed";
/// As [`TRIMMED`]: nothing moves there.
pub(crate) const IDLE: &str = "idle";

/// Steps of an episode that are left out: those from the first time on, to before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) reason: &'static str,
}

impl Skip {
    pub(crate) fn holds(&self, time_ns: i64) -> bool {
        self.from <= time_ns && (time_ns < self.to || self.to == i64::MAX)
    }
}

/// Why the step of a time is left out. `skips` are those of ends first, then those of stillness, in order and apart: there may
/// be many, and each step asks.
pub(crate) fn skipped(skips: &[Skip], time_ns: i64) -> Option<&'static str> {
    let (ends, idle) = skips.split_at(skips.partition_point(|it| it.reason == TRIMMED));
    let n_begun = idle.partition_point(|it| it.from <= time_ns);
    let last = n_begun.checked_sub(1).and_then(|it| idle.get(it));
    ends.iter().chain(last).find(|it| it.holds(time_ns)).map(|it| it.reason)
}

/// The field whose speed decides, by its columns.
#[derive(Debug, Clone)]
pub(crate) struct IdleColumns {
    pub(crate) id: StreamId,
    columns: Vec<usize>,
    items: Option<Vec<usize>>,
    stamp: Stamp,
}

impl IdleColumns {
    /// # Errors
    /// What is wrong with the field.
    pub(crate) fn resolve(idle: &Idle, steps: &StepSpec, streams: &[StreamSchema]) -> Result<Self, Mistake> {
        Self::of(idle, steps, streams)
            .map_err(|lost| Mistake::new("episodes.trim.idle.field", lost.message).with_hint(lost.hint))
    }

    fn of(idle: &Idle, steps: &StepSpec, streams: &[StreamSchema]) -> Result<Self, Lost> {
        let found = resolve(&idle.field, streams)?;
        let stream = &streams[found.stream];
        let is_number = |it: &usize| {
            let feature = &stream.features[*it];
            let numbers = feature.dtype.is_numeric() && feature.dtype != DType::Bool;
            numbers && feature.storage == Storage::Plain && feature.shape.len() <= 1
        };
        if stream.kind != StreamKind::Messages || !found.columns.iter().all(is_number) {
            return Err(Lost {
                message: format!("`{}` is no number and no vector of numbers", idle.field),
                hint: "name what moves, such as `/joint_states.position`".to_owned(),
            });
        }
        let items = found.pick.map(|it| match it {
            Brackets::One(item) => vec![item],
            Brackets::Several(items) => items,
        });
        let stamp = stamp_of(Some(steps), stream)?;
        Ok(Self { id: stream.id, columns: found.columns, items, stamp })
    }
}

/// Where a field moves in a recording.
#[derive(Debug, Default)]
pub(crate) struct Motion {
    /// First and last message of each spell of motion, in order, apart from each other.
    spells: Vec<(i64, i64)>,
    last: Option<(i64, Vec<f64>)>,
    /// Messages that were read.
    pub(crate) n_read: u64,
    /// Those whose stamps are far from log time.
    pub(crate) n_far: u64,
    /// Stamp minus log time of the farthest of these.
    pub(crate) farthest_ns: Option<i64>,
}

impl Motion {
    /// Reads the field in some partitions of a recording, which are in order of time but for neighbours. What is stamped far from log
    /// time says nothing of how the field moves; to know what is, the topic is read once more.
    ///
    /// # Errors
    /// What reading reports, but for damage, which whoever reads the partitions meets again.
    pub(crate) fn read(
        source: &dyn Source,
        partitions: &[usize],
        columns: &IdleColumns,
        steps: &StepSpec,
        below: f64,
    ) -> Result<Self> {
        let near = columns.near(source, partitions, steps)?;
        let mut motion = Self::default();
        let mut waiting: Vec<(i64, Vec<f64>)> = Vec::new();
        for partition in partitions {
            let n_before = waiting.len();
            each_batch(source, *partition, columns.id, |rows| {
                motion.n_read += rows.num_rows() as u64;
                let values: Vec<Vec<Option<Vec<f64>>>> =
                    columns.columns.iter().map(|it| rows_of(rows.column(*it))).collect();
                for (row, (stamp, offset)) in columns.stamped(rows).into_iter().enumerate() {
                    if let Some(far) = offset.filter(|it| near.is_some_and(|near| !near.holds(*it))) {
                        motion.leave_out(far);
                        continue;
                    }
                    let parts = values.iter().map(|it| it.get(row).cloned().flatten());
                    let all: Option<Vec<Vec<f64>>> = parts.collect();
                    let Some(all) = all.filter(|_| stamp != NO_TIME) else { continue };
                    waiting.push((stamp, columns.picked(all.concat())));
                }
            })?;
            // What lies before all of this partition can have no neighbour behind it.
            if let Some(first) = waiting[n_before..].iter().map(|it| it.0).min() {
                waiting.sort_by_key(|it| it.0);
                let n_ready = waiting.partition_point(|it| it.0 < first);
                waiting.drain(..n_ready).for_each(|it| motion.take(it, below));
            }
        }
        waiting.into_iter().for_each(|it| motion.take(it, below));
        Ok(motion)
    }

    /// Counts a message that is stamped far from log time.
    fn leave_out(&mut self, offset_ns: i64) {
        self.n_far += 1;
        let all = self.farthest_ns.into_iter().chain([offset_ns]);
        self.farthest_ns = all.max_by_key(|it| (it.saturating_abs(), *it));
    }

    /// The next message. One that is no later than the last takes its place.
    fn take(&mut self, (stamp, values): (i64, Vec<f64>), below: f64) {
        if let Some((before, last)) = self.last.as_ref().filter(|it| it.0 < stamp) {
            let seconds = (stamp as f64 - *before as f64) / 1e9;
            // What is no number is no sign that it stands still.
            let stands = |(one, other): (&f64, &f64)| (one - other).abs() / seconds < below;
            if last.len() != values.len() || !last.iter().zip(&values).all(stands) {
                match self.spells.last_mut() {
                    Some(spell) if spell.1 == *before => spell.1 = stamp,
                    _ => self.spells.push((*before, stamp)),
                }
            }
        }
        self.last = Some((stamp, values));
    }

    /// The times of an episode, `from` up to before `to`, in which it stands still.
    pub(crate) fn skips(&self, idle: &Idle, from: i64, to: i64) -> Vec<Skip> {
        let skip = |from: i64, to: i64| Skip { from, to, reason: IDLE };
        let inside = |it: &&(i64, i64)| from <= it.1 && (it.0 < to || to == i64::MAX);
        let mut skips = Vec::new();
        let mut at = from;
        let mut is_head = true;
        for (first, last) in self.spells.iter().filter(inside) {
            let kept_from = first.saturating_sub(idle.keep_ns);
            let is_long = idle.stretches_ns.is_some_and(|min| {
                min <= first.saturating_sub(at.saturating_sub(idle.keep_ns).saturating_sub(1))
            });
            if at < kept_from && (is_head || is_long) {
                skips.push(skip(at, kept_from));
            }
            at = at.max(last.saturating_add(idle.keep_ns).saturating_add(1));
            is_head = false;
        }
        if at < to {
            skips.push(skip(at, to));
        }
        skips
    }
}

impl IdleColumns {
    /// The time of each message, and that minus log time; `None` where it has no time, or log time is the time.
    fn stamped(&self, rows: &RecordBatch) -> Vec<(i64, Option<i64>)> {
        let logged = match self.stamp {
            Stamp::LogTime(_) => None,
            Stamp::Nanos(_) | Stamp::Pair(..) => log_times(rows),
        };
        let offset = |row: usize, stamp: i64| {
            let logged = logged.as_ref()?.get(row)?;
            (stamp != NO_TIME).then(|| stamp.saturating_sub(*logged))
        };
        let stamps = self.stamp.times(rows).into_iter().enumerate();
        stamps.map(|(row, stamp)| (stamp, offset(row, stamp))).collect()
    }

    /// How far from log time messages may be stamped; `None` where that is not known, or log time is the time.
    fn near(&self, source: &dyn Source, partitions: &[usize], steps: &StepSpec) -> Result<Option<Near>> {
        if matches!(self.stamp, Stamp::LogTime(_)) {
            return Ok(None);
        }
        let mut offsets = Offsets::default();
        for partition in partitions {
            each_batch(source, *partition, self.id, |rows| {
                offsets.extend(self.stamped(rows).into_iter().filter_map(|it| it.1));
            })?;
        }
        Ok(offsets.near(steps))
    }

    /// The elements that count; one that a message does not have is no number.
    fn picked(&self, values: Vec<f64>) -> Vec<f64> {
        match &self.items {
            Some(items) => items.iter().map(|it| values.get(*it).copied().unwrap_or(f64::NAN)).collect(),
            None => values,
        }
    }
}

/// The numbers of each row of a column of numbers or lists of these; `None` where it is null.
fn rows_of(array: &ArrayRef) -> Vec<Option<Vec<f64>>> {
    let Ok(floats) = cast_leaves(array, DType::Float64) else { return vec![None; array.len()] };
    let numbers = |it: &ArrayRef| match cast(it, DType::Float64) {
        Ok(it) => it.as_primitive::<Float64Type>().iter().map(|it| it.unwrap_or(f64::NAN)).collect(),
        Err(_) => Vec::new(),
    };
    let row = |idx: usize| {
        floats.is_valid(idx).then(|| match floats.data_type() {
            DataType::List(_) => numbers(&floats.as_list::<i32>().value(idx)),
            DataType::FixedSizeList(..) => numbers(&floats.as_fixed_size_list().value(idx)),
            _ => numbers(&floats.slice(idx, 1)),
        })
    };
    (0..floats.len()).map(row).collect()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    /// Stands still for three seconds, moves from 3 to 5, stands until 9, moves until 10, and stands.
    fn motion() -> Motion {
        let mut motion = Motion::default();
        let value = |second: i64| match second {
            ..3 => 0.0,
            3..5 => (second - 3) as f64,
            5..=9 => 2.0,
            _ => 3.0,
        };
        (0..14).for_each(|it| motion.take((it * S, vec![value(it), 7.0]), 0.5));
        motion
    }

    fn idle(keep_ns: i64, stretches_ns: Option<i64>) -> Idle {
        Idle { field: "/x".to_owned(), below: Speed(0.5), keep_ns, stretches_ns }
    }

    #[track_caller]
    fn check(idle: &Idle, (from, to): (i64, i64), expected: &[(i64, i64)]) {
        let found: Vec<(i64, i64)> =
            motion().skips(idle, from, to).iter().map(|it| (it.from, it.to)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn ends_at_which_nothing_moves() {
        assert_eq!(motion().spells, [(3 * S, 5 * S), (9 * S, 10 * S)]);
        check(&idle(0, None), (0, 14 * S), &[(0, 3 * S), (10 * S + 1, 14 * S)]);
        check(&idle(S, None), (0, 14 * S), &[(0, 2 * S), (11 * S + 1, 14 * S)]);
        check(&idle(9 * S, None), (0, 14 * S), &[]);
        check(&idle(0, None), (4 * S, 9 * S + 1), &[]);
        check(&idle(0, None), (i64::MIN, i64::MAX), &[(i64::MIN, 3 * S), (10 * S + 1, i64::MAX)]);
        // Nothing moves at all.
        check(&idle(0, None), (6 * S, 8 * S), &[(6 * S, 8 * S)]);
    }

    #[test]
    fn stretches_in_which_nothing_moves() {
        let all = (0, 14 * S);
        check(&idle(0, Some(4 * S)), all, &[(0, 3 * S), (5 * S + 1, 9 * S), (10 * S + 1, 14 * S)]);
        check(&idle(0, Some(4 * S + 1)), all, &[(0, 3 * S), (10 * S + 1, 14 * S)]);
        check(&idle(S, Some(4 * S)), all, &[(0, 2 * S), (6 * S + 1, 8 * S), (11 * S + 1, 14 * S)]);
    }

    #[test]
    fn ends_go_before_stillness() {
        let skip = |from, to, reason| Skip { from, to, reason };
        let ends = [skip(i64::MIN, 3, TRIMMED), skip(20, i64::MAX, TRIMMED)];
        let idle = [skip(i64::MIN, 5, IDLE), skip(8, 9, IDLE), skip(12, i64::MAX, IDLE)];
        let all = [&ends[..], &idle].concat();
        let found = [2, 3, 5, 8, 9, 12, 20, i64::MAX].map(|it| skipped(&all, it));
        let (end, still) = (Some(TRIMMED), Some(IDLE));
        assert_eq!(found, [end, still, None, still, None, still, end, end]);
        assert_eq!((skipped(&ends, 7), skipped(&idle, 7), skipped(&[], 7)), (None, None, None));
    }

    #[test]
    fn what_is_no_number_moves() {
        let mut motion = Motion::default();
        [0.0, f64::NAN, 0.0].iter().zip(0..).for_each(|(it, at)| motion.take((at * S, vec![*it]), 0.5));
        assert_eq!(motion.spells, [(0, 2 * S)]);
    }
}
