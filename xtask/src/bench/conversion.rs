use std::path::Path;

use serde_json::Value;

use super::{
    measure::{self, Measured, median, median_of},
    path_text, remove,
};
use crate::workspace::Result;

/// The figures of one call of `node-data` that made a dataset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion {
    pub(super) measured: Measured,
    /// What the command itself says about its heap.
    pub(super) heap_peak_bytes: Option<u64>,
    /// What it says of the time until the first row was read.
    pub(super) open_s: Option<f64>,
}

impl Conversion {
    /// The median of each time, and the highest of each peak.
    pub(super) fn middle(runs: &[Self]) -> Self {
        let measured: Vec<Measured> = runs.iter().map(|it| it.measured).collect();
        Self {
            measured: median_of(&measured),
            heap_peak_bytes: runs.iter().filter_map(|it| it.heap_peak_bytes).max(),
            open_s: runs.iter().map(|it| it.open_s).collect::<Option<Vec<f64>>>().map(median),
        }
    }
}

/// Runs `program VERB WHAT --out OUT` and what comes more into a new folder, which is taken away again. Anything left
/// out is a failure: the inputs made here have no defect.
///
/// # Errors
/// When the command fails, or the folder cannot be removed.
pub(super) fn convert(
    program: &Path,
    verb: &str,
    what: &Path,
    out: &Path,
    more: &[&str],
) -> Result<Conversion> {
    convert_with(program, verb, what, out, more, &[])
}

/// The same in an environment that has `variables`, too.
///
/// # Errors
/// As [`convert`].
pub(super) fn convert_with(
    program: &Path,
    verb: &str,
    what: &Path,
    out: &Path,
    more: &[&str],
    variables: &[(&str, &str)],
) -> Result<Conversion> {
    remove(out)?;
    let whole = [path_text(program), verb.to_owned(), path_text(what), "--out".to_owned(), path_text(out)];
    let command: Vec<String> = whole.into_iter().chain(more.iter().map(|it| (*it).to_owned())).collect();
    let measured = measure::in_own_process_with(&command, variables)?;
    let report = std::fs::read_to_string(out.join("report.json")).ok();
    let report: Value = report.and_then(|it| serde_json::from_str(&it).ok()).unwrap_or_default();
    remove(out)?;
    let open_s = report["seconds"]["open"].as_f64();
    Ok(Conversion { measured, heap_peak_bytes: heap_peak_bytes(&report), open_s })
}

/// `peak_heap_bytes` of a run report, wherever in it; `None` when the command did not count.
fn heap_peak_bytes(report: &Value) -> Option<u64> {
    match report {
        Value::Object(map) => map
            .get("peak_heap_bytes")
            .and_then(Value::as_u64)
            .or_else(|| map.values().find_map(heap_peak_bytes)),
        Value::Array(items) => items.iter().find_map(heap_peak_bytes),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
