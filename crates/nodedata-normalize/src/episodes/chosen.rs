use std::collections::BTreeMap;

use arrow_array::{cast::AsArray, types::Int64Type};
use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Fate, Partition, ReadOptions, Result, Source, SourcePlan,
    StreamId, StreamKind, TIMESTAMP_NS, placed::Mistake,
};
use rayon::prelude::*;

use super::{
    chooser::{Chooser, Length},
    names::Named,
};
use crate::Unfit;

/// A source whose rows are there already, without some of its episodes.
pub(crate) struct ChosenSource {
    inner: Box<dyn Source>,
    plan: SourcePlan,
    /// By partition, why it is left out.
    left_out: Vec<Option<&'static str>>,
}

impl ChosenSource {
    /// Leaves out what `chooser` says. Where lengths decide and no metadata tells them, rows are read once to count them.
    ///
    /// # Errors
    /// All mistakes of the lists; `Config` where no episode is left; what counting reports.
    pub(crate) fn new(inner: Box<dyn Source>, chooser: &mut Chooser<'_>) -> Result<Self, Unfit> {
        let plan = inner.plan();
        let mut reasons: Vec<Option<&'static str>> =
            plan.episodes.iter().map(|it| chooser.by_name(&Named::of(plan, it, false))).collect();
        let mut mistakes = chooser.mistakes();
        mistakes.extend(without_length(chooser, plan));
        if !mistakes.is_empty() {
            return Err(Unfit::Mistakes(mistakes));
        }
        if chooser.asks_lengths() {
            let lengths = lengths(inner.as_ref(), &reasons, chooser.spec().min_ns.is_some())?;
            for (reason, length) in reasons.iter_mut().zip(lengths) {
                *reason = reason.or_else(|| chooser.by_length(length));
            }
        }
        if !plan.episodes.is_empty() && reasons.iter().all(Option::is_some) {
            return Err(none_left(plan.episodes.len()).into());
        }
        let left_out = plan.partitions.iter().map(|it| reasons.get(it.episode).copied().flatten()).collect();
        let plan = without(plan, &reasons);
        Ok(Self { inner, plan, left_out })
    }
}

/// The error of a run for which no episode is left.
pub(crate) fn none_left(n_episodes: usize) -> Error {
    let message = format!("every one of {n_episodes} episodes is left out");
    Error::new(ErrorKind::Config, message)
        .with_hint("change `episodes.include`, `episodes.exclude`, `episodes.min_steps` or `episodes.min_s`")
}

/// Lengths that the source does not have.
fn without_length(chooser: &Chooser<'_>, plan: &SourcePlan) -> Vec<Mistake> {
    let asked =
        [("min_steps", chooser.spec().min_steps.is_some()), ("min_s", chooser.spec().min_ns.is_some())];
    let asked = asked.into_iter().filter(|it| it.1).map(|it| it.0);
    let Some(stream) = plan.streams.first() else { return Vec::new() };
    let has_times = stream.column(TIMESTAMP_NS).is_some();
    asked
        .filter_map(|key| {
            let (message, hint) = match stream.kind {
                StreamKind::Messages => (
                    "topics have no steps".to_owned(),
                    "add `steps: {clock: {rate_hz: 30}}`, or remove the key",
                ),
                StreamKind::Samples => (
                    "the rows of the source are samples, which belong to no episode".to_owned(),
                    "add `episodes: {by: field, field: …}`, or remove the key",
                ),
                StreamKind::Steps if key == "min_s" && !has_times => {
                    ("the steps of the source have no times".to_owned(), "write `min_steps` instead")
                }
                StreamKind::Steps => return None,
            };
            Some(Mistake::new(format!("episodes.{key}"), message).with_hint(hint))
        })
        .collect()
}

/// A plan without the episodes that a reason is given for. Their partitions are counted with the episode before them.
fn without(plan: &SourcePlan, reasons: &[Option<&'static str>]) -> SourcePlan {
    let mut numbers: Vec<Option<usize>> = Vec::with_capacity(reasons.len());
    let mut n_kept = 0;
    for reason in reasons {
        numbers.push(reason.is_none().then_some(n_kept));
        n_kept += usize::from(reason.is_none());
    }
    let number = |episode: usize| numbers.get(episode).copied().flatten();
    let mut before = 0;
    let partition = |it: &Partition| match number(it.episode) {
        Some(episode) => {
            before = episode;
            Partition { episode, ..it.clone() }
        }
        None => {
            let reason = reasons.get(it.episode).copied().flatten().unwrap_or_default();
            Partition { episode: before, recipe: recipe(reason, &it.recipe), ..it.clone() }
        }
    };
    let mut left = plan.clone();
    left.partitions = plan.partitions.iter().map(partition).collect();
    left.episodes =
        plan.episodes.iter().zip(reasons).filter(|it| it.1.is_none()).map(|it| it.0.clone()).collect();
    let renumber = |episode: &mut usize| {
        let number = number(*episode);
        *episode = number.unwrap_or_default();
        number.is_some()
    };
    left.attachments.retain_mut(|it| renumber(&mut it.episode));
    left.videos.retain_mut(|it| renumber(&mut it.episode));
    left
}

/// What decides the rows of a partition that gives none.
pub(crate) fn recipe(reason: &str, below: &str) -> String {
    format!("left out: {reason}; {below}")
}

/// The episode of a partition, its rows, and their first and last time.
type Counted = (usize, u64, Option<(i64, i64)>);

/// How long each episode is, of those that nothing has left out yet.
fn lengths(source: &dyn Source, reasons: &[Option<&'static str>], needs_times: bool) -> Result<Vec<Length>> {
    let plan = source.plan();
    let of_partition = |idx: usize| -> Result<Counted> {
        let partition = &plan.partitions[idx];
        let counted = partition.counts.as_ref().filter(|_| !needs_times);
        if let Some(counts) = counted {
            let n = counts.iter().find(|it| it.0 == StreamId(0)).map_or(0, |it| it.1);
            return Ok((partition.episode, n, None));
        }
        let (mut n_rows, mut times) = (0, None::<(i64, i64)>);
        let mut reading = source.read(idx, &ReadOptions::default())?;
        loop {
            match reading.next_batch() {
                Ok(Some(batch)) if batch.stream == StreamId(0) => {
                    n_rows += batch.rows.num_rows() as u64;
                    if let Some((first, last)) = span(&batch) {
                        times = Some(times.map_or((first, last), |it| (it.0.min(first), it.1.max(last))));
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok((partition.episode, n_rows, times)),
                // The run meets it again, and decides.
                Err(err) if err.loss().is_some() => {}
                Err(err) => return Err(err),
            }
        }
    };
    let is_asked = |it: &usize| reasons.get(plan.partitions[*it].episode).copied().flatten().is_none();
    let asked: Vec<usize> = (0..plan.partitions.len()).filter(is_asked).collect();
    let found: Vec<Result<_>> = asked.into_par_iter().with_max_len(1).map(of_partition).collect();
    let mut all: BTreeMap<usize, (u64, Option<(i64, i64)>)> = BTreeMap::new();
    for one in found {
        let (episode, n_rows, times) = one?;
        let known = all.entry(episode).or_default();
        known.0 += n_rows;
        known.1 = match (known.1, times) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
    }
    let length = |episode: usize| {
        let (n_steps, times) = all.get(&episode).copied().unwrap_or_default();
        let spanned_ns = times.map_or(0, |it| it.1.saturating_sub(it.0));
        Length { n_steps: Some(n_steps), spanned_ns: needs_times.then_some(spanned_ns) }
    };
    Ok((0..plan.episodes.len()).map(length).collect())
}

/// The least and the greatest time of a batch.
fn span(batch: &Batch) -> Option<(i64, i64)> {
    let times = batch.rows.column_by_name(TIMESTAMP_NS)?.as_primitive_opt::<Int64Type>()?;
    let times = || times.iter().flatten();
    times().min().zip(times().max())
}

impl Source for ChosenSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        match self.left_out.get(partition).copied().flatten() {
            None => self.inner.read(partition, options),
            Some(reason) => Ok(Box::new(LeftOut::read(self.inner.as_ref(), partition, reason, Some)?)),
        }
    }
}

/// A partition of an episode that is left out: no rows, and what became of its records.
pub(crate) struct LeftOut {
    records_read: Vec<(StreamId, u64)>,
    fates: Vec<Fate>,
}

impl LeftOut {
    /// Counts the records of a partition: by its metadata, else by reading it. What is damaged there is left out with the rest.
    /// `id` says under which number a stream is counted, if at all.
    ///
    /// # Errors
    /// `Io` and `Interrupted`.
    pub(crate) fn read(
        source: &dyn Source,
        partition: usize,
        reason: &'static str,
        id: impl Fn(StreamId) -> Option<StreamId>,
    ) -> Result<Self> {
        let counted = source.plan().partitions.get(partition).and_then(|it| it.counts.clone());
        let counts = match counted {
            Some(counts) => counts,
            None => count(source, partition)?,
        };
        let records_read: Vec<(StreamId, u64)> = counts
            .into_iter()
            .filter(|it| it.1 != 0)
            .filter_map(|(stream, n)| Some((id(stream)?, n)))
            .collect();
        let fate =
            |(stream, n): &(StreamId, u64)| Fate { dropped: [(reason, *n)].into(), ..Fate::new(*stream) };
        Ok(Self { fates: records_read.iter().map(fate).collect(), records_read })
    }
}

fn count(source: &dyn Source, partition: usize) -> Result<Vec<(StreamId, u64)>> {
    let goes_on = |err: &Error| !matches!(err.kind(), ErrorKind::Io | ErrorKind::Interrupted);
    let mut reading = match source.read(partition, &ReadOptions::default()) {
        Ok(reading) => reading,
        Err(err) if goes_on(&err) => return Ok(Vec::new()),
        Err(err) => return Err(err),
    };
    loop {
        match reading.next_batch() {
            Ok(Some(_)) => {}
            Err(err) if err.loss().is_some() => {}
            Ok(None) => break,
            Err(err) if goes_on(&err) => break,
            Err(err) => return Err(err),
        }
    }
    Ok(reading.records_read().to_vec())
}

impl EpisodeStream for LeftOut {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        Ok(None)
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    fn fates(&self) -> &[Fate] {
        &self.fates
    }
}
