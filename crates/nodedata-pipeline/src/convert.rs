use std::{collections::BTreeMap, path::PathBuf};

use nodedata_core::{Error, ErrorKind, Formats, OpenOptions, Progress, Result};
use nodedata_dataset::{Access, Manifest, Report};
use nodedata_normalize::{EpisodeSpec, GroupBy, StepSpec};
use nodedata_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::{
    KeepRows, SplitPlan, StepFlags,
    misfits::{AsError, holding_misfits},
    run::Run,
};

/// What becomes of damaged input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The first damage ends the run; nothing is committed.
    #[default]
    Fail,
    /// Everything sound is converted; what is lost is listed, and the exit code is 3.
    Salvage,
}

/// What to convert, and how. What of it decides bytes is a [`crate::Recipe`].
#[derive(Debug, Clone)]
pub struct ConvertOptions {
    /// Files, folders, globs or URLs, read as one.
    pub sources: Vec<String>,
    /// Name of the format; detected when absent.
    pub from: Option<String>,
    /// The dataset's folder.
    pub out: PathBuf,
    /// Whether an existing dataset is replaced.
    pub overwrite: bool,
    /// What to read. Its `salvage` is set from `on_error`.
    pub open: OpenOptions,
    /// What says which episode a sample belongs to; `None` where samples are to stay samples.
    pub grouped: Option<GroupBy>,
    /// What becomes of whole episodes.
    pub episodes: EpisodeSpec,
    /// How messages become steps; `None` for a table per topic.
    pub steps: Option<StepSpec>,
    /// Steps of all that can be aligned, where `steps` says nothing.
    pub step_flags: StepFlags,
    /// What rows must follow; inferred when absent.
    pub schema: Option<Schema>,
    /// How episodes are dealt to splits.
    pub splits: SplitPlan,
    /// Episodes kept out of the splits, by key, each with its reason: their rows go to a split `quarantine`,
    /// the report names them, and the run counts as incomplete.
    pub quarantine: BTreeMap<String, String>,
    /// What becomes of damaged input.
    pub on_error: OnError,
    /// Whether a field that somebody named, and that no step has a value of, ends the run. It decides no byte.
    pub refuse_empty: bool,
    /// Worker threads; all cores when absent. Never changes the bytes written.
    pub threads: Option<usize>,
    /// Bytes of source one shard covers.
    pub shard_bytes: u64,
    /// What the pages of media are made for.
    pub access: Access,
    /// When rows of a unit are kept before it is finished, so that a run that is stopped goes on there.
    pub keep_rows: KeepRows,
    /// Reads the most bytes that were on the heap at one time, when the build measures it.
    pub peak_heap: Option<fn() -> u64>,
}

impl ConvertOptions {
    /// Converts `source` to `out` with every default.
    pub fn new(source: impl Into<String>, out: impl Into<PathBuf>) -> Self {
        Self {
            sources: vec![source.into()],
            from: None,
            out: out.into(),
            overwrite: false,
            open: OpenOptions::default(),
            grouped: None,
            episodes: EpisodeSpec::default(),
            steps: None,
            step_flags: StepFlags::default(),
            schema: None,
            splits: SplitPlan::default(),
            quarantine: BTreeMap::new(),
            on_error: OnError::Fail,
            refuse_empty: false,
            threads: None,
            shard_bytes: 512 << 20,
            access: Access::default(),
            keep_rows: KeepRows::default(),
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
    with_threads(options, || {
        let run = |options| Run::open(formats, options)?.run(progress);
        keeping_misfits(formats, options, progress, run)
    })
}

/// Opens a source for a conversion and reads it, as [`holding_misfits`].
pub(crate) fn keeping_misfits<T, E: From<Error> + AsError>(
    formats: &Formats,
    options: &ConvertOptions,
    progress: &dyn Progress,
    job: impl Fn(ConvertOptions) -> Result<T, E>,
) -> Result<T, E> {
    let source = (formats, options.sources.as_slice(), options.from.as_deref());
    // Damage is passed over while looking only where the conversion does.
    let open = OpenOptions { salvage: options.on_error == OnError::Salvage, ..options.open.clone() };
    holding_misfits(source, &open, progress, |open| job(ConvertOptions { open, ..options.clone() }))
}

/// Runs `job` on the threads that the options ask for.
pub(crate) fn with_threads<T: Send, E: From<Error> + Send>(
    options: &ConvertOptions,
    job: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    let n_threads = options.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().map_err(|err| {
        Error::new(ErrorKind::Config, format!("cannot start {n_threads} threads")).with_source(err)
    })?;
    pool.install(job)
}
