use std::path::{Path, PathBuf};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_pipeline::{Refused, Trial, is_pipeline, pipeline_json_schema, try_out};

use crate::{
    Outcome,
    args::{Output, PipelineCommand},
    commands::run::{load_file, tell_refused},
    documents::{self, CheckedPipeline, PipelineTests, SkippedFile, TestOfFile},
    message,
};

/// `node-data pipeline`.
pub(crate) fn run(command: PipelineCommand, output: Output) -> Result<Outcome> {
    match command {
        PipelineCommand::Test { files } => test(&files, output),
        PipelineCommand::Check { file, settings } => match load_file(&file, &settings) {
            Ok(_) => {
                message::to_stdout(&match output {
                    Output::Json => documents::line(&CheckedPipeline { mistakes: [] })?,
                    Output::Text => format!("{} can be read\n", file.display()),
                })?;
                Ok(Outcome::Complete)
            }
            Err(refused) => tell_refused(refused, output),
        },
        PipelineCommand::Schema => {
            let text = serde_json::to_string_pretty(&pipeline_json_schema()).map_err(std::io::Error::from)?;
            message::to_stdout(&format!("{text}\n"))?;
            Ok(Outcome::Complete)
        }
    }
}

fn test(files: &[PathBuf], output: Output) -> Result<Outcome> {
    let mut trials: Vec<(String, Trial)> = Vec::new();
    let mut skipped: Vec<(String, &str)> = Vec::new();
    for file in files {
        let name = || file.display().to_string();
        match test_file(file) {
            Ok(Tested::Trials(of_file)) => trials.extend(of_file.into_iter().map(|it| (name(), it))),
            Ok(Tested::Skipped(reason)) => skipped.push((name(), reason)),
            Err(refused) => return tell_refused(refused, output),
        }
    }
    if let Some((file, reason)) = skipped.first().filter(|_| trials.is_empty()) {
        return Err(Error::new(ErrorKind::Config, format!("`{file}` {reason}, so no test ran"))
            .with_hint("add `tests: [{name: …, source: …, expect: {episodes: 1}}]` to a pipeline"));
    }
    let failed = trials.iter().filter(|(_, it)| !it.passed).count();
    let text = match output {
        Output::Json => {
            let tests = trials.iter().map(|(file, test)| TestOfFile { file, test }).collect();
            let skipped = skipped.iter().map(|(file, reason)| SkippedFile { file, reason }).collect();
            documents::line(&PipelineTests { tests, failed, skipped })?
        }
        Output::Text => told(&trials, &skipped),
    };
    message::to_stdout(&text)?;
    Ok(if failed == 0 { Outcome::Complete } else { Outcome::Refused })
}

fn told(trials: &[(String, Trial)], skipped: &[(String, &str)]) -> String {
    let mut text = String::new();
    for (file, trial) in trials {
        let verdict = if trial.passed { "ok    " } else { "failed" };
        text.push_str(&format!("{verdict}  {file}: {}\n", trial.name));
        for difference in &trial.differences {
            text.push_str(&format!("        {difference}\n"));
        }
    }
    for (file, reason) in skipped {
        text.push_str(&format!("skipped {file}: it {reason}\n"));
    }
    let failed = trials.iter().filter(|(_, it)| !it.passed).count();
    text.push_str(&format!("{} of {} tests passed\n", trials.len() - failed, trials.len()));
    text
}

/// What came of one file.
enum Tested {
    Trials(Vec<Trial>),
    /// Why there was nothing to run.
    Skipped(&'static str),
}

/// Runs the tests of one file, each in a folder that is removed afterwards.
fn test_file(file: &Path) -> Result<Tested, Refused> {
    // A file that cannot be read is told by whoever loads it.
    if std::fs::read_to_string(file).is_ok_and(|it| !is_pipeline(&it)) {
        return Ok(Tested::Skipped("is no pipeline"));
    }
    let parsed = load_file(file, &[])?;
    if parsed.file.tests.is_empty() {
        return Ok(Tested::Skipped("has no `tests`"));
    }
    let formats = nodedata_formats::builtin();
    let mut trials = Vec::new();
    for test in &parsed.file.tests {
        let scratch = tempfile::tempdir().map_err(Error::from)?;
        trials.push(try_out(&formats, &parsed, test, &scratch.path().join("dataset"))?);
    }
    Ok(Tested::Trials(trials))
}
