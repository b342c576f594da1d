//! LeRobot sets: a thousand episodes whose video passes through, and real video that is decoded.

mod arm;
pub(super) mod decode;
mod footage;
mod meta;
mod mp4;
mod official;
mod report;
mod set;
mod shape;
mod tables;

use std::path::{Path, PathBuf};

use self::{
    footage::{Codec, Film},
    mp4::{HEIGHT, WIDTH},
    official::Reading,
    set::Set,
    shape::Layout,
};
use super::{
    against,
    conversion::{Conversion, convert},
    measure::{self, Measured, median_of, middle},
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
/// Episodes of those.
const N_DECODED: u64 = 4;
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

/// Makes the selected sets below `folder` and times every job on them.
///
/// # Errors
/// When a set cannot be made or a job fails.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    for (name, layout) in PASSED.into_iter().filter(|(name, _)| options.lets_through(name)) {
        figures.n_selected += 1;
        let set = set::make(folder, name, layout, options.mb)?;
        if options.inputs_only {
            println!("{}", set.path.display());
        } else {
            figures.passed.push(time_passed(set, outputs, options)?);
        }
    }
    let wanted = decoded(options);
    figures.n_selected += wanted.len();
    for (set, _) in real_video(folder, &wanted, &mut figures.remarks)?.sets {
        if options.inputs_only {
            println!("{}", set.path.display());
        } else {
            figures.decoded.push(time_decoded(set, outputs, options)?);
        }
    }
    if !figures.decoded.is_empty() && options.lerobot.is_none() {
        figures
            .remarks
            .push("`--lerobot PYTHON` was not given: the official reader was not timed.".to_owned());
    }
    Ok(figures)
}

/// The selected sets of real video.
fn decoded(options: &Options) -> Vec<(&'static str, Film)> {
    let wanted = DECODED.into_iter().filter(|(name, _)| options.lets_through(name));
    let film = |codec| Film { codec, size: [HEIGHT, WIDTH], n_episodes: N_DECODED };
    wanted.map(|(name, codec)| (name, film(codec))).collect()
}

/// Sets of real video, and what they were made with.
#[derive(Default)]
struct RealVideo {
    sets: Vec<(Set, Film)>,
    /// `None` where nothing was wanted, or there is no FFmpeg.
    ffmpeg: Option<PathBuf>,
}

/// Sets of real video, as far as they can be made; what cannot is a remark.
fn real_video(folder: &Path, wanted: &[(&str, Film)], remarks: &mut Vec<String>) -> Result<RealVideo> {
    if wanted.is_empty() {
        return Ok(RealVideo::default());
    }
    let ffmpeg = match footage::ffmpeg() {
        Ok(ffmpeg) => ffmpeg,
        Err(reason) => {
            eprintln!("skipped: no FFmpeg\n{reason}");
            remarks.push("No FFmpeg to make real video with: decoding was not timed.".to_owned());
            return Ok(RealVideo::default());
        }
    };
    let mut sets = Vec::new();
    for (name, film) in wanted {
        if footage::can_encode(&ffmpeg, film.codec) {
            sets.push((footage::make(folder, name, *film, &ffmpeg)?, *film));
        } else {
            remarks.push(format!("FFmpeg has no encoder for it: {name} was skipped."));
        }
    }
    Ok(RealVideo { sets, ffmpeg: Some(ffmpeg) })
}

/// The conversions of the selected sets as jobs for any build of the program.
///
/// # Errors
/// When a set cannot be made.
pub(super) fn jobs<'a>(folder: &Path, outputs: &'a Path, options: &Options) -> Result<Vec<against::Job<'a>>> {
    let mut jobs = Vec::new();
    for (name, layout) in PASSED.into_iter().filter(|(name, _)| options.lets_through(name)) {
        jobs.push(job(name.to_owned(), set::make(folder, name, layout, options.mb)?, outputs, Vec::new()));
    }
    let mut remarks = Vec::new();
    for (set, _) in real_video(folder, &decoded(options), &mut remarks)?.sets {
        for encoding in ENCODINGS {
            let more = vec!["--decode".to_owned(), format!("*={encoding}")];
            jobs.push(job(format!("{} {encoding}", set.name), set.clone(), outputs, more));
        }
    }
    for remark in remarks {
        eprintln!("{remark}");
    }
    Ok(jobs)
}

fn job(name: String, set: Set, outputs: &Path, more: Vec<String>) -> against::Job<'_> {
    let once = move |program: &Path| {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        convert(program, "convert", &set.path, &outputs.join("dataset"), &more)
    };
    against::Job { name, n_bytes: set.n_bytes, once: Box::new(once) }
}

fn time_passed(set: Set, outputs: &Path, options: &Options) -> Result<Passed> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let (program, dataset) = (workspace::node_data("release"), outputs.join("dataset"));
    let copied = outputs.join("copy.bin");
    let (mut converts, mut copies) = (Vec::new(), Vec::new());
    for run in 0..options.runs.max(1) {
        eprintln!("{}: run {} of {}", set.name, run + 1, options.runs.max(1));
        measure::even_ground(outputs, set.n_bytes)?;
        converts.push(convert(&program, "convert", &set.path, &dataset, &[])?);
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
    Ok(Passed { set, convert: Conversion::middle(&converts), copy: median_of(&copies) })
}

fn time_decoded(set: Set, outputs: &Path, options: &Options) -> Result<Decoded> {
    let (program, dataset) = (workspace::node_data("release"), outputs.join("dataset"));
    let mut converts: Vec<Vec<Conversion>> = ENCODINGS.iter().map(|_| Vec::new()).collect();
    let mut readings = Vec::new();
    for run in 0..options.runs.max(1) {
        eprintln!("{}: run {} of {}", set.name, run + 1, options.runs.max(1));
        for (encoding, runs) in ENCODINGS.iter().zip(&mut converts) {
            let more = ["--decode", &format!("*={encoding}")];
            runs.push(convert(&program, "convert", &set.path, &dataset, &more)?);
        }
        if let Some(python) = &options.lerobot {
            readings.push(official::read(python, &set, outputs)?);
        }
    }
    let converts = converts.iter().map(|it| Conversion::middle(it)).collect();
    Ok(Decoded { set, converts, official: middle(readings, |it| it.cpu_s) })
}
