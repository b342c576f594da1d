use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Parser as _;
use nodedata_core::{Error, ErrorKind, Locus, Result, visible::visible};
use nodedata_io::{Writing, refuse_foreign_file, write_file};
use nodedata_pipeline::{ConvertOptions, Plan, Refused, Share, Worked, prepare, prepared};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Outcome,
    args::{Arguments, Command, ConvertArgs, FinishArgs, HowArgs, Output, PlanArgs, WorkArgs},
    commands::{
        convert,
        run::{load_file, tell_refused},
    },
    documents, human, interrupt, message, peak_heap,
    progress::Shown,
};

/// What a plan says of the command that made it, for the workers to make the same options again.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Job {
    Convert(Box<ConvertArgs>),
    Pipeline {
        file: PathBuf,
        settings: Vec<String>,
        out: PathBuf,
        /// What the gate found when the plan was made: workers do not look again.
        quarantine: BTreeMap<String, String>,
    },
}

/// `node-data plan`.
pub(crate) fn plan(args: PlanArgs, output: Output) -> Result<Outcome> {
    let path = args.plan.clone();
    refuse_foreign_file(&path, "plan", |head| head.contains("\"nd\": \"plan/1\""))?;
    let plan = match planned(args) {
        Ok(it) => it,
        Err(refused) => return tell_refused(refused, output),
    };
    // Workers may look for it at any time.
    write_file(&path, plan.to_json()?.as_bytes(), Writing::Replace)?;
    let bytes: u64 = plan.units.iter().map(|it| it.bytes).sum();
    let text = match output {
        Output::Json => {
            let Plan { recipe, units, .. } = &plan;
            documents::line(&documents::Planned { plan: &path, recipe, bytes, units })?
        }
        Output::Text => format!(
            "{} of {} in all, from {}: planned in {}\n",
            human::plural(plan.units.len() as u64, "unit"),
            human::bytes(bytes),
            human::plural(plan.inputs.len() as u64, "input file"),
            visible(&path.to_string_lossy()),
        ),
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

/// `node-data work`.
pub(crate) fn work(args: &WorkArgs, output: Output) -> Result<Outcome> {
    let share = Share { index: args.index, of: args.of as usize };
    if share.index >= share.of {
        let message = format!("there is no worker {} of {}: they are counted from 0", share.index, share.of);
        return Err(Error::new(ErrorKind::Config, message));
    }
    let (plan, options) = match read(&args.plan, &args.how) {
        Ok(it) => it,
        Err(refused) => return tell_refused(refused, output),
    };
    interrupt::listen(interrupt::RUN)?;
    let shown = Shown::new(args.how.progress);
    let result = nodedata_pipeline::work(&nodedata_formats::builtin(), &options, &plan, share, &shown);
    shown.done();
    let worked = result?;
    let text = match output {
        Output::Json => documents::line(&worked)?,
        Output::Text => {
            let Worked { units, made, reused } = worked;
            format!("{}: {made} made, {reused} finished before\n", human::plural(units as u64, "unit"))
        }
    };
    message::to_stdout(&text)?;
    Ok(Outcome::Complete)
}

/// `node-data finish`.
pub(crate) fn finish(args: &FinishArgs, output: Output) -> Result<Outcome> {
    let (plan, options) = match read(&args.plan, &args.how) {
        Ok(it) => it,
        Err(refused) => return tell_refused(refused, output),
    };
    interrupt::listen(interrupt::RUN)?;
    let shown = Shown::new(args.how.progress);
    let result = nodedata_pipeline::finish(&nodedata_formats::builtin(), &options, &plan, &shown);
    shown.done();
    convert::report(&result?, &options.out, output)
}

fn to_json(job: &Job) -> Result<Value> {
    Ok(serde_json::to_value(job).map_err(std::io::Error::from)?)
}

/// Plans a conversion by its flags, or a pipeline file.
fn planned(args: PlanArgs) -> Result<Plan, Refused> {
    let PlanArgs { mut convert, .. } = args;
    // Workers may start in another folder.
    let out = absolute(convert::output_of(&convert)?)?;
    convert.out = Some(out.clone());
    let is_yaml = |it: &Path| it.extension().is_some_and(|it| it == "yaml" || it == "yml") && it.is_file();
    let pipeline = match convert.source.sources.as_slice() {
        [one] if is_yaml(Path::new(one)) => Some(absolute(Path::new(one))?),
        _ => None,
    };
    let Some(file) = pipeline else {
        for source in convert.source.sources.iter_mut().filter(|it| !it.contains("://") && *it != "-") {
            *source = absolute(Path::new(source))?.display().to_string();
        }
        convert.schema = convert.schema.as_deref().map(absolute).transpose()?;
        let options = convert::options(convert.clone())?;
        let job = to_json(&Job::Convert(Box::new(convert)))?;
        return Ok(nodedata_pipeline::plan(&nodedata_formats::builtin(), &options, job)?);
    };
    let settings = std::mem::take(&mut convert.source.settings);
    refuse_flags(&convert)?;
    let parsed = load_file(&file, &settings)?;
    let (overwrite, threads) = (convert.overwrite, convert.threads.map(usize::from));
    let adjust = |it: ConvertOptions| ConvertOptions { overwrite, threads, ..it };
    let prepared = prepare(&nodedata_formats::builtin(), &parsed, adjust, &out)?;
    let quarantine = prepared.quarantine().clone();
    let job = Job::Pipeline { file, settings, out, quarantine };
    Ok(nodedata_pipeline::plan_prepared(&prepared, to_json(&job)?)?)
}

/// A pipeline file says what to do; flags that say so, too, would be passed over in silence.
fn refuse_flags(given: &ConvertArgs) -> Result<()> {
    let ConvertArgs { source, out, overwrite, threads, progress, .. } = given.clone();
    let words = ["node-data".to_owned(), "convert".to_owned()].into_iter().chain(source.sources);
    let out = out.map(|it| ["--out".into(), it.into_os_string()]);
    let plain = words.map(OsString::from).chain(out.into_iter().flatten());
    let plain = match Arguments::try_parse_from(plain).map(|it| it.command) {
        Ok(Command::Convert(plain)) => ConvertArgs { overwrite, threads, progress, ..*plain },
        Ok(_) | Err(_) => return Ok(()),
    };
    let text = |it: &ConvertArgs| serde_json::to_value(it).map_err(std::io::Error::from);
    if text(given)? == text(&plain)? {
        return Ok(());
    }
    let message = "a flag of `convert` is given beside a pipeline file, which says the same";
    Err(Error::new(ErrorKind::Config, message).with_hint("change the file, or use `--set KEY=VALUE`"))
}

/// The plan, and the options that it was made with.
fn read(path: &Path, how: &HowArgs) -> Result<(Plan, ConvertOptions), Refused> {
    let plan = Plan::read(path)?;
    let job: Job = serde_json::from_value(plan.job.clone()).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "the plan does not say what to convert")
            .with_source(err)
            .at(Locus::path(path))
    })?;
    let options = match job {
        Job::Convert(args) => convert::options(ConvertArgs { overwrite: false, ..*args })?,
        Job::Pipeline { file, settings, out, quarantine } => {
            prepared(&nodedata_formats::builtin(), &load_file(&file, &settings)?, &out, quarantine)?
        }
    };
    let threads = how.threads.map(usize::from);
    Ok((plan, ConvertOptions { threads, peak_heap: Some(peak_heap), ..options }))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|err| {
        Error::new(ErrorKind::Config, "the path has no meaning here").with_source(err).at(Locus::path(path))
    })
}
