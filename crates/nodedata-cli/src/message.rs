use std::io::{IsTerminal, Write};

use nodedata_core::Error;
use serde_json::json;

use crate::{args::Output, progress::above_bar};

/// Prints an error once, with its causes, its place and what to do next.
pub(crate) fn print_error(err: &Error, output: Output) {
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(err);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let place = (!err.locus().is_empty()).then(|| err.locus().to_string());
    let text = match output {
        Output::Json => {
            let kind = format!("{:?}", err.kind());
            let body = json!({
                "kind": kind,
                "message": err.to_string(),
                "at": place,
                "hint": err.hint(),
                "causes": causes,
            });
            format!("{}\n", json!({ "error": body }))
        }
        Output::Text => {
            let (red, bold, reset) =
                if colors() { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
            let mut text = format!("{red}error{reset}{bold}: {err}{reset}\n");
            if let Some(place) = place {
                text.push_str(&format!("  --> {place}\n"));
            }
            for cause in causes {
                text.push_str(&format!("cause: {cause}\n"));
            }
            if let Some(hint) = err.hint() {
                text.push_str(&format!("hint: {hint}\n"));
            }
            text
        }
    };
    to_stderr(&text);
}

/// Prints a line for people.
pub(crate) fn note(text: &str) {
    to_stderr(&format!("{text}\n"));
}

/// Writes text as it is, above a progress bar.
pub(crate) fn to_stderr(text: &str) {
    // A closed stderr is no reason to fail.
    above_bar(|| drop(std::io::stderr().lock().write_all(text.as_bytes())));
}

/// A report as one line of JSON.
pub(crate) fn json_line(report: &impl serde::Serialize) -> nodedata_core::Result<String> {
    let text = serde_json::to_string(report).map_err(std::io::Error::from)?;
    Ok(format!("{text}\n"))
}

/// Writes data to stdout. A reader that went away, such as `head`, is no error.
pub(crate) fn to_stdout(text: &str) -> nodedata_core::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => Err(err.into()),
        _ => Ok(()),
    }
}

/// Whether stderr takes colors: a terminal, and nobody asked for none.
fn colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()) && std::io::stderr().is_terminal()
}
