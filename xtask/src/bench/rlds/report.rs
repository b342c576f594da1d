use std::fmt::Write;

use serde_json::{Value, json};

use super::{Figures, Row};
use crate::{
    bench::report::{HEAP_BYTES_MAX, goal_table, mebibytes},
    bench_command::Options,
};

/// What a conversion has to reach beside the copy.
const TO_COPY_MIN: f64 = 0.5;
/// What it has to reach beside TFDS and pyarrow.
const TO_OFFICIAL_MIN: f64 = 10.0;
/// What framing has to reach beside the crate `tfrecord`.
const FRAMING_MIN: f64 = 15.0;
/// Seconds that opening 20,000 records may take.
const OPENING_S_MAX: f64 = 1.0;

/// The tables for `docs/performance.md`; nothing when no set was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    if figures.rows.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "| set | shards | MB | episodes | steps | wall s | CPU s | MB/s | copy: wall s | × copy | TFDS + pyarrow: wall s | × TFDS | peak heap MiB | peak anonymous MiB | peak RSS MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    // Writing to a String cannot fail.
    for row in &figures.rows {
        _ = writeln!(text, "| {} |", conversion_cells(row).join(" | "));
    }
    text.push_str(
        "\n| set | framing, checksums, keys: wall s | CPU s | crate `tfrecord`: wall s | CPU s | × crate |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in &figures.rows {
        _ = writeln!(text, "| {} |", framing_cells(row).join(" | "));
    }
    text.push_str(&goal_table(figures.rows.iter().flat_map(goals)));
    _ = writeln!(
        text,
        "\nMedians of {} runs in turns (ratios: of those within a turn; peaks: the highest); `--mb {}` for `rlds-jpeg`.",
        options.runs, options.mb
    );
    if let Some(official) = figures.rows.iter().find_map(|it| it.official.as_ref()) {
        _ = writeln!(text, "\nTFDS is {}.", official.version);
    }
    for remark in &figures.remarks {
        _ = writeln!(text, "\n{remark}");
    }
    text
}

fn conversion_cells(row: &Row) -> [String; 15] {
    let convert = &row.convert.measured;
    let megabytes = row.set.n_bytes as f64 / 1e6;
    let none = || "–".to_owned();
    [
        row.set.name.clone(),
        row.set.n_shards.to_string(),
        format!("{megabytes:.0}"),
        row.set.n_episodes.to_string(),
        row.set.n_steps.to_string(),
        format!("{:.3}", convert.wall_s),
        format!("{:.3}", convert.cpu_s),
        format!("{:.0}", megabytes / convert.wall_s),
        format!("{:.3}", row.copy.wall_s),
        format!("{:.2}", row.ratios.copy),
        row.official.as_ref().map_or_else(none, |it| format!("{:.3}", it.wall_s)),
        row.ratios.official.map_or_else(none, |it| format!("{it:.1}")),
        row.convert.heap_peak_bytes.map_or_else(none, mebibytes),
        mebibytes(convert.anon_peak_bytes),
        mebibytes(convert.rss_peak_bytes),
    ]
}

fn framing_cells(row: &Row) -> [String; 6] {
    [
        row.set.name.clone(),
        format!("{:.3}", row.ours_framing.wall_s),
        format!("{:.3}", row.ours_framing.cpu_s),
        format!("{:.3}", row.crate_framing.wall_s),
        format!("{:.3}", row.crate_framing.cpu_s),
        format!("{:.1}", row.ratios.framing),
    ]
}

/// Each goal of a set with what was found, and whether that meets it.
fn goals(row: &Row) -> Vec<(String, String, bool)> {
    let name = &row.set.name;
    let mut goals = Vec::new();
    if row.set.n_episodes >= 20_000
        && let Some(found) = row.convert.open_s
    {
        let goal = format!("{name}: opened in < {OPENING_S_MAX} s");
        goals.push((goal, format!("{found:.2} s"), found < OPENING_S_MAX));
        // It is not for anything else: its records are shorter than any.
        return goals;
    }
    let mut at_least = |what: &str, min: f64, found: f64| {
        goals.push((format!("{name}: {what}"), format!("{found:.2}"), found >= min));
    };
    at_least(&format!("conversion ≥ {TO_COPY_MIN} × copy"), TO_COPY_MIN, row.ratios.copy);
    at_least(
        &format!("framing and checksums ≥ {FRAMING_MIN} × crate `tfrecord`"),
        FRAMING_MIN,
        row.ratios.framing,
    );
    if let Some(found) = row.ratios.official {
        at_least(&format!("conversion ≥ {TO_OFFICIAL_MIN} × TFDS with pyarrow"), TO_OFFICIAL_MIN, found);
    }
    if let Some(found) = row.convert.heap_peak_bytes {
        let goal = format!("{name}: peak heap ≤ {} MiB", mebibytes(HEAP_BYTES_MAX));
        goals.push((goal, format!("{} MiB", mebibytes(found)), found <= HEAP_BYTES_MAX));
    }
    goals
}

/// The same figures for programs.
pub(in crate::bench) fn json(figures: &Figures) -> Value {
    let rows = figures.rows.iter().map(|row| {
        json!({
            "set": row.set,
            "convert": row.convert.measured,
            "heap_peak_bytes": row.convert.heap_peak_bytes,
            "open_s": row.convert.open_s,
            "copy": row.copy,
            "framing": row.ours_framing,
            "crate_tfrecord": row.crate_framing,
            "official": row.official,
            "to_copy": row.ratios.copy,
            "framing_to_crate": row.ratios.framing,
            "to_official": row.ratios.official,
        })
    });
    json!({"rows": rows.collect::<Vec<_>>(), "remarks": figures.remarks})
}
