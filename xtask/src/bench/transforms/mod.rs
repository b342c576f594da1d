//! What transforms cost: those of numbers beside the same aligned conversion without them, those of pictures beside OpenCV.

mod frames;
mod opencv;
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::{frames::Frames, opencv::Reading};
use super::{
    against,
    conversion::{Conversion, convert},
    inputs::{self, Input, Mix},
    measure::{self, Measured, even_ground, median, median_of, middle},
    path_text,
};
use crate::{
    bench_command::Options,
    workspace::{self, Result},
};

pub(super) use frames::transform as transform_frames;
pub(super) use report::{json, markdown};

/// Pipelines over the recordings of the bench, by name: without their source, and with [`CAMERA`] for its camera.
const JOBS: [(&str, Mix, &str); 3] = [
    ("transforms-numeric", Mix::Numeric, include_str!("numeric.yaml")),
    ("transforms-jpeg", Mix::Jpeg, include_str!("camera.yaml")),
    ("transforms-raw", Mix::Camera, include_str!("camera.yaml")),
];
/// What stands for the camera's topic in a pipeline.
const CAMERA: &str = "CAMERA";

/// What was found about the selected pipelines.
#[derive(Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    /// What was left out, and why.
    remarks: Vec<String>,
    /// Jobs that `--only` lets through.
    pub(super) n_selected: usize,
}

struct Row {
    name: &'static str,
    input: Input,
    with: Conversion,
    /// The same pipeline without its transforms.
    without: Conversion,
    /// Medians of the time with them over that without in the same turn.
    wall: f64,
    cpu: f64,
    pictures: Option<Pictures>,
}

/// The transforms of pictures alone.
struct Pictures {
    /// Frames that the conversion has resized.
    n_converted: u64,
    /// `nodedata-media` on a file of frames.
    library: Measured,
    opencv: Option<OpenCv>,
}

struct OpenCv {
    reading: Reading,
    /// Medians of OpenCV's CPU for a frame over ours in the same turn; above 1, ours needed less.
    to_library: f64,
    to_conversion: f64,
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
        let frames = if mix == Mix::Numeric { None } else { Some(frames::make(folder, mix)?) };
        if options.inputs_only {
            println!("{}", input.path.display());
            continue;
        }
        let pipelines = write_pipelines(name, mix, pipeline, &input, outputs)?;
        figures.rows.push(time_all(name, input, &pipelines, frames.as_ref(), outputs, options)?);
    }
    if options.python.is_none() && figures.rows.iter().any(|it| it.pictures.is_some()) {
        figures.remarks.push("`--python PYTHON` was not given: OpenCV was not timed.".to_owned());
    }
    Ok(figures)
}

/// The selected pipelines, with their transforms, as jobs for any build of the program.
///
/// # Errors
/// When a recording cannot be made.
pub(super) fn jobs<'a>(folder: &Path, outputs: &'a Path, options: &Options) -> Result<Vec<against::Job<'a>>> {
    let wanted = JOBS.into_iter().filter(|it| options.lets_through(it.0));
    let jobs = wanted.map(|(name, mix, pipeline)| {
        let input = inputs::make(folder, mix, "none", options.mb)?;
        let [with, _] = write_pipelines(name, mix, pipeline, &input, outputs)?;
        Ok(against::Job {
            name: name.to_owned(),
            n_bytes: input.n_bytes,
            once: Box::new(move |program| convert(program, "run", &with, &outputs.join("transformed"), &[])),
        })
    });
    jobs.collect()
}

/// Writes a pipeline over a recording twice, with its transforms and without them, and says where.
fn write_pipelines(
    name: &str,
    mix: Mix,
    pipeline: &str,
    input: &Input,
    outputs: &Path,
) -> Result<[PathBuf; 2]> {
    let pipeline = pipeline.replace(CAMERA, mix.camera_topic());
    let source = serde_json::to_string(&path_text(&input.path)).map_err(|err| err.to_string())?;
    let write = |kind: &str, pipeline: &str| {
        let file = outputs.join(format!("{name}-{kind}.yaml"));
        fs::write(&file, format!("{pipeline}source: {{path: {source}}}\n"))
            .map_err(|err| format!("cannot prepare {name}: {err}"))?;
        Ok::<_, String>(file)
    };
    Ok([write("with", &pipeline)?, write("without", &without_transforms(&pipeline))?])
}

/// A pipeline without its lines that transform.
fn without_transforms(pipeline: &str) -> String {
    let kept = pipeline.lines().filter(|it| !it.trim_start().starts_with("transform:"));
    kept.map(|it| format!("{it}\n")).collect()
}

/// Runs every job in turns, so that a slow minute of the machine hits all of them.
fn time_all(
    name: &'static str,
    input: Input,
    pipelines: &[PathBuf; 2],
    frames: Option<&Frames>,
    outputs: &Path,
    options: &Options,
) -> Result<Row> {
    let program = workspace::node_data("release");
    let mut runs = [Vec::new(), Vec::new()];
    let (mut library, mut opencv) = (Vec::new(), Vec::new());
    let n_runs = options.runs.max(1);
    for run in 0..n_runs {
        eprintln!("{name}: run {} of {n_runs}", run + 1);
        for (pipeline, runs) in pipelines.iter().zip(&mut runs) {
            even_ground(outputs, input.n_bytes)?;
            runs.push(convert(&program, "run", pipeline, &outputs.join("transformed"), &[])?);
        }
        if let Some(frames) = frames {
            library.push(by_library(frames)?);
            if let Some(python) = &options.python {
                opencv.push(opencv::work(python, frames, outputs)?);
            }
        }
    }
    let [with, without] = runs;
    let ratio = |of: fn(&Measured) -> f64| {
        let pairs = with.iter().zip(&without);
        median(pairs.map(|(with, without)| of(&with.measured) / of(&without.measured)).collect())
    };
    let n_converted = inputs::n_frames(&input);
    let pictures = frames.map(|_| Pictures {
        n_converted,
        library: median_of(&library),
        opencv: beside_opencv(opencv, &library, &with, n_converted),
    });
    Ok(Row {
        name,
        wall: ratio(|it| it.wall_s),
        cpu: ratio(|it| it.cpu_s),
        with: Conversion::middle(&with),
        without: Conversion::middle(&without),
        pictures,
        input,
    })
}

/// Runs the transforms of a file of frames in a process of their own.
fn by_library(frames: &Frames) -> Result<Measured> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let words = ["bench-job", "frames", &path_text(&frames.path), &frames::N_FRAMES.to_string()];
    let mut command: Vec<String> = std::iter::once(path_text(&own)).chain(words.map(str::to_owned)).collect();
    if frames.is_jpeg {
        command.push("--jpeg".to_owned());
    }
    measure::in_own_process(&command)
}

fn beside_opencv(
    readings: Vec<Reading>,
    library: &[Measured],
    conversions: &[Conversion],
    n_converted: u64,
) -> Option<OpenCv> {
    let a_frame = |it: &Reading| it.cpu_s / it.n_frames as f64;
    let of_library = readings.iter().zip(library);
    let of_library = of_library.map(|(it, ours)| a_frame(it) / (ours.cpu_s / frames::N_FRAMES as f64));
    let of_conversion = readings.iter().zip(conversions);
    let of_conversion =
        of_conversion.map(|(it, ours)| a_frame(it) / (ours.measured.cpu_s / n_converted as f64));
    let (to_library, to_conversion) = (median(of_library.collect()), median(of_conversion.collect()));
    let reading = middle(readings, |it| it.cpu_s)?;
    Some(OpenCv { reading, to_library, to_conversion })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_without_transforms_has_all_its_fields() {
        for (name, _, pipeline) in JOBS {
            let without = without_transforms(pipeline);
            let fields = |it: &str| it.lines().filter(|it| it.trim_start().starts_with("from:")).count();
            assert_eq!(fields(&without), fields(pipeline), "{name}");
            assert!(pipeline.contains("transform:") && !without.contains("transform:"), "{name}");
            let n_gone = pipeline.lines().count() - without.lines().count();
            assert_eq!(n_gone, pipeline.matches("transform:").count(), "{name}");
        }
    }

    #[test]
    fn ratios_to_opencv_are_those_of_a_turn() {
        let reading = |cpu_s| Reading {
            version: "1".to_owned(),
            n_frames: frames::N_FRAMES,
            n_bytes: 1,
            wall_s: cpu_s,
            cpu_s,
        };
        let measured = |cpu_s| Measured { cpu_s, ..Measured::default() };
        let conversion =
            |cpu_s| Conversion { measured: measured(cpu_s), heap_peak_bytes: None, open_s: None };
        // The machine slows down from turn to turn; ours takes half as long in each, and the conversion, of twice the frames, as long.
        let found = beside_opencv(
            vec![reading(2.0), reading(8.0), reading(4.0)],
            &[measured(1.0), measured(4.0), measured(2.0)],
            &[conversion(4.0), conversion(16.0), conversion(8.0)],
            2 * frames::N_FRAMES,
        )
        .unwrap();
        assert_eq!((found.to_library, found.to_conversion, found.reading.cpu_s), (2.0, 1.0, 4.0));
        assert!(beside_opencv(Vec::new(), &[], &[], 1).is_none());
    }
}
