use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use nodedata_core::{
    Error, ErrorKind, Formats, Locus, OpenOptions, Progress, Result,
    placed::{Mistake, mistakes_to_error},
};
use nodedata_quality::{QualityFinding, QualityReport};
use nodedata_schema::Schema;

use crate::{
    ConvertOptions, Converted, Environment, OnError, Parsed, convert,
    convert::with_threads,
    file::PipelineFile,
    parse_pipeline,
    quality::{check_source, declared_ranges},
    run::Run,
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
pub(crate) fn options(file: &PipelineFile, out: &Path) -> Result<ConvertOptions> {
    let source = &file.source;
    let schema = file.schema.as_deref().map(read_schema).transpose()?;
    Ok(ConvertOptions {
        from: source.format.clone(),
        open: OpenOptions {
            topics: source.topics.clone(),
            undecoded: source.undecoded.clone(),
            decode: source.decode.clone(),
            time_range: source.time_range,
            verify_checksums: source.verify_checksums,
            ..OpenOptions::default()
        },
        schema,
        splits: file.splits.clone(),
        on_error: file.on_error,
        shard_bytes: file.shard_bytes,
        steps: file.steps.clone(),
        ..ConvertOptions::new(source.path.clone(), out)
    })
}

/// Opens the source of a pipeline and holds the file against it.
///
/// # Errors
/// [`Refused::Mistakes`] with every key that does not fit the source.
pub(crate) fn fit<'a>(
    formats: &Formats,
    parsed: &Parsed,
    options: &'a ConvertOptions,
) -> Result<Run<'a>, Refused> {
    if let Some(steps) = &parsed.file.steps {
        let open = OpenOptions { salvage: options.on_error == OnError::Salvage, ..options.open.clone() };
        let opened = crate::open_source(formats, &options.source, options.from.as_deref(), &open)?;
        let found = nodedata_normalize::mistakes(steps, &opened.source.plan().streams);
        if !found.is_empty() {
            return Err(Refused::Mistakes(parsed.file.path.clone(), parsed.place(&found)));
        }
    }
    let run = Run::new(formats, options)?;
    let idle = parsed.idle_rules(&run.source().streams);
    if idle.is_empty() { Ok(run) } else { Err(Refused::Mistakes(parsed.file.path.clone(), idle)) }
}

/// Runs a pipeline: the gate first, which reads the source once more and writes nothing, then the conversion.
///
/// # Errors
/// [`Refused::Mistakes`] when the file does not fit its source; [`Refused::Failed`]
/// when a rule of level `fail` found something; otherwise as [`convert()`].
pub fn execute(
    formats: &Formats,
    parsed: &Parsed,
    options: impl FnOnce(ConvertOptions) -> ConvertOptions,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Executed, Refused> {
    let (options, quality) = prepare(formats, parsed, options, out)?;
    let converted = convert(formats, &options, progress)?;
    Ok(Executed { converted, quality })
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
) -> Result<(ConvertOptions, Option<QualityReport>), Refused> {
    let mut options = options(self::options(&parsed.file, out)?);
    let quality = match &parsed.file.quality {
        Some(rules) => {
            let mut rules = rules.clone();
            if let Some(schema) = &options.schema {
                declared_ranges(schema, &mut rules);
            }
            let report = {
                let run = fit(formats, parsed, &options)?;
                let source = run.opened.source.as_ref();
                with_threads(&options, || check_source(source, &rules, options.on_error == OnError::Salvage))?
            };
            if let Some(first) = report.failure() {
                let err = failure(&parsed.file, &report, first);
                return Err(Refused::Failed(Box::new(report), err));
            }
            for episode in &report.quarantined {
                let reason = format!("{}: {}", episode.code, episode.reason);
                options.quarantine.insert(episode.key.clone(), reason);
            }
            Some(report)
        }
        None => {
            drop(fit(formats, parsed, &options)?);
            None
        }
    };
    Ok((options, quality))
}

/// The conversion that a pipeline comes to, when its gate has been passed before: `quarantine` is what
/// [`prepare`] made of it then.
///
/// # Errors
/// `Config` when the schema cannot be read.
pub fn prepared(parsed: &Parsed, out: &Path, quarantine: BTreeMap<String, String>) -> Result<ConvertOptions> {
    Ok(ConvertOptions { quarantine, ..options(&parsed.file, out)? })
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
