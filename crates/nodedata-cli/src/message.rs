use std::io::{IsTerminal, Write};

use nodedata_core::{
    Error,
    visible::{visible, visible_json, visible_lines},
};

use crate::{
    args::Output,
    documents::{self, Failure},
    progress::above_bar,
};

/// Prints an error once, with its causes, its place and what to do next.
pub(crate) fn print_error(err: &Error, output: Output) {
    let failure = Failure::from(err);
    if output == Output::Json {
        return print_failure(&failure);
    }
    let error = failure.error;
    let (red, bold, reset) = if colors() { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
    let mut text = format!("{red}error{reset}{bold}: {}{reset}\n", visible_lines(&error.message));
    if let Some(place) = error.at {
        text.push_str(&format!("  --> {}\n", visible(&place)));
    }
    for cause in error.causes {
        text.push_str(&format!("cause: {}\n", visible_lines(&cause)));
    }
    if let Some(hint) = error.hint {
        text.push_str(&format!("hint: {}\n", visible(&hint)));
    }
    to_stderr(&text);
}

/// Prints a failure as the document it is.
pub(crate) fn print_failure(failure: &Failure<'_>) {
    // Texts alone cannot fail to be written as JSON; were it so, the message would still be told.
    to_stderr(&documents::line(failure).unwrap_or_else(|_| format!("{}\n", failure.error.message)));
}

/// Prints a line for people. Nothing in it drives a terminal; what it names is put in as [`visible`], and breaks no line.
pub(crate) fn note(text: &str) {
    to_stderr(&format!("{}\n", visible_lines(text)));
}

/// Writes text as it is, above a progress bar.
pub(crate) fn to_stderr(text: &str) {
    // A closed stderr is no reason to fail.
    above_bar(|| drop(std::io::stderr().lock().write_all(text.as_bytes())));
}

/// A value as one line of JSON, in which nothing is hidden.
pub(crate) fn json_line(report: &impl serde::Serialize) -> nodedata_core::Result<String> {
    let text = serde_json::to_string(report).map_err(std::io::Error::from)?;
    Ok(format!("{}\n", visible_json(&text)))
}

/// Writes a report to stdout; nothing in it drives a terminal. A reader that went away, such as `head`, is no error.
pub(crate) fn to_stdout(text: &str) -> nodedata_core::Result<()> {
    match std::io::stdout().lock().write_all(visible_lines(text).as_bytes()) {
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => Err(err.into()),
        _ => Ok(()),
    }
}

/// Writes data to stdout, byte for byte where it goes to a program or a file: what is hashed must not change. On a terminal, as
/// [`to_stdout`].
#[cfg(feature = "remote")]
pub(crate) fn data_to_stdout(text: &str) -> nodedata_core::Result<()> {
    if std::io::stdout().is_terminal() {
        return to_stdout(text);
    }
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => Err(err.into()),
        _ => Ok(()),
    }
}

/// Whether stderr takes colors: a terminal, and nobody asked for none.
fn colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()) && std::io::stderr().is_terminal()
}
