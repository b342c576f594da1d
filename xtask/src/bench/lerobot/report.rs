use std::fmt::Write;

use serde_json::{Value, json};

use super::{Decoded, ENCODINGS, Figures, Passed};
use crate::{
    bench::conversion::Conversion,
    bench::report::{goal_table, heap_goal, mebibytes},
    bench_command::Options,
};

/// What pass-through has to reach beside the copy.
const TO_COPY_MIN: f64 = 0.7;
impl Passed {
    /// Above 1, converting was faster than copying.
    fn to_copy(&self) -> f64 {
        self.copy.wall_s / self.convert.measured.wall_s
    }
}

impl Decoded {
    fn frames_per_cpu_s(&self, convert: &Conversion) -> f64 {
        self.set.n_frames as f64 / convert.measured.cpu_s
    }

    /// How often as many frames a second of CPU gives as the official reader's.
    fn to_official(&self, convert: &Conversion) -> Option<f64> {
        self.official.as_ref().map(|it| self.frames_per_cpu_s(convert) / it.frames_per_cpu_s())
    }
}

fn heap_text(convert: &Conversion) -> String {
    convert.heap_peak_bytes.map_or("–".to_owned(), mebibytes)
}

/// The tables for `docs/performance.md`; nothing when no set was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if !figures.passed.is_empty() {
        text.push_str(
            "| set | files | MB | episodes | steps | wall s | CPU s | MB/s | copy: wall s | × copy | peak heap MiB | peak anonymous MiB | peak RSS MiB |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
    }
    for row in &figures.passed {
        _ = writeln!(text, "| {} |", passed_cells(row).join(" | "));
    }
    if !figures.decoded.is_empty() {
        text.push_str(
            "\n| set | job | frames | wall s | CPU s | frames per CPU-second | × official | peak heap MiB | peak anonymous MiB |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
    }
    for row in &figures.decoded {
        for cells in decoded_cells(row) {
            _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    if figures.n_selected > 0 {
        text.push_str(&goal_table(goals(figures)));
        _ = writeln!(
            text,
            "\nMedians of {} runs in turns (peaks: the highest); `--mb {}` for the sets that pass through.",
            options.runs, options.mb
        );
    }
    for remark in &figures.remarks {
        _ = writeln!(text, "\n{remark}");
    }
    text
}

fn passed_cells(row: &Passed) -> [String; 13] {
    let convert = &row.convert.measured;
    let megabytes = row.set.n_bytes as f64 / 1e6;
    [
        row.set.name.clone(),
        row.set.n_files.to_string(),
        format!("{megabytes:.0}"),
        row.set.n_episodes.to_string(),
        row.set.n_steps.to_string(),
        format!("{:.3}", convert.wall_s),
        format!("{:.3}", convert.cpu_s),
        format!("{:.0}", megabytes / convert.wall_s),
        format!("{:.3}", row.copy.wall_s),
        format!("{:.2}", row.to_copy()),
        heap_text(&row.convert),
        mebibytes(convert.anon_peak_bytes),
        mebibytes(convert.rss_peak_bytes),
    ]
}

fn decoded_cells(row: &Decoded) -> Vec<[String; 9]> {
    let none = || "–".to_owned();
    let mut rows: Vec<[String; 9]> = ENCODINGS
        .iter()
        .zip(&row.converts)
        .map(|(encoding, convert)| {
            [
                row.set.name.clone(),
                format!("`--decode '*={encoding}'`"),
                row.set.n_frames.to_string(),
                format!("{:.3}", convert.measured.wall_s),
                format!("{:.3}", convert.measured.cpu_s),
                format!("{:.0}", row.frames_per_cpu_s(convert)),
                row.to_official(convert).map_or_else(none, |it| format!("{it:.2}")),
                heap_text(convert),
                mebibytes(convert.measured.anon_peak_bytes),
            ]
        })
        .collect();
    if let Some(official) = &row.official {
        rows.push([
            row.set.name.clone(),
            format!("official reader {} (PyAV)", official.version),
            official.n_frames.to_string(),
            format!("{:.3}", official.wall_s),
            format!("{:.3}", official.cpu_s),
            format!("{:.0}", official.frames_per_cpu_s()),
            "1".to_owned(),
            none(),
            none(),
        ]);
    }
    rows
}

/// Each goal with what was found, and whether that meets it.
fn goals(figures: &Figures) -> Vec<(String, String, bool)> {
    let mut goals = Vec::new();
    for row in &figures.passed {
        let found = row.to_copy();
        let goal = format!("{}: pass-through ≥ {TO_COPY_MIN} × copy", row.set.name);
        goals.push((goal, format!("{found:.2}"), found >= TO_COPY_MIN));
    }
    let passed = figures.passed.iter().map(|it| (&it.set, &it.convert));
    let decoded = figures.decoded.iter().flat_map(|it| it.converts.iter().map(|convert| (&it.set, convert)));
    let all = passed.chain(decoded);
    goals.extend(heap_goal(all.filter_map(|(set, it)| Some((it.heap_peak_bytes?, &*set.name)))));
    goals
}

/// The same figures for programs.
pub(in crate::bench) fn json(figures: &Figures) -> Value {
    let conversion =
        |it: &Conversion| json!({"measured": it.measured, "heap_peak_bytes": it.heap_peak_bytes});
    let passed = figures.passed.iter().map(|it| {
        json!({"set": it.set, "convert": conversion(&it.convert), "copy": it.copy, "to_copy": it.to_copy()})
    });
    let decoded = figures.decoded.iter().map(|row| {
        let by_encoding = ENCODINGS.iter().zip(&row.converts).map(|(encoding, it)| {
            json!({
                "encoding": encoding,
                "convert": conversion(it),
                "frames_per_cpu_s": row.frames_per_cpu_s(it),
                "to_official": row.to_official(it),
            })
        });
        json!({"set": row.set, "converts": by_encoding.collect::<Vec<_>>(), "official": row.official})
    });
    json!({
        "passed": passed.collect::<Vec<_>>(),
        "decoded": decoded.collect::<Vec<_>>(),
        "remarks": figures.remarks,
    })
}
