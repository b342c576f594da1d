use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    Beside, Figures, Lot, Row, Target,
    ranges::{self, N_CONNECTIONS, RANGE_BYTES},
};
use crate::{
    bench::report::{goal_table, mebibytes},
    bench_command::Options,
};

/// What a push has to reach beside the copy that hashes as it does.
const TO_HASHED_MIN: f64 = 0.6;
/// What thousands of small shards may take.
const MANY_S_MAX: f64 = 3.0;
/// What a push into a bucket has to reach beside rclone.
const TO_RCLONE_MIN: f64 = 0.7;
/// What ranges of our server have to reach beside nginx.
const TO_NGINX_MIN: f64 = 0.5;

/// The tables for `docs/performance.md`; nothing when no job was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    let mut text = String::new();
    if !figures.rows.is_empty() {
        text.push_str(
            "| job | files | MB | wall s | CPU s (client) | MB/s | copy: wall s | × copy | with SHA-256: wall s | × copy with SHA-256 | rclone: wall s | × rclone | peak anonymous MiB | peak RSS MiB |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
    }
    // Writing to a String cannot fail.
    for row in &figures.rows {
        _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    if let Some(ranges) = &figures.ranges {
        let none = || "–".to_owned();
        _ = writeln!(
            text,
            "\n| ranges of {} KiB, {N_CONNECTIONS} connections | a second | nginx: a second | × nginx |\n| --- | --- | --- | --- |\n| push-ranges | {:.0} | {} | {} |",
            RANGE_BYTES >> 10,
            ranges.per_s,
            ranges.nginx_per_s.map_or_else(none, |it| format!("{it:.0}")),
            ranges.to_nginx.map_or_else(none, |it| format!("{it:.2}"))
        );
    }
    let goals = goals(figures);
    if !goals.is_empty() {
        text.push_str(&goal_table(goals));
    }
    if !text.is_empty() {
        _ = writeln!(
            text,
            "\nMedians of {} runs in turns (× : of the ratios within a turn; peaks: the highest), each into a new store; `known`: shards that this user has hashed and read before, so that only the upload is left; `--mb {}`.",
            options.runs, options.mb
        );
    }
    for remark in &figures.remarks {
        _ = writeln!(text, "\n{remark}");
    }
    text
}

fn cells(row: &Row) -> [String; 14] {
    let none = || "–".to_owned();
    let megabytes = row.shards.n_bytes as f64 / 1e6;
    let wall = |it: &Beside| format!("{:.3}", it.measured.wall_s);
    let ratio = |it: &Beside| format!("{:.2}", it.ratio);
    [
        row.job.name.to_owned(),
        row.shards.n_files.to_string(),
        format!("{megabytes:.0}"),
        format!("{:.3}", row.push.wall_s),
        format!("{:.3}", row.push.cpu_s),
        format!("{:.0}", megabytes / row.push.wall_s),
        wall(&row.copy),
        ratio(&row.copy),
        wall(&row.hashed),
        ratio(&row.hashed),
        row.rclone.as_ref().map_or_else(none, wall),
        row.rclone.as_ref().map_or_else(none, ratio),
        mebibytes(row.push.anon_peak_bytes),
        mebibytes(row.push.rss_peak_bytes),
    ]
}

/// Each goal with what was found, and whether that meets it.
fn goals(figures: &Figures) -> Vec<(String, String, bool)> {
    let goal = |row: &Row| match (row.job.lot, row.job.target) {
        (Lot::Few, Target::Folder | Target::Server) => {
            let goal = format!("{}: ≥ {TO_HASHED_MIN} × copy with SHA-256", row.job.name);
            Some((goal, format!("{:.2}", row.hashed.ratio), row.hashed.ratio >= TO_HASHED_MIN))
        }
        (Lot::Many, _) => {
            let goal = format!("{}: {} small shards in ≤ {MANY_S_MAX} s", row.job.name, row.shards.n_files);
            Some((goal, format!("{:.2} s", row.push.wall_s), row.push.wall_s <= MANY_S_MAX))
        }
        (Lot::Few, Target::Bucket) => row.rclone.as_ref().map(|rclone| {
            let goal = format!("{}: ≥ {TO_RCLONE_MIN} × rclone", row.job.name);
            (goal, format!("{:.2}", rclone.ratio), rclone.ratio >= TO_RCLONE_MIN)
        }),
    };
    let ranges = figures.ranges.as_ref().and_then(|it| it.to_nginx).map(|ratio| {
        let goal = format!("{}: ≥ {TO_NGINX_MIN} × nginx", ranges::NAME);
        (goal, format!("{ratio:.2}"), ratio >= TO_NGINX_MIN)
    });
    figures.rows.iter().filter_map(goal).chain(ranges).collect()
}

/// The same figures for programs.
pub(in crate::bench) fn json(figures: &Figures) -> Value {
    let beside = |it: &Beside| json!({"measured": it.measured, "ratio": it.ratio});
    let rows = figures.rows.iter().map(|row| {
        json!({
            "job": row.job,
            "shards": row.shards,
            "push": row.push,
            "copy": beside(&row.copy),
            "copy_with_sha256": beside(&row.hashed),
            "rclone": row.rclone.as_ref().map(beside),
        })
    });
    json!({"rows": rows.collect::<Vec<_>>(), "ranges": figures.ranges, "remarks": figures.remarks})
}
