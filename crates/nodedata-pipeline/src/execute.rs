use std::path::{Path, PathBuf};

use nodedata_core::{Error, ErrorKind, Formats, Locus, OpenOptions, Result};
use nodedata_quality::QualityReport;
use nodedata_schema::Schema;

use crate::{
    ConvertOptions, Converted, Environment, Mistake, OnError, Parsed, Progress, SplitPlan, SplitStage,
    convert,
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
            time_range: source.time_range,
            verify_checksums: source.verify_checksums,
            ..OpenOptions::default()
        },
        schema,
        splits: split_plan(&file.splits),
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
        let found = nodedata_normalize::mistakes(steps, opened.source.streams());
        if !found.is_empty() {
            return Err(Refused::Mistakes(parsed.file.path.clone(), parsed.place(&found)));
        }
    }
    Ok(Run::new(formats, options)?)
}

/// Runs a pipeline: the gate first, which reads the source once more and writes nothing, then the conversion.
///
/// # Errors
/// [`Refused::Mistakes`] when the file does not fit its source; otherwise as [`convert()`], and `Denied` when a
/// rule of level `fail` found something.
pub fn execute(
    formats: &Formats,
    parsed: &Parsed,
    options: impl FnOnce(ConvertOptions) -> ConvertOptions,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Executed, Refused> {
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
                let n = report.findings.iter().filter(|it| it.level == first.level).count();
                let message = format!("{} {}: {}", first.code, first.rule, first.message);
                let message = if n > 1 { format!("{message}, and {} more", n - 1) } else { message };
                return Err(Refused::Error(
                    Error::new(ErrorKind::Denied, message)
                        .at(Locus::path(&parsed.file.path))
                        .with_hint(format!("it is about {}; nothing was written", first.place())),
                ));
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
    let converted = convert(formats, &options, progress)?;
    Ok(Executed { converted, quality })
}

/// Reads a `schema.json`.
fn read_schema(path: &Path) -> Result<Schema> {
    let text = std::fs::read_to_string(path).map_err(|err| {
        Error::new(ErrorKind::Config, "cannot read the schema").with_source(err).at(Locus::path(path))
    })?;
    Schema::from_json(&text).map_err(|mistakes| nodedata_schema::into_error(&mistakes, path))
}

fn split_plan(stage: &SplitStage) -> SplitPlan {
    match stage {
        SplitStage::Hash { fractions, key } => {
            SplitPlan::Hash { fractions: fractions.clone(), key: key.clone() }
        }
        SplitStage::Lists(lists) => SplitPlan::Lists(lists.clone()),
        SplitStage::Source => SplitPlan::Source,
    }
}
