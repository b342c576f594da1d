use std::sync::Arc;

use nodedata_core::{Partition, Result};

use crate::{
    ORDER_BOUND_NS, StepSpec,
    far::Offsets,
    loaded::{Loaded, LoadedStream},
    lookup::{EMPTY_SPAN, Lookup},
    named::NamesMet,
    pace::pace_hz,
    period::{Counted, measured_ns},
    stamp::Stamp,
    store::{Held, Store},
};

/// What is known of one recording (an episode of the source) before its rows are read: where in time each
/// partition lies, for each mapped stream.
///
/// Log times of partitions come from metadata. How stamps relate to them is seen in three partitions, and a
/// bound is added for what these do not show. A partition without metadata is read to see it. Stamps that are far from
/// log time are left out before anything follows from them.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Numbers of its partitions in the source.
    pub(crate) partitions: Arc<[usize]>,
    /// By mapped stream.
    pub(crate) lookups: Vec<Lookup>,
    /// Bytes of one row of each mapped stream.
    pub(crate) row_bytes: Vec<u64>,
    /// Messages of each mapped stream in a second, roughly.
    pub(crate) rates_hz: Vec<f64>,
    /// Messages of each mapped stream in a second, by their own stamps; `None` where no sample holds two.
    pub(crate) paces_hz: Vec<Option<f64>>,
    /// How far from a step messages of each mapped stream may be where no tolerance says it; `None` for any distance.
    pub(crate) measured_ns: Vec<Option<i64>>,
    /// About where in time each partition starts, by the stamps of paced streams.
    pub(crate) starts: Vec<i64>,
}

/// What samples show of one stream.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    offsets: Option<(i64, i64)>,
    n_bytes: u64,
    n_rows: u64,
    spanned_ns: i64,
    pace_hz: Option<f64>,
    n_gaps: u64,
    gaps_ns: i64,
}

/// What one partition shows of one stream.
#[derive(Debug, Clone, Copy)]
struct Shown {
    /// First and last stamp.
    span: (i64, i64),
    offsets: Option<(i64, i64)>,
    n_read: u64,
    n_bytes: u64,
    n_rows: u64,
    pace_hz: Option<f64>,
}

/// The samples of a recording.
struct Samples {
    /// Position of each partition, and what it shows of each stream.
    shown: Vec<(usize, Vec<Shown>)>,
    /// By mapped stream.
    offsets: Vec<Offsets>,
    /// By mapped stream, offsets of partitions that were read for it alone.
    more: Vec<Option<(i64, i64)>>,
}

impl Survey {
    /// `episode` is that of the source, and `names` takes in the messages that are looked at.
    ///
    /// # Errors
    /// What reading the samples reports.
    pub(crate) fn new(
        store: &Store,
        spec: &StepSpec,
        episode: usize,
        partitions: Vec<usize>,
        names: &mut NamesMet,
    ) -> Result<Self> {
        let known = &store.source.plan().partitions;
        let n_streams = store.mapping.streams.len();
        let logged: Vec<Option<(i64, i64)>> = partitions.iter().map(|it| known[*it].times).collect();
        let samples = Samples::new(store, spec, episode, &partitions, &logged, names)?;
        let mut seen = vec![Seen::default(); n_streams];
        let mut exact: Vec<Option<&[Shown]>> = vec![None; partitions.len()];
        for (position, shown) in &samples.shown {
            for (seen, shown) in seen.iter_mut().zip(shown) {
                seen.take_in(shown, logged[*position]);
            }
            exact[*position] = Some(shown);
        }
        for (seen, more) in seen.iter_mut().zip(&samples.more) {
            seen.widen(*more);
        }
        let bound = spec.order_bound_ns.unwrap_or(ORDER_BOUND_NS);
        let partitions: Arc<[usize]> = partitions.into();
        let span = |stream: usize, position: usize| match (exact[position], logged[position]) {
            (Some(exact), None) => exact[stream].span,
            _ if n_counted(&known[partitions[position]], store, stream) == Some(0) => EMPTY_SPAN,
            (_, Some(logged)) => match (store.mapping.streams[stream].stamp, seen[stream].offsets) {
                (Stamp::LogTime(_), _) => logged,
                (_, None) => EMPTY_SPAN,
                (_, Some((low, high))) => (
                    logged.0.saturating_add(low).saturating_sub(bound),
                    logged.1.saturating_add(high).saturating_add(bound),
                ),
            },
            (None, None) => EMPTY_SPAN,
        };
        let lookup = |stream: usize| {
            let spans = (0..partitions.len()).map(|it| span(stream, it)).collect();
            Lookup::new(stream, Arc::clone(&partitions), spans)
        };
        let lookups: Vec<Lookup> = (0..n_streams).map(lookup).collect();
        let mut measured = vec![None; n_streams];
        for stream in (0..n_streams).filter(|it| store.mapping.streams[*it].is_measured()) {
            let n_of = |position: usize| match (exact[position], logged[position]) {
                (Some(exact), None) => Some(exact[stream].n_read),
                _ => n_counted(&known[partitions[position]], store, stream),
            };
            let Seen { n_gaps, gaps_ns, .. } = seen[stream];
            let n_messages = (0..partitions.len()).map(n_of).sum();
            measured[stream] = measured_ns(store, &lookups[stream], Counted { n_messages, n_gaps, gaps_ns })?;
        }
        let starts = starts(store, &logged, &lookups, &seen);
        Ok(Self {
            lookups,
            row_bytes: seen.iter().map(|it| it.n_bytes / it.n_rows.max(1)).collect(),
            rates_hz: seen.iter().map(|it| it.n_rows as f64 * 1e9 / it.spanned_ns.max(1) as f64).collect(),
            paces_hz: seen.iter().map(|it| it.pace_hz).collect(),
            measured_ns: measured,
            starts,
            partitions,
        })
    }
}

impl Samples {
    /// Looks at the samples, and says to the store what is far from log time by them.
    fn new(
        store: &Store,
        spec: &StepSpec,
        episode: usize,
        partitions: &[usize],
        logged: &[Option<(i64, i64)>],
        names: &mut NamesMet,
    ) -> Result<Self> {
        let n_streams = store.mapping.streams.len();
        let mut samples = Self {
            shown: Vec::new(),
            offsets: vec![Offsets::default(); n_streams],
            more: vec![None; n_streams],
        };
        for position in sampled(logged) {
            let loaded = store.look_at(partitions[position])?;
            names.take_in(&loaded);
            for (offsets, stream) in samples.offsets.iter_mut().zip(&loaded.streams) {
                offsets.extend(stream.by_row.iter().copied());
            }
            samples.shown.push((position, shown(&loaded)));
        }
        let mut read: Vec<usize> = samples.shown.iter().map(|it| partitions[it.0]).collect();
        for stream in 0..n_streams {
            read.extend(samples.read_on(store, stream, partitions)?);
        }
        let near: Vec<_> = samples.offsets.iter().map(|it| it.clone().near(spec)).collect();
        let is_near = |stream: usize, offsets: Option<(i64, i64)>| match (near[stream], offsets) {
            (Some(near), Some((low, high))) => near.holds(low) && near.holds(high),
            _ => true,
        };
        store.leave_out_far(episode, near.clone(), &read);
        for (position, of_partition) in &mut samples.shown {
            let is_clean = |it: (usize, &Shown)| is_near(it.0, it.1.offsets);
            if !of_partition.iter().enumerate().all(is_clean) {
                *of_partition = shown(store.look_at(partitions[*position])?.as_ref());
            }
        }
        for (stream, near) in near.iter().enumerate() {
            if let (Some(near), Some((low, high))) = (near, &mut samples.more[stream]) {
                (*low, *high) = (near.clamp(*low), near.clamp(*high));
            }
        }
        Ok(samples)
    }

    /// Reads partitions for a stream that the samples hold nothing of, or, where its messages are counted, too little to
    /// tell which of its stamps is wild. Tells which were read.
    fn read_on(&mut self, store: &Store, stream: usize, partitions: &[usize]) -> Result<Vec<usize>> {
        let mapped = &store.mapping.streams[stream];
        if matches!(mapped.stamp, Stamp::LogTime(_)) {
            return Ok(Vec::new());
        }
        let nothing_held = Held::new();
        let known = &store.source.plan().partitions;
        let has_any = self.shown.iter().any(|it| it.1[stream].offsets.is_some());
        let mut found = has_any;
        let mut read = Vec::new();
        for (position, partition) in partitions.iter().enumerate() {
            let counted = n_counted(&known[*partition], store, stream);
            let is_enough = found && (counted.is_none() || LOOKED_AT <= self.offsets[stream].n_seen());
            if is_enough {
                break;
            }
            if counted == Some(0) || self.shown.iter().any(|it| it.0 == position) {
                continue;
            }
            let loaded = store.stream_of(*partition, stream, &nothing_held)?;
            let of_stream = &loaded.streams[stream];
            self.offsets[stream].extend(of_stream.by_row.iter().copied());
            self.more[stream] = joined(self.more[stream], of_stream.offsets);
            found |= of_stream.offsets.is_some();
            read.push(*partition);
        }
        Ok(read)
    }
}

/// Messages of a stream that are looked at where a sample does not hold as many, so that one of them can be told to be wild.
const LOOKED_AT: usize = 3;

/// Messages of a mapped stream in a partition, where the source's index counts them.
fn n_counted(partition: &Partition, store: &Store, stream: usize) -> Option<u64> {
    let id = store.mapping.streams[stream].id;
    let counts = partition.counts.as_ref()?;
    Some(counts.iter().find(|it| it.0 == id).map_or(0, |it| it.1))
}

/// The first, the middle and the last partition, and all of which no metadata tells.
fn sampled(logged: &[Option<(i64, i64)>]) -> Vec<usize> {
    let known: Vec<usize> = (0..logged.len()).filter(|it| logged[*it].is_some()).collect();
    let mut samples: Vec<usize> = (0..logged.len()).filter(|it| logged[*it].is_none()).collect();
    samples.extend([known.first(), known.get(known.len() / 2), known.last()].into_iter().flatten());
    samples.sort_unstable();
    samples.dedup();
    samples
}

/// About where each partition starts, by the clock that steps go by.
fn starts(store: &Store, logged: &[Option<(i64, i64)>], lookups: &[Lookup], seen: &[Seen]) -> Vec<i64> {
    let streams = &store.mapping.streams;
    let paced = streams.iter().position(|it| it.is_paced());
    let leader = store.mapping.clock.or(paced).unwrap_or(0);
    let shift = match (streams.get(leader).map(|it| it.stamp), seen.get(leader).and_then(|it| it.offsets)) {
        (Some(Stamp::Nanos(_) | Stamp::Pair(..)), Some((low, _))) => low,
        _ => 0,
    };
    let start = |position: usize| match logged[position] {
        Some((first, _)) => first.saturating_add(shift),
        None => lookups.iter().map(|it| it.spans[position].0).min().unwrap_or(i64::MAX),
    };
    (0..logged.len()).map(start).collect()
}

fn shown(loaded: &Loaded) -> Vec<Shown> {
    loaded.streams.iter().map(Shown::of).collect()
}

fn joined(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    one.into_iter().chain(other).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}

impl Shown {
    fn of(stream: &LoadedStream) -> Self {
        let ends = stream.rows.first().zip(stream.rows.last());
        let stamps: Vec<i64> = stream.rows.iter().map(|it| it.0).collect();
        Self {
            span: ends.map_or(EMPTY_SPAN, |(first, last)| (first.0, last.0)),
            offsets: stream.offsets,
            n_read: stream.n_read,
            n_bytes: stream.n_bytes as u64,
            n_rows: stream.rows.len() as u64,
            pace_hz: pace_hz(&stamps),
        }
    }
}

impl Seen {
    fn take_in(&mut self, shown: &Shown, logged: Option<(i64, i64)>) {
        self.widen(shown.offsets);
        self.pace_hz = self.pace_hz.into_iter().chain(shown.pace_hz).reduce(f64::max);
        self.n_bytes += shown.n_bytes;
        self.n_rows += shown.n_rows;
        if let Some((first, last)) = logged {
            self.spanned_ns = self.spanned_ns.saturating_add(last.saturating_sub(first));
        }
        if let Some(n_gaps) = shown.n_rows.checked_sub(1) {
            self.n_gaps += n_gaps;
            self.gaps_ns = self.gaps_ns.saturating_add(shown.span.1.saturating_sub(shown.span.0));
        }
    }

    fn widen(&mut self, offsets: Option<(i64, i64)>) {
        self.offsets = joined(self.offsets, offsets);
    }
}
