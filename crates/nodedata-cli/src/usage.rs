//! The command line: read with its examples, and what is wrong with it told as any other error.

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use clap::{
    FromArgMatches as _,
    error::{Error, ErrorKind},
};

use crate::{
    args::{Arguments, Output},
    documents::{Failure, FailureBody, USAGE},
    help, message,
};

/// What the command line asks for.
///
/// # Errors
/// How to end, where it asks for help or the version, or cannot be read; that has been told.
pub(crate) fn arguments() -> Result<Arguments, ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let read = help::command().try_get_matches_from(&words);
    read.and_then(|it| Arguments::from_arg_matches(&it)).map_err(|err| tell(&err, output_of(&words)))
}

fn tell(err: &Error, output: Output) -> ExitCode {
    if err.use_stderr() && output == Output::Json {
        message::print_failure(&failure(err.kind(), &err.render().to_string()));
    } else {
        // A closed terminal is no reason to end otherwise.
        drop(err.print());
    }
    ExitCode::from(u8::try_from(err.exit_code()).unwrap_or(2))
}

/// How the command line asks for errors, which must be known before it can be read.
fn output_of(words: &[OsString]) -> Output {
    let mut words = words.iter().take_while(|it| *it != "--");
    let mut is_json = false;
    while let Some(word) = words.next() {
        if word == "--format" {
            is_json = words.next().is_some_and(|it| it == "json");
        } else if let Some(value) = word.to_str().and_then(|it| it.strip_prefix("--format=")) {
            is_json = OsStr::new(value) == "json";
        }
    }
    if is_json { Output::Json } else { Output::Text }
}

/// What is told for people: the mistake, then tips and the usage, each after an empty line.
fn failure(kind: ErrorKind, text: &str) -> Failure<'static> {
    let joined = |it: &str| it.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let (message, hint) = if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        ("the command line ends before a command".to_owned(), "`--help` lists the commands".to_owned())
    } else {
        let mut parts = text.split("\n\n");
        let message = joined(parts.next().unwrap_or_default());
        let hint = parts.next().map(joined).unwrap_or_default();
        let message = message.strip_prefix("error: ").map_or(message.clone(), str::to_owned);
        (message, hint)
    };
    let hint = hint.strip_prefix("tip: ").map_or(hint.clone(), str::to_owned);
    Failure {
        error: FailureBody {
            kind: USAGE.to_owned(),
            message,
            at: None,
            hint: (!hint.is_empty()).then_some(hint.into()),
            causes: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> (String, String) {
        let err = help::command().try_get_matches_from(line.split(' ')).expect_err("a mistake");
        let error = failure(err.kind(), &err.render().to_string()).error;
        (error.message, error.hint.unwrap_or_default().into_owned())
    }

    #[test]
    fn mistakes_are_told_in_a_sentence_and_a_hint() {
        let (message, hint) = told("node-data convert a.mcap --outt d");
        assert_eq!(message, "unexpected argument '--outt' found");
        assert_eq!(hint, "a similar argument exists: '--out'");
        let (message, hint) = told("node-data formats --format yaml");
        assert_eq!(message, "invalid value 'yaml' for '--format <OUTPUT>' [possible values: text, json]");
        assert_eq!(hint, "For more information, try '--help'.");
        let (message, hint) = told("node-data convert");
        assert_eq!(message, "the following required arguments were not provided: <SRC>...");
        assert!(hint.starts_with("Usage: node-data convert"), "{hint}");
        assert_eq!(told("node-data dataset").0, "the command line ends before a command");
    }

    #[test]
    fn the_output_is_known_before_the_line_is_read() {
        let output = |line: &str| output_of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(output("node-data convert --fromat x --format json"), Output::Json);
        assert_eq!(output("node-data --format=json nonsense"), Output::Json);
        assert_eq!(output("node-data convert --format"), Output::Text);
        assert_eq!(output("node-data convert -- --format json"), Output::Text);
    }
}
