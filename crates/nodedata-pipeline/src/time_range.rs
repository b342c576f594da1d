use std::sync::Arc;

use arrow_array::{cast::AsArray, types::Int64Type};
use nodedata_core::{
    Batch, Error, ErrorKind, Files, Format, LOG_TIME_NS, Locus, Moments, OpenOptions, ReadOptions, Result,
    Source, StreamKind, TimeRange, told_time,
};

/// Finds out what times are meant, and that they select something.
pub(crate) struct Asked<'a> {
    pub(crate) format: &'static dyn Format,
    pub(crate) files: &'a Arc<dyn Files>,
    /// SRC, for places in errors.
    pub(crate) source: &'a str,
}

/// When the records of a source were logged.
struct Recorded {
    /// First and last log time; `None` where there is no record at all.
    span: Option<(i64, i64)>,
    n_episodes: usize,
}

impl Asked<'_> {
    /// Turns the moments asked for into a range of log times: what the recipe has. Offsets count from the first record of
    /// the source, whatever topics are selected of it.
    ///
    /// # Errors
    /// `Config` for times that cannot be meant; `Empty` when no record lies between them; as [`Format::open`].
    pub(crate) fn settle(&self, options: &mut OpenOptions) -> Result<()> {
        let moments = std::mem::take(&mut options.moments);
        if moments.given().next().is_none() {
            return Ok(());
        }
        let Recorded { span, n_episodes } = self.recorded(options)?;
        let offset = moments.given().find(|it| it.is_offset());
        if let Some(offset) = offset.filter(|_| n_episodes > 1) {
            let message =
                format!("`{offset}` counts from the start of a recording, but here are {n_episodes}");
            return Err(self.error(
                ErrorKind::Config,
                message,
                "name one recording, or dates: `2026-06-11T09:30:00Z`",
            ));
        }
        if let Some(offset) = offset.filter(|_| span.is_none()) {
            let message = format!("no record tells from when on `{offset}` counts");
            return Err(self.error(
                ErrorKind::Config,
                message,
                "leave the time out: the source holds no record",
            ));
        }
        let nanos = |it: Option<nodedata_core::Moment>| {
            let settle = |it: nodedata_core::Moment| {
                it.nanos(span.map(|it| it.0)).ok_or_else(|| {
                    let message = format!("`{it}` is later than 64 bits of nanoseconds can tell");
                    self.error(ErrorKind::Config, message, "write a shorter offset")
                })
            };
            it.map(settle).transpose()
        };
        let (start, end) = (nanos(moments.start)?, nanos(moments.end)?);
        if let (Some(start), Some(end)) = (start, end)
            && end <= start
        {
            let message = format!(
                "the time range ends at {}, not after its start at {}",
                told_time(end),
                told_time(start)
            );
            return Err(self.error(ErrorKind::Config, message, "swap the two, or write both in one unit"));
        }
        options.time_range = TimeRange { start_ns: start.unwrap_or(i64::MIN), end_ns: end };
        let Some((first, last)) = span else { return Ok(()) };
        let forgotten = moments.given().find_map(|it| it.forgotten_unit(first, last));
        if !options.time_range.overlaps(first, last) {
            return Err(self.empty(options.time_range, (first, last), forgotten));
        }
        match forgotten {
            // It selects everything, or cuts nothing off: not what was meant, but nobody would see it.
            Some(forgotten) => {
                let (message, hint) =
                    forgotten.split_once("; ").unwrap_or((forgotten.as_str(), "write the unit"));
                Err(self.error(
                    ErrorKind::Config,
                    format!("{message}, and the recording is from {}", told_time(first)),
                    hint,
                ))
            }
            None => Ok(()),
        }
    }

    /// Makes sure that a range of times selects a record of the opened source, unless there is none to select.
    ///
    /// # Errors
    /// `Unsupported` for a source whose rows are no messages, `Empty` when nothing is selected; as [`Format::open`].
    pub(crate) fn selects(&self, opened: &dyn Source, options: &OpenOptions) -> Result<()> {
        let range = options.time_range;
        if range == TimeRange::ALL || selects_any(opened, range) {
            return Ok(());
        }
        match self.recorded(options)?.span {
            Some(span) => Err(self.empty(range, span, None)),
            None => Ok(()),
        }
    }

    /// Looks at all records of the source as bytes: their times stand in its metadata, or else they are read.
    fn recorded(&self, options: &OpenOptions) -> Result<Recorded> {
        let all = OpenOptions {
            topics: None,
            undecoded: vec!["*".to_owned()],
            time_range: TimeRange::ALL,
            moments: Moments::default(),
            salvage: true,
            decode: Default::default(),
            learned: None,
            ..options.clone()
        };
        let source = self.format.open(Arc::clone(self.files), &all)?;
        let plan = source.plan();
        if plan.streams.iter().any(|it| it.kind != StreamKind::Messages) {
            let message = format!("rows of {} sources are selected by no log time", self.format.name());
            let hint = "leave the time range out: only logs of messages have such times";
            return Err(self.error(ErrorKind::Unsupported, message, hint));
        }
        let mut span: Option<(i64, i64)> = None;
        for (idx, partition) in plan.partitions.iter().enumerate() {
            let found = match partition.times {
                Some(times) => Some(times),
                None => span_of(source.as_ref(), idx)?,
            };
            if let Some((first, last)) = found {
                let (earliest, latest) = span.unwrap_or((first, last));
                span = Some((earliest.min(first), latest.max(last)));
            }
        }
        Ok(Recorded { span, n_episodes: plan.episodes.len() })
    }

    fn empty(&self, range: TimeRange, (first, last): (i64, i64), forgotten: Option<String>) -> Error {
        let from = match range.start_ns {
            i64::MIN => String::new(),
            start => format!(" from {}", told_time(start)),
        };
        let to = range.end_ns.map_or_else(String::new, |end| format!(" before {}", told_time(end)));
        let message = format!(
            "no selected record lies in the time range{from}{to}: the source is from {} to {}",
            told_time(first),
            told_time(last)
        );
        let hint =
            "`node-data inspect SRC` shows when each stream has records; `+12.5s` counts from the start";
        self.error(ErrorKind::Empty, message, &forgotten.unwrap_or_else(|| hint.to_owned()))
    }

    fn error(&self, kind: ErrorKind, message: String, hint: &str) -> Error {
        Error::new(kind, message).at(Locus::path(self.source)).with_hint(hint)
    }
}

/// Whether any row lies in a range. What cannot be read counts as one: whoever reads it for good reports it.
fn selects_any(source: &dyn Source, range: TimeRange) -> bool {
    let partitions = source.plan().partitions.iter().enumerate();
    let mut near = partitions.filter(|it| it.1.times.is_none_or(|(first, last)| range.overlaps(first, last)));
    near.any(|(idx, _)| {
        let read = source.read(idx, &ReadOptions::default()).and_then(|mut it| it.next_batch());
        !matches!(read, Ok(None))
    })
}

/// First and last log time of a partition that has to be read to know.
fn span_of(source: &dyn Source, partition: usize) -> Result<Option<(i64, i64)>> {
    let mut reading = source.read(partition, &ReadOptions::default())?;
    let mut span: Option<(i64, i64)> = None;
    loop {
        match reading.next_batch() {
            Ok(Some(batch)) => {
                for time in log_times(&batch) {
                    let (first, last) = span.unwrap_or((time, time));
                    span = Some((first.min(time), last.max(time)));
                }
            }
            Ok(None) => return Ok(span),
            // Whoever reads it for good reports it.
            Err(err) if err.loss().is_some() => {}
            Err(err) => return Err(err),
        }
    }
}

fn log_times(batch: &Batch) -> Vec<i64> {
    let column = batch.rows.column_by_name(LOG_TIME_NS);
    column.and_then(|it| it.as_primitive_opt::<Int64Type>()).map_or_else(Vec::new, |it| it.values().to_vec())
}
