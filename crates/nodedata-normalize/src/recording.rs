use nodedata_core::Result;

use crate::{
    Clock, StepSpec,
    cut::EpisodeCut,
    store::{Held, Store},
    survey::Survey,
};

/// One episode of the source, cut and surveyed.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) survey: Survey,
    /// In order of time, apart from each other.
    pub(crate) episodes: Vec<EpisodeCut>,
    /// Where it was cut, whether the episodes are kept or not, in order: first time inside, and first time after.
    pub(crate) cuts: Vec<(i64, i64)>,
    /// By mapped stream, from when on its messages can be decoded: that of the first key frame of a topic of video, the smallest i64
    /// for what needs none.
    pub(crate) pictured_from: Vec<i64>,
}

impl Recording {
    /// The steps from `first_ns` to `last_ns`, both included. Where a topic is the clock, those among `clock`, its
    /// stamps in order.
    pub(crate) fn steps_between(
        &self,
        spec: &StepSpec,
        clock: Option<&[i64]>,
        first_ns: i64,
        last_ns: i64,
    ) -> Vec<i64> {
        let mut steps = Vec::new();
        for episode in self.episodes.iter().filter(|it| it.start <= last_ns && first_ns < it.end) {
            let (first, end) = (episode.start.max(first_ns), episode.end.min(last_ns.saturating_add(1)));
            match (&spec.clock, clock) {
                (Clock::Rate(rate), _) => {
                    let numbers = rate.first_at_or_after(episode.start, first)
                        ..rate.first_at_or_after(episode.start, end);
                    let numbers = numbers.start..numbers.end.min(episode.n_steps);
                    steps.extend(numbers.map(|it| rate.time_ns(episode.start, it)));
                }
                (Clock::Topic(_), Some(clock)) => {
                    let numbers =
                        clock.partition_point(|it| *it < first)..clock.partition_point(|it| *it < end);
                    steps.extend_from_slice(&clock[numbers]);
                }
                (Clock::Topic(_) | Clock::Every(_) | Clock::Own, _) => {}
            }
        }
        steps
    }

    /// The last step before `time_ns`, of whatever episode.
    pub(crate) fn step_before(
        &self,
        store: &Store,
        spec: &StepSpec,
        held: &Held,
        time_ns: i64,
    ) -> Result<Option<i64>> {
        for episode in self.episodes.iter().rev().filter(|it| it.start < time_ns) {
            let end = episode.end.min(time_ns);
            let found = match (&spec.clock, store.mapping.clock) {
                (Clock::Rate(rate), _) => {
                    let n_before = rate.first_at_or_after(episode.start, end).min(episode.n_steps);
                    n_before.checked_sub(1).map(|it| rate.time_ns(episode.start, it))
                }
                (Clock::Topic(_), Some(clock)) => {
                    let found = self.survey.lookups[clock].before(store, held, end.saturating_sub(1))?;
                    found.map(|it| it.place.stamp).filter(|it| episode.start <= *it)
                }
                (Clock::Topic(_) | Clock::Every(_) | Clock::Own, _) => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first step at or after `time_ns`, of whatever episode.
    pub(crate) fn step_from(
        &self,
        store: &Store,
        spec: &StepSpec,
        held: &Held,
        time_ns: i64,
    ) -> Result<Option<i64>> {
        for episode in self.episodes.iter().filter(|it| time_ns < it.end) {
            let start = episode.start.max(time_ns);
            let found = match (&spec.clock, store.mapping.clock) {
                (Clock::Rate(rate), _) => {
                    let step = rate.first_at_or_after(episode.start, start);
                    (step < episode.n_steps).then(|| rate.time_ns(episode.start, step))
                }
                (Clock::Topic(_), Some(clock)) => {
                    let found = self.survey.lookups[clock].after(store, held, start.saturating_sub(1))?;
                    found.map(|it| it.place.stamp).filter(|it| *it < episode.end)
                }
                (Clock::Topic(_) | Clock::Every(_) | Clock::Own, _) => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
