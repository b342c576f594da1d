use clap::CommandFactory;
use nodedata_core::Result;

use crate::{Outcome, args::Arguments, message};

/// `node-data completions`.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "node-data", &mut text);
    message::to_stdout(&String::from_utf8_lossy(&text))?;
    Ok(Outcome::Complete)
}

/// `node-data man`.
pub(crate) fn man() -> Result<Outcome> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut text)?;
    message::to_stdout(&String::from_utf8_lossy(&text))?;
    Ok(Outcome::Complete)
}
