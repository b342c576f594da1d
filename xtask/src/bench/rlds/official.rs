//! TFDS on the same set, in the same run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::set::Set;
use crate::{
    bench::{measure, path_text, remove},
    workspace::Result,
};

/// What TFDS says of its own reading and writing: its start, which loads TensorFlow, is not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) version: String,
    pub(super) n_steps: u64,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
}

/// Lets TFDS read a set without decoding its pictures, and pyarrow write its steps.
///
/// # Errors
/// When it fails, or does not give every step.
pub(super) fn read(python: &Path, set: &Set, outputs: &Path) -> Result<Reading> {
    let target = outputs.join("official.json");
    let written = outputs.join("official.json.parquet");
    let script = include_str!("official.py").to_owned();
    let source = path_text(&set.version());
    let command = [path_text(python), "-c".to_owned(), script, source, path_text(&target)];
    let (reading, _): (Reading, _) = measure::told_by(&command, &target)?;
    remove(&written)?;
    if reading.n_steps != set.n_steps {
        return Err(format!("TFDS gave {} steps of {}", reading.n_steps, set.n_steps));
    }
    Ok(reading)
}
