//! `webdataset` and pyarrow on the same set, in the same run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::set::{Kind, Set};
use crate::{
    bench::{measure, path_text, remove},
    workspace::Result,
};

/// What Python says of its own reading and writing; its start is not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) version: String,
    pub(super) n_rows: u64,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
    /// Of the process, mapped files included.
    #[serde(default)]
    pub(super) rss_peak_bytes: u64,
}

/// Lets Python read a set, and pyarrow write its rows to Parquet, zstd level 1.
///
/// # Errors
/// When it fails, or does not give every row.
pub(super) fn read(python: &Path, kind: Kind, set: &Set, outputs: &Path) -> Result<Reading> {
    let target = outputs.join("official.json");
    let written = outputs.join("official.json.parquet");
    let job = match kind {
        Kind::WebDataset => "webdataset",
        Kind::Numbers | Kind::Chat => "jsonl",
        Kind::Csv => "csv",
        Kind::Parquet => "parquet",
        Kind::Ipc => "ipc",
    };
    let script = include_str!("official.py").to_owned();
    let paths = [path_text(&set.path), path_text(&target)];
    let command = [[path_text(python), "-c".to_owned(), script, job.to_owned()].as_slice(), &paths].concat();
    let (reading, measured): (Reading, _) = measure::told_by(&command, &target)?;
    remove(&written)?;
    if reading.n_rows != set.n_rows {
        return Err(format!("Python gave {} rows of {}", reading.n_rows, set.n_rows));
    }
    Ok(Reading { rss_peak_bytes: measured.rss_peak_bytes, ..reading })
}

/// The reading in the middle, by time on the clock.
pub(super) fn median_of(mut readings: Vec<Reading>) -> Option<Reading> {
    readings.sort_by(|one, two| one.wall_s.total_cmp(&two.wall_s));
    let middle = readings.len() / 2;
    (middle < readings.len()).then(|| readings.swap_remove(middle))
}
