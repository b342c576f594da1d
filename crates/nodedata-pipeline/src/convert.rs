use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use nodedata_core::{Error, ErrorKind, Formats, Locus, OpenOptions, ReadOptions, Result};
use nodedata_dataset::{
    CheckedRows, DatasetWriter, DecodedPart, Encoded, Ledger, Manifest, Report, RunFacts, SourceFacts,
    WriterOptions,
};
use nodedata_schema::{RowPlace, Schema, SchemaBuilder, SchemaCheck, Violation, Violations};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::{
    OpenedSource, Progress, SplitPlan,
    damage::{DamageLog, entry_of},
    inputs::InputHashes,
    open_source,
    window::{ReadPart, read_window, windows},
};

/// What becomes of damaged input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The first damage ends the run; nothing is committed.
    #[default]
    Fail,
    /// Everything sound is converted; what is lost is listed, and the exit code is 3.
    Salvage,
}

impl OnError {
    /// As pipelines and flags spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Salvage => "salvage",
        }
    }
}

/// What to convert, and how.
#[derive(Debug, Clone)]
pub struct ConvertOptions {
    /// A file, a folder, a glob or a URL.
    pub source: String,
    /// Name of the format; detected when absent.
    pub from: Option<String>,
    /// The dataset's folder.
    pub out: PathBuf,
    /// Whether an existing dataset is replaced.
    pub overwrite: bool,
    /// What to read. Its `salvage` is set from `on_error`.
    pub open: OpenOptions,
    /// What rows must follow; inferred when absent.
    pub schema: Option<Schema>,
    /// How episodes are dealt to splits.
    pub splits: SplitPlan,
    /// What becomes of damaged input.
    pub on_error: OnError,
    /// Worker threads; all cores when absent. Never changes the bytes written.
    pub threads: Option<usize>,
    /// Bytes of source one shard covers.
    pub shard_bytes: u64,
    /// Reads the most bytes that were on the heap at one time, when the build measures it.
    pub peak_heap: Option<fn() -> u64>,
}

impl ConvertOptions {
    /// Converts `source` to `out` with every default.
    pub fn new(source: impl Into<String>, out: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            from: None,
            out: out.into(),
            overwrite: false,
            open: OpenOptions::default(),
            schema: None,
            splits: SplitPlan::default(),
            on_error: OnError::Fail,
            threads: None,
            shard_bytes: 512 << 20,
            peak_heap: None,
        }
    }
}

/// A finished conversion.
#[derive(Debug)]
pub struct Converted {
    /// What was written.
    pub manifest: Manifest,
    /// What happened.
    pub report: Report,
    /// Whether an equal recipe had made the dataset before, so that nothing was done.
    pub unchanged: bool,
}

impl Converted {
    /// Whether something named was left out: exit code 3.
    pub fn is_incomplete(&self) -> bool {
        self.report.result != "complete"
    }
}

/// Converts a source to a dataset.
///
/// # Errors
/// `Config` for wrong options, `SchemaMismatch` when rows break a declared schema, and what reading the
/// source and writing the dataset report. On an error nothing has a final name.
pub fn convert(formats: &Formats, options: &ConvertOptions, progress: &dyn Progress) -> Result<Converted> {
    let n_threads = options.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().map_err(|err| {
        Error::new(ErrorKind::Config, format!("cannot start {n_threads} threads")).with_source(err)
    })?;
    pool.install(|| Run::new(formats, options)?.run(progress))
}

struct Run<'a> {
    options: &'a ConvertOptions,
    opened: OpenedSource,
    config: Value,
    check: SchemaCheck,
    started: Instant,
}

/// What a run has learned so far.
struct State {
    inferred: SchemaBuilder,
    violations: Violations,
    damage: DamageLog,
    ledger: Ledger,
    /// Rows so far by (episode, stream).
    rows: BTreeMap<(usize, u32), u64>,
    hashes: InputHashes,
}

impl<'a> Run<'a> {
    fn new(formats: &Formats, options: &'a ConvertOptions) -> Result<Self> {
        let started = Instant::now();
        let open = OpenOptions { salvage: options.on_error == OnError::Salvage, ..options.open.clone() };
        let opened = open_source(formats, &options.source, options.from.as_deref(), &open)?;
        let streams = opened.source.streams();
        let check = match &options.schema {
            None => SchemaCheck::undeclared(streams),
            Some(declared) => SchemaCheck::new(declared, streams).map_err(refusal)?,
        };
        let config = config(options, opened.format.name());
        Ok(Self { options, opened, config, check, started })
    }

    fn run(self, progress: &dyn Progress) -> Result<Converted> {
        let source = self.opened.source.as_ref();
        let mut state = State {
            inferred: SchemaBuilder::new(source.streams()),
            violations: Violations::default(),
            damage: DamageLog::default(),
            ledger: source.streams().iter().map(|it| (it.name.to_string(), Default::default())).collect(),
            rows: BTreeMap::new(),
            hashes: InputHashes::new(self.opened.files.as_ref(), source.inputs())?,
        };
        let mut writer = DatasetWriter::create(
            SourceFacts {
                streams: source.streams(),
                inputs: source.inputs(),
                episodes: source.episodes(),
                partitions: source.partitions(),
            },
            self.writer_options(),
        )?;
        self.note_opening_damage(&mut state);
        progress.planned(source.partitions().iter().map(|it| it.decoded_bytes).sum());
        let opened_after = self.started.elapsed().as_secs_f64();
        self.drive(&mut writer, &mut state, progress)?;
        let rows_after = self.started.elapsed().as_secs_f64();
        progress.finishing();
        if let Some(err) = std::mem::take(&mut state.violations).into_error() {
            return Err(err);
        }
        let seconds =
            [("open".to_owned(), opened_after), ("rows".to_owned(), rows_after - opened_after)].into();
        self.finish(writer, state, seconds)
    }

    /// Decodes, encodes and writes, each stage one window ahead of the next.
    fn drive(&self, writer: &mut DatasetWriter, state: &mut State, progress: &dyn Progress) -> Result<()> {
        let source = self.opened.source.as_ref();
        let salvage = self.options.on_error == OnError::Salvage;
        let read_options = ReadOptions::default();
        let read = |window| read_window(source, window, &read_options, salvage);
        let mut windows = windows(source.partitions()).into_iter();
        let mut decoded: Option<Vec<ReadPart>> = windows.next().map(read).transpose()?;
        let mut encoded = Encoded::default();
        let (mut encoder, mut files) = writer.halves();
        loop {
            let next = windows.next();
            let current = decoded.take();
            let is_last = current.is_none();
            let ((ahead, hashed), (done, written)) = rayon::join(
                || {
                    rayon::join(
                        || next.map(read).transpose(),
                        || self.hash(&mut state.hashes, current.as_deref()),
                    )
                },
                || {
                    let pending = std::mem::take(&mut encoded);
                    rayon::join(
                        || match &current {
                            Some(parts) => {
                                let checked = self.check(
                                    parts,
                                    &mut CheckState {
                                        inferred: &mut state.inferred,
                                        violations: &mut state.violations,
                                        rows: &mut state.rows,
                                    },
                                );
                                encoder.encode(checked)
                            }
                            None => Ok(Encoded::default()),
                        },
                        || files.write(pending),
                    )
                },
            );
            // Reported in the order of the data, so that equal input gives an equal message.
            written?;
            encoded = done?;
            hashed?;
            if let Some(parts) = current {
                self.account(parts, state, progress);
            }
            if is_last {
                return Ok(());
            }
            decoded = ahead?;
        }
    }

    fn hash(&self, hashes: &mut InputHashes, parts: Option<&[ReadPart]>) -> Result<()> {
        for part in parts.unwrap_or_default() {
            let partition = &self.opened.source.partitions()[part.partition];
            hashes.advance(partition.input, partition.byte_range.end)?;
        }
        Ok(())
    }

    /// Checks a window against the schema; batches that break it are counted and left out, and the run
    /// fails at its end.
    fn check(&self, parts: &[ReadPart], state: &mut CheckState<'_>) -> Vec<DecodedPart> {
        let mut places = Vec::new();
        for part in parts {
            let episode = self.opened.source.partitions()[part.partition].episode;
            for batch in &part.batches {
                state.inferred.observe(batch);
                let rows = state.rows.entry((episode, batch.stream.0)).or_default();
                places.push(RowPlace { episode: episode as u64, first_row: *rows });
                *rows += batch.rows.num_rows() as u64;
            }
        }
        let batches: Vec<_> = parts.iter().flat_map(|it| &it.batches).collect();
        let checked: Vec<_> = batches
            .into_par_iter()
            .zip(places)
            .map(|(batch, place)| self.check.batch(batch, place))
            .collect();
        let mut checked = checked.into_iter();
        parts
            .iter()
            .map(|part| {
                let mut batches = Vec::with_capacity(part.batches.len());
                for (batch, result) in part.batches.iter().zip(&mut checked) {
                    match result {
                        Ok(rows) => batches.push(CheckedRows {
                            rows,
                            spans: batch.spans.clone(),
                            pixels: batch.pixels.clone(),
                        }),
                        Err(found) => state.violations.merge(found),
                    }
                }
                DecodedPart { partition: part.partition, batches }
            })
            .collect()
    }

    fn account(&self, parts: Vec<ReadPart>, state: &mut State, progress: &dyn Progress) {
        let source = self.opened.source.as_ref();
        for part in parts {
            let mut n_records = 0;
            for (stream, n) in part.records_read {
                n_records += n;
                let name = source.streams()[stream.0 as usize].name.to_string();
                state.ledger.entry(name).or_default().read += n;
            }
            for err in &part.damage {
                state.damage.add(err, source.streams());
            }
            progress.advanced(source.partitions()[part.partition].decoded_bytes, n_records);
        }
    }

    /// Damage met while opening: its records were seen by nobody else.
    fn note_opening_damage(&self, state: &mut State) {
        let source = self.opened.source.as_ref();
        for err in source.damage() {
            state.damage.add(err, source.streams());
            for (stream, n) in err.loss().map(|it| it.records.as_slice()).unwrap_or_default() {
                let name = source.streams()[stream.0 as usize].name.to_string();
                state.ledger.entry(name).or_default().read += n;
            }
        }
    }

    fn writer_options(&self) -> WriterOptions {
        WriterOptions {
            overwrite: self.options.overwrite,
            shard_bytes: self.options.shard_bytes,
            splits: self.options.splits.names(),
            split_of_episode: self.options.splits.deal(self.opened.source.episodes()),
            ..WriterOptions::new(&self.options.out)
        }
    }

    fn finish(
        self,
        writer: DatasetWriter,
        state: State,
        mut seconds: BTreeMap<String, f64>,
    ) -> Result<Converted> {
        let source = self.opened.source.as_ref();
        let mut ledger = state.ledger;
        let damage = state.damage.finish(&mut ledger, source.streams());
        let mut schema = match &self.options.schema {
            Some(declared) => declared.clone(),
            None => state.inferred.finish(),
        };
        if schema.splits.is_empty() {
            schema.splits = self.options.splits.names();
        }
        let input_digests = state.hashes.finish()?;
        seconds.insert("total".to_owned(), self.started.elapsed().as_secs_f64());
        let report = Report {
            damage,
            warnings: self.warnings(),
            not_selected: source.unselected().to_vec(),
            seconds,
            peak_heap_bytes: self.options.peak_heap.map(|it| it()),
            ..Report::default()
        };
        let (manifest, report) = writer.finish(RunFacts {
            converter: self.opened.format.name(),
            config: &self.config,
            input_digests: &input_digests,
            schema_json: schema.to_json(),
            ledger,
            report,
            attachments: source.attachments(),
        })?;
        Ok(Converted { manifest, report, unchanged: false })
    }

    fn warnings(&self) -> Vec<nodedata_dataset::DamageEntry> {
        let mut warnings: Vec<_> = self.opened.source.warnings().iter().map(entry_of).collect();
        if let Some(first) = self.opened.ignored.first() {
            let message = format!(
                "{} other files in the folder are not {} files and were not read",
                self.opened.ignored.len(),
                self.opened.format.name()
            );
            let err = Error::new(ErrorKind::Unsupported, message).at(Locus::path(first));
            warnings.push(entry_of(&err));
        }
        warnings
    }
}

/// A schema that cannot hold, whatever the rows are: the first reason, and all of them in the message.
fn refusal(found: Vec<Violation>) -> Error {
    let Some(first) = found.first().map(Violation::to_error) else {
        return Error::new(ErrorKind::SchemaMismatch, "the schema does not fit the source");
    };
    let others: Vec<String> = found.iter().skip(1).map(|it| format!("\n  also: {it}")).collect();
    let all = Error::new(ErrorKind::SchemaMismatch, format!("{first}{}", others.concat()));
    let all = all.at(first.locus().clone());
    match first.hint() {
        Some(hint) => all.with_hint(hint),
        None => all,
    }
}

/// The parts of [`State`] that the check stage writes to, while other stages use the rest.
struct CheckState<'a> {
    inferred: &'a mut SchemaBuilder,
    violations: &'a mut Violations,
    rows: &'a mut BTreeMap<(usize, u32), u64>,
}

/// Everything that decides the bytes of the dataset, besides inputs and code. No floating-point numbers.
fn config(options: &ConvertOptions, format: &str) -> Value {
    let open = &options.open;
    let splits: Vec<Value> =
        options.splits.fractions.iter().map(|(name, it)| json!([name, it.to_string()])).collect();
    json!({
        "format": format,
        "topics": open.topics,
        "undecoded": open.undecoded,
        "time_range": [open.time_range.start_ns, open.time_range.end_ns],
        "verify_checksums": open.verify_checksums,
        "partition_bytes": open.partition_bytes,
        "on_error": options.on_error.name(),
        "splits": splits,
        "shard_bytes": options.shard_bytes,
        "schema": options.schema.as_ref().map(|it| nodedata_dataset::b3_of(it.to_json().as_bytes())),
    })
}
