use std::io::{IsTerminal, Write};

use nodedata_core::{
    Error,
    visible::{visible, visible_json, visible_lines},
};
use serde_json::json;

use crate::args::Output;

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
            visible_json(&format!("{}\n", json!({ "error": body }))).into_owned()
        }
        Output::Text => {
            let (red, bold, reset) =
                if colors() { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
            let mut text = format!("{red}error{reset}{bold}: {}{reset}\n", visible_lines(&err.to_string()));
            if let Some(place) = place {
                text.push_str(&format!("  --> {}\n", visible(&place)));
            }
            for cause in causes {
                text.push_str(&format!("cause: {}\n", visible_lines(&cause)));
            }
            if let Some(hint) = err.hint() {
                text.push_str(&format!("hint: {}\n", visible_lines(hint)));
            }
            text
        }
    };
    to_stderr(&text);
}

/// Prints a line for people. Nothing in it drives a terminal; what it names is put in as [`visible`], and breaks no line.
pub(crate) fn note(text: &str) {
    to_stderr(&format!("{}\n", visible_lines(text)));
}

fn to_stderr(text: &str) {
    // A closed stderr is no reason to fail.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

/// A report as one line of JSON, in which nothing is hidden. All JSON of this program is written here, or as it is by
/// [`print_error`].
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

/// Whether stderr takes colors: a terminal, and nobody asked for none.
fn colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()) && std::io::stderr().is_terminal()
}
