use std::fmt::Write;

use serde_json::{Value, json};

use super::{Figures, Row, Target};
use crate::{
    bench::report::{mebibytes, verdict},
    bench_command::Options,
};

/// What a push through a server on this machine has to reach beside the copy.
const TO_COPY_MIN: f64 = 0.6;

/// The tables for `docs/performance.md`; nothing when no job was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    let Some(shards) = &figures.shards else { return String::new() };
    let megabytes = shards.n_bytes as f64 / 1e6;
    let mut text = String::from(
        "| job | files | MB | wall s | CPU s (client) | MB/s | copy: wall s | × copy | peak anonymous MiB | peak RSS MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    // Writing to a String cannot fail.
    for row in &figures.rows {
        let cells = [
            row.job.name.to_owned(),
            shards.n_files.to_string(),
            format!("{megabytes:.0}"),
            format!("{:.3}", row.push.wall_s),
            format!("{:.3}", row.push.cpu_s),
            format!("{:.0}", megabytes / row.push.wall_s),
            format!("{:.3}", row.copy.wall_s),
            format!("{:.2}", row.to_copy),
            mebibytes(row.push.anon_peak_bytes),
            mebibytes(row.push.rss_peak_bytes),
        ];
        _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text.push_str("\n| goal | found | |\n| --- | --- | --- |\n");
    for row in figures.rows.iter().filter(|it| it.job.target == Target::Server) {
        let verdict = verdict(is_met(row));
        _ = writeln!(
            text,
            "| {}: upload ≥ {TO_COPY_MIN} × copy | {:.2} | {verdict} |",
            row.job.name, row.to_copy
        );
    }
    _ = writeln!(
        text,
        "\nMedians of {} runs in turns (× copy: of the ratios within a turn; peaks: the highest), each into a new store; `known`: shards that this user has hashed and read before, so that only the upload is left; `--mb {}`.",
        options.runs, options.mb
    );
    text
}

fn is_met(row: &Row) -> bool {
    row.to_copy >= TO_COPY_MIN
}

/// The same figures for programs.
pub(in crate::bench) fn json(figures: &Figures) -> Value {
    let rows = figures.rows.iter().map(|row| {
        json!({
            "job": row.job,
            "push": row.push,
            "copy": row.copy,
            "to_copy": row.to_copy,
        })
    });
    json!({"shards": figures.shards, "rows": rows.collect::<Vec<_>>()})
}
