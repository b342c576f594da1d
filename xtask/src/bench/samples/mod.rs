//! Samples: WebDataset, JSON Lines, CSV, and Parquet and Arrow files that are cut anew.

mod files;
mod official;
mod report;
mod set;
mod table;

use std::path::Path;

use self::{
    official::Reading,
    set::{Kind, Set},
};
use super::{
    against,
    conversion::{Conversion, convert},
    measure::{self, Measured, median, median_of},
    path_text, remove,
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

pub(super) use report::{json, markdown};

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
    kind: Kind,
    set: Set,
    convert: Conversion,
    /// Read, BLAKE3, write and sync of all files of the set.
    copy: Measured,
    official: Option<Reading>,
    ratios: Ratios,
}

/// Medians of their time over ours within a turn: above 1, ours was faster.
struct Ratios {
    copy: f64,
    official: Option<f64>,
}

/// Makes the selected sets below `folder` and times every job on them.
///
/// # Errors
/// When a set cannot be made or a job fails.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    for (kind, set) in sets(folder, options)? {
        figures.n_selected += 1;
        if options.inputs_only {
            println!("{}", set.path.display());
        } else {
            figures.rows.push(time_all(kind, set, outputs, options)?);
        }
    }
    if !figures.rows.is_empty() && options.python.is_none() {
        let remark = "`--python PYTHON` was not given: `webdataset` and pyarrow were not timed.";
        figures.remarks.push(remark.to_owned());
    }
    Ok(figures)
}

/// The sets that `--only` lets through.
fn sets(folder: &Path, options: &Options) -> Result<Vec<(Kind, Set)>> {
    let wanted = Kind::ALL.into_iter().filter(|it| options.lets_through(it.name()));
    wanted.map(|kind| Ok((kind, set::make(folder, kind, options.mb)?))).collect()
}

/// The conversions of the selected sets as jobs for any build of the program.
///
/// # Errors
/// When a set cannot be made.
pub(super) fn jobs<'a>(folder: &Path, outputs: &'a Path, options: &Options) -> Result<Vec<against::Job<'a>>> {
    let jobs = sets(folder, options)?.into_iter().map(|(kind, set)| against::Job {
        name: kind.name().to_owned(),
        n_bytes: set.n_bytes,
        once: Box::new(move |program| convert(program, "convert", &set.path, &outputs.join("dataset"), &[])),
    });
    Ok(jobs.collect())
}

fn time_all(kind: Kind, set: Set, outputs: &Path, options: &Options) -> Result<Row> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let (program, dataset) = (workspace::node_data("release"), outputs.join("dataset"));
    let copied = outputs.join("copy.bin");
    let (mut converts, mut copies, mut readings) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..options.runs.max(1) {
        eprintln!("{}: run {} of {}", kind.name(), run + 1, options.runs.max(1));
        measure::even_ground(outputs, set.n_bytes)?;
        converts.push(convert(&program, "convert", &set.path, &dataset, &[])?);
        let job = ["bench-job", "copy"].map(str::to_owned);
        let copy = [&[path_text(&own)], &job[..], &[path_text(&set.path), path_text(&copied)]].concat();
        measure::even_ground(outputs, set.n_bytes)?;
        copies.push(measure::in_own_process(&copy)?);
        remove(&copied)?;
        if let Some(python) = &options.python {
            measure::even_ground(outputs, set.n_bytes)?;
            readings.push(official::read(python, kind, &set, outputs)?);
        }
    }
    let ours: Vec<f64> = converts.iter().map(|it| it.measured.wall_s).collect();
    let over = |theirs: Vec<f64>| {
        median(theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect::<Vec<f64>>())
    };
    let ratios = Ratios {
        copy: over(copies.iter().map(|it| it.wall_s).collect()),
        official: (!readings.is_empty()).then(|| over(readings.iter().map(|it| it.wall_s).collect())),
    };
    Ok(Row {
        kind,
        set,
        convert: Conversion::middle(&converts),
        copy: median_of(&copies),
        official: official::median_of(readings),
        ratios,
    })
}
