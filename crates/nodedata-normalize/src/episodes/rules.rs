use std::borrow::Cow;

use nodedata_core::{EpisodeInfo, Result, SourcePlan, StreamId, StreamSchema, placed::Mistake};

use super::{
    Chooser, EpisodeSpec, TopicColumns,
    chooser::Length,
    names::Named,
    topics::{Times, Told, TopicValues},
    trim::{IdleColumns, Motion, Skip, TRIMMED, skipped},
};
use crate::{
    Clock, Cut, StepSpec,
    cut::{EpisodeCut, ReadAlone},
    store::{Held, Store},
    survey::Survey,
};

/// What is done with the episodes that recordings are cut into.
pub(crate) struct Rules<'a> {
    chooser: Chooser<'a>,
    topics: Vec<TopicColumns>,
    idle: Option<IdleColumns>,
    told: Told,
    /// Episodes that were left out.
    pub(crate) n_left_out: usize,
}

/// The episodes of a recording that are kept, and the time of the others.
pub(crate) struct Split {
    /// In order of time.
    pub(crate) kept: Vec<EpisodeCut>,
    /// What is known of each of these.
    pub(crate) infos: Vec<EpisodeInfo>,
    pub(crate) left_out: Vec<LeftOutSpan>,
    /// Messages that were read for what topics tell, and are nothing else.
    pub(crate) read: Vec<ReadAlone>,
}

/// A part of a recording's time whose steps are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOutSpan {
    /// First time inside.
    pub(crate) from: i64,
    /// First time after.
    pub(crate) to: i64,
    /// As those of [`EpisodeCut`]: where its steps would be.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Steps on a grid; 0 where a topic is the clock.
    pub(crate) n_steps: u64,
    /// Why, as ledgers say it.
    pub(crate) reason: &'static str,
}

impl<'a> Rules<'a> {
    /// The rules of a specification for a log.
    ///
    /// # Errors
    /// All mistakes.
    pub(crate) fn new(
        spec: &'a EpisodeSpec,
        steps: &StepSpec,
        streams: &[StreamSchema],
    ) -> Result<Self, Vec<Mistake>> {
        let topics = TopicColumns::resolve(spec, Some(steps), streams);
        let idle = spec.trim.idle.as_ref().map(|it| IdleColumns::resolve(it, steps, streams)).transpose();
        match (topics, idle) {
            (Ok(topics), Ok(idle)) => {
                Ok(Self { chooser: Chooser::new(spec), topics, idle, told: Told::default(), n_left_out: 0 })
            }
            (topics, idle) => {
                let mut mistakes = topics.err().unwrap_or_default();
                mistakes.extend(idle.err());
                Err(mistakes)
            }
        }
    }

    /// What is wrong, once all recordings have been seen.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.chooser.mistakes();
        mistakes.extend(self.told.mistakes(&self.topics));
        mistakes
    }

    /// Streams that are read for what they tell.
    pub(crate) fn reads(&self, id: StreamId) -> bool {
        self.topics.iter().any(|it| it.id == id) || self.idle.as_ref().is_some_and(|it| it.id == id)
    }

    /// Why a whole recording is left out that is one episode, whatever is in it.
    pub(crate) fn whole(
        &mut self,
        spec: &StepSpec,
        plan: &SourcePlan,
        episode: usize,
    ) -> Option<&'static str> {
        let info = plan.episodes.get(episode).filter(|_| spec.episodes == Cut::Whole)?;
        let reason = self.chooser.by_name(&Named::of(plan, info, false));
        self.n_left_out += usize::from(reason.is_some());
        reason
    }

    /// Splits the cuts of a recording, in order of time, into those that are kept and those that are not, and tells the former
    /// what topics say.
    ///
    /// # Errors
    /// What reading the clock and the topics reports.
    pub(crate) fn split(
        &mut self,
        store: &Store,
        spec: &StepSpec,
        survey: &Survey,
        info: &EpisodeInfo,
        cuts: Vec<EpisodeCut>,
    ) -> Result<Split> {
        let is_cut = spec.episodes != Cut::Whole;
        let plan = store.source.plan();
        let path = plan.inputs.get(info.input).map(|it| it.path.as_path());
        let mut split = Split { kept: Vec::new(), infos: Vec::new(), left_out: Vec::new(), read: Vec::new() };
        let motion = self.motion(store, spec, survey, &mut split)?;
        for (number, mut cut) in cuts.into_iter().enumerate() {
            let key =
                if is_cut { Cow::Owned(format!("{}#{number}", info.key)) } else { Cow::Borrowed(&info.key) };
            let named = Named { key: &key, recording: &info.key, path };
            // Those of whole recordings have been asked for.
            let mut reason = if is_cut { self.chooser.by_name(&named) } else { None };
            if reason.is_none() {
                cut.skips = self.skips(store, survey, &cut, motion.as_ref())?;
            }
            if reason.is_none() && self.chooser.asks_lengths() {
                reason = self.chooser.by_length(length(store, spec, survey, &cut)?);
            }
            match reason {
                None => {
                    let task = cut.task.clone().or_else(|| info.task.clone());
                    split.infos.push(EpisodeInfo { key: key.into_owned(), task, ..info.clone() });
                    split.kept.push(cut);
                }
                Some(reason) => {
                    let EpisodeCut { from, to, start, end, n_steps, task: _, skips: _ } = cut;
                    split.left_out.push(LeftOutSpan { from, to, start, end, n_steps, reason });
                    self.n_left_out += 1;
                }
            }
        }
        if !split.kept.is_empty() {
            self.tell(store, spec, survey, &mut split)?;
        }
        Ok(split)
    }

    /// Where the field moves whose speed decides.
    fn motion(
        &self,
        store: &Store,
        spec: &StepSpec,
        survey: &Survey,
        split: &mut Split,
    ) -> Result<Option<Motion>> {
        let Some((columns, idle)) = self.idle.as_ref().zip(self.chooser.spec().trim.idle.as_ref()) else {
            return Ok(None);
        };
        let motion = Motion::read(store.source.as_ref(), &survey.partitions, columns, spec, idle.below.0)?;
        let Motion { n_read, n_far, farthest_ns, .. } = motion;
        split.count(store, ReadAlone { id: columns.id, n_read, n_far, farthest_ns });
        Ok(Some(motion))
    }

    /// The steps of an episode that are left out: first by its ends, then where nothing moves.
    fn skips(
        &self,
        store: &Store,
        survey: &Survey,
        cut: &EpisodeCut,
        motion: Option<&Motion>,
    ) -> Result<Vec<Skip>> {
        let trim = &self.chooser.spec().trim;
        let skip = |from: i64, to: i64| Skip { from, to, reason: TRIMMED };
        let mut skips = Vec::new();
        if trim.start_ns > 0 || trim.end_ns > 0 {
            let (start, end) = ends(store, survey, cut)?;
            if trim.start_ns > 0 {
                skips.push(skip(i64::MIN, start.saturating_add(trim.start_ns)));
            }
            if trim.end_ns > 0 {
                skips.push(skip(end.saturating_sub(trim.end_ns), i64::MAX));
            }
        }
        if let Some((motion, idle)) = motion.zip(trim.idle.as_ref()) {
            skips.extend(motion.skips(idle, cut.from, cut.to));
        }
        Ok(skips)
    }

    fn tell(&mut self, store: &Store, spec: &StepSpec, survey: &Survey, split: &mut Split) -> Result<()> {
        for topic in &self.topics {
            let values = TopicValues::read(store.source.as_ref(), &survey.partitions, topic, Some(spec))?;
            for (cut, info) in split.kept.iter().zip(&mut split.infos) {
                let times = Times { from: cut.from, to: cut.to, start: cut.start };
                topic.tell(&values, times, info, &mut self.told);
            }
            let TopicValues { n_read, n_far, farthest_ns, .. } = values;
            split.count(store, ReadAlone { id: topic.id, n_read, n_far, farthest_ns });
        }
        Ok(())
    }
}

impl Split {
    /// Counts messages that were read alone, unless steps are made of them, or the cut has counted them.
    fn count(&mut self, store: &Store, read: ReadAlone) {
        let (mapping, id) = (&store.mapping, read.id);
        let is_counted = mapping.streams.iter().any(|it| it.id == id)
            || mapping.marker.is_some_and(|it| it.id == id)
            || self.read.iter().any(|it| it.id == id);
        if !is_counted {
            self.read.push(read);
        }
    }
}

/// The first time of an episode, and the first behind its last.
fn ends(store: &Store, survey: &Survey, cut: &EpisodeCut) -> Result<(i64, i64)> {
    let (mut start, mut end) = (cut.start, cut.end);
    let Some(clock) = store.mapping.clock else { return Ok((start, end)) };
    let held = Held::new();
    if start == i64::MIN {
        let first = survey.lookups[clock].after(store, &held, i64::MIN)?;
        start = first.map_or(start, |it| it.place.stamp);
    }
    if end == i64::MAX {
        let last = survey.lookups[clock].before(store, &held, i64::MAX)?;
        end = last.map_or(end, |it| it.place.stamp.saturating_add(1));
    }
    Ok((start, end))
}

/// How long an episode is by its clock, without the steps that its ends and its rest leave out, and before rules leave out
/// single ones.
fn length(store: &Store, spec: &StepSpec, survey: &Survey, cut: &EpisodeCut) -> Result<Length> {
    let spanned = |first: i64, last: i64| Some(last.saturating_sub(first));
    match (&spec.clock, store.mapping.clock) {
        (Clock::Rate(rate), _) => {
            let step_at = |time: i64| rate.first_at_or_after(cut.start, time.max(cut.start).min(cut.end));
            let (mut n_steps, mut first, mut last) = (0, None, None);
            for (from, to) in kept_times(&cut.skips, cut.start, cut.end) {
                let steps = step_at(from)..step_at(to).min(cut.n_steps);
                if !steps.is_empty() {
                    n_steps += steps.end - steps.start;
                    first = first.or(Some(rate.time_ns(cut.start, steps.start)));
                    last = Some(rate.time_ns(cut.start, steps.end - 1));
                }
            }
            let spanned_ns = first.zip(last).map_or(Some(0), |(first, last)| spanned(first, last));
            Ok(Length { n_steps: Some(n_steps), spanned_ns })
        }
        (Clock::Topic(_), Some(clock)) => {
            let (mut n_steps, mut times) = (0, None::<(i64, i64)>);
            let held = Held::new();
            for (partition, span) in survey.partitions.iter().zip(&survey.lookups[clock].spans) {
                let (first, last) = (span.0.max(cut.start), span.1.min(cut.end.saturating_sub(1)));
                if last < first {
                    continue;
                }
                let loaded = store.stream_of(*partition, clock, &held)?;
                let kept = |it: &&(i64, u32, u32)| skipped(&cut.skips, it.0).is_none();
                for (stamp, ..) in loaded.streams[clock].between(first, last).iter().filter(kept) {
                    n_steps += 1;
                    times = Some(times.map_or((*stamp, *stamp), |it| (it.0.min(*stamp), it.1.max(*stamp))));
                }
            }
            let spanned_ns = times.map_or(Some(0), |(first, last)| spanned(first, last));
            Ok(Length { n_steps: Some(n_steps), spanned_ns })
        }
        (Clock::Topic(_) | Clock::Every(_) | Clock::Own, _) => Ok(Length::default()),
    }
}

/// The times from `start` up to before `end` that are not left out, in order.
fn kept_times(skips: &[Skip], start: i64, end: i64) -> Vec<(i64, i64)> {
    let mut skips: Vec<(i64, i64)> = skips.iter().map(|it| (it.from, it.to)).collect();
    skips.sort_unstable();
    let (mut kept, mut at) = (Vec::new(), start);
    for (from, to) in skips {
        if at < from.min(end) {
            kept.push((at, from.min(end)));
        }
        at = at.max(to);
    }
    if at < end {
        kept.push((at, end));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_an_episode() {
        let skip = |from, to| Skip { from, to, reason: TRIMMED };
        assert_eq!(kept_times(&[], 0, 9), [(0, 9)]);
        let skips = [skip(i64::MIN, 2), skip(8, i64::MAX), skip(1, 3), skip(5, 6)];
        assert_eq!(kept_times(&skips, 0, 9), [(3, 5), (6, 8)]);
        assert_eq!(kept_times(&[skip(i64::MIN, i64::MAX)], 0, 9), []);
    }
}
