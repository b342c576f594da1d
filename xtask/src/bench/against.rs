//! Every job with two programs in turns: ours, and another build of it.

use std::{fmt::Write, path::Path};

use serde_json::{Value, json};

use super::{
    align,
    conversion::{Conversion, convert},
    inputs, lerobot,
    measure::{Measured, even_ground, median},
    push,
    report::mebibytes,
    rlds, samples, transforms,
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

/// A job that any build of the program can do.
pub(super) struct Job<'a> {
    pub(super) name: String,
    /// What it writes, roughly.
    pub(super) n_bytes: u64,
    /// Runs it once with the program given.
    pub(super) once: Box<Once<'a>>,
}

type Once<'a> = dyn Fn(&Path) -> Result<Conversion> + 'a;

/// What both programs needed for one job.
pub(super) struct Comparison {
    name: String,
    ours: Conversion,
    theirs: Conversion,
    /// Medians of our time over theirs in the same turn; below 1, ours was faster.
    wall: f64,
    cpu: f64,
}

/// Times the selected jobs with our program and with `theirs`.
///
/// # Errors
/// When an input cannot be made, a run fails, or nothing is selected.
pub(super) fn run(
    folder: &Path,
    outputs: &Path,
    options: &Options,
    theirs: &Path,
) -> Result<Vec<Comparison>> {
    let mut jobs = Vec::new();
    for (mix, compression) in inputs::wanted(options) {
        let input = inputs::make(folder, mix, compression, options.mb)?;
        jobs.push(Job {
            name: input.name.clone(),
            n_bytes: input.n_bytes,
            once: Box::new(move |program| {
                convert(program, "convert", &input.path, &outputs.join("dataset"), &[])
            }),
        });
    }
    jobs.extend(align::jobs(folder, outputs, options)?);
    jobs.extend(transforms::jobs(folder, outputs, options)?);
    jobs.extend(lerobot::jobs(folder, outputs, options)?);
    jobs.extend(rlds::jobs(folder, outputs, options)?);
    jobs.extend(samples::jobs(folder, outputs, options)?);
    jobs.extend(push::jobs(folder, outputs, options)?);
    if jobs.is_empty() {
        return Err("no input has such a name; `--help` lists them".to_owned());
    }
    let ours = workspace::node_data("release");
    jobs.iter().map(|job| compare(job, &ours, theirs, outputs, options.runs.max(1))).collect()
}

/// Runs a job `n_runs` times with each program. They take turns in going first: what the other has left in the caches
/// must not always help the same one.
fn compare(job: &Job<'_>, ours: &Path, theirs: &Path, outputs: &Path, n_runs: usize) -> Result<Comparison> {
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for run in 0..n_runs {
        eprintln!("{}: run {} of {n_runs}", job.name, run + 1);
        let mut turn = [(ours, &mut of_ours), (theirs, &mut of_theirs)];
        if run % 2 == 1 {
            turn.reverse();
        }
        for (program, runs) in turn {
            even_ground(outputs, job.n_bytes)?;
            runs.push((job.once)(program)?);
        }
    }
    let ratio = |of: fn(&Measured) -> f64| {
        median(of_ours.iter().zip(&of_theirs).map(|(a, b)| of(&a.measured) / of(&b.measured)).collect())
    };
    Ok(Comparison {
        name: job.name.clone(),
        wall: ratio(|it| it.wall_s),
        cpu: ratio(|it| it.cpu_s),
        ours: Conversion::middle(&of_ours),
        theirs: Conversion::middle(&of_theirs),
    })
}

/// The table.
pub(super) fn markdown(rows: &[Comparison], options: &Options, theirs: &Path) -> String {
    let mut table = String::from(
        "| job | ours: wall s | theirs | ours: CPU s | theirs | wall: ours / theirs | CPU: ours / theirs | \
         ours: peak heap MiB | theirs | ours: peak anonymous MiB | theirs |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let heap = |it: &Conversion| it.heap_peak_bytes.map_or("–".to_owned(), mebibytes);
        let cells = [
            row.name.clone(),
            format!("{:.3}", row.ours.measured.wall_s),
            format!("{:.3}", row.theirs.measured.wall_s),
            format!("{:.3}", row.ours.measured.cpu_s),
            format!("{:.3}", row.theirs.measured.cpu_s),
            format!("{:.3}", row.wall),
            format!("{:.3}", row.cpu),
            heap(&row.ours),
            heap(&row.theirs),
            mebibytes(row.ours.measured.anon_peak_bytes),
            mebibytes(row.theirs.measured.anon_peak_bytes),
        ];
        // Writing to a String cannot fail.
        _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    _ = write!(
        table,
        "\nTheirs is {}. Medians of {} runs in turns (ratios: of those within a turn; peaks: the highest); `--mb {}`.",
        theirs.display(),
        options.runs,
        options.mb
    );
    table
}

/// The same figures for programs.
pub(super) fn json(rows: &[Comparison]) -> Value {
    let conversion =
        |it: &Conversion| json!({"measured": it.measured, "heap_peak_bytes": it.heap_peak_bytes});
    let rows = rows.iter().map(|row| {
        json!({
            "job": row.name,
            "ours": conversion(&row.ours),
            "theirs": conversion(&row.theirs),
            "wall_ours_by_theirs": row.wall,
            "cpu_ours_by_theirs": row.cpu,
        })
    });
    rows.collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn programs_take_turns_and_ratios_are_those_of_a_turn() {
        let folder = workspace::target_dir().join(format!("against-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let called = RefCell::new(Vec::new());
        // The machine slows down from turn to turn; ours takes half as long in each.
        let once = |program: &Path| {
            called.borrow_mut().push(program.to_owned());
            let turn = called.borrow().len().div_ceil(2);
            let wall_s = turn as f64 * if program == Path::new("ours") { 1.0 } else { 2.0 };
            let measured = Measured { wall_s, cpu_s: 1.0, ..Measured::default() };
            Ok(Conversion { measured, heap_peak_bytes: Some(turn as u64), open_s: None })
        };
        let job = Job { name: "x".to_owned(), n_bytes: 0, once: Box::new(once) };
        let found = compare(&job, Path::new("ours"), Path::new("theirs"), &folder, 3).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        drop(job);
        let order: Vec<_> = called.into_inner().iter().map(|it| it.display().to_string()).collect();
        assert_eq!(order, ["ours", "theirs", "theirs", "ours", "ours", "theirs"]);
        assert_eq!((found.wall, found.cpu), (0.5, 1.0));
        assert_eq!((found.ours.measured.wall_s, found.theirs.measured.wall_s), (2.0, 4.0));
        assert_eq!(found.ours.heap_peak_bytes, Some(3));
    }
}
