use std::path::{Path, PathBuf};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_pipeline::{ConvertOptions, Plan, PlannedUnit, Share, Worked};
use serde_json::json;

use crate::{
    Outcome,
    args::{ConvertArgs, FinishArgs, HowArgs, Output, PlanArgs, WorkArgs},
    commands::convert,
    human, message,
    progress::Shown,
};

/// `node-data plan`.
pub(crate) fn plan(args: PlanArgs, output: Output) -> Result<Outcome> {
    let PlanArgs { mut convert, plan: path } = args;
    // Workers may start in another folder.
    if !convert.source.source.contains("://") {
        convert.source.source = absolute(Path::new(&convert.source.source))?.display().to_string();
    }
    convert.out = absolute(&convert.out)?;
    convert.schema = convert.schema.as_deref().map(absolute).transpose()?;
    let job = serde_json::to_value(&convert).map_err(std::io::Error::from)?;
    let options = convert::options(convert)?;
    let plan = nodedata_pipeline::plan(&nodedata_formats::builtin(), &options, job)?;
    write_whole(&path, &plan.to_json()?)?;
    let bytes: u64 = plan.units.iter().map(|it| it.bytes).sum();
    let text = match output {
        Output::Json => {
            let units: Vec<&PlannedUnit> = plan.units.iter().collect();
            format!("{}\n", json!({"plan": path, "recipe": plan.recipe, "bytes": bytes, "units": units}))
        }
        Output::Text => format!(
            "{} of {} in all, from {}: planned in {}\n",
            human::plural(plan.units.len() as u64, "unit"),
            human::bytes(bytes),
            human::plural(plan.inputs.len() as u64, "input file"),
            path.display(),
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
    let (plan, options) = read(&args.plan, &args.how)?;
    let shown = Shown::new(args.how.progress);
    let result = nodedata_pipeline::work(&nodedata_formats::builtin(), &options, &plan, share, &shown);
    shown.done();
    let worked = result?;
    let text = match output {
        Output::Json => message::json_line(&worked)?,
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
    let (plan, options) = read(&args.plan, &args.how)?;
    let shown = Shown::new(args.how.progress);
    let result = nodedata_pipeline::finish(&nodedata_formats::builtin(), &options, &plan, &shown);
    shown.done();
    convert::report(&result?, &options.out, output)
}

/// The plan, and the options that it was made with.
fn read(path: &Path, how: &HowArgs) -> Result<(Plan, ConvertOptions)> {
    let plan = Plan::read(path)?;
    let job: ConvertArgs = serde_json::from_value(plan.job.clone()).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "the plan does not say what to convert")
            .with_source(err)
            .at(Locus::path(path))
    })?;
    let options = convert::options(ConvertArgs { threads: how.threads, progress: how.progress, ..job })?;
    Ok((plan, options))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|err| {
        Error::new(ErrorKind::Config, "the path has no meaning here").with_source(err).at(Locus::path(path))
    })
}

/// Workers may look for the plan at any time: it is there as a whole, or not at all.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, path)).map_err(|err| {
        Error::new(ErrorKind::Io, "cannot write the plan").with_source(err).at(Locus::path(path))
    })
}
