use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nodedata_core::TimeRange;

use crate::{Position, Route, Routes, Times};

/// Whether a message is taken, by its stream and its position among those of it in the unit.
type Only = Box<dyn Fn(usize, u64) -> bool + Send>;

/// Decides which messages of a file are handed out, and counts them all unit by unit.
pub struct Selector {
    routes: Arc<Routes>,
    time_range: TimeRange,
    /// What else decides.
    only: Option<Only>,
    /// Messages walked in the unit, by stream; those outside the time range, too.
    n_walked: Vec<u64>,
    /// Messages of the unit on channels nobody declared, by channel.
    n_unknown: BTreeMap<u32, u64>,
}

/// A message that is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picked {
    /// Position of its stream.
    pub stream: usize,
    /// Position among the messages of its stream in the unit, selected or not.
    pub ordinal: u64,
    /// Its channel.
    pub channel: u32,
}

impl Selector {
    /// Messages on the channels that `routes` lead anywhere, logged in the time range.
    pub fn new(routes: Arc<Routes>, time_range: TimeRange) -> Self {
        Self { routes, time_range, only: None, n_walked: Vec::new(), n_unknown: BTreeMap::new() }
    }

    /// Of these only the ones that `only` takes, by their stream and their position among those of it in the unit. It is asked
    /// about every message that leads anywhere, in order.
    #[must_use]
    pub fn only(self, only: impl Fn(usize, u64) -> bool + Send + 'static) -> Self {
        Self { only: Some(Box::new(only)), ..self }
    }

    /// Where the messages of channels go.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Whether a unit may hold messages that are selected. When in doubt it does. `channels` are those with messages
    /// in it; `None` when nothing trustworthy tells.
    pub fn may_select(&self, channels: Option<&BTreeSet<u32>>, times: Times) -> bool {
        if let Some(channels) = channels
            && !channels.iter().any(|it| !matches!(self.routes.of(*it), Route::Unselected))
        {
            return false;
        }
        let Times::Within(first, last) = times else { return true };
        // Times that no i64 holds are damage, which must be met and not skipped.
        let Some((first, last)) = i64::try_from(first).ok().zip(i64::try_from(last).ok()) else {
            return true;
        };
        self.time_range.overlaps(first, last)
    }

    /// Starts counting anew.
    pub fn start_unit(&mut self) {
        self.n_walked.clear();
        self.n_unknown.clear();
    }

    /// Counts a message of the unit that lies at `position`; `None` when it is not handed out.
    #[inline]
    pub fn pick(&mut self, channel_id: u32, log_time: u64, position: Position) -> Option<Picked> {
        let stream = match self.routes.of(channel_id) {
            Route::Unselected => return None,
            Route::Stream(stream) if !self.routes.is_ambiguous(channel_id, position) => stream,
            Route::Stream(_) | Route::Unknown => {
                *self.n_unknown.entry(channel_id).or_default() += 1;
                return None;
            }
        };
        if self.n_walked.len() <= stream {
            self.n_walked.resize(stream + 1, 0);
        }
        let ordinal = self.n_walked[stream];
        self.n_walked[stream] += 1;
        let is_taken = self.only.as_ref().is_none_or(|it| it(stream, ordinal));
        (is_taken && self.selects_time(log_time)).then_some(Picked { stream, ordinal, channel: channel_id })
    }

    /// Whether a message logged at `log_time` is wanted.
    #[inline]
    pub fn selects_time(&self, log_time: u64) -> bool {
        match i64::try_from(log_time) {
            Ok(log_time) => self.time_range.contains(log_time),
            // Later than any end there can be; without an end it is damage, which reading reports.
            Err(_) => self.time_range.end_ns.is_none(),
        }
    }

    /// By channel, how many messages of the unit are not there that `counts` tells by channel, of the streams selected.
    pub(crate) fn missing(&self, counts: &[(u32, u64)]) -> BTreeMap<u32, u64> {
        // Of each stream its last channel, and how many there are of all of them.
        let mut expected: BTreeMap<usize, (u32, u64)> = BTreeMap::new();
        for (channel, n) in counts {
            if let Route::Stream(stream) = self.routes.of(*channel) {
                let (last, sum) = expected.entry(stream).or_default();
                (*last, *sum) = (*channel, sum.saturating_add(*n));
            }
        }
        let lost = expected.into_iter().filter_map(|(stream, (channel, n))| {
            let n_walked = self.n_walked.get(stream).copied().unwrap_or(0);
            n.checked_sub(n_walked).filter(|it| *it != 0).map(|it| (channel, it))
        });
        lost.collect()
    }

    /// How many messages of the unit came on channels that nobody declared, or that are declared twice with
    /// different meaning; by channel.
    pub fn take_unknown(&mut self) -> BTreeMap<u32, u64> {
        std::mem::take(&mut self.n_unknown)
    }
}

impl std::fmt::Debug for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told = f.debug_struct("Selector");
        told.field("routes", &self.routes).field("time_range", &self.time_range);
        told.field("n_walked", &self.n_walked).field("n_unknown", &self.n_unknown).finish_non_exhaustive()
    }
}
