use std::{collections::VecDeque, ops::Range, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, EpisodeInfo, EpisodeStream, Error, ErrorKind, Finding, InputRange, Loss, Partition, ReadOptions,
    Result, STEP_INDEX, Source, SourcePlan, StreamId,
};
use nodedata_steps::{SALVAGE_HINT, STEPS};
use serde::Serialize;

use super::{
    joiner::locus_of,
    keys::KeyReader,
    loaded::{Damage, LoadedSamples, row_numbers},
    pass::Pass,
    runs::{Learned, Run, RunPart},
    spec::GroupBy,
    streams::grouped_streams,
};
use crate::{
    Unfit,
    reading::again,
    transform::kept,
    waiting::{Full, Waiting},
};

/// How samples are grouped.
#[derive(Debug, Clone, Copy)]
pub struct Grouped<'a> {
    /// What says the episode of a row.
    pub by: &'a GroupBy,
    /// The column with the keys of samples, in a format that has them.
    pub key_column: Option<&'a str>,
    /// Whether damage is passed over.
    pub salvage: bool,
    /// What grouping the same samples in the same way learned before, as [`SourcePlan::learned`] told it.
    pub known: Option<&'a str>,
}

impl Grouped<'_> {
    /// What the source of the samples learned, of what this one did.
    pub fn below(learned: &str) -> Option<String> {
        Learned::parse(learned)?.below
    }

    /// Whether a text is what grouping learned.
    pub fn is_learned(text: &str) -> bool {
        Learned::parse(text).is_some()
    }
}

/// The steps of episodes that samples belong to. `open_keys` opens the same samples with these columns alone; it is not asked
/// where it is known what they say. That the grouping fits the source [`super::group_mistakes`] has told.
///
/// # Errors
/// All mistakes of the grouping that only the columns show; `Corrupt` for a row without a key, a key that comes again after
/// others, and rows out of order; what reading reports.
pub fn grouped(
    inner: Box<dyn Source>,
    how: &Grouped<'_>,
    open_keys: impl FnOnce(&[&str]) -> Result<Box<dyn Source>>,
) -> Result<Box<dyn Source>, Unfit> {
    let n_partitions = inner.plan().partitions.len();
    let below = inner.plan().learned.clone();
    // Where the samples were learned anew they may lie in other partitions.
    let is_same = |it: &Learned| it.below == below && it.fits(how.by, how.salvage, n_partitions);
    let learned = match how.known.and_then(Learned::parse).filter(is_same) {
        Some(known) => known,
        None => {
            let runs = runs(inner.as_ref(), how, open_keys)?;
            Learned::new(how.by, how.salvage, n_partitions, runs, below)
        }
    };
    Ok(Box::new(GroupedSource::new(inner, &learned)?))
}

fn runs(
    samples: &dyn Source,
    how: &Grouped<'_>,
    open_keys: impl FnOnce(&[&str]) -> Result<Box<dyn Source>>,
) -> Result<Vec<Run>, Unfit> {
    let keys = open_keys(&how.by.columns(how.key_column))?;
    let own = |it: &Partition| (it.episode, it.reads.first().cloned());
    let (of_keys, of_samples) = (&keys.plan().partitions, &samples.plan().partitions);
    // Where files that rows name decide how samples lie in partitions, the samples themselves are read.
    let source = match of_keys.iter().map(own).eq(of_samples.iter().map(own)) {
        true => keys.as_ref(),
        false => samples,
    };
    let [stream] = source.plan().streams.as_slice() else { return Ok(Vec::new()) };
    let reader = KeyReader::new(how.by, how.key_column, stream).map_err(Unfit::Mistakes)?;
    Ok(Pass { source, reader: &reader, salvage: how.salvage }.run()?)
}

/// Samples as the steps of episodes. A part is some rows of a partition of the samples.
struct GroupedSource {
    inner: Box<dyn Source>,
    plan: SourcePlan,
    schema: SchemaRef,
    /// By partition.
    parts: Vec<Part>,
    waiting: Waiting<LoadedSamples>,
}

/// What a partition reads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Of the samples.
    partition: usize,
    /// By their numbers in the file; none where the partition has no row with a key.
    rows: Range<u64>,
    /// Steps of the episode before it, lost ones of the same file included.
    first_step: u64,
    /// Whether it is the first of its partition, which tells what lies before its rows, and whatever no other part tells.
    owns: bool,
}

/// What decides the rows of a part beside its bytes.
#[derive(Serialize)]
struct PartRecipe<'a> {
    #[serde(rename = "grouped@1")]
    grouped: (u64, u64, u64, bool),
    below: &'a str,
}

impl GroupedSource {
    fn new(inner: Box<dyn Source>, learned: &Learned) -> Result<Self> {
        let samples = inner.plan();
        let Planned { episodes, partitions, parts } = Planned::of(samples, &learned.runs)?;
        let streams = grouped_streams(&samples.streams);
        let schema = streams.first().map(nodedata_core::StreamSchema::arrow);
        let plan =
            SourcePlan { streams, episodes, partitions, learned: Some(learned.to_text()), ..samples.clone() };
        let waiting = Waiting::new(samples.partitions.len(), Full::ForgetOldest);
        for (partition, n) in n_parts(&parts) {
            // Who reads the source twice, such as a gate, asks again for those that several parts need.
            waiting.plan_uses(partition, if n == 1 { 0 } else { usize::MAX });
        }
        Ok(Self {
            schema: schema.unwrap_or_else(|| Arc::new(arrow_schema::Schema::empty())),
            inner,
            plan,
            parts,
            waiting,
        })
    }

    /// Rows numbered by their place in the episode.
    fn steps(&self, batch: Batch, part: &Part) -> Batch {
        let first = i64::try_from(part.first_step).unwrap_or(i64::MAX);
        let start = i64::try_from(part.rows.start).unwrap_or(i64::MAX);
        let numbers = row_numbers(&batch).unwrap_or_default();
        let steps: ArrayRef =
            Arc::new(Int64Array::from_iter_values(numbers.iter().map(|it| first.saturating_add(it - start))));
        let mut columns = batch.rows.columns().to_vec();
        if let Some(column) = self.plan.streams[0].column(STEP_INDEX) {
            columns[column] = steps;
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .expect("the columns are those of the samples under the names of steps");
        Batch { rows, ..batch }
    }

    /// What a part gives: its rows, and in their places what could not be read, and rows of which no key could be. Rows around
    /// those are not next to each other.
    fn rows(&self, idx: usize, part: &Part, loaded: &LoadedSamples) -> PartRows {
        // What lies between two parts belongs to the one before, what lies before the first to that.
        let end = self.parts.get(idx + 1).filter(|it| it.partition == part.partition);
        let end = end.map_or(u64::MAX, |it| it.rows.start);
        let before = if part.owns { 0..part.rows.start } else { 0..0 };
        let mut rows = PartRows::default();
        self.keyless(part, &before, loaded, &mut rows);
        let own = loaded.damage.partition_point(|it| !part.owns && it.at <= part.rows.start)
            ..loaded.damage.partition_point(|it| it.at <= end);
        let mut damage = loaded.damage.get(own).unwrap_or_default().iter().peekable();
        let mut n_lost = 0;
        let mut tell = |it: &Damage, ready: &mut VecDeque<Result<Batch>>| {
            n_lost += it.n_lost();
            ready.push_back(Err(told_again(&it.err)));
        };
        for (position, batch, positions) in loaded.positions(&part.rows) {
            while let Some(damage) = damage.next_if(|it| it.n_batches <= position) {
                tell(damage, &mut rows.ready);
            }
            rows.records_read[0].1 += positions.len() as u64;
            let batch = kept(batch, positions, &self.inner.plan().streams[0].features);
            rows.ready.push_back(Ok(self.steps(batch, part)));
        }
        damage.for_each(|it| tell(it, &mut rows.ready));
        self.keyless(part, &(part.rows.end..end), loaded, &mut rows);
        rows.records_read[0].1 += match part.owns {
            false => n_lost,
            // What was read is counted by framing: whatever the other parts do not tell of.
            true => {
                let n_told: u64 = loaded.damage.iter().map(Damage::n_lost).sum();
                loaded.n_read.saturating_sub(loaded.n_rows() + (n_told - n_lost))
            }
        };
        if part.owns {
            rows.warnings.clone_from(&loaded.warnings);
        }
        rows.looked_at.clone_from(&loaded.looked_at);
        rows
    }

    /// Reports those of some rows that are there: no part has them.
    fn keyless(&self, part: &Part, numbers: &Range<u64>, loaded: &LoadedSamples, rows: &mut PartRows) {
        let (mut n_rows, mut first) = (0, None);
        for (_, batch, positions) in loaded.positions(numbers) {
            n_rows += positions.len() as u64;
            first = first.or_else(|| row_numbers(batch)?.get(positions.start).copied());
        }
        if n_rows == 0 {
            return;
        }
        rows.records_read[0].1 += n_rows;
        let samples = self.inner.plan();
        let place = first.and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
        let byte_range = samples.partitions[part.partition].reads.first().map(|it| it.byte_range.clone());
        let loss = Loss { byte_range, records: vec![(STEPS, n_rows)], uncounted: false, reason: "no_key" };
        let message = format!("{n_rows} rows belong to no episode, because their keys cannot be read");
        let err = Error::new(ErrorKind::Corrupt, message).at(locus_of(samples, part.partition, place));
        rows.ready.push_back(Err(err.with_hint(SALVAGE_HINT).with_loss(loss)));
    }
}

/// The same damage for the reader of the steps.
fn told_again(err: &Error) -> Error {
    let told = again(err);
    match err.loss() {
        Some(loss) => told.with_loss(loss.clone()),
        None => told,
    }
}

/// How many parts each partition of the samples has.
fn n_parts(parts: &[Part]) -> Vec<(usize, usize)> {
    let mut counted: Vec<(usize, usize)> = Vec::new();
    for part in parts {
        match counted.last_mut() {
            Some((partition, n)) if *partition == part.partition => *n += 1,
            _ => counted.push((part.partition, 1)),
        }
    }
    counted
}

/// The plan under construction.
#[derive(Default)]
struct Planned {
    episodes: Vec<EpisodeInfo>,
    partitions: Vec<Partition>,
    parts: Vec<Part>,
}

impl Planned {
    fn of(samples: &SourcePlan, runs: &[Run]) -> Result<Self> {
        if runs.is_empty() && !samples.partitions.is_empty() {
            let err = Error::new(ErrorKind::Corrupt, "no row has a key that can be read");
            return Err(err.at(locus_of(samples, 0, 0)).with_hint("restore the files from a copy"));
        }
        let mut n_keyed = vec![0u64; samples.partitions.len()];
        for part in runs.iter().flat_map(|it| &it.parts) {
            n_keyed[part.partition] += part.n_rows();
        }
        let mut planned = Self::default();
        // The first partition of the samples that no part has looked at.
        let mut next = 0;
        for run in runs {
            let (mut first_step, mut before) = (0u64, None);
            for (idx, part) in run.parts.iter().enumerate() {
                // One without a key is accounted for with the episode before it, or else the one behind.
                let is_behind = idx == 0 && !planned.episodes.is_empty();
                let skipped = next..part.partition;
                if is_behind {
                    planned.skip(samples, skipped.clone());
                }
                if idx == 0 {
                    planned.episode(samples, run, part.partition);
                }
                if !is_behind {
                    planned.skip(samples, skipped);
                }
                let owns = next <= part.partition;
                let n_steps = before.replace(part).map_or(0, |it| steps_between(samples, it, part));
                first_step = first_step.saturating_add(n_steps);
                planned.part(
                    samples,
                    n_keyed[part.partition],
                    Part { partition: part.partition, rows: part.rows.clone(), first_step, owns },
                );
                next = part.partition + 1;
            }
        }
        planned.skip(samples, next..samples.partitions.len());
        Ok(planned)
    }

    /// Begins the episode of a run. It is of the file that its first row lies in.
    fn episode(&mut self, samples: &SourcePlan, run: &Run, partition: usize) {
        let file = samples.partitions.get(partition).and_then(|it| samples.episodes.get(it.episode));
        let info = file.cloned().unwrap_or_default();
        self.episodes.push(EpisodeInfo { key: run.key.to_string(), ..info });
    }

    /// Accounts for partitions without a row that has a key.
    fn skip(&mut self, samples: &SourcePlan, partitions: Range<usize>) {
        for partition in partitions {
            self.part(samples, 0, Part { partition, rows: 0..0, first_step: 0, owns: true });
        }
    }

    /// Adds a part of the last episode. `n_keyed` rows of its partition have a key.
    fn part(&mut self, samples: &SourcePlan, n_keyed: u64, part: Part) {
        let of_samples = &samples.partitions[part.partition];
        let n_rows = part.rows.end - part.rows.start;
        let share = u128::from(of_samples.decoded_bytes) * u128::from(n_rows) / u128::from(n_keyed.max(1));
        let grouped = (part.rows.start, part.rows.end, part.first_step, part.owns);
        let recipe = PartRecipe { grouped, below: &of_samples.recipe };
        self.partitions.push(Partition {
            episode: self.episodes.len().saturating_sub(1),
            reads: of_samples.reads.clone(),
            decoded_bytes: u64::try_from(share).unwrap_or(u64::MAX).max(1),
            recipe: serde_json::to_string(&recipe).expect("text and numbers are JSON"),
            ..Partition::default()
        });
        self.parts.push(part);
    }
}

/// Steps from the first row of a part to that of the next one. Rows of one file that are lost keep their places, however it is cut.
fn steps_between(samples: &SourcePlan, one: &RunPart, next: &RunPart) -> u64 {
    let file = |it: &RunPart| samples.partitions.get(it.partition).map(|it| it.episode);
    match file(one) == file(next) {
        true => next.rows.start.saturating_sub(one.rows.start),
        false => one.n_rows(),
    }
}

impl Source for GroupedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, _: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let Some(part) = self.parts.get(partition) else {
            return Err(Error::new(ErrorKind::Config, format!("there is no partition {partition}")));
        };
        let decode = || LoadedSamples::load(self.inner.as_ref(), part.partition);
        let loaded = self.waiting.take(part.partition, decode)?;
        Ok(Box::new(self.rows(partition, part, &loaded)))
    }
}

/// What came of a part, handed out bit by bit.
struct PartRows {
    ready: VecDeque<Result<Batch>>,
    records_read: [(StreamId, u64); 1],
    warnings: Vec<Finding>,
    looked_at: Vec<InputRange>,
}

impl Default for PartRows {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            records_read: [(STEPS, 0)],
            warnings: Vec::new(),
            looked_at: Vec::new(),
        }
    }
}

impl EpisodeStream for PartRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        self.ready.pop_front().transpose()
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        &self.records_read
    }

    fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    fn looked_at(&self) -> &[InputRange] {
        &self.looked_at
    }
}
