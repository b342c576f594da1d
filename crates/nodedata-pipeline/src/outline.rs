use std::{collections::BTreeMap, path::Path, time::Instant};

use arrow_array::Array as _;
use nodedata_core::{Formats, ReadOptions, Result, Silent, Storage, StreamKind, StreamSchema};
use nodedata_dataset::{NotRead, NullCount, plan_units};
use nodedata_normalize::StepSpec;
use serde::Serialize;

use crate::{
    ConvertOptions, OnError, Parsed, Refused, StreamInspection,
    convert::{keeping_misfits, with_threads},
    execute::{check_steps, fit_over, options},
    inspect::inspect_opened,
    open::told,
    run::{Run, open_for},
    window::{read_window, windows},
};

/// What a pipeline would do: the plan that `run --dry-run` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Outline {
    /// `outline/1`.
    pub nd: &'static str,
    /// The source, as the pipeline finds it.
    pub source: String,
    /// Name of the format.
    pub format: String,
    /// Input files and their length.
    pub inputs: Vec<(String, u64)>,
    /// Files of the source that no row would come from.
    #[serde(skip_serializing_if = "NotRead::is_empty")]
    pub not_read: NotRead,
    /// What says which episode a sample belongs to; absent where the source or `steps` make the episodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grouped: Option<String>,
    /// What is known of each episode beside what the source says, entry by entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<String>,
    /// Episodes and, for each, its split.
    pub episodes: Vec<(String, String)>,
    /// The source's streams with measured rates, without timelines.
    pub measured: Vec<StreamInspection>,
    /// What would be written.
    pub streams: Vec<OutlinedStream>,
    /// Shards, by name.
    pub shards: Vec<(String, u64)>,
    /// Rules of the quality gate, by name, with their levels.
    pub quality: BTreeMap<&'static str, &'static str>,
    /// Bytes of records that would be read, after decompression.
    pub decoded_bytes: u64,
    /// Bytes of shards, estimated from the first records: pictures as they are, all else halved.
    pub estimated_bytes: u64,
    /// Seconds, estimated from how long the first records took.
    pub estimated_seconds: f64,
    /// The dataset that a revision would be published of.
    pub publishes: Option<String>,
}

/// A stream of the dataset.
#[derive(Debug, Clone, Serialize)]
pub struct OutlinedStream {
    /// `steps`, or the topic.
    pub name: String,
    /// Rows, estimated from the first records for steps.
    pub rows: u64,
    /// What is done to whole steps, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transform: Vec<String>,
    /// Its features.
    pub features: Vec<OutlinedFeature>,
}

/// A feature of a stream.
#[derive(Debug, Clone, Serialize)]
pub struct OutlinedFeature {
    /// Its name.
    pub name: String,
    /// Type and shape at one step.
    #[serde(rename = "type")]
    pub kind: String,
    /// The paths it is made of; empty outside of steps, and for constants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// What is done to its values, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transform: Vec<String>,
    /// Rows of the first records that have no value here; absent where all of them have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nulls: Option<NullCount>,
}

/// Says what a pipeline would do. Reads the source once for rates and decodes the first records; writes nothing.
///
/// # Errors
/// [`Refused::Mistakes`] when the file does not fit its source; what reading it reports.
pub fn outline(
    formats: &Formats,
    parsed: &Parsed,
    adjust: impl FnOnce(ConvertOptions) -> ConvertOptions,
    out: &Path,
) -> Result<Outline, Refused> {
    let file = &parsed.file;
    let options = adjust(options(formats, file, out)?);
    let started = Instant::now();
    let (run, measured, sample) = with_threads(&options, || {
        keeping_misfits(formats, &options, &Silent, |options| {
            let opened = open_for(formats, &options, &[])?;
            check_steps(formats, &opened, parsed)?;
            let measured = inspect_opened(&opened)?;
            let run = fit_over(formats, opened, parsed, options, started)?;
            let sample = Sample::take(&run, run.options.on_error == OnError::Salvage)?;
            Ok::<_, Refused>((run, measured, sample))
        })
    })?;
    let source = run.source();
    let decoded_bytes: u64 = source.partitions.iter().map(|it| it.decoded_bytes).sum();
    let scale = decoded_bytes as f64 / sample.decoded_bytes.max(1) as f64;
    let counts: BTreeMap<&str, u64> =
        measured.streams.iter().map(|it| (it.name.as_str(), it.count)).collect();
    let streams = source.streams.iter().enumerate().map(|(idx, stream)| OutlinedStream {
        rows: match stream.kind {
            StreamKind::Messages => counts.get(&*stream.name).copied().unwrap_or(0),
            StreamKind::Steps | StreamKind::Samples => (sample.rows[idx] as f64 * scale).round() as u64,
        },
        ..outlined(stream, file.steps.as_ref(), sample.rows[idx], &sample.nulls[idx])
    });
    let streams = streams.collect();
    let writer_options = run.writer_options();
    let splits = &writer_options.splits;
    let episodes = source.episodes.iter().zip(&writer_options.split_of_episode);
    let units = plan_units(source, &writer_options);
    let bytes_of =
        |partitions: &[usize]| partitions.iter().map(|it| source.partitions[*it].decoded_bytes).sum();
    let rules = nodedata_quality::Rule::ALL.into_iter();
    Ok(Outline {
        nd: "outline/1",
        source: told(&run.options.sources),
        format: run.opened.format.name().to_owned(),
        inputs: source.inputs.iter().map(|it| (it.path.display().to_string(), it.n_bytes)).collect(),
        not_read: run.opened.not_read.clone(),
        grouped: file.grouped.as_ref().map(ToString::to_string),
        metadata: run.options.episodes.metadata.iter().map(ToString::to_string).collect(),
        episodes: episodes.map(|(it, split)| (it.key.clone(), splits[*split].clone())).collect(),
        measured: measured.streams,
        streams,
        shards: units.iter().map(|it| (it.name(splits), bytes_of(&it.partitions))).collect(),
        quality: rules
            .filter_map(|it| {
                file.quality
                    .as_ref()
                    .filter(|rules| rules.is_on(it))
                    .map(|rules| (it.name(), rules.level(it).name()))
            })
            .collect(),
        decoded_bytes,
        estimated_bytes: (sample.written_bytes * scale) as u64,
        estimated_seconds: sample.seconds * scale * if file.quality.is_some() { 3.0 } else { 2.0 },
        publishes: file.publish.as_ref().map(|it| it.dataset.clone()),
    })
}

/// A stream without its rows. Of steps it says what the pipeline makes them of; `n_rows` were looked at, and `nulls` of them
/// have no value.
fn outlined(stream: &StreamSchema, steps: Option<&StepSpec>, n_rows: u64, nulls: &[u64]) -> OutlinedStream {
    let steps = steps.filter(|_| stream.kind.is_one_table());
    let field = |name: &str| steps?.fields.iter().find(|it| it.name == name);
    let features = stream.features.iter().zip(nulls).map(|(it, nulls)| OutlinedFeature {
        name: it.name.clone(),
        kind: it.told(),
        from: field(&it.name).map(paths).unwrap_or_default(),
        transform: field(&it.name).map(|it| told_all(&it.transform)).unwrap_or_default(),
        nulls: (*nulls != 0).then_some(NullCount { nulls: *nulls, rows: n_rows }),
    });
    OutlinedStream {
        name: stream.name.to_string(),
        rows: 0,
        transform: steps.map(|it| told_all(&it.transform)).unwrap_or_default(),
        features: features.collect(),
    }
}

fn told_all(transforms: &[impl ToString]) -> Vec<String> {
    transforms.iter().map(ToString::to_string).collect()
}

fn paths(field: &nodedata_normalize::FieldSpec) -> Vec<String> {
    match &field.from {
        nodedata_normalize::FieldFrom::Paths(paths) => paths.clone(),
        nodedata_normalize::FieldFrom::Pose(it) => vec![format!("pose of {} in {}", it.of, it.within)],
        nodedata_normalize::FieldFrom::Constant(_) => Vec::new(),
    }
}

/// The first records, decoded: what the rest is estimated from.
struct Sample {
    decoded_bytes: u64,
    written_bytes: f64,
    seconds: f64,
    /// Rows by stream.
    rows: Vec<u64>,
    /// Rows without a value, by stream and feature.
    nulls: Vec<Vec<u64>>,
}

impl Sample {
    fn take(run: &Run, salvage: bool) -> Result<Self> {
        let source = run.opened.source.as_ref();
        let mut sample = Self {
            decoded_bytes: 0,
            written_bytes: 0.0,
            seconds: 0.0,
            rows: vec![0; source.plan().streams.len()],
            nulls: source.plan().streams.iter().map(|it| vec![0; it.features.len()]).collect(),
        };
        let all = &source.plan().partitions;
        let Some(first) = windows(all.iter()).into_iter().next() else { return Ok(sample) };
        let started = Instant::now();
        let partitions: Vec<usize> = first.clone().collect();
        let parts = read_window(source, &partitions, &ReadOptions::default(), salvage)?;
        sample.seconds = started.elapsed().as_secs_f64();
        sample.decoded_bytes = all[first].iter().map(|it| it.decoded_bytes).sum();
        for batch in parts.iter().flat_map(|it| &it.batches) {
            let idx = batch.stream.0 as usize;
            sample.rows[idx] += batch.rows.num_rows() as u64;
            let features = source.plan().streams[idx].features.iter().zip(batch.rows.columns());
            for ((feature, column), nulls) in features.zip(&mut sample.nulls[idx]) {
                *nulls += column.null_count() as u64;
                let bytes = column.to_data().get_slice_memory_size().unwrap_or(0) as f64;
                sample.written_bytes += match feature.storage {
                    Storage::EncodedMedia => bytes,
                    Storage::Plain | Storage::RawMedia => bytes / 2.0,
                };
            }
        }
        Ok(sample)
    }
}
