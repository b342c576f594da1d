//! What steps on a grid cost beside the conversion of the same topics as they are.

use std::{fmt::Write, fs, path::Path};

use serde_json::{Value, json};

use super::{
    inputs::{self, Input, Mix},
    measure::{self, Measured, even_ground, median, median_of},
    path_text, remove,
    report::{HEAP_BYTES_MAX, heap_peak_bytes, mebibytes, verdict},
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
    aligned: Measured,
    lossless: Measured,
    /// Median of the aligned run's time over the conversion's in the same turn, less one.
    overhead: f64,
    heap_peak_bytes: Option<u64>,
}

/// Makes the recordings below `folder` and times the selected pipelines on them.
///
/// # Errors
/// When a recording cannot be made or a run fails.
pub(super) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    for (name, mix, pipeline) in JOBS {
        if options.only.as_deref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        figures.n_selected += 1;
        let input = inputs::make(folder, mix, "none", options.mb)?;
        if options.inputs_only {
            println!("{}", input.path.display());
        } else {
            let pipeline = pipeline.replace(CAMERA, mix.camera_topic());
            figures.rows.push(time_all(name, input, &pipeline, outputs, options.runs.max(1))?);
        }
    }
    Ok(figures)
}

fn time_all(name: &'static str, input: Input, pipeline: &str, outputs: &Path, n_runs: usize) -> Result<Row> {
    let failed = |err: std::io::Error| format!("cannot prepare {name}: {err}");
    let file = outputs.join(format!("{name}.yaml"));
    let source = serde_json::to_string(&path_text(&input.path)).map_err(|err| err.to_string())?;
    fs::write(&file, format!("{pipeline}source: {{path: {source}}}\n")).map_err(failed)?;
    let out = outputs.join("aligned");
    let command = |verb: &str, what: &Path| {
        let program = path_text(&workspace::node_data("release"));
        [program, verb.to_owned(), path_text(what), "--out".to_owned(), path_text(&out)]
    };
    let (mut aligned, mut lossless, mut heap_peak) = (Vec::new(), Vec::new(), None);
    for run in 0..n_runs {
        eprintln!("{name}: run {} of {n_runs}", run + 1);
        for (command, runs) in
            [(command("convert", &input.path), &mut lossless), (command("run", &file), &mut aligned)]
        {
            remove(&out)?;
            even_ground(outputs, input.n_bytes)?;
            runs.push(measure::in_own_process(&command)?);
        }
        heap_peak = heap_peak.max(heap_peak_bytes(&out.join("report.json")));
        remove(&out)?;
    }
    let overheads =
        aligned.iter().zip(&lossless).map(|(aligned, lossless)| aligned.wall_s / lossless.wall_s - 1.0);
    Ok(Row {
        name,
        input,
        overhead: median(overheads.collect()),
        aligned: median_of(&aligned),
        lossless: median_of(&lossless),
        heap_peak_bytes: heap_peak,
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
            format!("{:.3}", row.aligned.wall_s),
            format!("{:.3}", row.aligned.cpu_s),
            format!("{:.3}", row.lossless.wall_s),
            format!("{:.3}", row.lossless.cpu_s),
            format!("{:+.0} %", row.overhead * 100.0),
            row.heap_peak_bytes.map_or("–".to_owned(), mebibytes),
        ];
        _ = writeln!(text, "| {} |", cells.join(" | "));
        let is_met = verdict(row.overhead <= OVERHEAD_MAX);
        _ = writeln!(
            goals,
            "| {}: at most 30 % on top | {:+.0} % | {is_met} |",
            row.name,
            row.overhead * 100.0
        );
        if let Some(peak) = row.heap_peak_bytes {
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
            "aligned": row.aligned,
            "lossless": row.lossless,
            "overhead": row.overhead,
            "heap_peak_bytes": row.heap_peak_bytes,
        })
    });
    rows.collect::<Vec<_>>().into()
}
