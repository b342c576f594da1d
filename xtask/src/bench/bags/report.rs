use std::fmt::Write;

use serde_json::{Value, json};

use super::{Bag, Figures, Kind, Row};
use crate::{
    bench::{
        inputs::Mix,
        report::{HEAP_BYTES_MAX, goal_table, mebibytes},
    },
    bench_command::Options,
};

/// What a bag has to reach beside the same messages in MCAP.
const TO_MCAP_MIN: f64 = 0.85;
/// What the walk over pages has to reach beside the crate `rusqlite`, with small messages.
const WALK_MIN: f64 = 2.0;

/// What a conversion has to reach beside `rosbags`.
fn to_official_min(mix: Mix) -> f64 {
    if mix == Mix::Numeric { 8.0 } else { 1.5 }
}

/// The tables for `docs/performance.md`; nothing when no recording was selected.
pub(in crate::bench) fn markdown(figures: &Figures, options: &Options) -> String {
    if figures.rows.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "| recording | MB | messages | as | wall s | CPU s | MB/s | × copy | × MCAP | `rosbags` decodes: wall s | × `rosbags` | peak heap MiB | peak anonymous MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    // Writing to a String cannot fail.
    for row in &figures.rows {
        for cells in std::iter::once(mcap_cells(row)).chain(row.bags.iter().map(|bag| cells(row, bag))) {
            _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text.push_str("\n| recording | own walk over pages: wall s | crate `rusqlite`: wall s | × crate |\n| --- | --- | --- | --- |\n");
    for Row { name, walk, .. } in &figures.rows {
        let (ours, by_crate) = (walk.ours.wall_s, walk.by_crate.wall_s);
        _ = writeln!(text, "| {name} | {ours:.3} | {by_crate:.3} | {:.2} |", walk.ratio);
    }
    text.push_str(&goal_table(figures.rows.iter().flat_map(goals)));
    _ = writeln!(
        text,
        "\nMedians of {} runs in turns (ratios: of those within a turn; the copy is one of the MCAP; peaks: the highest); `--mb {}`.",
        options.runs, options.mb
    );
    let versions = figures.rows.iter().flat_map(|it| &it.bags).filter_map(|it| it.official.as_ref());
    if let Some(official) = versions.into_iter().next() {
        _ = writeln!(text, "\n`rosbags` is {}.", official.version);
    }
    for remark in &figures.remarks {
        _ = writeln!(text, "\n{remark}");
    }
    text
}

fn mcap_cells(row: &Row) -> [String; 13] {
    let none = || "–".to_owned();
    let megabytes = row.input.n_bytes as f64 / 1e6;
    let measured = &row.mcap.measured;
    [
        row.name.to_owned(),
        format!("{megabytes:.0}"),
        row.input.n_messages.to_string(),
        "MCAP".to_owned(),
        format!("{:.3}", measured.wall_s),
        format!("{:.3}", measured.cpu_s),
        format!("{:.0}", megabytes / measured.wall_s),
        format!("{:.2}", row.mcap_to_copy),
        none(),
        none(),
        none(),
        row.mcap.heap_peak_bytes.map_or_else(none, mebibytes),
        mebibytes(measured.anon_peak_bytes),
    ]
}

fn cells(row: &Row, bag: &Bag) -> [String; 13] {
    let none = || "–".to_owned();
    let megabytes = row.input.n_bytes as f64 / 1e6;
    let measured = &bag.convert.measured;
    [
        row.name.to_owned(),
        format!("{megabytes:.0}"),
        row.input.n_messages.to_string(),
        bag.kind.name(),
        format!("{:.3}", measured.wall_s),
        format!("{:.3}", measured.cpu_s),
        format!("{:.0}", megabytes / measured.wall_s),
        format!("{:.2}", bag.to_copy),
        format!("{:.2}", bag.to_mcap),
        bag.official.as_ref().map_or_else(none, |it| format!("{:.3}", it.wall_s)),
        bag.to_official.map_or_else(none, |it| format!("{it:.1}")),
        bag.convert.heap_peak_bytes.map_or_else(none, mebibytes),
        mebibytes(measured.anon_peak_bytes),
    ]
}

/// Each goal of a recording with what was found, and whether that meets it.
fn goals(row: &Row) -> Vec<(String, String, bool)> {
    let mut goals = Vec::new();
    for bag in &row.bags {
        let name = format!("{}, {}", row.name, bag.kind.name());
        let mut at_least = |what: &str, min: f64, found: f64| {
            goals.push((format!("{name}: ≥ {min} × {what}"), format!("{found:.2}"), found >= min));
        };
        // What is packed has to be unpacked first, and MCAP has not.
        if bag.kind != Kind::Packed {
            at_least("the same messages in MCAP", TO_MCAP_MIN, bag.to_mcap);
        }
        if let Some(found) = bag.to_official {
            at_least("`rosbags` decoding", to_official_min(row.mix), found);
        }
        if bag.kind == Kind::Sqlite && row.mix == Mix::Numeric {
            at_least("the crate `rusqlite`, pages walked", WALK_MIN, row.walk.ratio);
        }
        if let Some(found) = bag.convert.heap_peak_bytes {
            let goal = format!("{name}: peak heap ≤ {} MiB", mebibytes(HEAP_BYTES_MAX));
            goals.push((goal, format!("{} MiB", mebibytes(found)), found <= HEAP_BYTES_MAX));
        }
    }
    goals
}

/// The same figures for programs.
pub(in crate::bench) fn json(figures: &Figures) -> Value {
    let bag = |it: &Bag| {
        json!({
            "kind": it.kind.name(),
            "convert": it.convert.measured,
            "heap_peak_bytes": it.convert.heap_peak_bytes,
            "official": it.official,
            "to_copy": it.to_copy,
            "to_mcap": it.to_mcap,
            "to_official": it.to_official,
        })
    };
    let rows = figures.rows.iter().map(|row| {
        json!({
            "recording": row.name,
            "input": row.input,
            "mcap": row.mcap.measured,
            "mcap_to_copy": row.mcap_to_copy,
            "bags": row.bags.iter().map(bag).collect::<Vec<_>>(),
            "walk": row.walk,
        })
    });
    json!({"rows": rows.collect::<Vec<_>>(), "remarks": figures.remarks})
}
