use std::path::{Path, PathBuf};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_pipeline::{Refused, Trial, pipeline_json_schema, try_out};

use crate::{
    Outcome,
    args::{Output, PipelineCommand},
    commands::run::{load_file, tell_refused},
    documents::{self, CheckedPipeline, PipelineTests, TestOfFile},
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
    for file in files {
        match test_file(file) {
            Ok(of_file) => trials.extend(of_file.into_iter().map(|it| (file.display().to_string(), it))),
            Err(refused) => return tell_refused(refused, output),
        }
    }
    let failed = trials.iter().filter(|(_, it)| !it.passed).count();
    let text = match output {
        Output::Json => {
            let tests = trials.iter().map(|(file, test)| TestOfFile { file, test }).collect();
            documents::line(&PipelineTests { tests, failed })?
        }
        Output::Text => told(&trials),
    };
    message::to_stdout(&text)?;
    Ok(if failed == 0 { Outcome::Complete } else { Outcome::Refused })
}

fn told(trials: &[(String, Trial)]) -> String {
    let mut text = String::new();
    for (file, trial) in trials {
        let verdict = if trial.passed { "ok    " } else { "failed" };
        text.push_str(&format!("{verdict}  {file}: {}\n", trial.name));
        for difference in &trial.differences {
            text.push_str(&format!("        {difference}\n"));
        }
    }
    let failed = trials.iter().filter(|(_, it)| !it.passed).count();
    text.push_str(&format!("{} of {} tests passed\n", trials.len() - failed, trials.len()));
    text
}

/// Runs the tests of one file, each in a folder that is removed afterwards.
fn test_file(file: &Path) -> Result<Vec<Trial>, Refused> {
    let parsed = load_file(file, &[])?;
    if parsed.file.tests.is_empty() {
        let err = Error::new(ErrorKind::Config, format!("`{}` has no `tests`", file.display()))
            .with_hint("add `tests: [{name: …, source: …, expect: {episodes: 1}}]`");
        return Err(err.into());
    }
    let formats = nodedata_formats::builtin();
    let mut trials = Vec::new();
    for test in &parsed.file.tests {
        let scratch = tempfile::tempdir().map_err(Error::from)?;
        trials.push(try_out(&formats, &parsed, test, &scratch.path().join("dataset"))?);
    }
    Ok(trials)
}
