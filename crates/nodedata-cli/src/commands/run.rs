use std::path::{Path, PathBuf};

use nodedata_client::{Access, publish};
use nodedata_core::{
    Error, ErrorKind, Result,
    visible::{column_of, padded, visible},
};
use nodedata_pipeline::{ConvertOptions, Outline, Parsed, PublishStage, Refused, execute, load, outline};
use nodedata_registry::PushReport;

use crate::{
    Outcome,
    args::{Output, ProgressArg, RunArgs},
    commands::{convert, dataset::tell_push, report},
    documents, human, interrupt, message, peak_heap,
    progress::Shown,
};

/// `node-data run`.
pub(crate) fn run(args: &RunArgs, output: Output) -> Result<Outcome> {
    match run_file(args, output) {
        Ok(outcome) => Ok(outcome),
        Err(refused) => tell_refused(refused, output),
    }
}

/// Publishes where the environment says, or to the user's own registry.
fn publish_shown(stage: &PublishStage, folder: &Path, progress: ProgressArg) -> Result<PushReport> {
    let shown = Shown::new(progress);
    let report = publish(stage, folder, Access::default().or_environment(), &shown);
    shown.done();
    report
}

fn run_file(args: &RunArgs, output: Output) -> Result<Outcome, Refused> {
    report::check_names(&args.report)?;
    let parsed = load(&args.file, &args.settings, &environment)?;
    let formats = nodedata_formats::builtin();
    let out = args.out.clone().or_else(|| parsed.file.out.clone());
    let (overwrite, threads) = (args.overwrite, args.threads.map(usize::from));
    let adjust = |it: ConvertOptions| ConvertOptions { overwrite, threads, peak_heap: Some(peak_heap), ..it };
    if args.dry_run {
        let out = out.unwrap_or_else(|| PathBuf::from("dataset"));
        let planned = outline(&formats, &parsed, adjust, &out)?;
        let text = match output {
            Output::Json => documents::line(&planned)?,
            Output::Text => told(&planned),
        };
        message::to_stdout(&text)?;
        return Ok(Outcome::Complete);
    }
    let out = out.ok_or_else(|| {
        Error::new(ErrorKind::Config, "the pipeline names no folder for the dataset")
            .with_hint("add `--out DIR`, or `out: DIR` to the file")
    })?;
    interrupt::listen(interrupt::RUN)?;
    let shown = Shown::new(args.progress);
    let result = execute(&formats, &parsed, adjust, &out, &shown);
    shown.done();
    let executed = match result {
        Ok(executed) => executed,
        Err(Refused::Failed(quality, err)) => {
            report::write_all(&args.report, &args.file.display().to_string(), &quality)?;
            return Err(Refused::Error(err));
        }
        Err(refused) => return Err(refused),
    };
    if let Some(quality) = &executed.quality {
        report::write_all(&args.report, &args.file.display().to_string(), quality)?;
    } else if !args.report.is_empty() {
        message::note("no report was written: the pipeline has no `quality`");
    }
    // Published before anything is printed, so that JSON is one document; a failure leaves the dataset in its place.
    let stage = parsed.file.publish.as_ref();
    let published = stage.map(|it| publish_shown(it, &out, args.progress)).transpose()?;
    match output {
        Output::Json => {
            let ran = documents::Ran {
                conversion: documents::Conversion::new(&executed.converted, &out),
                quality: executed.quality.as_ref(),
                published: published.as_ref(),
            };
            message::to_stdout(&documents::line(&ran)?)?;
        }
        Output::Text => {
            if let Some(quality) = &executed.quality {
                message::to_stdout(&report::told(quality))?;
            }
            convert::tell(&executed.converted, &out)?;
            if let Some(published) = &published {
                tell_push(published, output)?;
            }
        }
    }
    Ok(if !executed.converted.is_incomplete() { Outcome::Complete } else { Outcome::Incomplete })
}

pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Prints every mistake of a file as an error of its own; anything else is an error for the caller.
pub(crate) fn tell_refused(refused: Refused, output: Output) -> Result<Outcome> {
    let (path, mistakes) = match refused {
        Refused::Error(err) | Refused::Failed(_, err) => return Err(err),
        Refused::Mistakes(path, mistakes) => (path, mistakes),
    };
    match output {
        Output::Text => {
            mistakes.iter().for_each(|it| message::print_error(&it.to_error(Some(&path)), output));
        }
        Output::Json => {
            let told = documents::Mistakes { mistakes: &mistakes, file: path.display().to_string() };
            message::to_stderr(&documents::line(&told)?);
        }
    }
    Ok(Outcome::Mistaken)
}

fn told(planned: &Outline) -> String {
    let n_bytes: u64 = planned.inputs.iter().map(|(_, n)| n).sum();
    let mut text = format!(
        "source     {} ({}, {}, {})\n",
        visible(&planned.source),
        planned.format,
        human::plural(planned.inputs.len() as u64, "file"),
        human::bytes(n_bytes)
    );
    if !planned.not_read.is_empty() {
        text.push_str(&format!("not read   {}\n", planned.not_read.sentence()));
    }
    let mut splits: Vec<(&str, u64)> = Vec::new();
    for (_, split) in &planned.episodes {
        match splits.iter_mut().find(|(it, _)| it == split) {
            Some((_, n)) => *n += 1,
            None => splits.push((split, 1)),
        }
    }
    let splits: Vec<String> = splits.iter().map(|(name, n)| format!("{} {n}", visible(name))).collect();
    let n_episodes = human::plural(planned.episodes.len() as u64, "episode");
    text.push_str(&format!("episodes   {n_episodes}: {}\n", splits.join(", ")));
    if let Some(by) = &planned.grouped {
        text.push_str(&format!("grouped    {}\n", visible(by)));
    }
    for told in &planned.metadata {
        text.push_str(&format!("metadata   {}\n", visible(told)));
    }
    text.push_str("measured\n");
    let width = column_of(planned.measured.iter().map(|it| it.name.as_str()), 6, 48);
    for stream in &planned.measured {
        let rate = stream.rate_hz.map_or_else(String::new, |it| format!("{it:.1} Hz"));
        let line =
            format!("  {}  {:>9}  {rate:>10}", padded(&stream.name, width), human::count(stream.count));
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text.push_str(&written(planned));
    text.push_str(&format!("shards     {}\n", human::plural(planned.shards.len() as u64, "unit")));
    if !planned.quality.is_empty() {
        let rules: Vec<String> =
            planned.quality.iter().map(|(rule, level)| format!("{rule} {level}")).collect();
        text.push_str(&format!("quality    {}\n", rules.join(", ")));
    }
    text.push_str(&format!(
        "estimated  {} in about {:.1} s, from the first records\n",
        human::bytes(planned.estimated_bytes),
        planned.estimated_seconds
    ));
    if let Some(dataset) = &planned.publishes {
        text.push_str(&format!("publishes  {dataset}\n"));
    }
    text
}

/// What the run would write, stream by stream.
fn written(planned: &Outline) -> String {
    let mut text = "written\n".to_owned();
    for stream in &planned.streams {
        let about = if stream.name == "steps" { "about " } else { "" };
        text.push_str(&format!(
            "  {} ({about}{})\n",
            visible(&stream.name),
            human::plural(stream.rows, "row")
        ));
        if stream.name != "steps" {
            continue;
        }
        for transform in &stream.transform {
            text.push_str(&format!("    {}: of whole steps\n", visible(transform)));
        }
        for feature in &stream.features {
            let from = if feature.from.is_empty() {
                String::new()
            } else {
                format!("  from {}", visible(&feature.from.join(", ")))
            };
            let nulls = feature.nulls.map_or_else(String::new, |it| {
                format!("  null in {} of the first {}", human::count(it.nulls), human::plural(it.rows, "row"))
            });
            let (name, kind) = (visible(&feature.name), visible(&feature.kind));
            let then = match feature.transform.as_slice() {
                [] => String::new(),
                all => format!("  by {}", visible(&all.join(", "))),
            };
            text.push_str(&format!("    {name}: {kind}{from}{then}{nulls}\n"));
        }
    }
    text
}

/// Loads a file for another command.
pub(crate) fn load_file(path: &Path, settings: &[String]) -> Result<Parsed, Refused> {
    load(path, settings, &environment)
}
