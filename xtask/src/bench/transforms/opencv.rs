//! OpenCV on the same frames, in the same run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::frames::{Frames, N_FRAMES};
use crate::{
    bench::{measure, path_text},
    workspace::Result,
};

/// What Python says of its own work; its start is not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) version: String,
    pub(super) n_frames: u64,
    /// Of all that it made.
    pub(super) n_bytes: u64,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
}

/// Lets OpenCV resize and code every frame of a file.
///
/// # Errors
/// When it fails, or leaves frames out.
pub(super) fn work(python: &Path, frames: &Frames, outputs: &Path) -> Result<Reading> {
    let target = outputs.join("opencv.json");
    let script = include_str!("opencv.py").to_owned();
    let kind = if frames.is_jpeg { "jpeg" } else { "raw" };
    let paths = [path_text(&frames.path), path_text(&target)];
    let command = [[path_text(python), "-c".to_owned(), script, kind.to_owned()].as_slice(), &paths].concat();
    let (reading, _): (Reading, _) = measure::told_by(&command, &target)?;
    if reading.n_frames != N_FRAMES {
        return Err(format!("OpenCV made {} frames of {N_FRAMES}", reading.n_frames));
    }
    Ok(reading)
}
