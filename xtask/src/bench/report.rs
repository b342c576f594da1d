use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::{conversion::Conversion, inputs::Input, measure::Measured};
use crate::bench_command::Options;

/// Everything known about one input.
pub(super) struct Row {
    pub(super) input: Input,
    pub(super) convert: Conversion,
    /// Read, BLAKE3, write and sync of the uncompressed bytes.
    pub(super) copy: Measured,
    /// zstd level 1 of the uncompressed bytes, on one core.
    pub(super) zstd: Measured,
    /// `rerun mcap convert` of the same file.
    pub(super) rerun: Option<Measured>,
}

/// What a conversion may take of the heap, whatever the input's size.
pub(super) const HEAP_BYTES_MAX: u64 = 200 << 20;

/// How fast the conversion was beside the reference jobs; above 1 it was faster.
#[derive(Serialize)]
struct Ratios {
    to_copy: f64,
    to_zstd1: f64,
    to_rerun: Option<f64>,
}

impl Row {
    fn ratios(&self) -> Ratios {
        Ratios {
            to_copy: self.copy.wall_s / self.convert.measured.wall_s,
            to_zstd1: self.zstd.wall_s / self.convert.measured.wall_s,
            to_rerun: self.rerun.map(|it| it.wall_s / self.convert.measured.wall_s),
        }
    }

    /// Megabytes before compression, in a second.
    fn mb_per_s(&self) -> f64 {
        self.input.n_bytes as f64 / 1e6 / self.convert.measured.wall_s
    }

    fn messages_per_s(&self) -> f64 {
        self.input.n_messages as f64 / self.convert.measured.wall_s
    }
}

/// The table for `docs/performance.md`.
pub(super) fn markdown(rows: &[Row], options: &Options) -> String {
    let mut table = String::from(
        "| input | file MB | MB before compression | wall s | CPU s | MB/s | messages/s | peak heap MiB | peak anonymous MiB | peak RSS MiB | × copy | × zstd-1 | × rerun |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let ratios = row.ratios();
        let cells = [
            row.input.name.clone(),
            format!("{:.0}", row.input.n_file_bytes as f64 / 1e6),
            format!("{:.0}", row.input.n_bytes as f64 / 1e6),
            format!("{:.3}", row.convert.measured.wall_s),
            format!("{:.3}", row.convert.measured.cpu_s),
            format!("{:.0}", row.mb_per_s()),
            format!("{:.0}", row.messages_per_s()),
            row.convert.heap_peak_bytes.map_or("–".to_owned(), mebibytes),
            mebibytes(row.convert.measured.anon_peak_bytes),
            mebibytes(row.convert.measured.rss_peak_bytes),
            format!("{:.2}", ratios.to_copy),
            format!("{:.2}", ratios.to_zstd1),
            ratios.to_rerun.map_or("–".to_owned(), |it| format!("{it:.2}")),
        ];
        // Writing to a String cannot fail.
        _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    _ = write!(
        table,
        "\nMedians of {} runs in turns (peaks: the highest), {} MB of message records each; `cargo xtask bench --mb {}{}`.",
        options.runs,
        options.mb,
        options.mb,
        if options.rerun { " --rerun" } else { "" }
    );
    table
}

/// Bytes in mebibytes, rounded.
pub(super) fn mebibytes(n: u64) -> String {
    format!("{:.0}", n as f64 / (1 << 20) as f64)
}

/// The same figures for programs.
pub(super) fn json(
    rows: &[Row],
    others: impl IntoIterator<Item = (&'static str, Value)>,
    options: &Options,
) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "input": row.input.name,
                "file_bytes": row.input.n_file_bytes,
                "bytes": row.input.n_bytes,
                "messages": row.input.n_messages,
                "convert": row.convert.measured,
                "heap_peak_bytes": row.convert.heap_peak_bytes,
                "mb_per_s": row.mb_per_s(),
                "messages_per_s": row.messages_per_s(),
                "copy": row.copy,
                "zstd1": row.zstd,
                "rerun": row.rerun,
                "ratios": row.ratios(),
            })
        })
        .collect();
    let own = [("mb", json!(options.mb)), ("runs", json!(options.runs)), ("rows", json!(rows))];
    own.into_iter().chain(others).collect()
}

/// The table of goals: what each is, what was found, and whether that is enough.
pub(super) fn goal_table(goals: impl IntoIterator<Item = (String, String, bool)>) -> String {
    let mut text = "\n| goal | found | |\n| --- | --- | --- |\n".to_owned();
    for (goal, found, is_met) in goals {
        // Writing to a String cannot fail.
        _ = writeln!(text, "| {goal} | {found} | {} |", verdict(is_met));
    }
    text
}

/// The goal of the heap, held against the highest peak of those whose names are given; none where nothing was counted.
pub(super) fn heap_goal<'a>(peaks: impl Iterator<Item = (u64, &'a str)>) -> Option<(String, String, bool)> {
    let (found, name) = peaks.max()?;
    let goal = format!("peak heap ≤ {} MiB", mebibytes(HEAP_BYTES_MAX));
    Some((goal, format!("{} MiB ({name})", mebibytes(found)), found <= HEAP_BYTES_MAX))
}

/// How a goal's line ends.
pub(super) fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}
