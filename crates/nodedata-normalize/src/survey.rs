use std::sync::Arc;

use nodedata_core::Result;

use crate::{
    ORDER_BOUND_NS, StepSpec,
    loaded::Loaded,
    lookup::{EMPTY_SPAN, Lookup},
    named::NamesMet,
    pace::pace_hz,
    stamp::Stamp,
    store::{Held, Store},
};

/// What is known of one recording (an episode of the source) before its rows are read: where in time each
/// partition lies, for each mapped stream.
///
/// Log times of partitions come from metadata. How stamps relate to them is seen in three partitions, and a
/// bound is added for what these do not show. A partition without metadata is read to see it.
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
}

impl Survey {
    /// `names` takes in the messages that are looked at.
    ///
    /// # Errors
    /// What reading the samples reports.
    pub(crate) fn new(
        store: &Store,
        spec: &StepSpec,
        partitions: Vec<usize>,
        names: &mut NamesMet,
    ) -> Result<Self> {
        let known = &store.source.plan().partitions;
        let n_streams = store.mapping.streams.len();
        let logged: Vec<Option<(i64, i64)>> = partitions.iter().map(|it| known[*it].times).collect();
        let mut seen = vec![Seen::default(); n_streams];
        let mut exact: Vec<Option<Vec<(i64, i64)>>> = vec![None; partitions.len()];
        for position in samples(&logged) {
            let loaded = store.look_at(partitions[position])?;
            names.take_in(&loaded);
            for (seen, stream) in seen.iter_mut().zip(0..) {
                seen.take_in(&loaded, stream, logged[position]);
            }
            if logged[position].is_none() {
                let span = |it: &crate::loaded::LoadedStream| {
                    it.rows.first().zip(it.rows.last()).map_or(EMPTY_SPAN, |(first, last)| (first.0, last.0))
                };
                exact[position] = Some(loaded.streams.iter().map(span).collect());
            }
        }
        let nothing_held = Held::new();
        let is_logged = |it: usize| matches!(store.mapping.streams[it].stamp, Stamp::LogTime(_));
        for (idx, seen) in seen.iter_mut().enumerate().filter(|it| !is_logged(it.0)) {
            let mut rest = partitions.iter();
            while seen.offsets.is_none()
                && let Some(partition) = rest.next()
            {
                let loaded = store.stream_of(*partition, idx, &nothing_held)?;
                seen.take_in(&loaded, idx, None);
            }
        }
        let bound = spec.order_bound_ns.unwrap_or(ORDER_BOUND_NS);
        let partitions: Arc<[usize]> = partitions.into();
        let lookups = (0..n_streams).map(|stream| {
            let span = |position: usize| match (&exact[position], logged[position]) {
                (Some(exact), _) => exact[stream],
                (None, Some(logged)) => match (store.mapping.streams[stream].stamp, seen[stream].offsets) {
                    (Stamp::LogTime(_), _) => logged,
                    (_, None) => EMPTY_SPAN,
                    (_, Some((low, high))) => (
                        logged.0.saturating_add(low).saturating_sub(bound),
                        logged.1.saturating_add(high).saturating_add(bound),
                    ),
                },
                (None, None) => EMPTY_SPAN,
            };
            Lookup::new(stream, Arc::clone(&partitions), (0..partitions.len()).map(span).collect())
        });
        let lookups: Vec<Lookup> = lookups.collect();
        let starts = starts(store, &logged, &lookups, &seen);
        Ok(Self {
            lookups,
            row_bytes: seen.iter().map(|it| it.n_bytes / it.n_rows.max(1)).collect(),
            rates_hz: seen.iter().map(|it| it.n_rows as f64 * 1e9 / it.spanned_ns.max(1) as f64).collect(),
            paces_hz: seen.iter().map(|it| it.pace_hz).collect(),
            starts,
            partitions,
        })
    }
}

/// The first, the middle and the last partition, and all of which no metadata tells.
fn samples(logged: &[Option<(i64, i64)>]) -> Vec<usize> {
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

impl Seen {
    fn take_in(&mut self, loaded: &Loaded, stream: usize, logged: Option<(i64, i64)>) {
        let stream = &loaded.streams[stream];
        if let Some((low, high)) = stream.offsets {
            let (known_low, known_high) = self.offsets.unwrap_or((low, high));
            self.offsets = Some((known_low.min(low), known_high.max(high)));
        }
        let stamps: Vec<i64> = stream.rows.iter().map(|it| it.0).collect();
        self.pace_hz = self.pace_hz.into_iter().chain(pace_hz(&stamps)).reduce(f64::max);
        self.n_bytes += stream.n_bytes as u64;
        self.n_rows += stream.rows.len() as u64;
        if let Some((first, last)) = logged {
            self.spanned_ns = self.spanned_ns.saturating_add(last.saturating_sub(first));
        }
    }
}
