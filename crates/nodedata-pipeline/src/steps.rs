use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use nodedata_core::{
    Batch, Error, ErrorKind, Fate, Numbering, Partition, Result, STEP_INDEX, Source, SourcePlan, StreamKind,
};
use nodedata_dataset::Ledger;
use nodedata_normalize::{Clock, Rate, StepSpec, TimeSource, Tolerance, Unfit, all_fields, normalized};

/// What flags say of steps, where no pipeline file does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepFlags {
    /// Steps per second: `30`, `29.97`, `30000/1001`.
    pub rate: Option<String>,
    /// The topic whose messages are the steps.
    pub clock: Option<String>,
    /// `log_time`, `publish_time`, or a field such as `header.stamp`; log time when absent.
    pub time: Option<String>,
    /// How far from a step its message may be, in milliseconds; any distance when absent.
    pub tolerance_ms: Option<u32>,
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
    /// As [`Self::clock`].
    pub(crate) fn spec(&self, source: &SourcePlan) -> Result<Option<StepSpec>> {
        let Some(clock) = self.clock()? else { return Ok(None) };
        let fields = all_fields(&source.streams, &clock);
        let time = match self.time.as_deref() {
            None | Some("log_time") => TimeSource::LogTime,
            Some("publish_time") => TimeSource::PublishTime,
            Some(field) => TimeSource::Field(field.to_owned()),
        };
        let max_ns = self.tolerance_ms.map(|it| i64::from(it) * 1_000_000);
        let tolerance = Tolerance { max_ns, ..Tolerance::default() };
        Ok(Some(StepSpec { time, tolerance, fields, ..StepSpec::new(clock) }))
    }
}

/// Puts the step stage over a source, where the pipeline has one.
pub(crate) fn with_steps(source: Box<dyn Source>, spec: Option<&StepSpec>) -> Result<Box<dyn Source>, Unfit> {
    match spec {
        Some(spec) => normalized(source, spec.clone()),
        None => Ok(source),
    }
}

/// The batch with its steps numbered from `first`. A piece of an episode cannot know how many steps earlier pieces
/// leave out; a source whose steps are there already numbers them itself.
pub(crate) fn numbered(batch: &Batch, partition: &Partition, plan: &SourcePlan, first: u64) -> Batch {
    let stream = &plan.streams[batch.stream.0 as usize];
    let is_joined = match partition.numbering {
        Numbering::Own => false,
        Numbering::Joined => stream.kind.has_built_in(STEP_INDEX),
    };
    let Some(column) = stream.column(STEP_INDEX).filter(|_| is_joined) else { return batch.clone() };
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((first..).take(batch.rows.num_rows())));
    let mut columns = batch.rows.columns().to_vec();
    columns[column] = numbers;
    let rows = arrow_array::RecordBatch::try_new(batch.rows.schema(), columns)
        .expect("one column of the same type and length takes the place of another");
    Batch { rows, ..batch.clone() }
}

/// Adds what became of records that steps are made of.
pub(crate) fn add_fates(ledger: &mut Ledger, fates: &[Fate], plan: &SourcePlan) {
    for fate in fates {
        let Some(name) = plan.stream_name(fate.stream) else { continue };
        let table = plan.streams.get(fate.stream.0 as usize).map(|it| it.kind);
        let entry = ledger.entry(name.to_string()).or_default();
        let add = |of: &mut std::collections::BTreeMap<String, u64>, reason: &str, n: u64| {
            *of.entry(reason.to_owned()).or_default() += n;
        };
        // Steps that were left out are no records that other steps are made of.
        if table == Some(StreamKind::Steps) {
            fate.absent.iter().for_each(|(name, n)| add(&mut entry.absent, name, *n));
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
