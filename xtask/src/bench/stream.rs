//! Reading for training: the wheel against the official loaders of others, on sets that their own writers made of the same seeded
//! frames, in turns, each reader in a process of its own.

mod report;
mod scale;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

use super::{measure::median, path_text};
use crate::{
    bench_command::Options,
    python_wheel,
    workspace::{self, Result},
};

pub(super) use report::{json, markdown};

/// A set that all readers of a job read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Kind {
    Jpeg,
    Av1,
    H264,
}

/// How it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Job {
    /// Single steps in random order.
    Random,
    /// All steps, episode by episode.
    Episodes,
    /// Steps with 16 actions and two frames, in random order.
    Windows,
    /// A shuffled stream of steps.
    Shuffle,
    /// The same at 224 × 224 from a cache of decoded frames, in the second epoch.
    Cached,
}

/// A reader that ours is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Peer {
    name: &'static str,
    n_workers: usize,
}

/// What a reader said of its own reading; its start is not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reading {
    version: String,
    n_steps: u64,
    wall_s: f64,
    cpu_s: f64,
    /// Of the process and of those that it started.
    anon_peak_bytes: u64,
}

/// What was found about one job.
struct Row {
    kind: Kind,
    job: Job,
    ours: Vec<Reading>,
    peers: Vec<(Peer, Vec<Reading>)>,
    ratios: Ratios,
}

/// Medians of our steps a second over theirs within a turn.
#[derive(Debug, Clone, Copy, Serialize)]
struct Ratios {
    /// Over the fastest of the peers in that turn.
    peers: Option<f64>,
    /// Over two threads of a decoder and nothing else.
    limit: Option<f64>,
}

/// What was found about the selected jobs.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    scale: Vec<scale::Finding>,
    /// What was skipped, and why.
    remarks: Vec<String>,
    /// Jobs that `--only` lets through.
    pub(super) n_selected: usize,
}

const JOBS: [(Kind, Job); 11] = [
    (Kind::Jpeg, Job::Random),
    (Kind::Jpeg, Job::Episodes),
    (Kind::Jpeg, Job::Shuffle),
    (Kind::Jpeg, Job::Windows),
    (Kind::Av1, Job::Random),
    (Kind::Av1, Job::Episodes),
    (Kind::Av1, Job::Windows),
    (Kind::H264, Job::Random),
    (Kind::H264, Job::Episodes),
    (Kind::H264, Job::Windows),
    (Kind::Jpeg, Job::Cached),
];

/// The reader that only decodes.
const LIMIT: &str = "libjpeg-turbo";

/// Steps that a reader is timed on: as many as take some seconds.
const STEPS: u64 = 1000;
const STEPS_OF_OURS: u64 = 4000;
/// The same for peers that take seconds for a few; more than the batches of workers that are not timed.
const STEPS_OF_SLOW_PEERS: u64 = 160;

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Av1 => "av1",
            Self::H264 => "h264",
        }
    }
}

impl Job {
    fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Episodes => "episodes",
            Self::Windows => "windows",
            Self::Shuffle => "shuffle",
            Self::Cached => "cached",
        }
    }

    /// Who reads the same.
    fn peers(self) -> Vec<Peer> {
        let both = |name| [0, 2].map(|n_workers| Peer { name, n_workers });
        match self {
            Self::Random | Self::Episodes | Self::Windows | Self::Cached => both("lerobot").into(),
            Self::Shuffle => {
                let limit = [Peer { name: LIMIT, n_workers: 0 }];
                [&both("mosaicml")[..], &both("litdata"), &limit].concat()
            }
        }
    }

    /// What a peer is asked for; LeRobot is as fast at 224 × 224, which it resizes to afterwards.
    fn of_peers(self) -> &'static str {
        match self {
            Self::Cached => Self::Random.name(),
            other => other.name(),
        }
    }

    fn steps_of_peers(self) -> u64 {
        if self == Self::Windows { STEPS_OF_SLOW_PEERS } else { STEPS }
    }
}

impl Reading {
    fn steps_per_s(&self) -> f64 {
        self.n_steps as f64 / self.wall_s
    }
}

/// Makes the sets of the selected jobs below `folder` and times every reader on them.
///
/// # Errors
/// When our own set or our wheel cannot be made, or we cannot read. What a peer cannot do becomes a remark.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    let name = |kind: Kind, job: Job| format!("stream-{}-{}", kind.name(), job.name());
    let jobs: Vec<(Kind, Job)> =
        JOBS.into_iter().filter(|(kind, job)| options.lets_through(&name(*kind, *job))).collect();
    let has_scale = options.lets_through(scale::NAME);
    figures.n_selected = jobs.len() + usize::from(has_scale);
    if has_scale && !options.inputs_only {
        match python_wheel::released() {
            Ok((python, _)) => figures.scale = scale::run(&python, &folder.join("stream"))?,
            Err(reason) => {
                figures.remarks.push(format!("{}: not measured: {}", scale::NAME, first_line(&reason)));
            }
        }
    }
    if jobs.is_empty() {
        return Ok(figures);
    }
    let Some(peers) = &options.peers else {
        let remark =
            "`--peers PYTHON` was not given: streams were not timed, because only LeRobot writes the sets.";
        figures.remarks.push(remark.to_owned());
        return Ok(figures);
    };
    let sets = Sets { folder: folder.join("stream"), outputs, peers };
    std::fs::create_dir_all(&sets.folder)
        .map_err(|err| format!("cannot make {}: {err}", sets.folder.display()))?;
    sets.make("jpegs")?;
    if options.inputs_only {
        for (kind, _) in jobs {
            println!("{}", sets.of_lerobot(kind)?.display());
        }
        return Ok(figures);
    }
    let (python, remark) = python_wheel::released()?;
    figures.remarks.extend(remark);
    for (kind, job) in jobs {
        if let Some(row) = time_all(&sets, &python, kind, job, options, &mut figures.remarks)? {
            figures.rows.push(row);
        }
    }
    Ok(figures)
}

/// The sets below a folder, and the interpreter that writes them.
struct Sets<'a> {
    folder: PathBuf,
    /// Where ours are.
    outputs: &'a Path,
    peers: &'a Path,
}

impl Sets<'_> {
    /// A set as its own writer makes it.
    fn make(&self, kind: &str) -> Result<PathBuf> {
        let path = self.folder.join(kind);
        if !path.exists() || kind == "jpegs" {
            eprintln!("making {}", path.display());
            let mut command = Command::new(self.peers);
            command.arg(script("make.py")).arg(kind).arg(&path).arg(self.folder.join("jpegs"));
            workspace::stdout_of(&mut command)?;
        }
        Ok(path)
    }

    /// The set that LeRobot wrote, converted: by this build, so that it goes with the run.
    fn ours(&self, kind: Kind) -> Result<PathBuf> {
        let out = self.outputs.join(format!("nodedata-{}", kind.name()));
        if !out.exists() {
            let mut convert = Command::new(workspace::node_data("release"));
            convert.arg("convert").arg(self.of_lerobot(kind)?).arg("--out").arg(&out);
            workspace::stdout_of(convert.args(["--access", "random"]))?;
        }
        Ok(out)
    }

    fn of_lerobot(&self, kind: Kind) -> Result<PathBuf> {
        self.make(&format!("lerobot-{}", kind.name()))
    }

    /// What a peer reads for a job.
    fn of_peer(&self, peer: Peer, kind: Kind) -> Result<PathBuf> {
        match peer.name {
            "lerobot" => self.of_lerobot(kind),
            LIMIT => self.make("jpegs"),
            other => self.make(other),
        }
    }
}

/// Runs every reader of a job in turns, so that a slow minute of the machine hits all of them. `None` when ours cannot do it.
fn time_all(
    sets: &Sets<'_>,
    python: &Path,
    kind: Kind,
    job: Job,
    options: &Options,
    remarks: &mut Vec<String>,
) -> Result<Option<Row>> {
    let name = format!("{} {}", kind.name(), job.name());
    let own_set = sets.ours(kind)?;
    let mut ours = Vec::new();
    let mut peers: Vec<(Peer, Vec<Reading>)> = Vec::new();
    let mut places = Vec::new();
    for peer in job.peers() {
        match sets.of_peer(peer, kind) {
            Ok(set) => {
                peers.push((peer, Vec::new()));
                places.push(set);
            }
            Err(reason) => remarks.push(format!("{name}: no set for {}: {}", peer.name, first_line(&reason))),
        }
    }
    for run in 0..options.runs.max(1) {
        eprintln!("stream {name}: run {} of {}", run + 1, options.runs.max(1));
        let steps = STEPS_OF_OURS.to_string();
        match read(python, "ours.py", &[job.name(), &path_text(&own_set), &steps]) {
            Ok(reading) => ours.push(reading),
            // It is not everywhere, and its goal is then not met.
            Err(reason) if job == Job::Cached => {
                remarks.push(format!("{name}: not timed: {}", first_line(&reason)));
                return Ok(None);
            }
            Err(reason) => return Err(reason),
        }
        for ((peer, readings), set) in peers.iter_mut().zip(&places) {
            let (steps, n_workers) = (job.steps_of_peers().to_string(), peer.n_workers.to_string());
            let set = path_text(set);
            match read(sets.peers, "peers.py", &[peer.name, job.of_peers(), &set, &steps, &n_workers]) {
                Ok(reading) => readings.push(reading),
                Err(reason) if run == 0 => {
                    remarks.push(format!("{name}: {} cannot: {}", peer.name, first_line(&reason)));
                }
                Err(_) => {}
            }
        }
    }
    peers.retain(|(_, readings)| !readings.is_empty());
    let ratios = Ratios {
        peers: ratio(&ours, &peers, |it| it.name != LIMIT),
        limit: ratio(&ours, &peers, |it| it.name == LIMIT),
    };
    Ok(Some(Row { kind, job, ours, peers, ratios }))
}

/// The median, over the turns, of our speed over that of the fastest of some peers; `None` where there is none.
fn ratio(ours: &[Reading], peers: &[(Peer, Vec<Reading>)], wanted: fn(Peer) -> bool) -> Option<f64> {
    let peers: Vec<&Vec<Reading>> = peers.iter().filter(|(it, _)| wanted(*it)).map(|(_, it)| it).collect();
    let of_turn = |(turn, own): (usize, &Reading)| {
        let fastest = peers.iter().filter_map(|it| Some(it.get(turn)?.steps_per_s())).reduce(f64::max)?;
        Some(own.steps_per_s() / fastest)
    };
    let ratios: Vec<f64> = ours.iter().enumerate().filter_map(of_turn).collect();
    (!ratios.is_empty()).then(|| median(ratios))
}

/// Runs one reader, and takes what it says on the last line that is an object.
fn read(python: &Path, of: &str, arguments: &[&str]) -> Result<Reading> {
    let mut command = Command::new(python);
    command.arg(script(of)).args(arguments).env("HF_HUB_OFFLINE", "1").env("OPENBLAS_NUM_THREADS", "1");
    let said = workspace::stdout_of(&mut command)?;
    let line = said.lines().rev().find(|it| it.starts_with('{'));
    let line = line.ok_or_else(|| format!("{} said nothing", workspace::shown(&command)))?;
    serde_json::from_str(line).map_err(|err| format!("cannot read what {of} said: {err}"))
}

fn script(name: &str) -> PathBuf {
    workspace::root().join("xtask/src/bench/stream").join(name)
}

/// The last line of a Python failure says what it was; otherwise the first.
fn first_line(reason: &str) -> &str {
    reason.lines().last().or_else(|| reason.lines().next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(n_steps: u64, wall_s: f64) -> Reading {
        Reading { version: String::new(), n_steps, wall_s, cpu_s: 0.0, anon_peak_bytes: 0 }
    }

    #[test]
    fn the_fastest_peer_of_each_turn_counts() {
        let ours = [reading(100, 1.0), reading(100, 2.0), reading(300, 1.0)];
        let one = Peer { name: "lerobot", n_workers: 0 };
        let two = Peer { name: "lerobot", n_workers: 2 };
        let limit = Peer { name: LIMIT, n_workers: 0 };
        let peers = [
            (one, vec![reading(50, 1.0), reading(10, 1.0), reading(100, 1.0)]),
            (two, vec![reading(20, 1.0), reading(25, 1.0), reading(10, 1.0)]),
            (limit, vec![reading(200, 1.0)]),
        ];
        assert_eq!(ratio(&ours, &peers, |it| it.name != LIMIT), Some(2.0));
        assert_eq!(ratio(&ours, &peers, |it| it.name == LIMIT), Some(0.5));
        assert_eq!(ratio(&ours, &[], |_| true), None);
    }

    #[test]
    fn a_failure_of_python_is_told_by_its_last_line() {
        assert_eq!(
            first_line("python ended with 1\nTraceback\nModuleNotFoundError: x"),
            "ModuleNotFoundError: x"
        );
    }
}
