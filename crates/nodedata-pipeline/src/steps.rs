use std::sync::Arc;

use arrow_array::{Int64Array, cast::AsArray, types::Int64Type};
use nodedata_core::{
    Batch, Error, ErrorKind, Fate, Locus, Numbering, OpenOptions, Partition, Result, STEP_INDEX, Source,
    SourcePlan, StreamKind, TIMESTAMP_NS,
};
use nodedata_dataset::Ledger;
use nodedata_normalize::{
    Clock, EpisodeSpec, Rate, StepSpec, TimeSource, Tolerance, Unfit, all_fields, decode_videos, normalized,
    with_episodes,
};

/// What flags say of steps, where no pipeline file does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepFlags {
    /// Steps per second: `30`, `29.97`, `30000/1001`.
    pub rate: Option<String>,
    /// The topic whose messages are the steps.
    pub clock: Option<String>,
    /// `log_time`, `publish_time`, or a field such as `header.stamp`; log time when absent.
    pub time: Option<String>,
    /// How far from a step its message may be, in milliseconds; ten periods of its topic when absent.
    pub tolerance_ms: Option<u32>,
    /// Whether the rate may be finer than every topic.
    pub upsample: bool,
}

impl StepFlags {
    /// The clock that the flags ask for; `None` when none asks for steps.
    ///
    /// # Errors
    /// `Config` for a rate that is none, and for both a rate and a clock.
    pub(crate) fn clock(&self) -> Result<Option<Clock>> {
        match (&self.rate, &self.clock) {
            (None, None) => Ok(None),
            (Some(rate), None) => {
                let rate = Rate::parse(rate).map_err(|it| Error::new(ErrorKind::Config, it))?;
                Ok(Some(Clock::Rate(rate)))
            }
            (None, Some(topic)) => Ok(Some(Clock::Topic(topic.clone()))),
            (Some(_), Some(_)) => {
                let message = "steps have one clock, but `--rate` and `--clock` give two";
                Err(Error::new(ErrorKind::Config, message).with_hint("leave one of them out"))
            }
        }
    }

    /// Steps of everything in a source that can be aligned; `None` when no flag asks for steps.
    ///
    /// # Errors
    /// As [`Self::clock`]; `Unsupported` where the source has no messages to make steps of.
    pub(crate) fn spec(&self, source: &SourcePlan, open: &OpenOptions) -> Result<Option<StepSpec>> {
        let Some(clock) = self.clock()? else { return Ok(None) };
        if let Some(stream) = source.streams.iter().find(|it| it.kind != StreamKind::Messages) {
            let told = match stream.kind {
                StreamKind::Steps => {
                    "the source has steps already; a pipeline brings them to another rate (`steps: {clock: …}`)"
                }
                StreamKind::Samples | StreamKind::Messages => {
                    "the source has no clock, and no steps are made of it"
                }
            };
            return Err(Error::new(ErrorKind::Unsupported, told)
                .at(Locus::topic(&*stream.name))
                .with_hint("leave out `--rate` and `--clock`"));
        }
        let fields = all_fields(&source.streams, &clock, open);
        let time = match self.time.as_deref() {
            None | Some("log_time") => TimeSource::LogTime,
            Some("publish_time") => TimeSource::PublishTime,
            Some(field) => TimeSource::Field(field.to_owned()),
        };
        let max_ns = self.tolerance_ms.map(|it| i64::from(it) * 1_000_000);
        let tolerance = Tolerance { max_ns, ..Tolerance::default() };
        Ok(Some(StepSpec { time, tolerance, fields, upsample: self.upsample, ..StepSpec::new(clock) }))
    }
}

/// Says of the fields of steps what the coded video of a log becomes, where it is asked for.
///
/// # Errors
/// `Config` where `decode` names no topic of video; `Unsupported` where topics become tables of their own.
pub(crate) fn decode_topics(
    steps: Option<&mut StepSpec>,
    open: &OpenOptions,
    source: &SourcePlan,
) -> Result<()> {
    if open.decode.is_empty() || source.streams.iter().any(|it| it.kind != StreamKind::Messages) {
        return Ok(());
    }
    let Some(steps) = steps else {
        let message = "the video of topics is decoded where steps are made of them; in tables of their own samples pass through";
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
            "add `--rate 30` or `--clock TOPIC` (`steps: {clock: …}` in a pipeline), or leave out `--decode`",
        ));
    };
    decode_videos(steps, open, &source.streams)
}

/// Puts the step stage over a source, where the pipeline has one, and what becomes of whole episodes.
pub(crate) fn with_steps(
    source: Box<dyn Source>,
    spec: Option<&StepSpec>,
    episodes: &EpisodeSpec,
) -> Result<Box<dyn Source>, Unfit> {
    match spec {
        _ if !episodes.is_default() => with_episodes(source, spec, episodes),
        Some(spec) => normalized(source, spec),
        None => Ok(source),
    }
}

/// The time of a batch's first row, where times are to count from that of the episode's first: of steps that pieces of an
/// episode make, each by the source's own clock.
pub(crate) fn first_time(batch: &Batch, partition: &Partition, plan: &SourcePlan) -> Option<i64> {
    let column = joined_column(batch, partition, plan, TIMESTAMP_NS)?;
    batch.rows.column(column).as_primitive_opt::<Int64Type>()?.values().first().copied()
}

/// The batch with its steps numbered from `first`, and their times counted from `clock_start`. A piece of an episode
/// cannot know how many steps earlier pieces leave out, or which is the first that they keep; a source whose steps are
/// there already numbers them itself.
pub(crate) fn joined(
    batch: &Batch,
    partition: &Partition,
    plan: &SourcePlan,
    first: u64,
    clock_start: Option<i64>,
) -> Batch {
    if partition.numbering == Numbering::Own {
        return batch.clone();
    }
    let mut columns = batch.rows.columns().to_vec();
    if let Some(column) = joined_column(batch, partition, plan, STEP_INDEX) {
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        columns[column] = Arc::new(Int64Array::from_iter_values((first..).take(batch.rows.num_rows())));
    }
    if let Some((column, start)) = joined_column(batch, partition, plan, TIMESTAMP_NS).zip(clock_start)
        && let Some(times) = columns[column].as_primitive_opt::<Int64Type>()
    {
        let times: Int64Array = times.unary(|it| it.saturating_sub(start));
        columns[column] = Arc::new(times);
    }
    let rows = arrow_array::RecordBatch::try_new(batch.rows.schema(), columns)
        .expect("columns of the same type and length take the place of others");
    Batch { rows, ..batch.clone() }
}

/// The built-in column of that name, where whoever joins the batches of an episode fills it.
fn joined_column(batch: &Batch, partition: &Partition, plan: &SourcePlan, name: &str) -> Option<usize> {
    let stream = &plan.streams[batch.stream.0 as usize];
    match partition.numbering {
        Numbering::Own => None,
        Numbering::Joined => stream.column(name).filter(|_| stream.kind.has_built_in(name)),
    }
}

/// Adds what became of records that steps are made of.
pub(crate) fn add_fates(ledger: &mut Ledger, fates: &[Fate], plan: &SourcePlan) {
    let makes_steps = plan.streams.iter().any(|it| it.kind == StreamKind::Steps);
    for fate in fates {
        let Some(name) = plan.stream_name(fate.stream) else { continue };
        let table = plan.streams.get(fate.stream.0 as usize).map(|it| it.kind);
        let entry = ledger.entry(name.to_string()).or_default();
        let add = |of: &mut std::collections::BTreeMap<String, u64>, reason: &str, n: u64| {
            *of.entry(reason.to_owned()).or_default() += n;
        };
        // Steps that were left out are no records that other steps are made of, nor are those of tables without steps.
        if table == Some(StreamKind::Steps) || !makes_steps {
            fate.absent.iter().for_each(|(name, n)| add(&mut entry.absent, name, *n));
            let beyond = &mut entry.beyond_tolerance;
            fate.beyond_tolerance.iter().for_each(|(field, n)| add(beyond, field, *n));
            fate.dropped.iter().for_each(|(reason, n)| add(&mut entry.dropped, reason, *n));
            continue;
        }
        *entry.used.get_or_insert(0) += fate.used;
        fate.superseded.iter().for_each(|(reason, n)| add(&mut entry.superseded, reason, *n));
        for (reason, n) in &fate.dropped {
            // Where the topic is a table of its own, it has them.
            let of = if table.is_some() { &mut entry.superseded } else { &mut entry.dropped };
            add(of, reason, *n);
        }
    }
}
