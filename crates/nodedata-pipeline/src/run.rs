use std::{collections::BTreeMap, time::Instant};

use nodedata_core::{Error, ErrorKind, Formats, Locus, OpenOptions, ReadOptions, Result};
use nodedata_dataset::{
    CheckedRows, Dataset, DatasetWriter, DecodedPart, Encoded, InputEntry, Ledger, Report, RunFacts,
    SourceFacts, WriterOptions,
};
use nodedata_schema::{RowPlace, SchemaBuilder, SchemaCheck, Violation, Violations};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::{
    ConvertOptions, Converted, OnError, OpenedSource, Progress,
    damage::{DamageLog, entry_of},
    inputs::InputHashes,
    open_source,
    window::{ReadPart, read_window, windows},
};

/// One conversion from its plan to its commit.
pub(crate) struct Run<'a> {
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
    pub(crate) fn new(formats: &Formats, options: &'a ConvertOptions) -> Result<Self> {
        let started = Instant::now();
        let open = OpenOptions { salvage: options.on_error == OnError::Salvage, ..options.open.clone() };
        let opened = open_source(formats, &options.source, options.from.as_deref(), &open)?;
        let streams = opened.source.streams();
        let check = match &options.schema {
            None => SchemaCheck::undeclared(streams),
            Some(declared) => SchemaCheck::new(declared, streams).map_err(|it| refusal(&it))?,
        };
        let config = config(options, opened.format.name());
        Ok(Self { options, opened, config, check, started })
    }

    pub(crate) fn run(self, progress: &dyn Progress) -> Result<Converted> {
        let source = self.opened.source.as_ref();
        let mut state = State {
            inferred: SchemaBuilder::new(source.streams()),
            violations: Violations::default(),
            damage: DamageLog::default(),
            ledger: source.streams().iter().map(|it| (it.name.to_string(), Default::default())).collect(),
            rows: BTreeMap::new(),
            hashes: InputHashes::new(self.opened.files.as_ref(), source.inputs())?,
        };
        if let Some(done) = self.already_done(&mut state)? {
            return Ok(done);
        }
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

    /// The dataset that the same recipe made before, if it is there: then nothing is to be done.
    fn already_done(&self, state: &mut State) -> Result<Option<Converted>> {
        let out = &self.options.out;
        if self.options.overwrite || !out.join("manifest.json").is_file() {
            return Ok(None);
        }
        let there = Dataset::open(out)?;
        let inputs = self.opened.source.inputs();
        let hashes = InputHashes::new(self.opened.files.as_ref(), inputs)?;
        let digests = std::mem::replace(&mut state.hashes, hashes).finish()?;
        let inputs: Vec<InputEntry> = inputs
            .iter()
            .zip(digests)
            .map(|(it, b3)| InputEntry { path: it.path.display().to_string(), bytes: it.n_bytes, b3 })
            .collect();
        let recipe = nodedata_dataset::recipe_hash(self.opened.format.name(), &self.config, &inputs);
        if recipe != there.manifest.recipe {
            return Ok(None);
        }
        let report = there.report()?;
        Ok(Some(Converted { manifest: there.manifest, report, unchanged: true }))
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
            splits: self.options.splits.names(self.opened.source.episodes()),
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
            schema.splits = self.options.splits.names(source.episodes());
        }
        let input_digests = state.hashes.finish()?;
        seconds.insert("total".to_owned(), self.started.elapsed().as_secs_f64());
        let report = Report {
            damage,
            repairs: source.repairs().iter().map(entry_of).collect(),
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
            videos: source.videos(),
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
        "decode": open.decode.iter().map(|(name, it)| (name.as_str(), it.name())).collect::<BTreeMap<_, _>>(),
        "partition_bytes": open.partition_bytes,
        "on_error": options.on_error.name(),
        "splits": splits,
        "shard_bytes": options.shard_bytes,
        "schema": options.schema.as_ref().map(|it| nodedata_dataset::b3_of(it.to_json().as_bytes())),
    })
}

/// A schema that cannot hold, whatever the rows are: the first reason, and all of them in the message.
fn refusal(found: &[Violation]) -> Error {
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
