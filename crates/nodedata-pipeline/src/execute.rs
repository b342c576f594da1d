use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use nodedata_core::{
    Error, ErrorKind, Formats, Locus, OpenOptions, Progress, Result, Silent, StreamKind,
    placed::{Mistake, mistakes_to_error},
};
use nodedata_normalize::{Unfit, grouped_streams};
use nodedata_quality::{QualityFinding, QualityReport};
use nodedata_schema::Schema;

use crate::{
    ConvertOptions, Converted, Environment, OnError, OpenedSource, Parsed,
    convert::{keeping_misfits, with_threads},
    episode_tables::read_tables,
    file::PipelineFile,
    group::mistakes,
    learned::Learned,
    message_paths::read_message_paths,
    misfits::AsError,
    parse_pipeline,
    quality::{check_source, declared_ranges},
    run::{Run, open_for},
};

/// Why a pipeline did not run.
#[derive(Debug)]
pub enum Refused {
    /// The file is wrong; nothing was read or written.
    Mistakes(PathBuf, Vec<Mistake>),
    /// A rule of level `fail` found something; nothing was written.
    Failed(Box<QualityReport>, Error),
    /// Something else.
    Error(Error),
}

impl AsError for Refused {
    fn is_misfit(&self) -> bool {
        match self {
            Self::Error(err) => err.is_misfit(),
            Self::Mistakes(..) | Self::Failed(..) => false,
        }
    }
}

impl From<Error> for Refused {
    fn from(err: Error) -> Self {
        Self::Error(err)
    }
}

/// What a pipeline did.
#[derive(Debug)]
pub struct Executed {
    /// The dataset.
    pub converted: Converted,
    /// What the quality gate found; `None` without a gate, and when nothing was to be done.
    pub quality: Option<QualityReport>,
}

/// Reads a pipeline file. `settings` are `key.path=value`.
///
/// # Errors
/// [`Refused::Error`] when the file cannot be read, [`Refused::Mistakes`] with all mistakes in it.
pub fn load(path: &Path, settings: &[String], environment: Environment<'_>) -> Result<Parsed, Refused> {
    let text = std::fs::read_to_string(path).map_err(|err| {
        Error::new(ErrorKind::Config, "cannot read the pipeline file")
            .with_source(err)
            .at(Locus::path(path))
            .with_hint("`node-data init SRC --out FILE` writes one to start from")
    })?;
    parse_pipeline(&text, path, settings, environment)
        .map_err(|mistakes| Refused::Mistakes(path.to_owned(), mistakes))
}

/// What a pipeline asks of a conversion, before its gate.
pub(crate) fn options(formats: &Formats, file: &PipelineFile, out: &Path) -> Result<ConvertOptions> {
    let source = &file.source;
    let schema = file.schema.as_deref().map(read_schema).transpose()?;
    Ok(ConvertOptions {
        from: source.format.clone(),
        open: OpenOptions {
            topics: source.topics.clone(),
            undecoded: source.undecoded.clone(),
            message_paths: read_message_paths(&source.message_paths)?,
            decode: source.decode.clone(),
            embed: source.embed.clone(),
            moments: source.moments,
            verify_checksums: source.verify_checksums,
            on_misfit: file.on_misfit,
            options: source.options.clone(),
            ..OpenOptions::default()
        },
        schema,
        splits: file.splits.clone(),
        on_error: file.on_error,
        shard_bytes: file.shard_bytes,
        access: file.access,
        grouped: file.grouped.clone(),
        episodes: read_tables(formats, &file.episodes)?,
        steps: file.steps.clone(),
        sources: source.paths.clone(),
        refuse_empty: true,
        ..ConvertOptions::new("", out)
    })
}

/// Opens the source of a pipeline, once, and holds the file against it.
///
/// # Errors
/// [`Refused::Mistakes`] with every key that does not fit the source.
pub(crate) fn fit(formats: &Formats, parsed: &Parsed, options: ConvertOptions) -> Result<Run, Refused> {
    let started = Instant::now();
    let opened = open_for(formats, &options, &Learned::noted(&options.out))?;
    fit_over(formats, opened, parsed, options, started)
}

/// Holds the file of a pipeline against its source.
///
/// # Errors
/// As [`fit`].
pub(crate) fn fit_over(
    formats: &Formats,
    opened: OpenedSource,
    parsed: &Parsed,
    options: ConvertOptions,
    started: Instant,
) -> Result<Run, Refused> {
    check_steps(formats, &opened, parsed)?;
    let run = Run::over(opened, options, started).map_err(|it| match it {
        Unfit::Mistakes(found) => Refused::Mistakes(parsed.file.path.clone(), parsed.place(&found)),
        Unfit::Error(err) => Refused::Error(err),
    })?;
    let mut idle = parsed.idle_rules(&run.source().streams);
    idle.extend(parsed.idle_splits(&run.source().episodes));
    if idle.is_empty() { Ok(run) } else { Err(Refused::Mistakes(parsed.file.path.clone(), idle)) }
}

/// Holds the episodes and steps of a pipeline against its source.
///
/// # Errors
/// [`Refused::Mistakes`] with all of them.
pub(crate) fn check_steps(formats: &Formats, opened: &OpenedSource, parsed: &Parsed) -> Result<(), Refused> {
    let file = &parsed.file;
    let streams = opened.source.plan().streams.as_slice();
    let can_group = streams.iter().all(|it| it.kind == StreamKind::Samples);
    let mut found = file.grouped.as_ref().map_or_else(Vec::new, |by| mistakes(by, opened, formats));
    let streams = match &file.grouped {
        Some(_) => Cow::Owned(grouped_streams(streams)),
        None => Cow::Borrowed(streams),
    };
    // What cannot be grouped has no steps that fields are taken of.
    if let Some(steps) = file.steps.as_ref().filter(|_| can_group || file.grouped.is_none()) {
        found.extend(nodedata_normalize::mistakes(steps, &streams));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Refused::Mistakes(file.path.clone(), parsed.place(&found)))
}

/// Runs a pipeline: the gate first, which reads the source once more and writes nothing, then the conversion.
///
/// # Errors
/// [`Refused::Mistakes`] when the file does not fit its source; [`Refused::Failed`]
/// when a rule of level `fail` found something; otherwise as [`crate::convert()`].
pub fn execute(
    formats: &Formats,
    parsed: &Parsed,
    options: impl FnOnce(ConvertOptions) -> ConvertOptions,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Executed, Refused> {
    let options = options(self::options(formats, &parsed.file, out)?);
    // What only the end of a run shows of the file, such as a field without any value, has its place as well.
    let placed = |err: Error| match err.kind() {
        ErrorKind::Config => err.at(Locus::path(&parsed.file.path)),
        _ => err,
    };
    with_threads(&options, || {
        keeping_misfits(formats, &options, progress, |options| {
            let Prepared { run, quality } = prepare_once(formats, parsed, options)?;
            let converted = run.run(progress).map_err(placed)?;
            Ok(Executed { converted, quality })
        })
    })
}

/// A pipeline whose source is open and whose gate has been passed.
pub struct Prepared {
    pub(crate) run: Run,
    /// What the gate found; `None` without a gate.
    pub quality: Option<QualityReport>,
}

impl Prepared {
    /// Episodes that the gate keeps out of the splits, by key, each with its reason.
    pub fn quarantine(&self) -> &BTreeMap<String, String> {
        &self.run.options.quarantine
    }
}

/// What a pipeline comes to: the conversion, once the gate has said which episodes are to be kept apart, and
/// what the gate found.
///
/// # Errors
/// As [`execute`], but for those of the conversion.
pub fn prepare(
    formats: &Formats,
    parsed: &Parsed,
    options: impl FnOnce(ConvertOptions) -> ConvertOptions,
    out: &Path,
) -> Result<Prepared, Refused> {
    let options = options(self::options(formats, &parsed.file, out)?);
    with_threads(&options, || {
        keeping_misfits(formats, &options, &Silent, |options| prepare_once(formats, parsed, options))
    })
}

fn prepare_once(formats: &Formats, parsed: &Parsed, options: ConvertOptions) -> Result<Prepared, Refused> {
    let limits = options.clone();
    let mut run = fit(formats, parsed, options)?;
    run.refuse_foreign_output()?;
    let Some(rules) = &parsed.file.quality else { return Ok(Prepared { run, quality: None }) };
    let mut rules = rules.clone();
    if let Some(schema) = &limits.schema {
        declared_ranges(schema, &mut rules);
    }
    let salvage = limits.on_error == OnError::Salvage;
    let report = check_source(run.opened.source.as_ref(), &rules, salvage)?;
    if let Some(first) = report.failure() {
        let err = failure(&parsed.file, &report, first);
        return Err(Refused::Failed(Box::new(report), err));
    }
    let reason = |it: &nodedata_quality::Quarantined| format!("{}: {}", it.code, it.reason);
    run.quarantine(report.quarantined.iter().map(|it| (it.key.clone(), reason(it))).collect());
    Ok(Prepared { run, quality: Some(report) })
}

/// The conversion that a pipeline comes to, when its gate has been passed before: `quarantine` is what
/// [`prepare`] made of it then.
///
/// # Errors
/// `Config` when the schema or a table of episodes cannot be read.
pub fn prepared(
    formats: &Formats,
    parsed: &Parsed,
    out: &Path,
    quarantine: BTreeMap<String, String>,
) -> Result<ConvertOptions> {
    Ok(ConvertOptions { quarantine, ..options(formats, &parsed.file, out)? })
}

/// Why the gate fails a run.
fn failure(file: &PipelineFile, report: &QualityReport, first: &QualityFinding) -> Error {
    let failed = report.rules.iter().filter(|it| it.level == first.level);
    let n: u64 = failed.map(|it| it.n_findings).sum();
    let mut message = format!("{} {}: {}", first.code, first.rule, first.message);
    if n > 1 {
        message.push_str(&format!(", and {} more findings", n - 1));
    }
    Error::new(ErrorKind::Denied, message)
        .at(Locus::path(&file.path))
        .with_hint(format!("it is about {}; nothing was written", first.place()))
}

/// Reads a `schema.json`.
fn read_schema(path: &Path) -> Result<Schema> {
    let text = std::fs::read_to_string(path).map_err(|err| {
        Error::new(ErrorKind::Config, "cannot read the schema").with_source(err).at(Locus::path(path))
    })?;
    Schema::from_json(&text).map_err(|mistakes| mistakes_to_error(&mistakes, Some(path)))
}
