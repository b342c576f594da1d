use std::fmt::Write;

use serde_json::{Value, json};

use super::{Figures, Row, set::Kind};
use crate::{
    bench::report::{HEAP_BYTES_MAX, goal_table, mebibytes},
    bench_command::Options,
};

/// What a conversion has to reach beside the copy, and beside Python.
fn goals_of(kind: Kind) -> (Option<f64>, f64) {
    match kind {
        Kind::WebDataset => (Some(0.5), 4.0),
        Kind::Numbers => (None, 2.0),
        Kind::Chat => (None, 1.2),
        Kind::Csv | Kind::Parquet | Kind::Ipc => (None, 1.0),
    }
}

/// What Python does with a set.
fn theirs(kind: Kind) -> &'static str {
    match kind {
        Kind::WebDataset => "`webdataset` + pyarrow",
        Kind::Numbers | Kind::Chat => "`pyarrow.json` → Parquet",
        Kind::Csv => "`pyarrow.csv` → Parquet",
        Kind::Parquet | Kind::Ipc => "pyarrow with hashing",
    }
}

/// The tables for `docs/performance.md`; nothing when no set was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    if figures.rows.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "| set | files | MB | rows | wall s | CPU s | MB/s | learning types: s | copy: wall s | × copy | Python: wall s | × Python | peak heap MiB | peak anonymous MiB | Python: peak RSS MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    // Writing to a String cannot fail.
    for row in &figures.rows {
        _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    text.push_str(&goal_table(figures.rows.iter().flat_map(goals)));
    _ = writeln!(
        text,
        "\nMedians of {} runs in turns (ratios: of those within a turn; peaks: the highest); `--mb {}`.",
        options.runs, options.mb
    );
    if let Some(official) = figures.rows.iter().find_map(|it| it.official.as_ref()) {
        _ = writeln!(text, "\nPython has {}.", official.version);
    }
    for remark in &figures.remarks {
        _ = writeln!(text, "\n{remark}");
    }
    text
}

fn cells(row: &Row) -> [String; 15] {
    let convert = &row.convert.measured;
    let megabytes = row.set.n_bytes as f64 / 1e6;
    let none = || "–".to_owned();
    let official = row.official.as_ref();
    [
        row.kind.name().to_owned(),
        row.set.n_files.to_string(),
        format!("{megabytes:.0}"),
        row.set.n_rows.to_string(),
        format!("{:.3}", convert.wall_s),
        format!("{:.3}", convert.cpu_s),
        format!("{:.0}", megabytes / convert.wall_s),
        row.convert.open_s.map_or_else(none, |it| format!("{it:.3}")),
        format!("{:.3}", row.copy.wall_s),
        format!("{:.2}", row.ratios.copy),
        official.map_or_else(none, |it| format!("{:.3}", it.wall_s)),
        row.ratios.official.map_or_else(none, |it| format!("{it:.2}")),
        row.convert.heap_peak_bytes.map_or_else(none, mebibytes),
        mebibytes(convert.anon_peak_bytes),
        official.map_or_else(none, |it| mebibytes(it.rss_peak_bytes)),
    ]
}

/// Each goal of a set with what was found, and whether that meets it.
fn goals(row: &Row) -> Vec<(String, String, bool)> {
    let name = row.kind.name();
    let (to_copy, to_official) = goals_of(row.kind);
    let mut goals = Vec::new();
    let mut at_least = |what: &str, min: f64, found: f64| {
        goals.push((format!("{name}: ≥ {min} × {what}"), format!("{found:.2}"), found >= min));
    };
    if let Some(min) = to_copy {
        at_least("copy", min, row.ratios.copy);
    }
    if let Some(found) = row.ratios.official {
        at_least(theirs(row.kind), to_official, found);
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
            "kind": row.kind.name(),
            "set": row.set,
            "convert": row.convert.measured,
            "heap_peak_bytes": row.convert.heap_peak_bytes,
            "open_s": row.convert.open_s,
            "copy": row.copy,
            "official": row.official,
            "to_copy": row.ratios.copy,
            "to_official": row.ratios.official,
        })
    });
    json!({"rows": rows.collect::<Vec<_>>(), "remarks": figures.remarks})
}
