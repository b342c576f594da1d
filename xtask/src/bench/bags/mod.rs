//! Bags of ROS 2 and ROS 1 beside the same messages in MCAP.

mod messages;
mod official;
mod packed;
mod report;
mod ros1;
mod sqlite;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::{official::Reading, ros1::Chunks};
use super::{
    conversion::{Conversion, convert},
    inputs::{self, Input, Mix},
    measure::{self, Measured, median, median_of, middle},
    path_text, remove,
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

pub(super) use report::{json, markdown};
pub(super) use sqlite::{by_crate, by_walk};

/// Recordings of the bench, by name of the job.
const JOBS: [(&str, Mix); 2] = [("bags-jpeg", Mix::Jpeg), ("bags-numeric", Mix::Numeric)];

/// What the bags are.
const KINDS: [Kind; 4] = [Kind::Sqlite, Kind::Packed, Kind::Ros1(Chunks::None), Kind::Ros1(Chunks::Lz4)];

/// Changes when the bytes made here change, so that old bags are not used.
const GENERATION: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    /// The same file, compressed as a whole.
    Packed,
    Ros1(Chunks),
}

impl Kind {
    fn name(self) -> String {
        match self {
            Self::Sqlite => "SQLite".to_owned(),
            Self::Packed => "SQLite, zstd of the file".to_owned(),
            Self::Ros1(chunks) => format!("ROS 1, {}", chunks.name()),
        }
    }

    fn file_name(self, input: &Input) -> String {
        match self {
            Self::Sqlite => format!("{}-bag{GENERATION}.db3", input.name),
            Self::Packed => format!("{}-bag{GENERATION}.db3.zstd", input.name),
            Self::Ros1(chunks) => format!("{}-{}-bag{GENERATION}.bag", input.name, chunks.name()),
        }
    }
}

/// What was found about the selected recordings.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    /// What was skipped, and why.
    remarks: Vec<String>,
    /// Recordings that `--only` lets through.
    pub(super) n_selected: usize,
}

struct Row {
    name: &'static str,
    mix: Mix,
    input: Input,
    mcap: Conversion,
    /// Median of the time of a copy of it over that of its conversion within a turn.
    mcap_to_copy: f64,
    bags: Vec<Bag>,
    walk: Walk,
}

struct Bag {
    kind: Kind,
    convert: Conversion,
    official: Option<Reading>,
    /// Median of MCAP's time over ours within a turn: above 1, the bag was faster.
    to_mcap: f64,
    /// The same of the time that a copy of the MCAP takes: read, BLAKE3, write and sync.
    to_copy: f64,
    /// The same of the official reader's time.
    to_official: Option<f64>,
}

/// All pages of the SQLite bag walked, and nothing made of the messages.
#[derive(Serialize)]
struct Walk {
    ours: Measured,
    by_crate: Measured,
    ratio: f64,
}

/// Makes the bags of the selected recordings below `folder` and times every job on them.
///
/// # Errors
/// When a bag cannot be made or a job fails.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    for (name, mix) in JOBS.into_iter().filter(|it| options.lets_through(it.0)) {
        figures.n_selected += 1;
        let input = inputs::make(folder, mix, "none", options.mb)?;
        let bags = KINDS.map(|kind| make(folder, kind, &input, options.mb));
        let bags = bags.into_iter().collect::<Result<Vec<PathBuf>>>()?;
        if options.inputs_only {
            bags.iter().for_each(|it| println!("{}", it.display()));
        } else {
            figures.rows.push(time_all(name, mix, input, &bags, outputs, options)?);
        }
    }
    if !figures.rows.is_empty() && options.rosbags.is_none() {
        figures.remarks.push("`--rosbags PYTHON` was not given: `rosbags` was not timed.".to_owned());
    }
    Ok(figures)
}

/// Makes a bag of a recording's messages, unless it is there from an earlier run.
fn make(folder: &Path, kind: Kind, input: &Input, mb: u64) -> Result<PathBuf> {
    let path = folder.join(format!("{mb}mb-{}", kind.file_name(input)));
    if path.is_file() {
        return Ok(path);
    }
    eprintln!("making {}", path.display());
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    match kind {
        Kind::Sqlite => messages::of(&input.path, |messages| sqlite::write(&partial, messages)),
        Kind::Packed => packed::write(&partial, &make(folder, Kind::Sqlite, input, mb)?),
        Kind::Ros1(chunks) => messages::of(&input.path, |messages| ros1::write(&partial, chunks, messages)),
    }?;
    fs::rename(&partial, &path).map_err(|err| format!("cannot make {}: {err}", path.display()))?;
    Ok(path)
}

fn time_all(
    name: &'static str,
    mix: Mix,
    input: Input,
    bags: &[PathBuf],
    outputs: &Path,
    options: &Options,
) -> Result<Row> {
    let (program, dataset) = (workspace::node_data("release"), outputs.join("dataset"));
    let copied = outputs.join("copy.bin");
    let (mut mcaps, mut copies) = (Vec::new(), Vec::new());
    let mut converts = vec![Vec::new(); bags.len()];
    let mut readings = vec![Vec::new(); bags.len()];
    let (mut walks, mut by_crate) = (Vec::new(), Vec::new());
    for run in 0..options.runs.max(1) {
        eprintln!("{name}: run {} of {}", run + 1, options.runs.max(1));
        measure::even_ground(outputs, input.n_bytes)?;
        mcaps.push(convert(&program, "convert", &input.path, &dataset, &[])?);
        measure::even_ground(outputs, input.n_bytes)?;
        copies.push(run_job("copy", &[path_text(&input.path), path_text(&copied)])?.wall_s);
        remove(&copied)?;
        for (((path, kind), converts), readings) in
            bags.iter().zip(KINDS).zip(&mut converts).zip(&mut readings)
        {
            measure::even_ground(outputs, input.n_bytes)?;
            converts.push(convert(&program, "convert", path, &dataset, &[])?);
            // `rosbags` knows files that are packed by the description beside them alone.
            if let Some(python) = options.rosbags.as_ref().filter(|_| kind != Kind::Packed) {
                readings.push(official::read(python, path, input.n_messages, outputs)?);
            }
        }
        let plain = [path_text(&bags[0]), input.n_messages.to_string()];
        walks.push(run_job("sqlite-walk", &plain)?);
        by_crate.push(run_job("sqlite-crate", &plain)?);
    }
    let over = |theirs: &[f64], ours: &[f64]| {
        median(theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect())
    };
    let wall = |runs: &[Conversion]| runs.iter().map(|it| it.measured.wall_s).collect::<Vec<_>>();
    let bags = KINDS.into_iter().zip(converts).zip(readings).map(|((kind, converts), readings)| {
        let official: Vec<f64> = readings.iter().map(|it| it.wall_s).collect();
        Bag {
            kind,
            convert: Conversion::middle(&converts),
            to_mcap: over(&wall(&mcaps), &wall(&converts)),
            to_copy: over(&copies, &wall(&converts)),
            to_official: (!official.is_empty()).then(|| over(&official, &wall(&converts))),
            official: middle(readings, |it| it.wall_s),
        }
    });
    let bags = bags.collect();
    let seconds = |runs: &[Measured]| runs.iter().map(|it| it.wall_s).collect::<Vec<_>>();
    let walk = Walk {
        ratio: over(&seconds(&by_crate), &seconds(&walks)),
        ours: median_of(&walks),
        by_crate: median_of(&by_crate),
    };
    let mcap_to_copy = over(&copies, &wall(&mcaps));
    Ok(Row { name, mix, input, mcap: Conversion::middle(&mcaps), mcap_to_copy, bags, walk })
}

/// Times a job in a process of its own.
fn run_job(job: &str, arguments: &[String; 2]) -> Result<Measured> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let job = ["bench-job", job].map(str::to_owned);
    measure::in_own_process(&[&[path_text(&own)], &job[..], &arguments[..]].concat())
}
