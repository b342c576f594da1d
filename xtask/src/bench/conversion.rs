use std::path::Path;

use serde_json::Value;

use super::{
    measure::{self, Measured, median_of},
    path_text, remove,
};
use crate::workspace::Result;

/// The figures of one call of `node-data` that made a dataset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion {
    pub(super) measured: Measured,
    /// What the command itself says about its heap.
    pub(super) heap_peak_bytes: Option<u64>,
}

impl Conversion {
    /// The median of each time, and the highest of each peak.
    pub(super) fn middle(runs: &[Self]) -> Self {
        let measured: Vec<Measured> = runs.iter().map(|it| it.measured).collect();
        Self {
            measured: median_of(&measured),
            heap_peak_bytes: runs.iter().filter_map(|it| it.heap_peak_bytes).max(),
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
    remove(out)?;
    let whole = [path_text(program), verb.to_owned(), path_text(what), "--out".to_owned(), path_text(out)];
    let command: Vec<String> = whole.into_iter().chain(more.iter().map(|it| (*it).to_owned())).collect();
    let measured = measure::in_own_process(&command)?;
    let heap_peak_bytes = heap_peak_bytes(&out.join("report.json"));
    remove(out)?;
    Ok(Conversion { measured, heap_peak_bytes })
}

/// `peak_heap_bytes` of a run report, wherever in it; `None` when the command did not count.
fn heap_peak_bytes(report: &Path) -> Option<u64> {
    fn find(value: &Value) -> Option<u64> {
        match value {
            Value::Object(map) => {
                map.get("peak_heap_bytes").and_then(Value::as_u64).or_else(|| map.values().find_map(find))
            }
            Value::Array(items) => items.iter().find_map(find),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
    let text = std::fs::read_to_string(report).ok()?;
    find(&serde_json::from_str(&text).ok()?)
}
