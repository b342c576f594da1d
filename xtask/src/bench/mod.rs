//! Times `node-data convert` and `node-data dataset push` on inputs made here, against reference jobs in the
//! same run, because figures of two runs on a shared machine cannot be compared.

mod against;
mod align;
mod bags;
mod cdr;
mod color;
mod conversion;
mod extremes;
mod inputs;
mod inspect;
mod lerobot;
mod measure;
mod noise;
mod pictures;
mod push;
mod reference;
mod report;
mod rlds;
mod samples;
mod stream;
mod transforms;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    bench_command::Options,
    generated, python_environment,
    workspace::{self, Result},
};
use conversion::{Conversion, convert};
use inputs::Input;
use measure::median_of;
use report::Row;

/// A job that runs in a process of its own, so that its time and memory are its own.
#[derive(clap::Subcommand)]
pub(crate) enum Job {
    /// Runs a command and prints what it needed as JSON.
    Measure {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Reads a file or every file of a folder, hashes it with BLAKE3, writes and syncs one copy.
    Copy {
        /// Hashes it with SHA-256, too.
        #[arg(long)]
        sha256: bool,
        /// The file or folder read.
        input: PathBuf,
        /// The file written; of a folder it gets the files one after the other.
        output: PathBuf,
    },
    /// Reads the summary of an MCAP log with the crate `mcap`, and prints its topics.
    McapSummary {
        /// The log read.
        input: PathBuf,
    },
    /// Reads every TFRecord below a folder with the crate `tfrecord`, checksums verified.
    TfrecordCrate {
        /// The folder read.
        input: PathBuf,
        /// How many records there must be.
        n_records: u64,
    },
    /// Reads all messages of a bag of SQLite with our own walk over its pages.
    SqliteWalk {
        /// The `.db3` read.
        input: PathBuf,
        /// How many messages there must be.
        n_messages: u64,
    },
    /// Reads all messages of a bag of SQLite with the crate `rusqlite`.
    SqliteCrate {
        /// The `.db3` read.
        input: PathBuf,
        /// How many messages there must be.
        n_messages: u64,
    },
    /// Decodes, resizes and codes the frames of a file, on one thread.
    Frames {
        /// The file read: frames behind their lengths.
        input: PathBuf,
        /// How many frames there must be.
        n_frames: u64,
        /// They are JPEG, and else bare pixels.
        #[arg(long)]
        jpeg: bool,
    },
    /// Decodes a video, and takes its frames up to a step.
    Decode {
        /// The mp4 file read.
        input: PathBuf,
        /// How many frames there must be.
        n_frames: u64,
        /// How far frames are taken.
        #[arg(long)]
        to: lerobot::decode::Step,
        /// The `ffmpeg` program that decodes; without it a decoder that is built in does.
        #[arg(long)]
        ffmpeg: Option<PathBuf>,
    },
    /// Compresses a file with zstd level 1 on one core, in memory.
    Zstd {
        /// The file read.
        input: PathBuf,
    },
}

/// Runs one job.
///
/// # Errors
/// When the job fails.
pub(crate) fn run_job(job: &Job) -> Result<()> {
    match job {
        Job::Measure { command } => measure::run_and_print(command),
        Job::Copy { sha256, input, output } => reference::copy(input, output, *sha256),
        Job::McapSummary { input } => inspect::summary(input),
        Job::TfrecordCrate { input, n_records } => rlds::by_crate(input, *n_records),
        Job::SqliteWalk { input, n_messages } => bags::by_walk(input, *n_messages),
        Job::SqliteCrate { input, n_messages } => bags::by_crate(input, *n_messages),
        Job::Frames { input, n_frames, jpeg } => transforms::transform_frames(input, *n_frames, *jpeg),
        Job::Decode { input, n_frames, to, ffmpeg } => {
            lerobot::decode::decode(input, *n_frames, *to, ffmpeg.as_deref())
        }
        Job::Zstd { input } => reference::zstd(input),
    }
}

/// Runs the bench.
///
/// # Errors
/// When an input cannot be made, a job fails, or nothing is selected.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.inputs_only {
        generated::build_optimised_node_data()?;
    }
    let rerun = if options.rerun { Some(install_rerun()?) } else { None };
    let folder = workspace::target_dir().join("bench");
    std::fs::create_dir_all(&folder).map_err(|err| format!("cannot make {}: {err}", folder.display()))?;

    // Two runs at once may share inputs, never outputs.
    let outputs = folder.join(format!("run-{}", std::process::id()));
    std::fs::create_dir_all(&outputs).map_err(|err| format!("cannot make {}: {err}", outputs.display()))?;
    if let Some(theirs) = &options.against {
        return run_against(&folder, &outputs, options, theirs);
    }
    let (rows, n_selected) = convert_logs(&folder, &outputs, options, rerun.as_deref())?;
    let others = others(&folder, &outputs, options, rerun.as_deref())?;
    remove(&outputs)?;
    if n_selected + others.iter().map(|it| it.n_selected).sum::<usize>() == 0 {
        return Err("no input has such a name; `--help` lists them".to_owned());
    }
    if options.inputs_only {
        return Ok(());
    }
    if n_selected > 0 {
        println!("{}\n", report::markdown(&rows, options));
    }
    for other in &others {
        println!("{}", other.markdown);
    }
    let others = others.into_iter().map(|it| (it.name, it.json));
    write_json(options, || report::json(&rows, others, options))
}

/// What was found about one kind of jobs.
struct Part {
    /// Its key among the figures.
    name: &'static str,
    /// Jobs that `--only` lets through.
    n_selected: usize,
    /// Its tables.
    markdown: String,
    json: Value,
}

/// Times the selected jobs of every other kind.
fn others(folder: &Path, outputs: &Path, options: &Options, rerun: Option<&Path>) -> Result<Vec<Part>> {
    macro_rules! part {
        ($name:literal, $($module:ident)::+, $figures:expr) => {{
            let figures = $figures?;
            Part {
                name: $name,
                n_selected: figures.n_selected,
                markdown: $($module)::+::markdown(&figures, options),
                json: $($module)::+::json(&figures),
            }
        }};
    }
    Ok(vec![
        part!("inspect", inspect, inspect::run(folder, options, rerun)),
        part!("align", align, align::run(folder, outputs, options)),
        part!("transforms", transforms, transforms::run(folder, outputs, options)),
        part!("lerobot", lerobot, lerobot::run(folder, outputs, options)),
        part!("decode", lerobot::decode, lerobot::decode::run(folder, outputs, options)),
        part!("rlds", rlds, rlds::run(folder, outputs, options)),
        part!("bags", bags, bags::run(folder, outputs, options)),
        part!("samples", samples, samples::run(folder, outputs, options)),
        part!("extremes", extremes, extremes::run(folder, outputs, options)),
        part!("color", color, color::run(options)),
        part!("push", push, push::run(folder, outputs, options)),
        part!("stream", stream, stream::run(folder, outputs, options)),
    ])
}

/// Times the conversion of the selected logs, and says how many those are.
fn convert_logs(
    folder: &Path,
    outputs: &Path,
    options: &Options,
    rerun: Option<&Path>,
) -> Result<(Vec<Row>, usize)> {
    let mut rows = Vec::new();
    let mut n_selected = 0;
    for (mix, compression) in inputs::wanted(options) {
        // The reference jobs work on the uncompressed bytes, so those are always made.
        let plain = inputs::make(folder, mix, "none", options.mb)?;
        let input = inputs::make(folder, mix, compression, options.mb)?;
        n_selected += 1;
        if options.inputs_only {
            println!("{}", input.path.display());
        } else {
            rows.push(time_all(outputs, &input, &plain, options.runs, rerun)?);
        }
    }
    Ok((rows, n_selected))
}

/// Runs the selected jobs with our program and another build of it, without reference jobs.
fn run_against(folder: &Path, outputs: &Path, options: &Options, theirs: &Path) -> Result<()> {
    let rows = against::run(folder, outputs, options, theirs)?;
    remove(outputs)?;
    println!("{}", against::markdown(&rows, options, theirs));
    write_json(
        options,
        || json!({"mb": options.mb, "runs": options.runs, "against": theirs, "rows": against::json(&rows)}),
    )
}

/// Writes the figures where the options want them.
fn write_json(options: &Options, figures: impl FnOnce() -> Value) -> Result<()> {
    let Some(path) = &options.json else { return Ok(()) };
    let text =
        serde_json::to_string_pretty(&figures()).map_err(|err| format!("cannot write the figures: {err}"))?;
    std::fs::write(path, text).map_err(|err| format!("cannot write {}: {err}", path.display()))
}

/// Runs every job `n_runs` times, in turns, so that a slow minute of the machine hits all of them.
fn time_all(folder: &Path, input: &Input, plain: &Input, n_runs: usize, rerun: Option<&Path>) -> Result<Row> {
    let dataset = folder.join(format!("{}-out", input.name));
    let program = workspace::node_data("release");
    let copied = folder.join("copy.bin");
    let recording = folder.join("rerun.rrd");
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let (mut converts, mut copies, mut zstds, mut reruns) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in 0..n_runs.max(1) {
        eprintln!("{}: run {} of {}", input.name, run + 1, n_runs.max(1));
        converts.push(convert(&program, "convert", &input.path, &dataset, &[])?);

        let job =
            |name: &str| [path_text(&own), "bench-job".to_owned(), name.to_owned(), path_text(&plain.path)];
        copies.push(measure::in_own_process(&[job("copy").as_slice(), &[path_text(&copied)]].concat())?);
        zstds.push(measure::in_own_process(&job("zstd"))?);
        if let Some(rerun) = rerun {
            remove(&recording)?;
            let convert = ["mcap", "convert", &path_text(&input.path), "-o", &path_text(&recording)];
            let command: Vec<String> =
                std::iter::once(path_text(rerun)).chain(convert.map(str::to_owned)).collect();
            reruns.push(measure::in_own_process(&command)?);
        }
    }
    for left_over in [&copied, &recording] {
        remove(left_over)?;
    }
    Ok(Row {
        input: input.clone(),
        convert: Conversion::middle(&converts),
        copy: median_of(&copies),
        zstd: median_of(&zstds),
        rerun: (!reruns.is_empty()).then(|| median_of(&reruns)),
    })
}

/// The version the goals were set against; another one is another reference.
const RERUN: &str = "rerun-sdk==0.41.0";

/// Installs rerun-sdk once and returns its program: the native one, not the Python script that starts it.
fn install_rerun() -> Result<PathBuf> {
    let python = python_environment::install("venv-rerun", &[RERUN.as_ref()], RERUN)?;
    let find = "import pathlib, rerun_cli; print(pathlib.Path(rerun_cli.__file__).parent)";
    let folder = workspace::stdout_of(std::process::Command::new(python).args(["-c", find]))?;
    let rerun = Path::new(folder.trim()).join(format!("rerun{}", std::env::consts::EXE_SUFFIX));
    // It phones home otherwise, and the time of that is no part of a conversion.
    workspace::works(std::process::Command::new(&rerun).args(["analytics", "disable"]));
    Ok(rerun)
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {err}", path.display()))
        }
        _ => Ok(()),
    }
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
