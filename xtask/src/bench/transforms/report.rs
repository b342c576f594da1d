use std::fmt::Write;

use serde_json::{Value, json};

use super::{Figures, Pictures, Row, frames::N_FRAMES};
use crate::{
    bench::report::{goal_table, heap_goal, mebibytes},
    bench_command::Options,
};

/// What transforms of numbers may take, beside the conversion without them.
const NUMBERS_MAX: f64 = 1.1;
/// So many frames for each of OpenCV's in a second of CPU, at least.
const TO_OPENCV_MIN: f64 = 1.2;

/// The tables for `docs/performance.md`; nothing when no pipeline was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    if figures.rows.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "| pipeline | MB | with: wall s | CPU s | without: wall s | CPU s | wall: with / without | CPU: with / without | peak heap MiB | peak anonymous MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    // Writing to a String cannot fail.
    for row in &figures.rows {
        _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    if figures.rows.iter().any(|it| it.pictures.is_some()) {
        text.push_str(
            "\n| frames | conversion: frames | CPU ms a frame | library: CPU ms a frame | OpenCV | CPU ms a frame | library: × OpenCV | conversion: × OpenCV |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
    }
    for row in &figures.rows {
        if let Some(pictures) = &row.pictures {
            _ = writeln!(text, "| {} |", picture_cells(row, pictures).join(" | "));
        }
    }
    text.push_str(&goal_table(goals(figures)));
    _ = writeln!(
        text,
        "\nMedians of {} runs in turns (ratios: of those within a turn; peaks: the highest); `--mb {}`.",
        options.runs, options.mb
    );
    for remark in &figures.remarks {
        _ = writeln!(text, "\n{remark}");
    }
    text
}

fn cells(row: &Row) -> [String; 10] {
    [
        row.name.to_owned(),
        format!("{:.0}", row.input.n_bytes as f64 / 1e6),
        format!("{:.3}", row.with.measured.wall_s),
        format!("{:.3}", row.with.measured.cpu_s),
        format!("{:.3}", row.without.measured.wall_s),
        format!("{:.3}", row.without.measured.cpu_s),
        format!("{:.2}", row.wall),
        format!("{:.2}", row.cpu),
        row.with.heap_peak_bytes.map_or("–".to_owned(), mebibytes),
        mebibytes(row.with.measured.anon_peak_bytes),
    ]
}

fn picture_cells(row: &Row, pictures: &Pictures) -> [String; 8] {
    let none = || "–".to_owned();
    let ms = |cpu_s: f64, n_frames: u64| format!("{:.2}", cpu_s * 1e3 / n_frames as f64);
    let opencv = pictures.opencv.as_ref();
    [
        row.name.to_owned(),
        pictures.n_converted.to_string(),
        ms(row.with.measured.cpu_s, pictures.n_converted),
        ms(pictures.library.cpu_s, N_FRAMES),
        opencv.map_or_else(none, |it| it.reading.version.clone()),
        opencv.map_or_else(none, |it| ms(it.reading.cpu_s, it.reading.n_frames)),
        opencv.map_or_else(none, |it| format!("{:.2}", it.to_library)),
        opencv.map_or_else(none, |it| format!("{:.2}", it.to_conversion)),
    ]
}

/// Each goal with what was found, and whether that meets it. Bare frames take so much to read and write that only the library's
/// figure says something of the transforms.
fn goals(figures: &Figures) -> Vec<(String, String, bool)> {
    let mut goals = Vec::new();
    for row in &figures.rows {
        match &row.pictures {
            None => {
                let goal = format!("{}: at most 10 % on top, in wall time and CPU time", row.name);
                let found = [row.wall, row.cpu].map(|it| format!("{:+.0} %", (it - 1.0) * 100.0));
                goals.push((goal, found.join(" and "), row.wall.max(row.cpu) <= NUMBERS_MAX));
            }
            Some(Pictures { opencv: Some(opencv), .. }) => {
                let goal = format!("{}: resize and JPEG ≥ {TO_OPENCV_MIN} × OpenCV", row.name);
                let found = format!("{:.2} × in the library", opencv.to_library);
                goals.push((goal, found, opencv.to_library >= TO_OPENCV_MIN));
            }
            Some(Pictures { opencv: None, .. }) => {}
        }
    }
    goals.extend(heap_goal(figures.rows.iter().filter_map(|it| Some((it.with.heap_peak_bytes?, it.name)))));
    goals
}

/// The same figures for programs.
pub(in crate::bench) fn json(figures: &Figures) -> Value {
    let rows = figures.rows.iter().map(|row| {
        let pictures = row.pictures.as_ref().map(|it| {
            json!({
                "frames_converted": it.n_converted,
                "library": it.library,
                "library_frames": N_FRAMES,
                "opencv": it.opencv.as_ref().map(|it| &it.reading),
                "library_to_opencv": it.opencv.as_ref().map(|it| it.to_library),
                "conversion_to_opencv": it.opencv.as_ref().map(|it| it.to_conversion),
            })
        });
        json!({
            "pipeline": row.name,
            "input": row.input,
            "with": row.with.measured,
            "heap_peak_bytes": row.with.heap_peak_bytes,
            "without": row.without.measured,
            "wall_with_by_without": row.wall,
            "cpu_with_by_without": row.cpu,
            "pictures": pictures,
        })
    });
    json!({"rows": rows.collect::<Vec<_>>(), "remarks": figures.remarks})
}
