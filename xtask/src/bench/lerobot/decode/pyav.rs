//! PyAV on the same videos, in the same run: what the official reader decodes with, without what it does besides.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    bench::{
        lerobot::{footage::Film, set::Set},
        measure, path_text,
    },
    workspace::Result,
};

/// What PyAV took; its start is not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) version: String,
    pub(super) n_frames: u64,
    /// Of the arrays of pixels.
    pub(super) n_bytes: u64,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
}

/// Lets PyAV decode all videos of a set.
///
/// # Errors
/// When it fails, or does not give every pixel.
pub(super) fn read(
    python: &Path,
    set: &Set,
    film: Film,
    videos: &[PathBuf],
    outputs: &Path,
) -> Result<Reading> {
    let target = outputs.join("pyav.json");
    let mut command =
        vec![path_text(python), "-c".to_owned(), include_str!("pyav.py").to_owned(), path_text(&target)];
    command.extend(videos.iter().map(|it| path_text(it)));
    let (reading, _): (Reading, _) = measure::told_by(&command, &target)?;
    let frame_bytes: u64 = film.size.iter().map(|it| u64::from(*it)).product::<u64>() * 3;
    if (reading.n_frames, reading.n_bytes) != (set.n_frames, set.n_frames * frame_bytes) {
        let Reading { n_frames, n_bytes, .. } = reading;
        return Err(format!("PyAV gave {n_frames} frames of {}, {n_bytes} bytes", set.n_frames));
    }
    Ok(reading)
}
