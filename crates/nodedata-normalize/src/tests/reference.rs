use std::collections::BTreeMap;

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use arrow_select::concat::concat_batches;
use nodedata_core::{ErrorKind, ReadOptions, Source, StreamId};
use proptest::prelude::*;

use super::memory::{MemorySource, Message};
use crate::{
    Align, AlignedSource, Clock, Cut, EpisodeRange, FieldSpec, Rate, Start, StepSpec, TimeSource, Tolerance,
};

/// Used, superseded and dropped.
pub(crate) type Fates = (u64, BTreeMap<&'static str, u64>, BTreeMap<&'static str, u64>);

/// Everything that steps of a source are: rows with their true step numbers, and the ledger.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Everything {
    pub(crate) rows: Option<RecordBatch>,
    pub(crate) episodes: Vec<usize>,
    pub(crate) read: BTreeMap<u32, u64>,
    pub(crate) fates: BTreeMap<u32, Fates>,
    /// Steps whose message lacks a name.
    pub(crate) absent: BTreeMap<String, u64>,
    /// Steps without a message in reach.
    pub(crate) beyond: BTreeMap<String, u64>,
    pub(crate) warnings: Vec<String>,
    pub(crate) errors: Vec<String>,
}

pub(crate) fn read_all(source: &dyn Source) -> Everything {
    let mut all = Everything::default();
    let mut batches = Vec::new();
    for (idx, partition) in source.plan().partitions.iter().enumerate() {
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        loop {
            match stream.next_batch() {
                Ok(Some(batch)) if batch.stream == StreamId(0) => {
                    all.episodes.extend(std::iter::repeat_n(partition.episode, batch.rows.num_rows()));
                    batches.push(batch.rows);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(err) => {
                    for (id, n) in &err.loss().unwrap().records {
                        let fate = all.fates.entry(id.0).or_default();
                        *fate.2.entry(err.loss().unwrap().reason).or_default() += n;
                    }
                    all.errors.push(err.to_string());
                }
            }
        }
        for (id, n) in stream.records_read() {
            *all.read.entry(id.0).or_default() += n;
        }
        all.warnings.extend(stream.warnings().iter().map(|it| it.message.clone()));
        for fate in stream.fates() {
            for (name, n) in &fate.beyond_tolerance {
                *all.beyond.entry(name.clone()).or_default() += n;
            }
            let known = all.fates.entry(fate.stream.0).or_default();
            known.0 += fate.used;
            for (name, n) in &fate.absent {
                *all.absent.entry(name.clone()).or_default() += n;
            }
            for (of, reasons) in [(&mut known.1, &fate.superseded), (&mut known.2, &fate.dropped)] {
                for (reason, n) in reasons {
                    *of.entry(reason).or_default() += n;
                }
            }
        }
    }
    if let Some(first) = batches.first() {
        all.rows = Some(concat_batches(&first.schema(), &batches).unwrap());
    }
    all
}

/// Every message read has exactly one fate.
#[track_caller]
pub(crate) fn balances(all: &Everything) {
    for (stream, (used, superseded, dropped)) in all.fates.iter().filter(|it| *it.0 != 0) {
        let sum = used + superseded.values().sum::<u64>() + dropped.values().sum::<u64>();
        assert_eq!(all.read.get(stream).copied().unwrap_or(0), sum, "stream {stream}: {all:?}");
    }
}

#[derive(Debug, Clone)]
struct Log {
    messages: Vec<Message>,
    per_partition: usize,
    tells_times: bool,
    piece_bytes: u64,
}

const MS: i64 = 1_000_000;
/// No stamp of a made-up message is farther from its log time.
const JITTER_MS: i64 = 60;

fn logs() -> impl Strategy<Value = Log> {
    let message = (0..3usize, 0..90i64, -JITTER_MS..=JITTER_MS, -8..8i64);
    let messages = proptest::collection::vec(message, 1..70);
    (messages, 1..12usize, any::<bool>(), 1..3000u64).prop_map(
        |(messages, per_partition, tells_times, piece_bytes)| {
            let mut log_time = 0;
            let messages = messages.into_iter().map(|(stream, wait, jitter, value)| {
                // Now and then the log itself runs backwards.
                log_time += (wait - 12) * MS;
                Message { stream, log_time, stamp: log_time + jitter * MS + 1, value: value as f64 / 2.0 }
            });
            Log { messages: messages.collect(), per_partition, tells_times, piece_bytes }
        },
    )
}

#[derive(Debug, Clone)]
struct Rules {
    clock: Clock,
    aligns: [Align; 2],
    tolerances: [Option<i64>; 2],
    start: Start,
    ranges: Option<(i64, i64, i64)>,
    across: bool,
}

fn rules() -> impl Strategy<Value = Rules> {
    let clock = prop_oneof![
        (1..60u64).prop_map(|it| Clock::Rate(Rate::new(it, 1).unwrap())),
        Just(Clock::Topic("/a".to_owned())),
        Just(Clock::Topic("/c".to_owned())),
    ];
    let align = || prop_oneof![Just(Align::Nearest), Just(Align::Hold), Just(Align::Linear)];
    let tolerance = || proptest::option::of((0..120i64).prop_map(|it| it * MS));
    let ranges = proptest::option::of((0..800i64, 1..900i64, 1..600i64));
    let start = prop_oneof![Just(Start::First), Just(Start::All)];
    (clock, align(), align(), tolerance(), tolerance(), start, ranges, any::<bool>()).prop_map(
        |(clock, one, two, near, far, start, ranges, across)| Rules {
            clock,
            aligns: [one, two],
            tolerances: [near, far],
            start,
            across: across && ranges.is_some() && [one, two].contains(&Align::Hold),
            ranges,
        },
    )
}

impl Rules {
    fn spec(&self) -> StepSpec {
        let field = |name: &str, path: &str, way: usize| FieldSpec {
            align: Some(self.aligns[way]),
            tolerance: Some(Tolerance { max_ns: self.tolerances[way], ..Tolerance::default() }),
            skew: Some(true),
            ..FieldSpec::new(name, path)
        };
        let range = |start_ns: i64, end_ns: i64| EpisodeRange { recording: None, start_ns, end_ns };
        StepSpec {
            time: TimeSource::Field("header.stamp".to_owned()),
            order_bound_ns: Some(2 * JITTER_MS * MS),
            start: self.start,
            hold_across: self.across,
            episodes: match self.ranges {
                None => Cut::Whole,
                Some(_) => {
                    Cut::Ranges(self.ranges().into_iter().map(|(start, end)| range(start, end)).collect())
                }
            },
            fields: vec![field("a", "/a.value", 0), field("b", "/b.value", 1), field("a2", "/a.value", 1)],
            upsample: true,
            ..StepSpec::new(self.clock.clone())
        }
    }

    /// Start and end of the episodes that are asked for.
    fn ranges(&self) -> Vec<(i64, i64)> {
        let Some((first, long, apart)) = self.ranges else { return Vec::new() };
        let second = first + long + apart;
        vec![(first * MS, (first + long) * MS), (second * MS, (second + long) * MS)]
    }
}

/// Stamps and values of a stream in the order of their time, messages of one time in the order of the log.
fn sorted(log: &Log, stream: usize) -> Vec<(i64, f64)> {
    let mut all: Vec<(i64, f64)> =
        log.messages.iter().filter(|it| it.stream == stream).map(|it| (it.stamp, it.value)).collect();
    all.sort_by_key(|it| it.0);
    all
}

/// What a field takes at a step.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    step: i64,
    align: Align,
    max_ns: Option<i64>,
    /// The episodes that there are.
    episodes: [Option<(i64, i64)>; 2],
    across: bool,
}

impl Wanted {
    /// Whether a message belongs to another episode.
    fn is_elsewhere(self, stamp: i64) -> bool {
        let of = |time: i64| self.episodes.iter().flatten().position(|it| it.0 <= time && time < it.1);
        // Nor may it lie behind another episode.
        let lies_behind = self.episodes.iter().flatten().any(|it| {
            let apart = (stamp < it.0 && it.1 <= self.step) || (self.step < it.0 && it.1 <= stamp);
            apart && of(self.step) != of(it.0)
        });
        lies_behind || of(stamp).is_some_and(|it| Some(it) != of(self.step))
    }
}

/// The message nearest to a step, or held, with its position: which of several at one time matters to the ledger.
fn taken(messages: &[(i64, f64)], wanted: Wanted) -> Option<usize> {
    let numbered: Vec<(i64, f64)> = messages.iter().enumerate().map(|(idx, it)| (it.0, idx as f64)).collect();
    expected(&numbered, wanted).map(|it| it.0 as usize)
}

/// Ten times the mean time between messages, where there are three.
fn ten_periods(messages: &[(i64, f64)]) -> i64 {
    match messages {
        [first, _, .., last] if first.0 < last.0 => {
            (i128::from(last.0 - first.0) * 10 / (messages.len() as i128 - 1)) as i64
        }
        _ => i64::MAX,
    }
}

/// Value and skew of a step, by looking at every message.
fn expected(messages: &[(i64, f64)], wanted: Wanted) -> Option<(f64, i64)> {
    let Wanted { step, align, max_ns, across, .. } = wanted;
    let reach = max_ns.unwrap_or_else(|| ten_periods(messages));
    let crosses = across && align == Align::Hold;
    let before = messages.iter().rev().find(|it| it.0 <= step);
    let before = before.filter(|it| crosses || !wanted.is_elsewhere(it.0));
    let after = messages.iter().find(|it| step < it.0).filter(|it| !wanted.is_elsewhere(it.0));
    match align {
        Align::Hold => before.filter(|it| step - it.0 <= reach).map(|it| (it.1, it.0 - step)),
        Align::Nearest => {
            let found = match (before, after) {
                (Some(before), Some(after)) => {
                    Some(if after.0 - step < step - before.0 { after } else { before })
                }
                (one, other) => one.or(other),
            };
            found.filter(|it| (it.0 - step).abs() <= reach).map(|it| (it.1, it.0 - step))
        }
        Align::Linear | Align::Slerp => match (before, after) {
            (Some(before), _) if before.0 == step => Some((before.1, 0)),
            (Some(before), Some(after))
                if match max_ns {
                    Some(max_ns) => step - before.0 <= max_ns && after.0 - step <= max_ns,
                    None => after.0 - before.0 <= reach,
                } =>
            {
                let share = (step - before.0) as f64 / (after.0 - before.0) as f64;
                let skew = if after.0 - step < step - before.0 { after.0 - step } else { before.0 - step };
                Some((before.1 + (after.1 - before.1) * share, skew))
            }
            _ => None,
        },
    }
}

fn value(column: &ArrayRef, row: usize) -> Option<f64> {
    column.is_valid(row).then(|| column.as_primitive::<Float64Type>().value(row))
}

fn whole(column: &ArrayRef, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| column.as_primitive::<Int64Type>().value(row))
}

fn check(log: &Log, rules: &Rules) {
    let names = ["/a", "/b", "/c"];
    let open = |per_partition: usize| {
        MemorySource::new(&names, log.messages.clone(), per_partition, log.tells_times)
    };
    let spec = rules.spec();
    let aligned =
        match AlignedSource::in_pieces(Box::new(open(log.per_partition)), spec.clone(), log.piece_bytes) {
            Ok(aligned) => aligned,
            Err(err) => {
                let err = nodedata_core::Error::from(err);
                let is_idle = err.to_string().starts_with("no message lies in the range from ");
                assert!(rules.ranges.is_some() && is_idle && err.kind() == ErrorKind::Empty, "{err}");
                return;
            }
        };
    let all = read_all(&aligned);
    assert_eq!(all.errors, Vec::<String>::new());
    balances(&all);
    // Everything in one piece is what it is in many.
    let whole_log = AlignedSource::in_pieces(Box::new(open(1000)), spec, u64::MAX).unwrap();
    assert_eq!(aligned.plan().episodes, whole_log.plan().episodes);
    let at_once = read_all(&whole_log);
    let is_grid = matches!(rules.clock, Clock::Rate(_));
    match (&all.rows, &at_once.rows) {
        (Some(rows), Some(other)) if !is_grid => {
            let columns: Vec<usize> = (1..rows.num_columns()).collect();
            assert_eq!(rows.project(&columns).unwrap(), other.project(&columns).unwrap());
        }
        (rows, other) => assert_eq!(rows, other),
    }
    assert_eq!((&all.fates, &all.read, &all.episodes), (&at_once.fates, &at_once.read, &at_once.episodes));
    if let Some(rows) = &all.rows {
        check_rows(log, rules, &all, rows);
    }
}

/// Holds each value of the steps, and what was used for them, against a look at every message.
fn check_rows(log: &Log, rules: &Rules, all: &Everything, rows: &RecordBatch) {
    let streams = [sorted(log, 0), sorted(log, 1)];
    let mut used = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
    let mut n_beyond: BTreeMap<String, u64> = BTreeMap::new();
    // A range without a message is no episode.
    let holds_any = |range: &(i64, i64)| {
        streams.iter().flatten().any(|it| range.0 <= it.0 && it.0 < range.1).then_some(*range)
    };
    let mut episodes = [None; 2];
    for (slot, range) in episodes.iter_mut().zip(rules.ranges()) {
        *slot = holds_any(&range);
    }
    for row in 0..rows.num_rows() {
        let step = whole(rows.column(1), row).unwrap();
        for (column, stream, way) in [(2, 0, 0), (4, 1, 1), (6, 0, 1)] {
            let is_clock = rules.clock == Clock::Topic("/a".to_owned()) && stream == 0;
            if is_clock {
                // Every step is a message of its own, also where two have one time.
                assert_eq!(whole(rows.column(column + 1), row), Some(0));
                continue;
            }
            let wanted = Wanted {
                step,
                align: rules.aligns[way],
                max_ns: rules.tolerances[way],
                episodes,
                across: rules.across,
            };
            let expected = expected(&streams[stream], wanted);
            if expected.is_none() {
                *n_beyond.entry(rows.schema().field(column).name().clone()).or_default() += 1;
            }
            let found = value(rows.column(column), row).zip(whole(rows.column(column + 1), row));
            match (found, expected) {
                (Some(found), Some(expected)) => {
                    assert!(
                        (found.0 - expected.0).abs() < 1e-9 && found.1 == expected.1,
                        "{found:?} {expected:?} at {step}"
                    );
                    if rules.aligns[way] != Align::Linear {
                        used[stream].extend(taken(&streams[stream], wanted));
                    }
                }
                (found, expected) => assert_eq!(found, expected, "row {row} at {step}, column {column}"),
            }
        }
    }
    assert_eq!(all.beyond, n_beyond);
    if !rules.aligns.contains(&Align::Linear) && rules.clock != Clock::Topic("/a".to_owned()) {
        for stream in [0u32, 1] {
            let found = all.fates.get(&(stream + 1)).map_or(0, |it| it.0);
            assert_eq!(found, used[stream as usize].len() as u64, "used of stream {stream}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn steps_are_those_of_a_look_at_everything(log in logs(), rules in rules()) {
        check(&log, &rules);
    }
}
