//! How fast shards are published, into a folder, through a server on this machine and into a bucket, beside a copy of them; and
//! how fast ranges of them are served.

mod bucket;
mod ranges;
mod report;
mod served;
mod shards;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::{bucket::Bucket, ranges::Ranges, served::Served, shards::Shards};
use super::{
    against,
    conversion::Conversion,
    measure::{self, Measured, even_ground, median, median_of},
    path_text, reference, remove,
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

pub(super) use report::{json, markdown};

/// Where the shards are pushed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    /// A directory store, which the command writes itself.
    Folder,
    /// `node-data serve` on 127.0.0.1 over a directory store.
    Server,
    /// A bucket of a SeaweedFS on 127.0.0.1.
    Bucket,
}

/// Which shards are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Lot {
    /// Four, of as many megabytes as `--mb` says.
    Few,
    /// Thousands of small ones.
    Many,
}

/// A push that is timed.
#[derive(Debug, Clone, Copy, Serialize)]
struct Job {
    name: &'static str,
    target: Target,
    lot: Lot,
    /// The user has hashed the shards and read their rows before, so that this is the upload alone.
    is_known: bool,
}

const fn job(name: &'static str, target: Target, lot: Lot, is_known: bool) -> Job {
    Job { name, target, lot, is_known }
}

/// In the order of the report.
const JOBS: [Job; 7] = [
    job("push-folder", Target::Folder, Lot::Few, false),
    job("push-server", Target::Server, Lot::Few, false),
    job("push-folder-known", Target::Folder, Lot::Few, true),
    job("push-server-known", Target::Server, Lot::Few, true),
    job("push-bucket", Target::Bucket, Lot::Few, false),
    job("push-many-folder", Target::Folder, Lot::Many, false),
    job("push-many-server", Target::Server, Lot::Many, false),
];

/// Owner and account of everything published here.
const ACCOUNT: &str = "bench";

/// What was found about the selected jobs.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    ranges: Option<Ranges>,
    /// What was skipped, and why.
    remarks: Vec<String>,
    /// Jobs that `--only` lets through.
    pub(super) n_selected: usize,
}

/// The figures of one job.
struct Row {
    job: Job,
    shards: Shards,
    push: Measured,
    /// Read, BLAKE3, write and sync of the same files.
    copy: Beside,
    /// The same with SHA-256 as well.
    hashed: Beside,
    /// `rclone copy` into such a bucket.
    rclone: Option<Beside>,
}

/// A reference job.
struct Beside {
    measured: Measured,
    /// Median of its time over the push's in the same turn; above 1, pushing was faster.
    ratio: f64,
}

impl Beside {
    fn of(theirs: &[Measured], pushes: &[Measured]) -> Self {
        let ratios = theirs.iter().zip(pushes).map(|(theirs, push)| theirs.wall_s / push.wall_s);
        Self { measured: median_of(theirs), ratio: median(ratios.collect()) }
    }
}

/// Makes the shards below `folder` and times the selected jobs on them.
///
/// # Errors
/// When the shards cannot be made, a job fails, or a store does not hold what was pushed.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let wanted: Vec<_> = JOBS.into_iter().filter(|it| options.lets_through(it.name)).collect();
    let wants_ranges = options.lets_through(ranges::NAME);
    let mut figures = Figures { n_selected: wanted.len() + usize::from(wants_ranges), ..Figures::default() };
    let wanted = possible(wanted, options, outputs, &mut figures.remarks)?;
    for lot in [Lot::Few, Lot::Many] {
        let wanted: Vec<Job> = wanted.iter().filter(|it| it.lot == lot).copied().collect();
        if wanted.is_empty() {
            continue;
        }
        let shards = make(folder, lot, options.mb)?;
        if options.inputs_only {
            println!("{}", shards.path.display());
        } else {
            figures.rows.extend(time_all(&wanted, &shards, outputs, options)?);
        }
    }
    if wants_ranges && !options.inputs_only {
        let shards = make(folder, Lot::Few, options.mb)?;
        let (ranges, remark) = ranges::run(&shards, outputs, options.runs.max(1))?;
        figures.ranges = Some(ranges);
        figures.remarks.extend(remark);
    }
    Ok(figures)
}

fn make(folder: &Path, lot: Lot, mb: u64) -> Result<Shards> {
    match lot {
        Lot::Few => shards::make(folder, mb),
        Lot::Many => shards::make_many(folder),
    }
}

/// Leaves out pushes into a bucket where there is none to push into.
fn possible(
    wanted: Vec<Job>,
    options: &Options,
    outputs: &Path,
    remarks: &mut Vec<String>,
) -> Result<Vec<Job>> {
    let (of_buckets, others): (Vec<Job>, Vec<Job>) =
        wanted.into_iter().partition(|it| it.target == Target::Bucket);
    if of_buckets.is_empty() || options.inputs_only {
        return Ok(others);
    }
    match bucket::absent(options, outputs)? {
        Some(reason) => {
            remarks.push(format!("{reason}: nothing was pushed into a bucket."));
            Ok(others)
        }
        None => Ok(others.into_iter().chain(of_buckets).collect()),
    }
}

/// The selected jobs for any build of the program; what serves a push is the program that pushes.
///
/// # Errors
/// When the shards cannot be made.
pub(super) fn jobs<'a>(folder: &Path, outputs: &'a Path, options: &Options) -> Result<Vec<against::Job<'a>>> {
    // A bucket needs what `--against` leaves out.
    let wanted = JOBS.into_iter().filter(|it| it.target != Target::Bucket && options.lets_through(it.name));
    let jobs = wanted.map(|job| {
        let shards = make(folder, job.lot, options.mb)?;
        Ok(against::Job {
            name: job.name.to_owned(),
            n_bytes: shards.n_bytes,
            once: Box::new(move |program| {
                let measured = push(program, job, &shards, outputs, None)?;
                remove(&work_of(outputs))?;
                Ok(Conversion { measured, heap_peak_bytes: None, open_s: None })
            }),
        })
    });
    jobs.collect()
}

/// Runs every job and the copies in turns, so that a slow minute of the machine hits all of them.
fn time_all(wanted: &[Job], shards: &Shards, outputs: &Path, options: &Options) -> Result<Vec<Row>> {
    let program = workspace::node_data("release");
    let mut pushes: Vec<Vec<Measured>> = wanted.iter().map(|_| Vec::new()).collect();
    let (mut copies, mut hashed, mut rclones) = (Vec::new(), Vec::new(), Vec::new());
    let n_runs = options.runs.max(1);
    let mut n_pushed = 0;
    remove(&aside(outputs))?;
    for run in 0..n_runs {
        eprintln!("push, {} files: run {} of {n_runs}", shards.n_files, run + 1);
        copies.push(copy(shards, outputs, false)?);
        hashed.push(copy(shards, outputs, true)?);
        for (job, runs) in wanted.iter().zip(&mut pushes) {
            runs.push(push(&program, *job, shards, outputs, options.python.as_deref())?);
            match job.lot {
                Lot::Few => remove(&work_of(outputs))?,
                Lot::Many => set_aside(outputs, n_pushed)?,
            }
            n_pushed += 1;
            if let (Target::Bucket, Some(python)) = (job.target, &options.python) {
                rclones.push(bucket::rclone(python, shards, outputs)?);
            }
        }
    }
    remove(&aside(outputs))?;
    let rows = wanted.iter().zip(&pushes).map(|(job, runs)| Row {
        job: *job,
        shards: shards.clone(),
        push: median_of(runs),
        copy: Beside::of(&copies, runs),
        hashed: Beside::of(&hashed, runs),
        rclone: (job.target == Target::Bucket).then(|| Beside::of(&rclones, runs)),
    });
    Ok(rows.collect())
}

/// The reference job: what any push has to do at least.
fn copy(shards: &Shards, outputs: &Path, with_sha256: bool) -> Result<Measured> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let copied = outputs.join("copy.bin");
    let mut command: Vec<String> = [&path_text(&own), "bench-job", "copy"].map(str::to_owned).into();
    command.extend(with_sha256.then(|| "--sha256".to_owned()));
    command.extend([path_text(&shards.path), path_text(&copied)]);
    even_ground(outputs, shards.n_bytes)?;
    let measured = measure::in_own_process(&command)?;
    remove(&copied)?;
    Ok(measured)
}

/// Pushes into a store that holds nothing; store and cache are left.
fn push(
    program: &Path,
    job: Job,
    shards: &Shards,
    outputs: &Path,
    python: Option<&Path>,
) -> Result<Measured> {
    let work = work_of(outputs);
    remove(&work)?;
    let store = work.join("store");
    for folder in [&store, &work.join("other")] {
        fs::create_dir_all(folder).map_err(|err| format!("cannot make {}: {err}", folder.display()))?;
    }
    let server = match job.target {
        Target::Server => Some(Served::start(program, &work.join("server"), &store)?),
        Target::Folder | Target::Bucket => None,
    };
    let bucket = match (job.target, python) {
        (Target::Bucket, Some(python)) => Some(Bucket::start(python, &work.join("bucket"))?),
        _ => None,
    };
    let (place, token) = match (&server, &bucket) {
        (Some(server), _) => (server.url.clone(), server.token.as_str()),
        (None, Some(bucket)) => (bucket.place("store"), ""),
        (None, None) => (path_text(&store), ""),
    };
    let cache = path_text(&work.join("cache"));
    let mut variables =
        vec![("XDG_CACHE_HOME", cache.as_str()), ("NODEDATA_TOKEN", token), ("NO_PROXY", "127.0.0.1")];
    variables.extend(bucket.iter().flat_map(Bucket::variables));
    if job.is_known {
        // What is known is the user's, whatever the store.
        let mut command = push_command(program, &path_text(&work.join("other")), shards);
        command.push("--dry-run".to_owned());
        measure::in_own_process_with(&command, &variables)?;
    }
    let command = push_command(program, &place, shards);
    even_ground(outputs, shards.n_bytes)?;
    let measured = measure::in_own_process_with(&command, &variables)?;
    drop(server);
    // What a bucket keeps on the disk is its own; the command has asked it whether everything is there.
    if bucket.is_none() {
        check_stored(&store, shards)?;
    }
    drop(bucket);
    Ok(measured)
}

/// Where a push works, until the next one does.
fn work_of(outputs: &Path) -> PathBuf {
    outputs.join("push")
}

/// Where what was pushed waits to be removed.
fn aside(outputs: &Path) -> PathBuf {
    outputs.join("pushed")
}

/// Puts what a push has left aside, as number `n`: thousands of files that were just removed make the next ones dear, because some file
/// systems look for minutes whether an inode was in use until lately. That is no part of a push.
fn set_aside(outputs: &Path, n: usize) -> Result<()> {
    let (work, aside) = (work_of(outputs), aside(outputs).join(n.to_string()));
    let moved = fs::create_dir_all(&aside).and_then(|()| fs::rename(&work, &aside));
    moved.map_err(|err| format!("cannot move {} to {}: {err}", work.display(), aside.display()))
}

/// Whether a directory store holds as much as was pushed.
fn check_stored(store: &Path, shards: &Shards) -> Result<()> {
    let mut n_stored = 0;
    for file in reference::files_of(store)? {
        let facts = fs::metadata(&file).map_err(|err| format!("cannot look at {}: {err}", file.display()))?;
        n_stored += facts.len();
    }
    match n_stored < shards.n_bytes {
        true => Err(format!("{} holds {n_stored} bytes of {}", store.display(), shards.n_bytes)),
        false => Ok(()),
    }
}

fn push_command(program: &Path, place: &str, shards: &Shards) -> Vec<String> {
    let dataset = format!("{ACCOUNT}/shards");
    let path = path_text(&shards.path);
    let words = [
        "dataset",
        "push",
        "--store",
        place,
        "--as",
        ACCOUNT,
        "--name",
        &dataset,
        "--license",
        "CC0-1.0",
        &path,
    ];
    std::iter::once(path_text(program)).chain(words.map(str::to_owned)).collect()
}
