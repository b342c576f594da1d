use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    Attachment, EPISODE_INDEX, EpisodeInfo, EpisodeVideo, Error, ErrorKind, InputFile, Locus, Partition,
    PixelShape, Result, RowSpan, StreamClock, StreamSchema,
};
use nodedata_schema::CheckedBatch;
use serde_json::Value;

use crate::{
    cut::{CutPlan, RowGroupBudget},
    encode::Encoder,
    finish::Finish,
    folders::stream_folders,
    ledger::{Ledger, Report},
    manifest::Manifest,
    shard::Sink,
    staging::Staging,
    table::Table,
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
    /// Whether an existing folder is replaced once the new dataset is complete.
    pub overwrite: bool,
    /// Bytes of source one shard covers. Default 512 MiB.
    pub shard_bytes: u64,
    /// Bytes of rows at which a row group ends. Default 16 MiB.
    pub row_group_bytes: u64,
    /// Bytes of rows all open row groups together may hold. Default 64 MiB.
    pub open_row_groups_bytes: u64,
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
            shard_bytes: 512 << 20,
            row_group_bytes: 16 << 20,
            open_row_groups_bytes: 64 << 20,
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
    pub pixels: Vec<PixelShape>,
}

/// What a source has, as far as the writer needs to know.
#[derive(Debug, Clone, Copy)]
pub struct SourceFacts<'a> {
    /// The streams.
    pub streams: &'a [StreamSchema],
    /// The input files.
    pub inputs: &'a [InputFile],
    /// The episodes.
    pub episodes: &'a [EpisodeInfo],
    /// The partitions.
    pub partitions: &'a [Partition],
}

/// What the pipeline learned by the end of a run.
#[derive(Debug)]
pub struct RunFacts<'a> {
    /// Name of the format.
    pub converter: &'a str,
    /// The normalised selection and options that decide bytes; holds no floating-point numbers.
    pub config: &'a Value,
    /// BLAKE3-256 of each input, 64 hex digits, by position.
    pub input_digests: &'a [String],
    /// The schema to write: declared, or inferred from the rows.
    pub schema_json: String,
    /// Per stream name: records read, and records dropped by reason. Rows written are counted here.
    pub ledger: Ledger,
    /// The rest of the report; its ledger, sizes and result are filled in here.
    pub report: Report,
    /// Files the source carries.
    pub attachments: &'a [Attachment],
    /// What decoders need beside the samples of coded video columns.
    pub videos: &'a [EpisodeVideo],
}

/// Writes one dataset: rows go through [`Encoder`] to [`Sink`], which may work side by side on
/// neighbouring windows.
pub struct DatasetWriter {
    staging: Arc<Staging>,
    encoder: Encoder,
    sink: Sink,
    streams: Vec<StreamSchema>,
    inputs: Vec<InputFile>,
    episodes: Vec<EpisodeInfo>,
    folders: Vec<String>,
    options: WriterOptions,
}

/// Encoded rows on their way from the encoder to the files.
#[derive(Default)]
pub struct Encoded(Vec<crate::encode::Sealed>);

/// The half of a writer that encodes rows.
pub struct EncodeHalf<'a>(&'a mut Encoder);

/// The half of a writer that writes files.
pub struct FileHalf<'a>(&'a mut Sink);

impl EncodeHalf<'_> {
    /// Encodes the parts of one window, which must come in partition order.
    ///
    /// # Errors
    /// `Io` when Parquet cannot encode a column.
    pub fn encode(&mut self, parts: Vec<DecodedPart>) -> Result<Encoded> {
        self.0.encode(parts).map(Encoded)
    }
}

impl FileHalf<'_> {
    /// Writes what was encoded.
    ///
    /// # Errors
    /// `Io`.
    pub fn write(&mut self, encoded: Encoded) -> Result<()> {
        self.0.write(encoded.0)
    }
}

impl DatasetWriter {
    /// Starts a dataset.
    ///
    /// # Errors
    /// `Config` when `out` exists and is not to be replaced, `Conflict` when another run writes it,
    /// `Unsupported` when a stream has a type Parquet cannot hold, `Io`.
    pub fn create(source: SourceFacts<'_>, options: WriterOptions) -> Result<Self> {
        refuse_existing(&options)?;
        refuse_same_names(source.streams)?;
        let tables: Vec<Arc<Table>> = source
            .streams
            .iter()
            .map(|stream| Table::new(stream, &created_by()).map(Arc::new))
            .collect::<Result<_>>()?;
        let cuts = CutPlan::new(
            source.partitions,
            &options.split_of_episode,
            options.shard_bytes,
            source.streams.iter().any(|it| it.clock == StreamClock::Step),
        );
        let budget = RowGroupBudget::new(options.row_group_bytes, options.open_row_groups_bytes);
        let folders = stream_folders(source.streams);
        let staging = Arc::new(Staging::create(&options.out)?);
        let partitions = source.partitions.to_vec();
        Ok(Self {
            encoder: Encoder::new(source.streams, tables.clone(), partitions, cuts, budget),
            sink: Sink::new(Arc::clone(&staging), tables, folders.clone(), options.splits.clone()),
            staging,
            streams: source.streams.to_vec(),
            inputs: source.inputs.to_vec(),
            episodes: source.episodes.to_vec(),
            folders,
            options,
        })
    }

    /// The two halves, to be driven side by side.
    pub fn halves(&mut self) -> (EncodeHalf<'_>, FileHalf<'_>) {
        (EncodeHalf(&mut self.encoder), FileHalf(&mut self.sink))
    }

    /// Ends all shards, writes everything that describes them, checks the ledger, and gives the dataset
    /// its final name.
    ///
    /// # Errors
    /// `Corrupt` when the ledger does not balance: nothing is committed. `Io`.
    pub fn finish(self, run: RunFacts<'_>) -> Result<(Manifest, Report)> {
        let Self { staging, encoder, mut sink, streams, inputs, episodes, folders, options } = self;
        let (sealed, columns) = encoder.finish()?;
        sink.write(sealed)?;
        let finish = Finish {
            staging: &staging,
            shards: sink.finish(),
            columns,
            streams: &streams,
            inputs: &inputs,
            episodes: &episodes,
            folders: &folders,
            options: &options,
        };
        let done = finish.run(run)?;
        let staging = Arc::into_inner(staging).expect("the sink is gone, so nobody else holds it");
        staging.commit(options.overwrite)?;
        Ok(done)
    }
}

fn refuse_existing(options: &WriterOptions) -> Result<()> {
    let out: &Path = &options.out;
    let is_empty_folder = || out.read_dir().is_ok_and(|mut it| it.next().is_none());
    if options.overwrite || !out.exists() {
        return Ok(());
    }
    if is_empty_folder() {
        // An empty folder holds nothing to lose, and a rename may not replace it on every system.
        return std::fs::remove_dir(out)
            .map_err(|err| crate::staging::write_error("cannot replace the empty folder", out, err));
    }
    Err(Error::new(ErrorKind::Config, "the output exists already, and another recipe made it")
        .at(Locus::path(out))
        .with_hint("choose another `--out`, or `--overwrite` to replace it once the new one is complete"))
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
