//! Conversions, pipelines and checks: the functions of the pipeline crate, whose reports are dictionaries.

use std::path::{Path, PathBuf};

use nodedata_client::{Access, publish};
use nodedata_core::{Error, ErrorKind, FindingKind, OpenOptions};
use nodedata_dataset::{DamageEntry, Dataset};
use nodedata_formats::builtin;
use nodedata_pipeline::{
    ConvertOptions, Converted, Depth, Refused, check_quality, execute, load, open_source, outline,
};
use nodedata_quality::Rules;
use pyo3::{prelude::*, types::PyDict};
use serde_json::{Value, json};

use crate::{
    arguments::{Arguments, texts},
    errors::{Failure, OrRaise as _, raised},
    json::{dictionary, document},
    source_options::{convert_options, open_options, threads},
    watched::watched,
};

/// Converts a source, or several as one, to a dataset.
#[pyfunction]
#[pyo3(signature = (src, out, options = None))]
pub(crate) fn convert<'py>(
    py: Python<'py>,
    src: &Bound<'py, PyAny>,
    out: PathBuf,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut given = arguments("convert", py, options)?;
    let progress = given.object("progress");
    let options = convert_options(&mut given, texts(src)?, out)?;
    given.finish()?;
    let converted = watched(py, progress.as_ref(), move |progress| {
        let converted = nodedata_pipeline::convert(&builtin(), &options, progress)?;
        Ok::<_, Failure>(conversion(&converted, &options.out))
    });
    dictionary(py, &converted?.or_raise(py)?)
}

/// Says what is in a source.
#[pyfunction]
#[pyo3(signature = (src, options = None))]
pub(crate) fn inspect<'py>(
    py: Python<'py>,
    src: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut given = arguments("inspect", py, options)?;
    let progress = given.object("progress");
    let (sources, from) = (texts(src)?, given.take::<String>("from")?);
    let depth = if given.take_or("full", false)? { Depth::Full } else { Depth::Enough };
    let open = open_options(&mut given)?;
    given.finish()?;
    let found = watched(py, progress.as_ref(), move |progress| {
        nodedata_pipeline::inspect(&builtin(), &sources, from.as_deref(), &open, depth, progress)
    });
    dictionary(py, &found?.or_raise(py)?)
}

/// Runs a pipeline file, and publishes what it makes where the file says so. With `dry_run` it says what would be done.
#[pyfunction]
#[pyo3(signature = (pipeline, progress = None, **options))]
pub(crate) fn run<'py>(
    py: Python<'py>,
    pipeline: PathBuf,
    progress: Option<&Bound<'py, PyAny>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut given = arguments("run", py, options)?;
    let settings = given.texts("set")?.unwrap_or_default();
    let out = given.take::<PathBuf>("out")?;
    let overwrite = given.take_or("overwrite", false)?;
    let threads = threads(&mut given)?;
    let is_dry = given.take_or("dry_run", false)?;
    given.finish()?;
    let adjust = move |it: ConvertOptions| ConvertOptions { overwrite, threads, ..it };
    let report = watched(py, progress, move |progress| {
        let parsed = load(&pipeline, &settings, &environment)?;
        let out = out.or_else(|| parsed.file.out.clone());
        if is_dry {
            let out = out.unwrap_or_else(|| PathBuf::from("dataset"));
            return Ok(told(&outline(&builtin(), &parsed, adjust, &out)?)?);
        }
        let out = out.ok_or_else(no_folder)?;
        let executed = execute(&builtin(), &parsed, adjust, &out, progress)?;
        // What was converted stays where it is when publishing fails.
        let access = || Access::default().or_environment();
        let stage = parsed.file.publish.as_ref();
        let published = stage.map(|it| publish(it, &out, access(), progress)).transpose()?;
        let mut report = conversion(&executed.converted, &out);
        if let Value::Object(entries) = &mut report {
            entries.insert("quality".to_owned(), told(&executed.quality)?);
            entries.insert("published".to_owned(), told(&published)?);
        }
        Ok::<_, Refused>(report)
    });
    dictionary(py, &report?.map_err(|refused| refusal(py, refused))?)
}

/// Checks a dataset: its files against each other and, with `deep`, every row; or the pointers of a source that is none.
#[pyfunction]
#[pyo3(signature = (path, deep = false, progress = None, quality = true))]
pub(crate) fn validate<'py>(
    py: Python<'py>,
    path: PathBuf,
    deep: bool,
    progress: Option<&Bound<'py, PyAny>>,
    quality: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let report = watched(py, progress, move |progress| {
        if path.is_dir() && !path.join("manifest.json").is_file() {
            return audit(&path);
        }
        let dataset = Dataset::open(&path)?;
        let found = nodedata_dataset::validate(&dataset, deep, progress)?;
        let is_sound = found.is_sound();
        // Rows of damaged files say nothing about the recording.
        let rules = (quality && is_sound).then(Rules::warn);
        let quality = rules.map(|it| check_quality(&dataset, &it, progress)).transpose()?;
        let mut report = told(&found)?;
        if let Value::Object(entries) = &mut report {
            let is_failed = quality.as_ref().is_some_and(|it| it.failure().is_some());
            entries.insert("sound".to_owned(), (is_sound && !is_failed).into());
            entries.insert("quality".to_owned(), told(&quality)?);
        }
        Ok::<_, Failure>(report)
    });
    dictionary(py, &report?.or_raise(py)?)
}

/// What the pointers of a source get wrong, found without reading its rows.
fn audit(source: &Path) -> Result<Value, Failure> {
    let options = OpenOptions { salvage: true, ..OpenOptions::default() };
    let opened = open_source(&builtin(), &[source.display().to_string()], None, &options)?;
    let plan = opened.source.plan();
    let entries = |kind| plan.findings_of(kind).map(DamageEntry::from).collect::<Vec<_>>();
    let (damage, repairs) = (entries(FindingKind::Damage), entries(FindingKind::Repair));
    let is_sound = damage.is_empty() && repairs.is_empty();
    Ok(json!({
        "format": opened.format.name(),
        "episodes": plan.episodes.len(),
        "damage": damage,
        "repairs": repairs,
        "warnings": entries(FindingKind::Warning),
        "not_read": opened.not_read,
        "sound": is_sound,
    }))
}

/// What a conversion did.
pub(crate) fn conversion(converted: &Converted, out: &Path) -> Value {
    let Converted { manifest, report, unchanged } = converted;
    json!({
        "out": out.display().to_string(),
        "recipe": manifest.recipe,
        "content_root": manifest.content_root,
        "shards": manifest.shards.len(),
        "report": report,
        "unchanged": unchanged,
        "incomplete": converted.is_incomplete(),
    })
}

/// The arguments of a call that may have none.
pub(crate) fn arguments<'py>(
    of: &'static str,
    py: Python<'py>,
    given: Option<&Bound<'py, PyDict>>,
) -> PyResult<Arguments<'py>> {
    match given {
        Some(given) => Arguments::of(of, given),
        None => Arguments::of(of, &PyDict::new(py)),
    }
}

/// The exception for a pipeline that is refused. Where its gate refused it, what that found is its `report`.
pub(crate) fn refusal(py: Python<'_>, refused: Refused) -> PyErr {
    let report = match &refused {
        Refused::Failed(report, _) => Some(document(py, report)),
        Refused::Mistakes(..) | Refused::Error(_) => None,
    };
    let err = raised(py, &refused.into());
    match report.map(|it| err.value(py).setattr("report", it?)) {
        None | Some(Ok(())) => err,
        Some(Err(other)) => other,
    }
}

/// Variables that a pipeline names.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A report as a document.
pub(crate) fn told(body: &impl serde::Serialize) -> nodedata_core::Result<Value> {
    serde_json::to_value(body)
        .map_err(|err| Error::new(ErrorKind::Corrupt, "the report cannot be written").with_source(err))
}

/// The mistake where nobody says where a dataset goes.
pub(crate) fn no_folder() -> Error {
    Error::new(ErrorKind::Config, "the pipeline names no folder for the dataset")
        .with_hint("give `out`, or add `out: DIR` to the file")
}
