//! Pipelines whose units are made by several workers: a plan, the share of each, and the end. A plan is the same file that
//! `node-data plan` writes, and either goes on with that of the other.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_formats::builtin;
use nodedata_io::{Writing, refuse_foreign_file, write_file};
use nodedata_pipeline::{ConvertOptions, Plan, Refused, Share, load, plan_prepared, prepare, prepared};
use pyo3::{prelude::*, types::PyDict};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    convert::{arguments, conversion, environment, no_folder, refusal, told},
    errors::mistake,
    json::dictionary,
    source_options::threads,
    watched::watched,
};

/// What a plan says of its pipeline.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Job {
    Pipeline {
        file: PathBuf,
        settings: Vec<String>,
        out: PathBuf,
        /// What the gate found when the plan was made: workers do not look again.
        quarantine: BTreeMap<String, String>,
    },
}

/// Cuts what a pipeline makes into units, and writes the plan of them to a file.
#[pyfunction]
#[pyo3(signature = (pipeline, plan, options = None))]
pub(crate) fn plan<'py>(
    py: Python<'py>,
    pipeline: PathBuf,
    plan: PathBuf,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut given = arguments("plan", py, options)?;
    let progress = given.object("progress");
    let settings = given.texts("set")?.unwrap_or_default();
    let out = given.take::<PathBuf>("out")?;
    let overwrite = given.take_or("overwrite", false)?;
    let threads = threads(&mut given)?;
    given.finish()?;
    let adjust = move |it: ConvertOptions| ConvertOptions { overwrite, threads, ..it };
    let report = watched(py, progress.as_ref(), move |_| {
        refuse_foreign_file(&plan, "plan", |head| head.contains("\"nd\": \"plan/1\""))?;
        // Workers may start in another folder.
        let file = absolute(&pipeline)?;
        let parsed = load(&file, &settings, &environment)?;
        let out = out.or_else(|| parsed.file.out.clone()).ok_or_else(no_folder)?;
        let out = absolute(&out)?;
        let prepared = prepare(&builtin(), &parsed, adjust, &out)?;
        let quarantine = prepared.quarantine().clone();
        let job = told(&Job::Pipeline { file, settings, out, quarantine })?;
        let made = plan_prepared(&prepared, job)?;
        write_file(&plan, made.to_json()?.as_bytes(), Writing::Replace)?;
        let Plan { recipe, units, .. } = &made;
        let bytes: u64 = units.iter().map(|it| it.bytes).sum();
        Ok::<_, Refused>(json!({
            "plan": plan.display().to_string(),
            "recipe": recipe,
            "bytes": bytes,
            "units": units,
        }))
    });
    dictionary(py, &report?.map_err(|refused| refusal(py, refused))?)
}

/// Makes one worker's share of the units of a plan: every `of`-th, from `index` on. Those that are made stay as they are.
#[pyfunction]
#[pyo3(signature = (plan, index, of, progress = None, threads = None))]
pub(crate) fn work<'py>(
    py: Python<'py>,
    plan: PathBuf,
    index: usize,
    of: usize,
    progress: Option<&Bound<'py, PyAny>>,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyDict>> {
    if index >= of {
        let message = format!("there is no worker {index} of {of}");
        return Err(mistake(py, message, "they are counted from 0"));
    }
    let worked = watched(py, progress, move |progress| {
        let (plan, options) = read(&plan, threads)?;
        let share = Share { index, of };
        Ok::<_, Refused>(nodedata_pipeline::work(&builtin(), &options, &plan, share, progress)?)
    });
    dictionary(py, &worked?.map_err(|refused| refusal(py, refused))?)
}

/// Puts the units of a plan together, once workers have made all of them.
#[pyfunction]
#[pyo3(signature = (plan, progress = None, threads = None))]
pub(crate) fn finish<'py>(
    py: Python<'py>,
    plan: PathBuf,
    progress: Option<&Bound<'py, PyAny>>,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyDict>> {
    let report = watched(py, progress, move |progress| {
        let (plan, options) = read(&plan, threads)?;
        let converted = nodedata_pipeline::finish(&builtin(), &options, &plan, progress)?;
        Ok::<_, Refused>(conversion(&converted, &options.out))
    });
    dictionary(py, &report?.map_err(|refused| refusal(py, refused))?)
}

/// A plan, and the options that it was made with.
fn read(path: &Path, threads: Option<usize>) -> Result<(Plan, ConvertOptions), Refused> {
    let plan = Plan::read(path)?;
    let job: Job = serde_json::from_value(plan.job.clone()).map_err(|err| {
        Error::new(ErrorKind::Unsupported, "the plan is not one of a pipeline file")
            .with_source(err)
            .at(Locus::path(path))
            .with_hint("`node-data work` takes the plans of `node-data plan`")
    })?;
    let Job::Pipeline { file, settings, out, quarantine } = job;
    let options = prepared(&builtin(), &load(&file, &settings, &environment)?, &out, quarantine)?;
    Ok((plan, ConvertOptions { threads, ..options }))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|err| {
        Error::new(ErrorKind::Config, "the path has no meaning here").with_source(err).at(Locus::path(path))
    })
}
