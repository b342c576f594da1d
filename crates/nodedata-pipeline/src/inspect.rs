mod index;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, cast::AsArray};
use nodedata_core::{
    ErrorKind, Finding, FindingKind, Findings, Formats, OpenOptions, Progress, ReadOptions, Result, Silent,
    Source, SourcePlan, StreamId, StreamKind, StreamSchema, TimeRange,
};
use nodedata_dataset::{DamageEntry, NotRead};
use nodedata_quality::{Offsets, Pace, stamp_column};
use serde::Serialize;

use crate::{
    OpenedSource, open_source,
    scan::each_window,
    window::{batches, windows},
};

/// Equal stretches of time that a timeline is told in.
pub(crate) const CELLS: usize = 60;
/// An interval of so many medians counts as a gap.
const GAP_MEDIANS: f64 = 5.0;

/// What `inspect` says of a source.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Name of the format.
    pub format: String,
    /// How it was found, as a sentence without a full stop.
    pub detected: String,
    /// What was read for it.
    pub looked: Looked,
    /// Input files and their length.
    pub inputs: Vec<(String, u64)>,
    /// Episode keys.
    pub episodes: Vec<String>,
    /// Rows of the episodes, for sources of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_lengths: Option<EpisodeLengths>,
    /// Earliest time of all streams, in nanoseconds.
    pub first_time_ns: Option<i64>,
    /// Latest time of all streams.
    pub last_time_ns: Option<i64>,
    /// The streams, in the source's order.
    pub streams: Vec<StreamInspection>,
    /// Names and lengths of files the source carries.
    pub attachments: Vec<(String, u64)>,
    /// What cannot be read, and remarks.
    pub damage: Vec<DamageEntry>,
    /// What metadata says wrongly and the data puts right, and what cannot be carried.
    pub repairs: Vec<DamageEntry>,
    /// Remarks that lose nothing.
    pub warnings: Vec<DamageEntry>,
    /// Files of the source that no row comes from.
    #[serde(skip_serializing_if = "NotRead::is_empty")]
    pub not_read: NotRead,
}

/// How much of a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// As little as tells what is in it: the index, where the source has one that counts its records, and is not so short
    /// that all of it is read as fast.
    #[default]
    Enough,
    /// Every record.
    Full,
}

/// What was read for an inspection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// `index` or `all`.
    pub at: LookedAt,
    /// Why every record was read, where nobody asked for it and it takes time; as a sentence without a full stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What is not known, because only the index was read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_known: Vec<String>,
}

/// Where it was looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LookedAt {
    /// The source's own index alone.
    Index,
    /// Every record.
    All,
}

/// How long the episodes of a source of steps are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EpisodeLengths {
    /// Rows of the shortest.
    pub min: u64,
    /// Rows of the longest.
    pub max: u64,
    /// Rows on average.
    pub mean: f64,
}

/// One stream as its records show it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamInspection {
    /// `steps`, or the topic.
    pub name: String,
    /// Message type, where the source names one.
    pub message: String,
    /// Message encoding.
    pub encoding: String,
    /// Where the definition of ROS 2 messages is from: `embedded`, `bundle:` and a distribution or package, `msg-path`, or why there
    /// is none; of one that lacks types also what completes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Features and their types, as `name: type[shape]`.
    pub features: Vec<(String, String)>,
    /// Records, or rows of steps.
    pub count: u64,
    /// Bytes of their payloads; of steps, of their columns; `None` where only the index was read.
    pub bytes: Option<u64>,
    /// Time of the earliest and latest record, in nanoseconds: log time, or `timestamp_ns` of steps. Where only the index was
    /// read, those of the parts of the log that the records lie in.
    pub first_time_ns: Option<i64>,
    /// See `first_time_ns`.
    pub last_time_ns: Option<i64>,
    /// Records per second inside episodes, from first to last; `None` below two records.
    pub rate_hz: Option<f64>,
    /// Standard deviation of the time between neighbours, in nanoseconds.
    pub jitter_ns: Option<f64>,
    /// Times between neighbours longer than five times the median; `None` where only the index was read.
    pub gaps: Option<u64>,
    /// Where only the index was read: the longest time that no part with a record of the stream covers, in nanoseconds. The
    /// longest gap is at least as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_ns: Option<i64>,
    /// Longest time between neighbours of one episode, in nanoseconds.
    pub longest_gap_ns: Option<i64>,
    /// When the longest one begins, or that silence.
    pub longest_gap_at_ns: Option<i64>,
    /// Records logged before their predecessor in the file; `None` where only the index was read.
    pub time_steps_back: Option<u64>,
    /// The messages' own stamp minus their log time, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp_offset: Option<Offsets>,
    /// Records in equal stretches of time, from the first to the last of all streams.
    pub timeline: Vec<u64>,
}

/// Sources of at most so many bytes are read whole: it takes no time that anybody would notice, and tells more.
const READ_WHOLE_BYTES: u64 = 16 << 20;

/// Says what is in a source. Where all of it is read, messages are decoded only where they carry a stamp of their
/// own; pictures never are. Damage is listed, not an error.
///
/// # Errors
/// What opening the source reports.
pub fn inspect(
    formats: &Formats,
    sources: &[String],
    from: Option<&str>,
    open: &OpenOptions,
    depth: Depth,
    progress: &dyn Progress,
) -> Result<Inspection> {
    let mut open = OpenOptions { salvage: true, ..open.clone() };
    let (why, opened) = match depth {
        Depth::Full => (None, None),
        Depth::Enough => match by_index(formats, sources, from, &mut open)? {
            ByIndex::Enough(found) => return Ok(*found),
            ByIndex::Short(why, opened) => (Some(why), opened),
        },
    };
    let opened = match opened {
        // The salvage of a log begins where it is opened: by the records themselves, whatever its index says. Tables
        // without damage are opened in one way.
        Some(opened) if !has_messages(opened.source.plan()) => *opened,
        Some(_) | None => open_source(formats, sources, from, &open)?,
    };
    let mut found = inspect_whole(&opened, progress)?;
    found.looked.why = why.filter(|_| !is_short(found.inputs.iter().map(|it| it.1)));
    Ok(found)
}

fn is_short(lengths: impl Iterator<Item = u64>) -> bool {
    lengths.fold(0, u64::saturating_add) <= READ_WHOLE_BYTES
}

/// What an index says of a source.
enum ByIndex {
    /// All that is asked.
    Enough(Box<Inspection>),
    /// Why all has to be read, and the source where it could be opened without a look at damage.
    Short(String, Option<Box<OpenedSource>>),
}

fn has_messages(plan: &SourcePlan) -> bool {
    plan.streams.iter().all(|it| it.kind == StreamKind::Messages)
}

/// What the index says. What opening has learned by reading is kept in `open`.
fn by_index(
    formats: &Formats,
    sources: &[String],
    from: Option<&str>,
    open: &mut OpenOptions,
) -> Result<ByIndex> {
    // Opened to fail: only then is a log with an index not walked.
    let strict = OpenOptions { salvage: false, ..open.clone() };
    let opened = match open_source(formats, sources, from, &strict) {
        Ok(it) => it,
        Err(err) if matches!(err.kind(), ErrorKind::Corrupt | ErrorKind::Limit) => {
            return Ok(ByIndex::Short(format!("it cannot be trusted as it is: {}", err.chain()), None));
        }
        Err(err) => return Err(err),
    };
    open.learned = opened.source.plan().learned.clone();
    if is_short(opened.source.plan().inputs.iter().map(|it| it.n_bytes)) {
        return Ok(ByIndex::Short("it is short".to_owned(), Some(Box::new(opened))));
    }
    let why = match index::of_index(opened.source.as_ref()) {
        Some(found) => return Ok(ByIndex::Enough(Box::new(about(found, &opened)))),
        None if opened.options.time_range != TimeRange::ALL => "no index counts records by their time",
        None => "no index counts its records",
    };
    Ok(ByIndex::Short(why.to_owned(), Some(Box::new(opened))))
}

/// What all records of a source that is open say. Messages are looked at as bytes: for that the files, which are known by now, are
/// opened in a second way, which reads no more than their summaries.
pub(crate) fn inspect_opened(typed: &OpenedSource) -> Result<Inspection> {
    inspect_whole(typed, &Silent)
}

fn inspect_whole(typed: &OpenedSource, progress: &dyn Progress) -> Result<Inspection> {
    let inspection = if !has_messages(typed.source.plan()) {
        inspect_source(typed.source.as_ref(), typed.source.as_ref(), progress)?
    } else {
        // Times and sizes need no columns: a second look at the messages as bytes is many times cheaper.
        let as_bytes =
            OpenOptions { undecoded: vec!["*".to_owned()], salvage: true, ..typed.options.clone() };
        let raw = typed.format.open(Arc::clone(&typed.files), &as_bytes)?;
        inspect_source(raw.as_ref(), typed.source.as_ref(), progress)?
    };
    Ok(about(inspection, typed))
}

/// What opening the source told of it.
fn about(found: Inspection, opened: &OpenedSource) -> Inspection {
    Inspection {
        format: opened.format.name().to_owned(),
        detected: opened.why.clone(),
        not_read: opened.not_read.clone(),
        ..found
    }
}

/// What one stream's rows are measured by.
struct Measure {
    stream: StreamInspection,
    pace: Pace,
    episode: Option<usize>,
}

/// `raw` is read for counts, sizes and times, `typed` for types and stamps.
pub(crate) fn inspect_source(
    raw: &dyn Source,
    typed: &dyn Source,
    progress: &dyn Progress,
) -> Result<Inspection> {
    let (plan, told) = (raw.plan(), typed.plan());
    let stamped = stamped(told);
    let n_bytes = |plan: &SourcePlan| plan.partitions.iter().map(|it| it.decoded_bytes).sum::<u64>();
    progress.planned(n_bytes(plan) + if stamped.is_empty() { 0 } else { n_bytes(told) });
    let mut measures: Vec<Measure> = plan
        .streams
        .iter()
        .map(|it| Measure { stream: describe(it, typed), pace: Pace::default(), episode: None })
        .collect();
    let entries = |kind| told.findings_of(kind).map(DamageEntry::from).collect::<Vec<_>>();
    let mut damage = entries(FindingKind::Damage);
    let mut met = Findings::default();
    let mut lengths: BTreeMap<usize, u64> = BTreeMap::new();
    each_window(raw, true, |parts| {
        for part in parts {
            let episode = plan.partitions[part.partition].episode;
            let name = |it| plan.stream_name(it).map(|it| it.to_string());
            let found = part.damage.iter().map(|it| Finding::new(FindingKind::Damage, it, name));
            damage.extend(found.map(|it| DamageEntry::from(&it)));
            part.warnings.iter().for_each(|it| met.push(it.clone()));
            for batch in &part.batches {
                let StreamId(idx) = batch.stream;
                let schema = &plan.streams[idx as usize];
                if schema.kind == StreamKind::Steps {
                    *lengths.entry(episode).or_default() += batch.rows.num_rows() as u64;
                }
                measures[idx as usize].take_in(schema, episode, &batch.rows);
            }
            let n_records = part.batches.iter().map(|it| it.rows.num_rows() as u64).sum();
            progress.advanced(plan.partitions[part.partition].decoded_bytes, n_records);
        }
        Ok(())
    })?;
    let first_time_ns = measures.iter().filter_map(|it| it.pace.first_ns).min();
    let last_time_ns = measures.iter().filter_map(|it| it.pace.last_ns).max();
    let offsets = stamp_offsets(typed, stamped, progress)?;
    let span = first_time_ns.zip(last_time_ns);
    let streams = measures.into_iter().map(|it| {
        let offset = offsets.get(&it.stream.name).filter(|it| it.n > 0).cloned();
        it.finish(span, offset)
    });
    let streams = streams.collect();
    let n_rows: u64 = lengths.values().sum();
    let episode_lengths = lengths.values().min().zip(lengths.values().max()).map(|(min, max)| {
        EpisodeLengths { min: *min, max: *max, mean: n_rows as f64 / lengths.len() as f64 }
    });
    Ok(Inspection {
        format: String::new(),
        detected: String::new(),
        looked: Looked { at: LookedAt::All, why: None, not_known: Vec::new() },
        inputs: plan.inputs.iter().map(|it| (it.path.display().to_string(), it.n_bytes)).collect(),
        episodes: plan.episodes.iter().map(|it| it.key.clone()).collect(),
        episode_lengths,
        first_time_ns,
        last_time_ns,
        streams,
        attachments: plan.attachments.iter().map(|it| (it.name.clone(), it.n_bytes())).collect(),
        damage,
        repairs: entries(FindingKind::Repair),
        warnings: entries(FindingKind::Warning)
            .into_iter()
            .chain(met.into_vec().iter().map(DamageEntry::from))
            .collect(),
        not_read: NotRead::default(),
    })
}

fn describe(stream: &StreamSchema, typed: &dyn Source) -> StreamInspection {
    let decoded = typed.plan().streams.iter().find(|it| it.name == stream.name).unwrap_or(stream);
    let fact = |key: &str| stream.metadata.get(key).cloned().unwrap_or_default();
    let features = decoded.features.iter().map(|it| {
        let shape: Vec<String> = it.step_shape().iter().map(|it| it.as_i64().to_string()).collect();
        let shape = if shape.is_empty() { String::new() } else { format!("[{}]", shape.join(", ")) };
        (it.name.clone(), format!("{}{shape}", it.dtype))
    });
    StreamInspection {
        name: stream.name.to_string(),
        message: fact("schema_name"),
        encoding: fact("message_encoding"),
        definition: decoded.metadata.get("definition").cloned(),
        features: features.collect(),
        ..StreamInspection::default()
    }
}

impl Measure {
    fn take_in(&mut self, schema: &StreamSchema, episode: usize, rows: &arrow_array::RecordBatch) {
        if self.episode.replace(episode) != Some(episode) {
            self.pace.end_episode();
        }
        self.stream.count += rows.num_rows() as u64;
        *self.stream.bytes.get_or_insert_default() += match schema.kind {
            StreamKind::Messages => payload_bytes(rows),
            StreamKind::Steps | StreamKind::Samples => {
                let sizes = rows.columns().iter().map(|it| it.to_data().get_slice_memory_size().unwrap_or(0));
                sizes.sum::<usize>() as u64
            }
        };
        self.pace.observe(schema, rows);
    }

    fn finish(self, span: Option<(i64, i64)>, stamp_offset: Option<Offsets>) -> StreamInspection {
        let Self { stream, pace, .. } = self;
        StreamInspection {
            bytes: Some(stream.bytes.unwrap_or(0)),
            first_time_ns: pace.first_ns,
            last_time_ns: pace.last_ns,
            rate_hz: pace.rate_hz(),
            jitter_ns: pace.jitter_ns(),
            gaps: Some(pace.n_gaps(GAP_MEDIANS)),
            longest_gap_ns: pace.longest_gap.map(|(gap, _)| gap),
            longest_gap_at_ns: pace.longest_gap.map(|(gap, end)| end.saturating_sub(gap)),
            time_steps_back: Some(pace.n_back),
            timeline: span.map(|(first, last)| pace.timeline.cells(first, last, CELLS)).unwrap_or_default(),
            stamp_offset,
            ..stream
        }
    }
}

/// Bytes of messages that were kept as bytes.
fn payload_bytes(rows: &arrow_array::RecordBatch) -> u64 {
    let payloads = ["data", "message.data"].into_iter().filter_map(|it| {
        let payload = rows.column_by_name(it)?.as_binary_opt::<i32>()?;
        Some((payload.value_offsets()[payload.len()] - payload.value_offsets()[0]) as u64)
    });
    payloads.sum()
}

/// The streams whose messages carry a stamp of their own.
fn stamped(plan: &SourcePlan) -> Vec<StreamId> {
    plan.streams.iter().filter(|it| stamp_column(it).is_some()).map(|it| it.id).collect()
}

/// How far stamps lie from log times, by stream. Only streams that have stamps are read.
fn stamp_offsets(
    typed: &dyn Source,
    stamped: Vec<StreamId>,
    progress: &dyn Progress,
) -> Result<BTreeMap<String, Offsets>> {
    let plan = typed.plan();
    let mut paces: BTreeMap<StreamId, Pace> = stamped.iter().map(|it| (*it, Pace::default())).collect();
    if stamped.is_empty() {
        return Ok(BTreeMap::new());
    }
    let options = ReadOptions { streams: Some(stamped), ..ReadOptions::default() };
    for window in windows(plan.partitions.iter()) {
        for batch in batches(typed, window.clone(), &options)? {
            if let Some(pace) = paces.get_mut(&batch.stream) {
                pace.observe(&plan.streams[batch.stream.0 as usize], &batch.rows);
            }
        }
        progress.advanced(plan.partitions[window].iter().map(|it| it.decoded_bytes).sum(), 0);
    }
    let named =
        paces.into_iter().map(|(id, pace)| (plan.streams[id.0 as usize].name.to_string(), pace.offsets));
    Ok(named.collect())
}
