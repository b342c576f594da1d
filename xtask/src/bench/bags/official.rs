//! `rosbags` on the same bag, in the same run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    bench::{measure, path_text},
    workspace::Result,
};

/// What `rosbags` says of its own reading; its start is not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) version: String,
    pub(super) n_messages: u64,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
}

/// Lets `rosbags` decode every message of a bag and write nothing.
///
/// # Errors
/// When it fails, or does not give every message.
pub(super) fn read(python: &Path, bag: &Path, n_wanted: u64, outputs: &Path) -> Result<Reading> {
    let target = outputs.join("official.json");
    let script = include_str!("official.py").to_owned();
    let command = [path_text(python), "-c".to_owned(), script, path_text(bag), path_text(&target)];
    let (reading, _): (Reading, _) = measure::told_by(&command, &target)?;
    if reading.n_messages != n_wanted {
        return Err(format!("`rosbags` gave {} messages of {n_wanted}", reading.n_messages));
    }
    Ok(reading)
}
