//! The official reader on the same set, in the same run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::set::Set;
use crate::{
    bench::{measure, path_text, remove},
    workspace::Result,
};

/// What the official reader says of its own reading: its start, which loads torch, is not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) version: String,
    pub(super) n_frames: u64,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
}

impl Reading {
    /// Frames that a second of CPU time gives.
    pub(super) fn frames_per_cpu_s(&self) -> f64 {
        self.n_frames as f64 / self.cpu_s
    }
}

/// Lets the official reader iterate over a set.
///
/// # Errors
/// When it fails, or does not give every frame.
pub(super) fn read(python: &Path, set: &Set, outputs: &Path) -> Result<Reading> {
    let target = outputs.join("official.json");
    let cache = outputs.join("official.json.cache");
    let script = include_str!("official.py").to_owned();
    let command = [path_text(python), "-c".to_owned(), script, path_text(&set.path), path_text(&target)];
    let (reading, _): (Reading, _) = measure::told_by(&command, &target)?;
    remove(&cache)?;
    if reading.n_frames != set.n_frames {
        return Err(format!("the official reader gave {} frames of {}", reading.n_frames, set.n_frames));
    }
    Ok(reading)
}
