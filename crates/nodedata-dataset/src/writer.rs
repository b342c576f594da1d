use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use bytes::Bytes;
use nodedata_core::{
    Attachment, EPISODE_INDEX, EpisodeInfo, EpisodeVideo, Error, ErrorKind, InputFile, Locus, MediaShape,
    Result, RowSpan, SourcePlan, StreamSchema,
};
use nodedata_io::{Places, Replacing};
use nodedata_schema::CheckedBatch;
use serde_json::Value;

use crate::{
    access::Access,
    cut::{CutPlan, RowGroupBudget},
    encode::Encoder,
    finish::Finish,
    fold::Folded,
    folders::stream_folders,
    journal::UnitInput,
    ledger::{Ledger, Report},
    manifest::Manifest,
    nulls::Nulls,
    recognise::recognise,
    shard::{Sink, UnitFiles, unit_name},
    staging::Staging,
    table::Table,
    unit::{self, Unit},
};

/// Tool and version, as written into every file.
pub fn created_by() -> String {
    format!("node-data {}", env!("CARGO_PKG_VERSION"))
}

/// Where a dataset goes and how it is cut. Every size decides bytes, so all are part of the recipe.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// The dataset's folder; it must not exist, or `overwrite` must be set.
    pub out: PathBuf,
    /// Whether an existing dataset is replaced once the new one is complete.
    pub overwrite: bool,
    /// What the dataset is made of: never replaced, whatever is asked.
    pub reads: Places,
    /// What decides the rows, as text that means nothing here. A unit made under another one is not reused.
    pub unit_recipe: String,
    /// Bytes of source one shard covers. Default 512 MiB.
    pub shard_bytes: u64,
    /// Bytes of rows at which a row group ends. Default 16 MiB.
    pub row_group_bytes: u64,
    /// Bytes of rows all open row groups together may hold. Default 64 MiB.
    pub open_row_groups_bytes: u64,
    /// What the pages of media are made for. Default [`Access::Balanced`].
    pub access: Access,
    /// Names of the splits. Default `train` alone.
    pub splits: Vec<String>,
    /// Per episode, the position of its split in `splits`; an episode without one is in the first.
    pub split_of_episode: Vec<usize>,
}

impl WriterOptions {
    /// The defaults, for a dataset at `out`.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            overwrite: false,
            reads: Places::default(),
            unit_recipe: String::new(),
            shard_bytes: 512 << 20,
            row_group_bytes: 16 << 20,
            open_row_groups_bytes: 64 << 20,
            access: Access::default(),
            splits: vec!["train".to_owned()],
            split_of_episode: Vec::new(),
        }
    }
}

/// The rows of one partition, decoded and checked.
#[derive(Debug)]
pub struct DecodedPart {
    /// Position of the partition in the source.
    pub partition: usize,
    /// Its batches, by stream and then in row order.
    pub batches: Vec<CheckedRows>,
}

/// A batch that passed the schema check, with where its rows come from.
#[derive(Debug)]
pub struct CheckedRows {
    /// The rows, with their stream.
    pub rows: CheckedBatch,
    /// See [`nodedata_core::Batch::spans`].
    pub spans: Vec<RowSpan>,
    /// See [`nodedata_core::Batch::pixels`].
    pub pixels: Vec<MediaShape>,
    /// When the clock of the times in `rows` starts, by the source's own; 0 where they are told by that.
    pub clock_start_ns: i64,
}

/// What the pipeline learned by the end of a run.
pub struct RunFacts<'a> {
    /// Name of the format.
    pub converter: &'a str,
    /// The content of `recipe.json`: every option that decides bytes. It means nothing here.
    pub recipe: &'a str,
    /// BLAKE3-256 of each input, 64 hex digits, by position.
    pub input_digests: &'a [String],
    /// The schema to write: declared, or inferred from the rows.
    pub schema_json: String,
    /// Per stream name: records read, and records dropped by reason. Rows written are counted here.
    pub ledger: Ledger,
    /// The rest of the report; its ledger, sizes and result are filled in here.
    pub report: Report,
    /// The plan of the source.
    pub source: &'a SourcePlan,
    /// The episodes of the plan, with what reading told of them.
    pub episodes: &'a [EpisodeInfo],
    /// All coded video, also what was coded while rows were read.
    pub videos: &'a [EpisodeVideo],
    /// Holds the rows without a value against what was asked for: an error ends the run, and nothing is committed.
    pub check_nulls: &'a (dyn Fn(&Nulls) -> Result<()> + Sync),
    /// Reads a range of an input, by its position in the plan.
    pub read_input: &'a (dyn Fn(usize, std::ops::Range<u64>) -> Result<Bytes> + Sync),
    /// Reads what an attachment of the plan holds.
    pub content_of: &'a (dyn Fn(&Attachment) -> Result<Bytes> + Sync),
}

/// Writes one dataset, unit by unit: rows go through [`EncodeHalf`] to [`FileHalf`], which may work side by
/// side on neighbouring windows. Finished units are recorded, so that no later run has to make them again;
/// at the end the records of all units are folded into the dataset. That is one way for a run that made all
/// of them, one that made the rest, and one that made none.
pub struct DatasetWriter {
    pub(crate) plan: Plan,
    pub(crate) encoder: Encoder,
    sink: Sink,
    folded: Folded,
    note: Option<Vec<u8>>,
}

/// What is known before any row is.
pub(crate) struct Plan {
    pub(crate) staging: Arc<Staging>,
    pub(crate) tables: Vec<Arc<Table>>,
    pub(crate) streams: Vec<StreamSchema>,
    pub(crate) inputs: Vec<InputFile>,
    pub(crate) folders: Vec<String>,
    pub(crate) options: WriterOptions,
    pub(crate) units: Arc<Vec<Unit>>,
    pub(crate) recipes: Vec<String>,
}

/// A unit whose shards are written, but which is not recorded yet.
pub struct FinishedUnit(UnitFiles);

impl FinishedUnit {
    /// Its position in [`DatasetWriter::units`].
    pub fn unit(&self) -> usize {
        self.0.unit
    }
}

/// Encoded rows on their way from the encoder to the files.
#[derive(Default)]
pub struct Encoded(Vec<crate::encode::Sealed>);

impl Encoded {
    /// Adds what was encoded after it.
    pub fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }
}

/// The half of a writer that encodes rows.
pub struct EncodeHalf<'a>(&'a mut Encoder);

/// The half of a writer that writes files.
pub struct FileHalf<'a> {
    sink: &'a mut Sink,
    recipes: &'a [String],
}

impl EncodeHalf<'_> {
    /// Encodes some parts of one unit, which must come in partition order. The unit before ends with it.
    ///
    /// # Errors
    /// `Io` when Parquet cannot encode a column.
    pub fn encode(&mut self, unit: usize, parts: Vec<DecodedPart>) -> Result<Encoded> {
        self.0.encode(unit, parts).map(Encoded)
    }

    /// Ends the last unit.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn end(&mut self) -> Result<Encoded> {
        self.0.finish().map(Encoded)
    }
}

impl FileHalf<'_> {
    /// Writes what was encoded; returns the units that are complete with it.
    ///
    /// # Errors
    /// `Io`.
    pub fn write(&mut self, encoded: Encoded) -> Result<Vec<FinishedUnit>> {
        Ok(self.sink.write(encoded.0)?.into_iter().map(FinishedUnit).collect())
    }

    /// Records a unit. `inputs` are those that its partitions lie in, with their positions in the source;
    /// `run` is what the pipeline wants to be told when the unit is folded into a dataset.
    ///
    /// # Errors
    /// `Io`.
    pub fn seal(&mut self, unit: FinishedUnit, inputs: Vec<(usize, UnitInput)>, run: Value) -> Result<()> {
        let recipe = &self.recipes[unit.0.unit];
        self.sink.seal(unit.0, recipe, inputs, run)
    }
}

impl DatasetWriter {
    /// Starts a dataset, alone.
    ///
    /// # Errors
    /// `Config` when `out` exists and is not to be replaced, `Conflict` when another run writes it,
    /// `Unsupported` when a stream has a type Parquet cannot hold, `Io`.
    pub fn create(source: &SourcePlan, options: WriterOptions) -> Result<Self> {
        refuse_existing(&options)?;
        let staging = Staging::create(&options.out)?;
        Self::new(source, options, staging)
    }

    /// Takes part in making a dataset as one of several workers, none of which can finish it.
    ///
    /// # Errors
    /// `Conflict` when a run that wants the output for itself is at work; else as [`Self::create`].
    pub fn join(source: &SourcePlan, options: WriterOptions) -> Result<Self> {
        let staging = Staging::join(&options.out)?;
        let mut writer = Self::new(source, options, staging)?;
        // Whoever folds the units does not have this worker's hashers.
        let all: Vec<usize> = (0..writer.plan.units.len()).collect();
        writer.encoder.skip(&all);
        Ok(writer)
    }

    fn new(source: &SourcePlan, options: WriterOptions, staging: Staging) -> Result<Self> {
        refuse_same_names(&source.streams)?;
        let tables: Vec<Arc<Table>> = source
            .streams
            .iter()
            .map(|stream| Table::new(stream, &created_by(), options.access).map(Arc::new))
            .collect::<Result<_>>()?;
        let units = Arc::new(plan_units(source, &options));
        let recipes = unit::recipes(&units, source, &options);
        let budget = RowGroupBudget::new(options.row_group_bytes, options.open_row_groups_bytes);
        let folders = stream_folders(&source.streams);
        let staging = Arc::new(staging);
        let episodes = source.partitions.iter().map(|it| it.episode).collect();
        let encoder = Encoder::new(&source.streams, tables.clone(), episodes, Arc::clone(&units), budget);
        let splits = options.splits.clone();
        let sink = Sink::new(Arc::clone(&staging), tables.clone(), folders.clone(), splits);
        let plan = Plan {
            staging,
            tables,
            streams: source.streams.clone(),
            inputs: source.inputs.clone(),
            folders,
            options,
            units,
            recipes,
        };
        Ok(Self { plan, encoder, sink, folded: Folded::default(), note: None })
    }

    /// Keeps a note for later runs, whether this one comes to its end or not; see [`crate::notes`]. It is no part of the
    /// dataset's content.
    ///
    /// # Errors
    /// `Io`.
    pub fn keep_note(&mut self, note: Vec<u8>) -> Result<()> {
        self.plan.staging.note(&note)?;
        self.note = Some(note);
        Ok(())
    }

    /// What the dataset is made of, in order.
    pub fn units(&self) -> &Arc<Vec<Unit>> {
        &self.plan.units
    }

    /// The recipe of each unit: see [`plan_recipes`].
    pub fn recipes(&self) -> &[String] {
        &self.plan.recipes
    }

    /// Where a run may keep rows of a unit while it makes it, in files that mean nothing here. It is not made before it
    /// is wanted, and goes with the record of the unit.
    pub fn rows_folder(&self, unit: usize) -> PathBuf {
        self.plan.staging.rows(unit_name(&self.plan.recipes[unit]))
    }

    /// The two halves, to be driven side by side.
    pub fn halves(&mut self) -> (EncodeHalf<'_>, FileHalf<'_>) {
        (EncodeHalf(&mut self.encoder), FileHalf { sink: &mut self.sink, recipes: &self.plan.recipes })
    }

    /// Gathers the records of all units. `visit` is shown what the pipeline gave for each, in order.
    ///
    /// # Errors
    /// `Io` or `Corrupt` when a record is missing or damaged, what `visit` returns.
    pub fn fold(&mut self, visit: &mut dyn FnMut(&Unit, Value) -> Result<()>) -> Result<()> {
        self.folded = Folded::gather(&self.plan, &mut self.encoder, self.sink.last_record.take(), visit)?;
        Ok(())
    }

    /// Rows of all shards that were folded.
    pub fn n_rows(&self) -> u64 {
        self.folded.shards.iter().map(|it| it.facts.n_rows).sum()
    }

    /// Writes everything that describes the shards, checks the ledger, and gives the dataset its final name.
    /// What was not folded is not part of it.
    ///
    /// # Errors
    /// `Corrupt` when the ledger does not balance, and what [`RunFacts::check_nulls`] says: nothing is committed. `Io`.
    pub fn finish(self, run: RunFacts<'_>) -> Result<(Manifest, Report)> {
        let Self { plan, encoder, sink, folded, note } = self;
        drop((encoder, sink));
        let Plan { staging, streams, inputs, folders, options, .. } = plan;
        let finish = Finish {
            staging: &staging,
            shards: folded.shards,
            stats: folded.stats,
            contents: folded.contents,
            streams: &streams,
            inputs: &inputs,
            episodes: run.episodes,
            folders: &folders,
            options: &options,
        };
        let done = finish.run(run)?;
        if let Some(note) = note {
            staging.write(crate::journal::NOTED, &note)?;
        }
        // Hours may have gone by since it was looked at first.
        refuse_existing(&options)?;
        let staging = Arc::into_inner(staging).expect("the sink is gone, so nobody else holds it");
        staging.commit(options.overwrite)?;
        Ok(done)
    }
}

/// The units of a source, in order.
pub fn plan_units(source: &SourcePlan, options: &WriterOptions) -> Vec<Unit> {
    let whole_episodes = source.streams.iter().any(|it| it.kind.keeps_episodes_whole());
    let cuts =
        CutPlan::new(&source.partitions, &options.split_of_episode, options.shard_bytes, whole_episodes);
    unit::units(&source.partitions, &cuts)
}

/// The recipe of each unit: a hash over everything that decides its bytes, but for what the input files
/// hold, which [`UnitInput`] proves.
pub fn plan_recipes(units: &[Unit], source: &SourcePlan, options: &WriterOptions) -> Vec<String> {
    unit::recipes(units, source, options)
}

/// Refuses an output that is there and is not to be replaced: see [`Replacing`].
///
/// # Errors
/// `Config`; `Io` when an empty folder cannot be removed.
pub fn refuse_existing(options: &WriterOptions) -> Result<()> {
    let replacing = Replacing {
        asked: options.overwrite,
        reads: &options.reads,
        recognise: &recognise,
        there: "the output exists already, and another recipe made it",
        hint: "choose another `--out`, or `--overwrite` to replace it once the new one is complete",
    };
    replacing.check(&options.out)
}

fn refuse_same_names(streams: &[StreamSchema]) -> Result<()> {
    for stream in streams {
        let mut seen = BTreeSet::from([EPISODE_INDEX]);
        for feature in &stream.features {
            if !seen.insert(&feature.name) {
                let message = format!("stream `{}` has two features called `{}`", stream.name, feature.name);
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .at(Locus { feature: Some(feature.name.clone()), ..Locus::topic(&*stream.name) }));
            }
        }
    }
    Ok(())
}
