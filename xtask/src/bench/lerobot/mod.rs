//! LeRobot sets: a thousand episodes whose video passes through, and real video that is decoded.

mod arm;
mod footage;
mod meta;
mod mp4;
mod official;
mod report;
mod set;
mod shape;
mod tables;

use std::path::Path;

use self::{footage::Codec, official::Reading, set::Set, shape::Layout};
use super::{
    measure::{self, Measured, median_of},
    path_text, remove,
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

pub(super) use report::{json, markdown};

/// The sets, in the order of the report.
const PASSED: [(&str, Layout); 2] = [("lerobot-v30", Layout::V30), ("lerobot-v21", Layout::V21)];
const DECODED: [(&str, Codec); 2] = [("lerobot-h264", Codec::H264), ("lerobot-av1", Codec::Av1)];
/// What decoded frames are stored as.
const ENCODINGS: [&str; 3] = ["png", "jpeg", "raw"];

/// What was found about the selected sets.
#[derive(Default)]
pub(super) struct Figures {
    passed: Vec<Passed>,
    decoded: Vec<Decoded>,
    /// What was skipped, and why.
    remarks: Vec<String>,
    /// Sets that `--only` lets through.
    pub(super) n_selected: usize,
}

/// A set whose video passed through.
struct Passed {
    set: Set,
    convert: Conversion,
    /// Read, BLAKE3, write and sync of all files of the set.
    copy: Measured,
}

/// A set whose video was decoded.
struct Decoded {
    set: Set,
    /// By encoding, in the order of [`ENCODINGS`].
    converts: Vec<Conversion>,
    official: Option<Reading>,
}

/// The figures of one conversion.
struct Conversion {
    measured: Measured,
    /// What the command itself says about its heap.
    heap_peak_bytes: Option<u64>,
}

/// Makes the selected sets below `folder` and times every job on them.
///
/// # Errors
/// When a set cannot be made or a job fails.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let is_wanted = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let mut figures = Figures::default();
    for (name, layout) in PASSED.into_iter().filter(|(name, _)| is_wanted(name)) {
        figures.n_selected += 1;
        let set = set::make(folder, name, layout, options.mb)?;
        if options.inputs_only {
            println!("{}", set.path.display());
        } else {
            figures.passed.push(time_passed(set, outputs, options)?);
        }
    }
    let wanted: Vec<_> = DECODED.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    figures.n_selected += wanted.len();
    if wanted.is_empty() {
        return Ok(figures);
    }
    let ffmpeg = match footage::ffmpeg() {
        Ok(ffmpeg) => ffmpeg,
        Err(reason) => {
            eprintln!("skipped: no FFmpeg\n{reason}");
            figures.remarks.push("No FFmpeg to make real video with: decoding was not timed.".to_owned());
            return Ok(figures);
        }
    };
    if options.lerobot.is_none() {
        figures
            .remarks
            .push("`--lerobot PYTHON` was not given: the official reader was not timed.".to_owned());
    }
    for (name, codec) in wanted {
        if !footage::can_encode(&ffmpeg, codec) {
            figures.remarks.push(format!("FFmpeg has no encoder for it: {name} was skipped."));
            continue;
        }
        let set = footage::make(folder, name, codec, &ffmpeg)?;
        if options.inputs_only {
            println!("{}", set.path.display());
        } else {
            figures.decoded.push(time_decoded(set, outputs, options)?);
        }
    }
    Ok(figures)
}

fn time_passed(set: Set, outputs: &Path, options: &Options) -> Result<Passed> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let copied = outputs.join("copy.bin");
    let (mut converts, mut copies) = (Vec::new(), Vec::new());
    for run in 0..options.runs.max(1) {
        eprintln!("{}: run {} of {}", set.name, run + 1, options.runs.max(1));
        measure::even_ground(outputs, set.n_bytes)?;
        converts.push(convert(&set, outputs, &[])?);
        let copy = [
            path_text(&own),
            "bench-job".to_owned(),
            "copy".to_owned(),
            path_text(&set.path),
            path_text(&copied),
        ];
        measure::even_ground(outputs, set.n_bytes)?;
        copies.push(measure::in_own_process(&copy)?);
        remove(&copied)?;
    }
    Ok(Passed { set, convert: middle(&converts), copy: median_of(&copies) })
}

fn time_decoded(set: Set, outputs: &Path, options: &Options) -> Result<Decoded> {
    let mut converts: Vec<Vec<Conversion>> = ENCODINGS.iter().map(|_| Vec::new()).collect();
    let mut readings = Vec::new();
    for run in 0..options.runs.max(1) {
        eprintln!("{}: run {} of {}", set.name, run + 1, options.runs.max(1));
        for (encoding, runs) in ENCODINGS.iter().zip(&mut converts) {
            runs.push(convert(&set, outputs, &["--decode", &format!("*={encoding}")])?);
        }
        if let Some(python) = &options.lerobot {
            readings.push(official::read(python, &set, outputs)?);
        }
    }
    let converts = converts.iter().map(|it| middle(it)).collect();
    Ok(Decoded { set, converts, official: official::median_of(readings) })
}

/// Converts a set into a new folder, which is taken away again. Anything left out is a failure: the sets
/// made here have no defect.
fn convert(set: &Set, outputs: &Path, more: &[&str]) -> Result<Conversion> {
    let dataset = outputs.join(format!("{}-out", set.name));
    let program = path_text(&workspace::node_data("release"));
    let whole = ["convert", &path_text(&set.path), "--out", &path_text(&dataset)].map(str::to_owned);
    let more = more.iter().map(|it| (*it).to_owned());
    let command: Vec<String> = std::iter::once(program).chain(whole).chain(more).collect();
    let measured = measure::in_own_process(&command)?;
    let heap_peak_bytes = super::report::heap_peak_bytes(&dataset.join("report.json"));
    remove(&dataset)?;
    Ok(Conversion { measured, heap_peak_bytes })
}

fn middle(runs: &[Conversion]) -> Conversion {
    let measured: Vec<Measured> = runs.iter().map(|it| it.measured).collect();
    Conversion {
        measured: median_of(&measured),
        heap_peak_bytes: runs.iter().filter_map(|it| it.heap_peak_bytes).max(),
    }
}
