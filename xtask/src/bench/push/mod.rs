//! How fast shards are published, into a folder and through a server on this machine, beside a copy of them.

mod report;
mod served;
mod shards;

use std::{fs, path::Path};

use serde::Serialize;

use self::{served::Served, shards::Shards};
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
}

/// A push that is timed.
#[derive(Debug, Clone, Copy, Serialize)]
struct Job {
    name: &'static str,
    target: Target,
    /// The user has hashed the shards and read their rows before, so that this is the upload alone.
    is_known: bool,
}

/// In the order of the report.
const JOBS: [Job; 4] = [
    Job { name: "push-folder", target: Target::Folder, is_known: false },
    Job { name: "push-server", target: Target::Server, is_known: false },
    Job { name: "push-folder-known", target: Target::Folder, is_known: true },
    Job { name: "push-server-known", target: Target::Server, is_known: true },
];

/// Owner and account of everything published here.
const ACCOUNT: &str = "bench";

/// What was found about the selected jobs.
#[derive(Default)]
pub(super) struct Figures {
    shards: Option<Shards>,
    rows: Vec<Row>,
    /// Jobs that `--only` lets through.
    pub(super) n_selected: usize,
}

/// The figures of one job.
struct Row {
    job: Job,
    push: Measured,
    /// Read, BLAKE3, write and sync of the same files.
    copy: Measured,
    /// Median of the copy's time over the push's in the same turn; above 1, pushing was faster.
    to_copy: f64,
}

/// Makes the shards below `folder` and times the selected jobs on them.
///
/// # Errors
/// When the shards cannot be made, a job fails, or a store does not hold what was pushed.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let wanted: Vec<_> = JOBS.into_iter().filter(|it| options.lets_through(it.name)).collect();
    if wanted.is_empty() {
        return Ok(Figures::default());
    }
    let shards = shards::make(folder, options.mb)?;
    let n_selected = wanted.len();
    let rows = if options.inputs_only {
        println!("{}", shards.path.display());
        Vec::new()
    } else {
        time_all(&wanted, &shards, outputs, options.runs.max(1))?
    };
    Ok(Figures { shards: Some(shards), rows, n_selected })
}

/// The selected jobs for any build of the program; what serves a push is the program that pushes.
///
/// # Errors
/// When the shards cannot be made.
pub(super) fn jobs<'a>(folder: &Path, outputs: &'a Path, options: &Options) -> Result<Vec<against::Job<'a>>> {
    let wanted: Vec<_> = JOBS.into_iter().filter(|it| options.lets_through(it.name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let shards = shards::make(folder, options.mb)?;
    let jobs = wanted.into_iter().map(|job| {
        let shards = shards.clone();
        against::Job {
            name: job.name.to_owned(),
            n_bytes: shards.n_bytes,
            once: Box::new(move |program| {
                let measured = push(program, job, &shards, outputs)?;
                Ok(Conversion { measured, heap_peak_bytes: None, open_s: None })
            }),
        }
    });
    Ok(jobs.collect())
}

/// Runs every job and the copy in turns, so that a slow minute of the machine hits all of them.
fn time_all(wanted: &[Job], shards: &Shards, outputs: &Path, n_runs: usize) -> Result<Vec<Row>> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let copied = outputs.join("copy.bin");
    let copy = ["bench-job", "copy", &path_text(&shards.path), &path_text(&copied)].map(str::to_owned);
    let copy: Vec<String> = std::iter::once(path_text(&own)).chain(copy).collect();
    let program = workspace::node_data("release");
    let mut copies = Vec::new();
    let mut pushes: Vec<Vec<Measured>> = wanted.iter().map(|_| Vec::new()).collect();
    for run in 0..n_runs {
        eprintln!("push: run {} of {n_runs}", run + 1);
        even_ground(outputs, shards.n_bytes)?;
        copies.push(measure::in_own_process(&copy)?);
        remove(&copied)?;
        for (job, runs) in wanted.iter().zip(&mut pushes) {
            runs.push(push(&program, *job, shards, outputs)?);
        }
    }
    let rows = wanted.iter().zip(&pushes).map(|(job, runs)| {
        let ratios = copies.iter().zip(runs).map(|(copy, push)| copy.wall_s / push.wall_s);
        Row { job: *job, push: median_of(runs), copy: median_of(&copies), to_copy: median(ratios.collect()) }
    });
    Ok(rows.collect())
}

/// Pushes into a store that holds nothing; store and cache are taken away again.
fn push(program: &Path, job: Job, shards: &Shards, outputs: &Path) -> Result<Measured> {
    let work = outputs.join("push");
    remove(&work)?;
    let store = work.join("store");
    for folder in [&store, &work.join("other")] {
        fs::create_dir_all(folder).map_err(|err| format!("cannot make {}: {err}", folder.display()))?;
    }
    let server = match job.target {
        Target::Folder => None,
        Target::Server => Some(Served::start(program, &work.join("server"), &store)?),
    };
    let (place, token) =
        server.as_ref().map_or((path_text(&store), ""), |it| (it.url.clone(), it.token.as_str()));
    let cache = path_text(&work.join("cache"));
    let variables =
        [("XDG_CACHE_HOME", cache.as_str()), ("NODEDATA_TOKEN", token), ("NO_PROXY", "127.0.0.1")];
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
    let mut n_stored = 0;
    for file in reference::files_of(&store)? {
        let facts = fs::metadata(&file).map_err(|err| format!("cannot look at {}: {err}", file.display()))?;
        n_stored += facts.len();
    }
    if n_stored < shards.n_bytes {
        return Err(format!("{place} holds {n_stored} bytes of {}", shards.n_bytes));
    }
    remove(&work)?;
    Ok(measured)
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
