use std::fmt::Write;

use serde_json::{Value, json};

use super::{Figures, Job, Profile, Row};
use crate::{
    bench::report::{goal_table, heap_goal, mebibytes},
    bench_command::Options,
};

/// What decoding with FFmpeg has to reach beside the official reader.
const TO_OFFICIAL_MIN: f64 = 1.0;
/// Milliseconds of CPU that a frame took when goals were set, converted to PNG without FFmpeg.
const ONCE_MS: [(&str, f64); 2] = [("decode-h264-256", 11.0), ("decode-av1-640", 58.0)];
/// So many times as fast as that.
const TIMES_MIN: f64 = 2.0;

fn a_frame_ms(row: &Row, job: &Job) -> f64 {
    job.convert.measured.cpu_s * 1e3 / row.set.n_frames as f64
}

/// The tables for `docs/performance.md`; nothing when no set was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    let mut text = String::new();
    if !figures.rows.is_empty() {
        text.push_str(
            "| set | job | FFmpeg | frames | wall s | CPU s | CPU ms a frame | frames per CPU-second | × official | × PyAV | peak heap MiB | peak anonymous MiB |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        // Writing to a String cannot fail.
        for cells in figures.rows.iter().flat_map(cells) {
            _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text.push_str(
            "\n| set | decoder | decoding: CPU ms a frame | colour | PNG |\n| --- | --- | --- | --- | --- |\n",
        );
        for row in &figures.rows {
            for profile in &row.profiles {
                _ = writeln!(text, "| {} |", profile_cells(row, profile).join(" | "));
            }
        }
        text.push_str(&goal_table(goals(figures)));
        _ = writeln!(
            text,
            "\nMedians of {} runs in turns (× : of the ratios within a turn; peaks: the highest).",
            options.runs
        );
    }
    for remark in &figures.remarks {
        _ = writeln!(text, "\n{remark}");
    }
    text
}

fn cells(row: &Row) -> Vec<[String; 12]> {
    let none = || "–".to_owned();
    let numbers = |cpu_s: f64, n_frames: u64| {
        let n_frames = n_frames as f64;
        (format!("{:.2}", cpu_s * 1e3 / n_frames), format!("{:.0}", n_frames / cpu_s))
    };
    let of_job = |job: &Job| {
        let measured = &job.convert.measured;
        let (ms, per_s) = numbers(measured.cpu_s, row.set.n_frames);
        [
            row.set.name.clone(),
            format!("`--decode '*={}'`", job.encoding),
            (if job.with_ffmpeg { "the program" } else { "none" }).to_owned(),
            row.set.n_frames.to_string(),
            format!("{:.3}", measured.wall_s),
            format!("{:.3}", measured.cpu_s),
            ms,
            per_s,
            job.to_official.map_or_else(none, |it| format!("{it:.2}")),
            job.to_pyav.map_or_else(none, |it| format!("{it:.2}")),
            job.convert.heap_peak_bytes.map_or_else(none, mebibytes),
            mebibytes(measured.anon_peak_bytes),
        ]
    };
    let mut rows: Vec<_> = row.jobs.iter().map(of_job).collect();
    let official = row.official.as_ref().map(|it| {
        let job = format!("official reader {}", it.version);
        (job, it.n_frames, it.wall_s, it.cpu_s, ["1".to_owned(), none()])
    });
    let pyav = row.pyav.as_ref().map(|it| {
        let job = format!("PyAV {}: arrays of RGB", it.version);
        (job, it.n_frames, it.wall_s, it.cpu_s, [none(), "1".to_owned()])
    });
    for (job, n_frames, wall_s, cpu_s, [to_official, to_pyav]) in official.into_iter().chain(pyav) {
        let (ms, per_s) = numbers(cpu_s, n_frames);
        rows.push([
            row.set.name.clone(),
            job,
            "its own".to_owned(),
            n_frames.to_string(),
            format!("{wall_s:.3}"),
            format!("{cpu_s:.3}"),
            ms,
            per_s,
            to_official,
            to_pyav,
            none(),
            none(),
        ]);
    }
    rows
}

/// What each step takes beside the one before it.
fn profile_cells(row: &Row, profile: &Profile) -> [String; 5] {
    let [frames, rgb, png] = profile.up_to.map(|it| it.cpu_s * 1e3 / profile.n_frames as f64);
    let decoder = if profile.with_ffmpeg { "the `ffmpeg` program" } else { "built in" };
    [
        row.set.name.clone(),
        decoder.to_owned(),
        format!("{frames:.2}"),
        format!("{:.2}", rgb - frames),
        format!("{:.2}", png - rgb),
    ]
}

/// Each goal with what was found, and whether that meets it.
fn goals(figures: &Figures) -> Vec<(String, String, bool)> {
    let mut goals = Vec::new();
    for row in &figures.rows {
        for job in row.jobs.iter().filter(|it| it.encoding == "png") {
            if let Some(found) = job.to_official.filter(|_| job.with_ffmpeg) {
                let goal =
                    format!("{}: PNG with FFmpeg ≥ {TO_OFFICIAL_MIN} × the official reader", row.set.name);
                goals.push((goal, format!("{found:.2}"), found >= TO_OFFICIAL_MIN));
            }
            let once = ONCE_MS.iter().find(|(name, _)| !job.with_ffmpeg && *name == row.set.name);
            if let Some((_, once)) = once {
                let found = a_frame_ms(row, job);
                let goal = format!(
                    "{}: PNG without FFmpeg ≥ {TIMES_MIN} × as fast as {once} ms a frame",
                    row.set.name
                );
                goals.push((goal, format!("{found:.2} ms"), found * TIMES_MIN <= *once));
            }
        }
    }
    let jobs = figures.rows.iter().flat_map(|row| row.jobs.iter().map(|job| (&row.set.name, job)));
    goals.extend(heap_goal(jobs.filter_map(|(name, job)| Some((job.convert.heap_peak_bytes?, &**name)))));
    goals
}

/// The same figures for programs.
pub(in crate::bench) fn json(figures: &Figures) -> Value {
    let rows = figures.rows.iter().map(|row| {
        let jobs = row.jobs.iter().map(|it| {
            json!({
                "encoding": it.encoding,
                "with_ffmpeg": it.with_ffmpeg,
                "convert": it.convert.measured,
                "heap_peak_bytes": it.convert.heap_peak_bytes,
                "cpu_ms_a_frame": a_frame_ms(row, it),
                "to_pyav": it.to_pyav,
                "to_official": it.to_official,
            })
        });
        let profiles = row.profiles.iter().map(|it| {
            let [frames, rgb, png] = it.up_to;
            json!({"with_ffmpeg": it.with_ffmpeg, "frames": it.n_frames, "up_to": {"frames": frames, "rgb": rgb, "png": png}})
        });
        json!({
            "set": row.set,
            "jobs": jobs.collect::<Vec<_>>(),
            "pyav": row.pyav,
            "official": row.official,
            "profiles": profiles.collect::<Vec<_>>(),
        })
    });
    json!({"rows": rows.collect::<Vec<_>>(), "remarks": figures.remarks})
}
