use std::collections::BTreeMap;

use arrow_array::{Array, RecordBatch, cast::AsArray};
use nodedata_core::{DType, Error, ErrorKind, Result, StreamId};

use crate::{
    Change, Clock, Cut, EpisodeRange, Marker, Start, StepSpec,
    cast::cast,
    episodes::Skip,
    far,
    loaded::{each_batch, log_times},
    mapping::MarkerColumns,
    stamp::{NO_TIME, Stamp},
    store::{Held, Store},
    survey::Survey,
    unmet::CutMet,
};

/// More steps than this in one episode are a slip: a stamp from another epoch, say.
pub(crate) const STEPS_MAX: u64 = 200_000_000;

/// One episode of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EpisodeCut {
    /// First time inside.
    pub(crate) from: i64,
    /// First time after; the largest i64 for no end.
    pub(crate) to: i64,
    /// Time of the first step, or from when on messages of the clock topic are steps.
    pub(crate) start: i64,
    /// No step at or after this time.
    pub(crate) end: i64,
    /// Steps on a grid; 0 where a topic is the clock.
    pub(crate) n_steps: u64,
    pub(crate) task: Option<String>,
    /// Steps of it that are left out.
    pub(crate) skips: Vec<Skip>,
}

/// Messages that were read to find episodes, or what is known of these, and are nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadAlone {
    /// Stream of the source.
    pub(crate) id: StreamId,
    pub(crate) n_read: u64,
    /// Those whose stamps are far from log time: they decide nothing.
    pub(crate) n_far: u64,
    /// Stamp minus log time of the farthest of these.
    pub(crate) farthest_ns: Option<i64>,
}

/// The episodes of a recording in order of time, and the messages that were read to find them alone. `met` takes in what of
/// the cut the recording answers to.
pub(crate) fn episodes(
    store: &Store,
    spec: &StepSpec,
    survey: &Survey,
    key: &str,
    met: &mut CutMet,
) -> Result<(Vec<EpisodeCut>, Option<ReadAlone>)> {
    let open = |from: i64, to: i64, task: Option<String>| EpisodeCut {
        from,
        to,
        start: from,
        end: to,
        n_steps: 0,
        task,
        skips: Vec::new(),
    };
    let mut read_alone = None;
    let mut episodes = match &spec.episodes {
        Cut::Whole => vec![open(i64::MIN, i64::MAX, None)],
        Cut::Gap { gap_ns, .. } => {
            let spells = spells(store, survey, *gap_ns)?;
            spells.into_iter().map(|(first, last)| open(first, last.saturating_add(1), None)).collect()
        }
        Cut::Ranges(ranges) => {
            let mut found = Vec::new();
            let of_recording = |it: &EpisodeRange| it.recording.as_deref().is_none_or(|it| it == key);
            for range in ranges.iter().filter(|it| of_recording(it)) {
                if has_messages(store, survey, range.start_ns, range.end_ns)? {
                    found.push(open(range.start_ns, range.end_ns, None));
                }
            }
            found.sort_by_key(|it| it.from);
            found
        }
        Cut::Marker(marker) => {
            let Some(columns) = store.mapping.marker else { return Ok((Vec::new(), None)) };
            let (signals, read) = signals(store, spec, survey, columns)?;
            let named = [&marker.start, &marker.end, &marker.discard];
            for (_, value, _) in &signals {
                met.value(value, named.iter().any(|it| it.contains(value)));
            }
            read_alone = read;
            between_markers(marker, signals)
                .into_iter()
                .map(|(from, to, task)| open(from, to, task))
                .collect()
        }
        Cut::Change(change) => {
            let Some(columns) = store.mapping.marker else { return Ok((Vec::new(), None)) };
            let (signals, read) = signals(store, spec, survey, columns)?;
            signals.iter().for_each(|(_, value, _)| met.value(value, change.without.contains(value)));
            read_alone = read;
            of_values(change, signals).into_iter().map(|(from, to, task)| open(from, to, task)).collect()
        }
    };
    for episode in &mut episodes {
        settle(store, spec, survey, episode)?;
    }
    Ok((episodes, read_alone))
}

/// Whether any message that a field is made of lies between two times.
fn has_messages(store: &Store, survey: &Survey, start_ns: i64, end_ns: i64) -> Result<bool> {
    let held = Held::new();
    for (lookup, _) in survey.lookups.iter().zip(&store.mapping.streams).filter(|it| !it.1.ways.is_empty()) {
        let first = lookup.after(store, &held, start_ns.saturating_sub(1))?;
        if first.is_some_and(|it| it.place.stamp < end_ns) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds where the clock of an episode starts and ends.
fn settle(store: &Store, spec: &StepSpec, survey: &Survey, episode: &mut EpisodeCut) -> Result<()> {
    let held = Held::new();
    let streams = &store.mapping.streams;
    let any_paced = streams.iter().any(|it| it.is_paced());
    let counts = |it: usize| if any_paced { streams[it].is_paced() } else { !streams[it].ways.is_empty() };
    let leaders: Vec<usize> = (0..streams.len()).filter(|it| counts(*it)).collect();
    // Steps of poses alone go by their transforms.
    let leaders = if leaders.is_empty() { (0..streams.len()).collect() } else { leaders };
    let (opens, ends) = (episode.from != i64::MIN, episode.to != i64::MAX);
    let is_grid = matches!(spec.clock, Clock::Rate(_));
    if !opens && is_grid || spec.start == Start::All {
        let mut firsts = Vec::new();
        for stream in &leaders {
            let first = survey.lookups[*stream].after(store, &held, episode.from.saturating_sub(1))?;
            firsts.push(first.map(|it| it.place.stamp).filter(|it| *it < episode.to));
        }
        let start = match spec.start {
            Start::First => firsts.into_iter().flatten().min(),
            Start::All => firsts.into_iter().collect::<Option<Vec<_>>>().and_then(|it| it.into_iter().max()),
        };
        match start {
            Some(start) => episode.start = start,
            // Nothing to step through: the episode stays, without a step.
            None => (episode.start, episode.end) = (episode.from, episode.from),
        }
    }
    if !ends && is_grid && episode.start < episode.end {
        let mut end = episode.start;
        for stream in &leaders {
            let last = survey.lookups[*stream].before(store, &held, episode.to)?;
            end = end.max(last.map_or(end, |it| it.place.stamp));
        }
        episode.end = end.saturating_add(1);
    }
    if let Clock::Rate(rate) = spec.clock {
        episode.n_steps =
            if episode.start < episode.end { rate.first_at_or_after(episode.start, episode.end) } else { 0 };
        if STEPS_MAX < episode.n_steps {
            let seconds = (episode.end as f64 - episode.start as f64) / 1e9;
            let message = format!(
                "an episode of {seconds:.0} s would have {} steps, from {} ns to {} ns",
                episode.n_steps, episode.start, episode.end
            );
            return Err(Error::new(ErrorKind::Limit, message)
                .with_hint("a topic has stamps of another clock: give it `time: log_time`"));
        }
    }
    Ok(())
}

/// The times in which the streams listened to are never silent for longer than the gap.
fn spells(store: &Store, survey: &Survey, gap_ns: i64) -> Result<Vec<(i64, i64)>> {
    let streams = &store.mapping.streams;
    let listened: Vec<usize> = match store.mapping.gap {
        Some(stream) => vec![stream],
        None => (0..streams.len()).filter(|it| streams[*it].is_paced()).collect(),
    };
    let held = Held::new();
    let mut spells = BTreeMap::new();
    for (position, partition) in survey.partitions.iter().enumerate() {
        for stream in &listened {
            let loaded = store.stream_of(*partition, *stream, &held)?;
            let (first, last) = survey.lookups[*stream].spans[position];
            let stamps = loaded.streams[*stream].between(first, last).iter().map(|it| it.0);
            for spell in runs(stamps, gap_ns) {
                add_spell(&mut spells, spell, gap_ns);
            }
        }
    }
    Ok(spells.into_iter().collect())
}

/// Ascending times, joined where the next follows within the gap.
fn runs(times: impl Iterator<Item = i64>, gap_ns: i64) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for time in times {
        match runs.last_mut() {
            Some(run) if time.saturating_sub(run.1) <= gap_ns => run.1 = time,
            _ => runs.push((time, time)),
        }
    }
    runs
}

/// Joins a spell with all that it touches.
fn add_spell(spells: &mut BTreeMap<i64, i64>, spell: (i64, i64), gap_ns: i64) {
    let (mut first, mut last) = spell;
    while let Some((start, end)) =
        spells.range(..=last.saturating_add(gap_ns)).next_back().map(|it| (*it.0, *it.1))
    {
        if end.saturating_add(gap_ns) < first {
            break;
        }
        spells.remove(&start);
        (first, last) = (first.min(start), last.max(end));
    }
    spells.insert(first, last);
}

/// Time, value and task of a marker.
type Signal = (i64, String, Option<String>);

/// The markers in order of time, without those that are far from log time, and what was read for them alone: those of a
/// mapped stream are counted with its other messages.
fn signals(
    store: &Store,
    spec: &StepSpec,
    survey: &Survey,
    columns: MarkerColumns,
) -> Result<(Vec<Signal>, Option<ReadAlone>)> {
    let mut signals: Vec<(Signal, Option<i64>)> = Vec::new();
    let mut n_read = 0;
    for partition in survey.partitions.iter() {
        each_batch(store.source.as_ref(), *partition, columns.id, |rows| {
            n_read += rows.num_rows() as u64;
            read_signals(rows, columns, &mut signals);
        })?;
    }
    let (n_far, farthest_ns) = far::leave_out(&mut signals, spec);
    let read = ReadAlone { id: columns.id, n_read, n_far, farthest_ns };
    let mut signals: Vec<Signal> = signals.into_iter().map(|it| it.0).collect();
    // A stable sort: markers of one time stay in the order they were written in.
    signals.sort_by_key(|it| it.0);
    let is_mapped = store.mapping.streams.iter().any(|it| it.id == columns.id);
    Ok((signals, (!is_mapped).then_some(read)))
}

/// Adds the markers of a batch, each with its stamp minus log time.
fn read_signals(rows: &RecordBatch, columns: MarkerColumns, signals: &mut Vec<(Signal, Option<i64>)>) {
    let values = texts(rows.column(columns.value).as_ref());
    let tasks = columns.task.map(|it| texts(rows.column(it).as_ref()));
    let logged = match columns.stamp {
        Stamp::LogTime(_) => None,
        Stamp::Nanos(_) | Stamp::Pair(..) => log_times(rows),
    };
    for (row, stamp) in columns.stamp.times(rows).into_iter().enumerate() {
        if stamp == NO_TIME {
            continue;
        }
        if let Some(value) = &values[row] {
            let signal = (stamp, value.clone(), tasks.as_ref().and_then(|it| it[row].clone()));
            signals.push((signal, logged.as_ref().map(|it| stamp.saturating_sub(it[row]))));
        }
    }
}

/// Values as text: markers are few.
fn texts(array: &dyn Array) -> Vec<Option<String>> {
    let array = array.slice(0, array.len());
    let text = |idx: usize| match DType::from_arrow(array.data_type()) {
        _ if array.is_null(idx) => None,
        Some(DType::String) => array.as_string_opt::<i32>().map(|it| it.value(idx).to_owned()),
        Some(DType::Bool) => array.as_boolean_opt().map(|it| it.value(idx).to_string()),
        Some(DType::UInt64) => {
            let values = array.as_primitive_opt::<arrow_array::types::UInt64Type>();
            values.map(|it| it.value(idx).to_string())
        }
        Some(_) => {
            let whole = cast(&array.slice(idx, 1), DType::Int64).ok()?;
            Some(whole.as_primitive::<arrow_array::types::Int64Type>().value(0).to_string())
        }
        None => None,
    };
    (0..array.len()).map(text).collect()
}

/// The episodes that markers enclose.
fn between_markers(
    marker: &Marker,
    signals: Vec<(i64, String, Option<String>)>,
) -> Vec<(i64, i64, Option<String>)> {
    let mut episodes = Vec::new();
    let mut open: Option<(i64, Option<String>)> = None;
    let mut close = |open: &mut Option<(i64, Option<String>)>, at: i64| {
        if let Some((from, task)) = open.take().filter(|it| it.0 < at) {
            episodes.push((from, at, task));
        }
    };
    for (stamp, value, task) in signals {
        if marker.start.contains(&value) {
            close(&mut open, stamp);
            open = Some((stamp, task.filter(|it| !it.is_empty())));
        } else if marker.end.contains(&value) {
            close(&mut open, stamp);
        } else if marker.discard.contains(&value) {
            open = None;
        }
    }
    // The recording ended first.
    close(&mut open, i64::MAX);
    episodes
}

/// The episodes in each of which a value stays the same.
fn of_values(
    change: &Change,
    signals: Vec<(i64, String, Option<String>)>,
) -> Vec<(i64, i64, Option<String>)> {
    let mut episodes = Vec::new();
    let mut open: Option<(i64, String, Option<String>)> = None;
    for (stamp, value, task) in signals {
        if open.as_ref().is_some_and(|it| it.1 == value) {
            continue;
        }
        if let Some((from, before, task)) = open.take()
            && from < stamp
            && !change.without.contains(&before)
        {
            episodes.push((from, stamp, task));
        }
        open = Some((stamp, value, task.filter(|it| !it.is_empty())));
    }
    // The recording ended first.
    if let Some((from, value, task)) = open
        && !change.without.contains(&value)
    {
        episodes.push((from, i64::MAX, task));
    }
    episodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_lasts_as_long_as_its_value() {
        let change = Change { without: vec!["0".to_owned()], ..Change::default() };
        let signal = |stamp: i64, value: &str| (stamp, value.to_owned(), Some(format!("task {stamp}")));
        let values =
            [signal(1, "0"), signal(2, "7"), signal(3, "7"), signal(5, "8"), signal(6, "0"), signal(9, "7")];
        let task = |it: i64| Some(format!("task {it}"));
        let found = of_values(&change, values.to_vec());
        assert_eq!(found, [(2, 5, task(2)), (5, 6, task(5)), (9, i64::MAX, task(9))]);
    }

    #[test]
    fn markers_open_close_and_discard() {
        let marker = Marker {
            start: vec!["go".to_owned()],
            end: vec!["stop".to_owned()],
            discard: vec!["oops".to_owned()],
            ..Marker::default()
        };
        let signal = |stamp: i64, value: &str| (stamp, value.to_owned(), Some(format!("task {stamp}")));
        let signals = [
            signal(1, "stop"),
            signal(2, "go"),
            signal(5, "note"),
            signal(7, "stop"),
            signal(9, "go"),
            signal(12, "oops"),
            signal(13, "stop"),
            signal(20, "go"),
            signal(30, "go"),
        ];
        let found = between_markers(&marker, signals.to_vec());
        let task = |it: i64| Some(format!("task {it}"));
        assert_eq!(found, [(2, 7, task(2)), (20, 30, task(20)), (30, i64::MAX, task(30))]);
    }

    #[test]
    fn spells_join_whatever_order_they_come_in() {
        let all = [(0, 4), (20, 22), (40, 41), (9, 11), (30, 33)];
        let mut expected: Option<BTreeMap<i64, i64>> = None;
        for turn in 0..all.len() {
            let mut spells = BTreeMap::new();
            for idx in 0..all.len() {
                add_spell(&mut spells, all[(idx + turn) % all.len()], 7);
            }
            assert_eq!(*expected.get_or_insert_with(|| spells.clone()), spells);
        }
        assert_eq!(
            expected.unwrap().into_iter().collect::<Vec<_>>(),
            [(0, 11), (20, 22), (30, 41)][..2].iter().copied().chain([(30, 41)]).collect::<Vec<_>>()
        );
        assert_eq!(runs([1, 2, 5, 9].into_iter(), 3), [(1, 5), (9, 9)]);
    }
}
