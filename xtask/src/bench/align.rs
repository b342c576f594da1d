//! What steps on a grid cost beside the conversion of the same topics as they are.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    against,
    conversion::{Conversion, convert},
    inputs::{self, Input, Mix},
    measure::{even_ground, median},
    path_text,
    report::{HEAP_BYTES_MAX, mebibytes, verdict},
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

/// The part of the lossless conversion's time that may come on top of it.
const OVERHEAD_MAX: f64 = 0.3;

/// Pipelines over the recordings of the bench, by name: without their source, and with [`CAMERA`] for its camera.
const JOBS: [(&str, Mix, &str); 3] = [
    ("align-jpeg", Mix::Jpeg, include_str!("align/camera.yaml")),
    ("align-raw", Mix::Raw, include_str!("align/camera.yaml")),
    ("align-numeric", Mix::Numeric, include_str!("align/numeric.yaml")),
];
/// What stands for the camera's topic in a pipeline.
const CAMERA: &str = "CAMERA";

/// What was found about the selected pipelines.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    /// Jobs that `--only` lets through.
    pub(super) n_selected: usize,
}

struct Row {
    name: &'static str,
    input: Input,
    aligned: Conversion,
    lossless: Conversion,
    /// Median of the aligned run's time over the conversion's in the same turn, less one.
    overhead: f64,
}

/// Makes the recordings below `folder` and times the selected pipelines on them.
///
/// # Errors
/// When a recording cannot be made or a run fails.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    for (name, mix, pipeline) in JOBS.into_iter().filter(|it| options.lets_through(it.0)) {
        figures.n_selected += 1;
        let input = inputs::make(folder, mix, "none", options.mb)?;
        if options.inputs_only {
            println!("{}", input.path.display());
        } else {
            let pipeline = write_pipeline(name, mix, pipeline, &input, outputs)?;
            figures.rows.push(time_all(name, input, &pipeline, outputs, options.runs.max(1))?);
        }
    }
    Ok(figures)
}

/// The selected pipelines as jobs for any build of the program.
///
/// # Errors
/// When a recording cannot be made.
pub(super) fn jobs<'a>(folder: &Path, outputs: &'a Path, options: &Options) -> Result<Vec<against::Job<'a>>> {
    let wanted = JOBS.into_iter().filter(|it| options.lets_through(it.0));
    let jobs = wanted.map(|(name, mix, pipeline)| {
        let input = inputs::make(folder, mix, "none", options.mb)?;
        let pipeline = write_pipeline(name, mix, pipeline, &input, outputs)?;
        Ok(against::Job {
            name: name.to_owned(),
            n_bytes: input.n_bytes,
            once: Box::new(move |program| convert(program, "run", &pipeline, &outputs.join("aligned"), &[])),
        })
    });
    jobs.collect()
}

/// Writes a pipeline over a recording and says where it is.
fn write_pipeline(name: &str, mix: Mix, pipeline: &str, input: &Input, outputs: &Path) -> Result<PathBuf> {
    let file = outputs.join(format!("{name}.yaml"));
    let pipeline = pipeline.replace(CAMERA, mix.camera_topic());
    let source = serde_json::to_string(&path_text(&input.path)).map_err(|err| err.to_string())?;
    fs::write(&file, format!("{pipeline}source: {{path: {source}}}\n"))
        .map_err(|err| format!("cannot prepare {name}: {err}"))?;
    Ok(file)
}

fn time_all(name: &'static str, input: Input, pipeline: &Path, outputs: &Path, n_runs: usize) -> Result<Row> {
    let program = workspace::node_data("release");
    let (mut aligned, mut lossless) = (Vec::new(), Vec::new());
    for run in 0..n_runs {
        eprintln!("{name}: run {} of {n_runs}", run + 1);
        for (verb, what, runs) in
            [("convert", input.path.as_path(), &mut lossless), ("run", pipeline, &mut aligned)]
        {
            even_ground(outputs, input.n_bytes)?;
            runs.push(convert(&program, verb, what, &outputs.join("aligned"), &[])?);
        }
    }
    let overheads = aligned
        .iter()
        .zip(&lossless)
        .map(|(aligned, lossless)| aligned.measured.wall_s / lossless.measured.wall_s - 1.0);
    Ok(Row {
        name,
        input,
        overhead: median(overheads.collect()),
        aligned: Conversion::middle(&aligned),
        lossless: Conversion::middle(&lossless),
    })
}

/// The tables for `docs/performance.md`; nothing when no pipeline was selected.
pub(super) fn markdown(figures: &Figures, options: &Options) -> String {
    if figures.rows.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "| pipeline | MB | messages | aligned: wall s | CPU s | lossless: wall s | CPU s | on top | peak heap MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut goals = String::from("\n| goal | found | |\n| --- | --- | --- |\n");
    // Writing to a String cannot fail.
    for row in &figures.rows {
        let cells = [
            row.name.to_owned(),
            format!("{:.0}", row.input.n_bytes as f64 / 1e6),
            row.input.n_messages.to_string(),
            format!("{:.3}", row.aligned.measured.wall_s),
            format!("{:.3}", row.aligned.measured.cpu_s),
            format!("{:.3}", row.lossless.measured.wall_s),
            format!("{:.3}", row.lossless.measured.cpu_s),
            format!("{:+.0} %", row.overhead * 100.0),
            row.aligned.heap_peak_bytes.map_or("–".to_owned(), mebibytes),
        ];
        _ = writeln!(text, "| {} |", cells.join(" | "));
        let is_met = verdict(row.overhead <= OVERHEAD_MAX);
        _ = writeln!(
            goals,
            "| {}: at most 30 % on top | {:+.0} % | {is_met} |",
            row.name,
            row.overhead * 100.0
        );
        if let Some(peak) = row.aligned.heap_peak_bytes {
            let is_met = verdict(peak <= HEAP_BYTES_MAX);
            _ = writeln!(goals, "| {}: peak heap ≤ 200 MiB | {} MiB | {is_met} |", row.name, mebibytes(peak));
        }
    }
    _ = writeln!(
        goals,
        "\nMedians of {} runs in turns (on top: of the ratios within a turn; peaks: the highest); `--mb {}`.",
        options.runs, options.mb
    );
    text + &goals
}

/// The same figures for programs.
pub(super) fn json(figures: &Figures) -> Value {
    let rows = figures.rows.iter().map(|row| {
        json!({
            "pipeline": row.name,
            "input": row.input,
            "aligned": row.aligned.measured,
            "lossless": row.lossless.measured,
            "overhead": row.overhead,
            "heap_peak_bytes": row.aligned.heap_peak_bytes,
        })
    });
    rows.collect::<Vec<_>>().into()
}
