//! How fast frames of real video are decoded: with the decoders that are built in, with the `ffmpeg` program, beside the official
//! reader, and beside PyAV alone, which it decodes with.

mod pyav;
mod report;
mod steps;

use std::path::Path;

use self::pyav::Reading;
use super::{
    footage::{Codec, Film},
    official, real_video,
    set::Set,
    shape::CAMERAS,
};
use crate::{
    bench::{
        conversion::{Conversion, convert_with},
        measure::{self, Measured, median, median_of, middle},
        path_text,
    },
    bench_command::Options,
    workspace::{self, Result},
};

pub(in crate::bench) use report::{json, markdown};
pub(crate) use steps::Step;
pub(in crate::bench) use steps::decode;

/// The sets, in the order of the report: how they are coded, and the height and width of frames.
const SETS: [(&str, Codec, [u16; 2]); 5] = [
    ("decode-h264-256", Codec::H264, [256, 256]),
    ("decode-h264-640", Codec::H264, [480, 640]),
    ("decode-av1-256", Codec::Av1, [256, 256]),
    ("decode-av1-640", Codec::Av1, [480, 640]),
    ("decode-vp9-640", Codec::Vp9, [480, 640]),
];
/// Episodes of each.
const N_EPISODES: u64 = 2;
/// What decoded frames are stored as.
const ENCODINGS: [&str; 2] = ["png", "raw"];
/// Names the `ffmpeg` program to the command.
const FFMPEG: &str = "NODEDATA_FFMPEG";
/// Neither the program nor the library, whatever this machine has.
const NO_FFMPEG: [(&str, &str); 2] = [(FFMPEG, "/no/such/ffmpeg"), ("NODEDATA_LIBAVCODEC", "off")];

/// What was found about the selected sets.
#[derive(Default)]
pub(in crate::bench) struct Figures {
    rows: Vec<Row>,
    /// What was skipped, and why.
    remarks: Vec<String>,
    /// Sets that `--only` lets through.
    pub(in crate::bench) n_selected: usize,
}

struct Row {
    set: Set,
    jobs: Vec<Job>,
    pyav: Option<Reading>,
    official: Option<official::Reading>,
    profiles: Vec<Profile>,
}

/// A conversion that decodes every frame.
struct Job {
    encoding: &'static str,
    with_ffmpeg: bool,
    convert: Conversion,
    /// Medians of their CPU over ours in the same turn; above 1, ours needed less.
    to_pyav: Option<f64>,
    to_official: Option<f64>,
}

/// Where the time of one camera's video goes.
struct Profile {
    with_ffmpeg: bool,
    n_frames: u64,
    /// Up to each of [`Step::ALL`].
    up_to: [Measured; 3],
}

/// Makes the selected sets below `folder` and times every job on them.
///
/// # Errors
/// When a set cannot be made or a job fails.
pub(in crate::bench) fn run(folder: &Path, outputs: &Path, options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    let wanted: Vec<(&str, Film)> = SETS
        .into_iter()
        .filter(|it| options.lets_through(it.0))
        .map(|(name, codec, size)| (name, Film { codec, size, n_episodes: N_EPISODES }))
        .collect();
    figures.n_selected = wanted.len();
    let made = real_video(folder, &wanted, &mut figures.remarks)?;
    let Some(ffmpeg) = made.ffmpeg else { return Ok(figures) };
    for (set, film) in made.sets {
        if options.inputs_only {
            println!("{}", set.path.display());
        } else {
            figures.rows.push(time_all(set, film, &ffmpeg, outputs, options)?);
        }
    }
    if options.python.is_none() && !figures.rows.is_empty() {
        figures.remarks.push("`--python PYTHON` was not given: PyAV was not timed.".to_owned());
    }
    if options.lerobot.is_none() && !figures.rows.is_empty() {
        figures
            .remarks
            .push("`--lerobot PYTHON` was not given: the official reader was not timed.".to_owned());
    }
    Ok(figures)
}

/// Runs every job in turns, so that a slow minute of the machine hits all of them; and once what shows where the time goes.
fn time_all(set: Set, film: Film, ffmpeg: &Path, outputs: &Path, options: &Options) -> Result<Row> {
    let (program, dataset) = (workspace::node_data("release"), outputs.join("dataset"));
    let videos = CAMERAS.map(|it| set.path.join(format!("videos/{it}/chunk-000/file-000.mp4")));
    let ffmpeg_text = path_text(ffmpeg);
    let mut jobs: Vec<(&str, bool, Vec<Conversion>)> = decoders(film)
        .iter()
        .flat_map(|with_ffmpeg| ENCODINGS.map(|encoding| (encoding, *with_ffmpeg, Vec::new())))
        .collect();
    let (mut readings, mut official) = (Vec::new(), Vec::new());
    let n_runs = options.runs.max(1);
    for run in 0..n_runs {
        eprintln!("{}: run {} of {n_runs}", set.name, run + 1);
        for (encoding, with_ffmpeg, runs) in &mut jobs {
            let decode = format!("*={encoding}");
            // What there is of it, as users have it.
            let named = [(FFMPEG, ffmpeg_text.as_str())];
            let variables: &[(&str, &str)] = if *with_ffmpeg { &named } else { &NO_FFMPEG };
            let more = ["--decode", &decode];
            runs.push(convert_with(&program, "convert", &set.path, &dataset, &more, variables)?);
        }
        if let Some(python) = &options.python {
            readings.push(pyav::read(python, &set, film, &videos, outputs)?);
        }
        if let Some(python) = &options.lerobot {
            official.push(official::read(python, &set, outputs)?);
        }
    }
    let profiles = decoders(film).iter().map(|it| profile(&set, &videos[0], it.then_some(ffmpeg)));
    Ok(Row {
        profiles: profiles.collect::<Result<_>>()?,
        jobs: jobs
            .iter()
            .map(|(encoding, with, runs)| job(encoding, *with, runs, &readings, &official))
            .collect(),
        official: middle(official, |it| it.cpu_s),
        pyav: middle(readings, |it| it.cpu_s),
        set,
    })
}

/// Without FFmpeg and with it; some video only its program decodes.
fn decoders(film: Film) -> &'static [bool] {
    match film.codec {
        Codec::H264 | Codec::Av1 => &[false, true],
        Codec::Vp9 => &[true],
    }
}

fn job(
    encoding: &'static str,
    with_ffmpeg: bool,
    runs: &[Conversion],
    pyav: &[Reading],
    official: &[official::Reading],
) -> Job {
    let ratio = |theirs: Vec<f64>| {
        let ratios = theirs.iter().zip(runs).map(|(theirs, ours)| theirs / ours.measured.cpu_s);
        (!theirs.is_empty()).then(|| median(ratios.collect()))
    };
    Job {
        encoding,
        with_ffmpeg,
        convert: Conversion::middle(runs),
        to_pyav: ratio(pyav.iter().map(|it| it.cpu_s).collect()),
        to_official: ratio(official.iter().map(|it| it.cpu_s).collect()),
    }
}

/// How often each step is timed.
const PROFILE_RUNS: usize = 3;

fn profile(set: &Set, video: &Path, ffmpeg: Option<&Path>) -> Result<Profile> {
    let own = std::env::current_exe().map_err(|err| format!("cannot find this program: {err}"))?;
    let n_frames = set.n_frames / CAMERAS.len() as u64;
    let up_to = Step::ALL.map(|step| {
        let words = ["bench-job", "decode", &path_text(video), &n_frames.to_string(), "--to", step.name()];
        let mut command: Vec<String> =
            std::iter::once(path_text(&own)).chain(words.map(str::to_owned)).collect();
        if let Some(ffmpeg) = ffmpeg {
            command.extend(["--ffmpeg".to_owned(), path_text(ffmpeg)]);
        }
        let runs = (0..PROFILE_RUNS).map(|_| measure::in_own_process(&command));
        Ok::<_, String>(median_of(&runs.collect::<Result<Vec<_>>>()?))
    });
    let [frames, rgb, png] = up_to;
    Ok(Profile { with_ffmpeg: ffmpeg.is_some(), n_frames, up_to: [frames?, rgb?, png?] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_a_turn() {
        let reading =
            |cpu_s| Reading { version: "1".to_owned(), n_frames: 1, n_bytes: 3, wall_s: cpu_s, cpu_s };
        let of_official =
            |cpu_s| official::Reading { version: "1".to_owned(), n_frames: 1, wall_s: cpu_s, cpu_s };
        let run = |cpu_s| Conversion {
            measured: Measured { cpu_s, ..Measured::default() },
            heap_peak_bytes: None,
            open_s: None,
        };
        let runs = [run(1.0), run(4.0), run(2.0)];
        let readings = [reading(3.0), reading(12.0), reading(6.0)];
        let official = [of_official(7.0), of_official(28.0), of_official(14.0)];
        let found = job("png", false, &runs, &readings, &official);
        assert_eq!((found.to_pyav, found.to_official), (Some(3.0), Some(7.0)));
        assert_eq!(found.convert.measured.cpu_s, 2.0);
        let alone = job("png", false, &runs, &[], &[]);
        assert_eq!((alone.to_pyav, alone.to_official), (None, None));
    }
}
