use nodedata_core::{Error, ErrorKind, Formats, OpenOptions, ReadOptions, Result, Source, StreamId};
use nodedata_schema::{RowPlace, Schema, SchemaBuilder, SchemaCheck, Violations};
use serde::Serialize;

use crate::{
    OpenedSource,
    damage::entry_of,
    open_source,
    window::{ReadPart, read_window, windows},
};

/// Learns the schema of a source from all of its rows, without writing anything.
///
/// # Errors
/// What opening and reading the source report.
pub fn infer_schema(
    formats: &Formats,
    source: &str,
    from: Option<&str>,
    open: &OpenOptions,
) -> Result<Schema> {
    let opened = open_source(formats, source, from, open)?;
    let mut builder = SchemaBuilder::new(opened.source.streams());
    each_window(opened.source.as_ref(), open.salvage, |parts| {
        for batch in parts.iter().flat_map(|it| &it.batches) {
            builder.observe(batch);
        }
        Ok(())
    })?;
    Ok(builder.finish())
}

/// Holds all rows of a source against a declared schema, without writing anything.
///
/// # Errors
/// What opening and reading the source report. What breaks the schema is returned, not an error.
pub fn check_schema(
    formats: &Formats,
    source: &str,
    from: Option<&str>,
    open: &OpenOptions,
    declared: &Schema,
) -> Result<Vec<nodedata_schema::Violation>> {
    let opened = open_source(formats, source, from, open)?;
    let check = match SchemaCheck::new(declared, opened.source.streams()) {
        Ok(check) => check,
        Err(violations) => return Ok(violations),
    };
    let mut all = Violations::default();
    let mut rows = std::collections::BTreeMap::new();
    each_window(opened.source.as_ref(), open.salvage, |parts| {
        for part in &parts {
            let episode = opened.source.partitions()[part.partition].episode;
            for batch in &part.batches {
                let first_row: &mut u64 = rows.entry((episode, batch.stream)).or_default();
                let place = RowPlace { episode: episode as u64, first_row: *first_row };
                *first_row += batch.rows.num_rows() as u64;
                if let Err(found) = check.batch(batch, place) {
                    all.merge(found);
                }
            }
        }
        Ok(())
    })?;
    Ok(all.iter().cloned().collect())
}

/// What `inspect` says of a source.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Name of the format.
    pub format: String,
    /// Input files and their length.
    pub inputs: Vec<(String, u64)>,
    /// Episode keys.
    pub episodes: Vec<String>,
    /// The streams, in the source's order.
    pub streams: Vec<StreamInspection>,
    /// Names and lengths of files the source carries.
    pub attachments: Vec<(String, u64)>,
    /// What cannot be read, and remarks.
    pub damage: Vec<nodedata_dataset::DamageEntry>,
    /// What metadata says wrongly and the data puts right, and what cannot be carried.
    pub repairs: Vec<nodedata_dataset::DamageEntry>,
    /// Remarks that lose nothing.
    pub warnings: Vec<nodedata_dataset::DamageEntry>,
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
    /// Features and their types, as `name: type[shape]`.
    pub features: Vec<(String, String)>,
    /// Records.
    pub count: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Log time of the earliest and latest record, in nanoseconds.
    pub first_time_ns: Option<i64>,
    /// See `first_time_ns`.
    pub last_time_ns: Option<i64>,
    /// Records per second inside episodes, from first to last; `None` below two records.
    pub rate_hz: Option<f64>,
    /// Longest time between neighbours of one episode, in nanoseconds.
    pub longest_gap_ns: Option<i64>,
    /// Records logged before their predecessor in the file.
    pub time_steps_back: u64,
    #[serde(skip)]
    clock: Clock,
}

#[derive(Debug, Clone, Default)]
struct Clock {
    episode: Option<usize>,
    last_ns: i64,
    spanned_ns: i64,
    n_steps: u64,
}

/// Reads a whole source without decoding its messages and says what is in it. Damage is listed, not an error.
///
/// # Errors
/// What opening the source reports.
pub fn inspect(
    formats: &Formats,
    source: &str,
    from: Option<&str>,
    open: &OpenOptions,
) -> Result<Inspection> {
    let salvage = OpenOptions { salvage: true, ..open.clone() };
    let typed = open_source(formats, source, from, &salvage)?;
    // Times and sizes need no columns: a second look at the messages as bytes is many times cheaper.
    let raw_options = OpenOptions { undecoded: vec!["*".to_owned()], ..salvage };
    let OpenedSource { source: raw, .. } =
        open_source(formats, source, Some(typed.format.name()), &raw_options)?;
    let mut streams = raw.streams().iter().map(|it| describe(it, typed.source.as_ref())).collect::<Vec<_>>();
    let mut damage: Vec<_> = typed.source.damage().iter().map(entry_of).collect();
    each_window(raw.as_ref(), true, |parts| {
        for part in parts {
            let episode = raw.partitions()[part.partition].episode;
            damage.extend(part.damage.iter().map(entry_of));
            for batch in &part.batches {
                let StreamId(idx) = batch.stream;
                streams[idx as usize].take_in(episode, &batch.rows)?;
            }
        }
        Ok(())
    })?;
    for stream in &mut streams {
        stream.finish();
    }
    let inputs = raw.inputs().iter().map(|it| (it.path.display().to_string(), it.n_bytes)).collect();
    Ok(Inspection {
        format: typed.format.name().to_owned(),
        inputs,
        episodes: raw.episodes().iter().map(|it| it.key.clone()).collect(),
        streams,
        attachments: raw.attachments().iter().map(|it| (it.name.clone(), it.data.len() as u64)).collect(),
        damage,
        repairs: typed.source.repairs().iter().map(entry_of).collect(),
        warnings: typed.source.warnings().iter().map(entry_of).collect(),
    })
}

fn describe(stream: &nodedata_core::StreamSchema, typed: &dyn Source) -> StreamInspection {
    let decoded = typed.streams().iter().find(|it| it.name == stream.name).unwrap_or(stream);
    let fact = |key: &str| stream.metadata.get(key).cloned().unwrap_or_default();
    let features = decoded.features.iter().map(|it| {
        let shape: Vec<String> = it.shape.iter().map(|it| it.as_i64().to_string()).collect();
        let shape = if shape.is_empty() { String::new() } else { format!("[{}]", shape.join(", ")) };
        (it.name.clone(), format!("{}{shape}", it.dtype))
    });
    StreamInspection {
        name: stream.name.to_string(),
        message: fact("schema_name"),
        encoding: fact("message_encoding"),
        features: features.collect(),
        ..StreamInspection::default()
    }
}

impl StreamInspection {
    fn take_in(&mut self, episode: usize, rows: &arrow_array::RecordBatch) -> Result<()> {
        use arrow_array::{Array, cast::AsArray, types::Int64Type};
        self.count += rows.num_rows() as u64;
        for name in ["data", "message.data"] {
            let payload = rows.column_by_name(name).and_then(|it| it.as_binary_opt::<i32>());
            if let Some(payload) = payload {
                self.bytes += (payload.value_offsets()[payload.len()] - payload.value_offsets()[0]) as u64;
            }
        }
        let times = rows
            .column_by_name("log_time_ns")
            .or_else(|| rows.column_by_name("timestamp_ns"))
            .and_then(|it| it.as_primitive_opt::<Int64Type>());
        let times = times.ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("stream `{}` has no log times", self.name))
        })?;
        for time in times.values() {
            self.tick(episode, *time);
        }
        Ok(())
    }

    fn tick(&mut self, episode: usize, time_ns: i64) {
        self.first_time_ns = Some(self.first_time_ns.map_or(time_ns, |it| it.min(time_ns)));
        self.last_time_ns = Some(self.last_time_ns.map_or(time_ns, |it| it.max(time_ns)));
        if self.clock.episode == Some(episode) {
            let gap = time_ns.saturating_sub(self.clock.last_ns);
            if gap < 0 {
                self.time_steps_back += 1;
            }
            self.clock.n_steps += 1;
            self.clock.spanned_ns = self.clock.spanned_ns.saturating_add(gap);
            self.longest_gap_ns = Some(self.longest_gap_ns.map_or(gap, |it| it.max(gap)));
        }
        self.clock.episode = Some(episode);
        self.clock.last_ns = time_ns;
    }

    fn finish(&mut self) {
        if self.clock.spanned_ns > 0 {
            self.rate_hz = Some(self.clock.n_steps as f64 * 1e9 / self.clock.spanned_ns as f64);
        }
    }
}

/// Reads a source window by window, in order.
fn each_window(
    source: &dyn Source,
    salvage: bool,
    mut visit: impl FnMut(Vec<ReadPart>) -> Result<()>,
) -> Result<()> {
    let options = ReadOptions::default();
    for window in windows(source.partitions()) {
        visit(read_window(source, &source.partitions()[window], &options, salvage)?)?;
    }
    Ok(())
}
