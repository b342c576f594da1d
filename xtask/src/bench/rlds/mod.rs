//! RLDS sets: many episodes with three cameras, one episode of 500 MB, and 20,000 short ones.

mod example;
mod framing;
mod official;
mod report;
mod set;

use std::path::Path;

use self::{
    official::Reading,
    set::{Lengths, Set},
};
use super::{
    against,
    conversion::{Conversion, convert},
    measure::{self, Measured, median, median_of, middle},
    path_text, remove,
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

pub(super) use framing::by_crate;
pub(super) use report::{json, markdown};

/// The sets, in the order of the report; with a size of its own where `--mb` does not say it.
const SETS: [(&str, Lengths, Option<u64>); 3] = [
    ("rlds-jpeg", Lengths::Usual, None),
    ("rlds-large", Lengths::One, Some(500)),
    ("rlds-many", Lengths::Many, Some(10)),
];

/// What was found about the selected sets.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    /// What was skipped, and why.
    remarks: Vec<String>,
    /// Sets that `--only` lets through.
    pub(super) n_selected: usize,
}

struct Row {
    set: Set,
    convert: Conversion,
    /// Read, BLAKE3, write and sync of all files of the set.
    copy: Measured,
    ours_framing: Measured,
    crate_framing: Measured,
    official: Option<Reading>,
    ratios: Ratios,
}

/// Medians of their time over ours within a turn: above 1, ours was faster.
struct Ratios {
    copy: f64,
    framing: f64,
    official: Option<f64>,
}

/// Makes the selected sets below `folder` and times every job on them.
///
/// # Errors
/// When a set cannot be made or a job fails.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    for set in sets(folder, options)? {
        figures.n_selected += 1;
        if options.inputs_only {
            println!("{}", set.path.display());
        } else {
            figures.rows.push(time_all(set, outputs, options)?);
        }
    }
    if !figures.rows.is_empty() && options.tfds.is_none() {
        figures.remarks.push("`--tfds PYTHON` was not given: TFDS was not timed.".to_owned());
    }
    Ok(figures)
}

/// The sets that `--only` lets through.
fn sets(folder: &Path, options: &Options) -> Result<Vec<Set>> {
    let wanted = SETS.into_iter().filter(|it| options.lets_through(it.0));
    wanted.map(|(name, lengths, mb)| set::make(folder, name, lengths, mb.unwrap_or(options.mb))).collect()
}

/// The conversions of the selected sets as jobs for any build of the program.
///
/// # Errors
/// When a set cannot be made.
pub(super) fn jobs<'a>(folder: &Path, outputs: &'a Path, options: &Options) -> Result<Vec<against::Job<'a>>> {
    let jobs = sets(folder, options)?.into_iter().map(|set| against::Job {
        name: set.name.clone(),
        n_bytes: set.n_bytes,
        once: Box::new(move |program| convert(program, "convert", &set.path, &outputs.join("dataset"), &[])),
    });
    Ok(jobs.collect())
}

fn time_all(set: Set, outputs: &Path, options: &Options) -> Result<Row> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let (program, dataset) = (workspace::node_data("release"), outputs.join("dataset"));
    let copied = outputs.join("copy.bin");
    let (mut converts, mut copies) = (Vec::new(), Vec::new());
    let (mut ours_framing, mut crate_framing, mut readings) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..options.runs.max(1) {
        eprintln!("{}: run {} of {}", set.name, run + 1, options.runs.max(1));
        measure::even_ground(outputs, set.n_bytes)?;
        converts.push(convert(&program, "convert", &set.path, &dataset, &[])?);
        let job = ["bench-job", "copy"].map(str::to_owned);
        let copy = [&[path_text(&own)], &job[..], &[path_text(&set.path), path_text(&copied)]].concat();
        measure::even_ground(outputs, set.n_bytes)?;
        copies.push(measure::in_own_process(&copy)?);
        remove(&copied)?;
        ours_framing.push(framing::time_ours(&program, &set)?);
        crate_framing.push(framing::time_crate(&set)?);
        if let Some(python) = &options.tfds {
            measure::even_ground(outputs, set.n_bytes)?;
            readings.push(official::read(python, &set, outputs)?);
        }
    }
    let over = |theirs: &[f64], ours: &[f64]| {
        median(theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect())
    };
    let wall = |runs: &[Measured]| runs.iter().map(|it| it.wall_s).collect::<Vec<_>>();
    let ours: Vec<f64> = converts.iter().map(|it| it.measured.wall_s).collect();
    let official: Vec<f64> = readings.iter().map(|it| it.wall_s).collect();
    let ratios = Ratios {
        copy: over(&wall(&copies), &ours),
        framing: over(&wall(&crate_framing), &wall(&ours_framing)),
        official: (!official.is_empty()).then(|| over(&official, &ours)),
    };
    Ok(Row {
        set,
        convert: Conversion::middle(&converts),
        copy: median_of(&copies),
        ours_framing: median_of(&ours_framing),
        crate_framing: median_of(&crate_framing),
        official: middle(readings, |it| it.wall_s),
        ratios,
    })
}
