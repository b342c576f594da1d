//! How fast shards are published, into a folder and through a server on this machine, beside a copy of them.

mod report;
mod served;
mod shards;

use std::{fs, path::Path};

use serde::Serialize;

use self::{served::Served, shards::Shards};
use super::{
    measure::{self, Measured, median, median_of},
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

/// The jobs, in the order of the report.
const JOBS: [(&str, Target); 2] = [("push-folder", Target::Folder), ("push-server", Target::Server)];

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
    name: &'static str,
    target: Target,
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
    let is_wanted = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let wanted: Vec<_> = JOBS.into_iter().filter(|(name, _)| is_wanted(name)).collect();
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

/// Runs every job and the copy in turns, so that a slow minute of the machine hits all of them.
fn time_all(
    wanted: &[(&'static str, Target)],
    shards: &Shards,
    outputs: &Path,
    n_runs: usize,
) -> Result<Vec<Row>> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let copied = outputs.join("copy.bin");
    let copy = ["bench-job", "copy", &path_text(&shards.path), &path_text(&copied)].map(str::to_owned);
    let copy: Vec<String> = std::iter::once(path_text(&own)).chain(copy).collect();
    let mut copies = Vec::new();
    let mut pushes: Vec<Vec<Measured>> = wanted.iter().map(|_| Vec::new()).collect();
    for run in 0..n_runs {
        eprintln!("push: run {} of {n_runs}", run + 1);
        copies.push(measure::in_own_process(&copy)?);
        remove(&copied)?;
        for ((_, target), runs) in wanted.iter().zip(&mut pushes) {
            runs.push(push(*target, shards, outputs)?);
        }
    }
    let rows = wanted.iter().zip(&pushes).map(|((name, target), runs)| {
        let ratios = copies.iter().zip(runs).map(|(copy, push)| copy.wall_s / push.wall_s);
        Row {
            name,
            target: *target,
            push: median_of(runs),
            copy: median_of(&copies),
            to_copy: median(ratios.collect()),
        }
    });
    Ok(rows.collect())
}

/// Pushes into a store that holds nothing, by a user who has hashed nothing; store and cache are taken away again.
fn push(target: Target, shards: &Shards, outputs: &Path) -> Result<Measured> {
    let work = outputs.join("push");
    remove(&work)?;
    let store = work.join("store");
    fs::create_dir_all(&store).map_err(|err| format!("cannot make {}: {err}", store.display()))?;
    let server = match target {
        Target::Folder => None,
        Target::Server => Some(Served::start(&work.join("server"), &store)?),
    };
    let (place, token) =
        server.as_ref().map_or((path_text(&store), ""), |it| (it.url.clone(), it.token.as_str()));
    let dataset = format!("{ACCOUNT}/shards");
    let command = [
        &path_text(&workspace::node_data("release")),
        "dataset",
        "push",
        "--store",
        &place,
        "--as",
        ACCOUNT,
        "--name",
        &dataset,
        "--license",
        "CC0-1.0",
        &path_text(&shards.path),
    ]
    .map(str::to_owned);
    let cache = path_text(&work.join("cache"));
    let variables =
        [("XDG_CACHE_HOME", cache.as_str()), ("NODEDATA_TOKEN", token), ("NO_PROXY", "127.0.0.1")];
    let measured = measure::in_own_process_with(&command, &variables)?;
    drop(server);
    let mut n_stored = 0;
    for file in reference::files_of(&store)? {
        n_stored +=
            fs::metadata(&file).map_err(|err| format!("cannot look at {}: {err}", file.display()))?.len();
    }
    if n_stored < shards.n_bytes {
        return Err(format!("{place} holds {n_stored} bytes of {}", shards.n_bytes));
    }
    remove(&work)?;
    Ok(measured)
}
