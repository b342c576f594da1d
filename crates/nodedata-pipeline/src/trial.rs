use std::{collections::BTreeSet, path::Path};

use nodedata_core::{Error, ErrorKind, Formats, Silent, nearest, suggest};
use nodedata_dataset::ASKED_FOR;
use serde::Serialize;

use crate::{Executed, Expected, Parsed, PipelineTest, Refused, execute};

/// Why messages have no place among steps, besides damage and besides what pipelines ask for.
const UNPLACED: [&str; 4] = ["before_key_frame", "beyond_order_bound", "far_from_log_time", "no_time"];

/// How one test of a pipeline file ended.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// Its name.
    pub name: String,
    /// Whether all came out as expected.
    pub passed: bool,
    /// What did not: found before expected. Also what made the run fail.
    pub differences: Vec<String>,
    /// Hash over the content that came out, for the file.
    pub content_root: Option<String>,
}

/// Runs one test of a pipeline file in the folder `scratch`.
///
/// # Errors
/// [`Refused::Mistakes`] when the file does not fit the fixture.
pub fn try_out(
    formats: &Formats,
    parsed: &Parsed,
    test: &PipelineTest,
    scratch: &Path,
) -> Result<Trial, Refused> {
    let mut parsed = parsed.clone();
    parsed.file.source.paths = vec![test.source.clone()];
    let result = execute(formats, &parsed, |it| it, scratch, &Silent);
    let (differences, content_root) = match result {
        Ok(executed) => {
            (differences(&executed, &test.expect), Some(executed.converted.manifest.content_root))
        }
        Err(Refused::Error(err) | Refused::Failed(_, err)) => {
            (vec![format!("the run failed: {}", told(&err))], None)
        }
        Err(mistakes @ Refused::Mistakes(..)) => return Err(mistakes),
    };
    Ok(Trial { name: test.name.clone(), passed: differences.is_empty(), differences, content_root })
}

fn told(err: &Error) -> String {
    match err.kind() {
        ErrorKind::Denied | ErrorKind::Config => err.to_string(),
        _ => err.chain(),
    }
}

fn differences(executed: &Executed, expect: &Expected) -> Vec<String> {
    let report = &executed.converted.report;
    let mut all = Vec::new();
    let mut compare = |what: &str, found: u64, expected: Option<u64>| {
        if expected.is_some_and(|it| it != found) {
            all.push(format!("{what}: {found}, expected {}", expected.unwrap_or_default()));
        }
    };
    compare("episodes", report.episodes, expect.episodes);
    let written = |it: &nodedata_dataset::StreamLedger| it.written;
    compare("rows", report.streams.values().map(written).sum(), expect.rows);
    for (stream, rows) in &expect.rows_by_stream {
        if let Some(found) = report.streams.get(stream) {
            compare(&format!("rows of {stream}"), written(found), Some(*rows));
        }
    }
    let quarantined = executed.quality.as_ref().map_or(0, |it| it.quarantined.len() as u64);
    compare("quarantined episodes", quarantined, expect.quarantined);
    let reasons: BTreeSet<&str> =
        report.streams.values().flat_map(|it| it.dropped.keys()).map(String::as_str).collect();
    let of_steps: BTreeSet<&str> = ASKED_FOR.into_iter().chain(UNPLACED).collect();
    let is_known = |reason: &str| reasons.contains(reason) || of_steps.contains(reason);
    for (reason, n) in expect.dropped.iter().filter(|it| is_known(&it.0)) {
        let found = report.streams.values().filter_map(|it| it.dropped.get(reason)).sum();
        compare(&format!("records dropped as {reason}"), found, Some(*n));
    }
    for (reason, n) in expect.dropped.iter().filter(|it| !is_known(&it.0)) {
        let known = reasons.iter().chain(&of_steps).copied();
        // Damage has reasons of its format: that there is none may be said of any of them, but not with a slip in it.
        if *n != 0 || nearest(reason, known.clone()).is_some() {
            all.push(format!(
                "records dropped as {reason}: there is no such reason; {}",
                suggest(reason, known)
            ));
        }
    }
    for (stream, _) in expect.rows_by_stream.iter().filter(|it| !report.streams.contains_key(&it.0)) {
        let hint = suggest(stream, report.streams.keys().map(String::as_str));
        all.push(format!("rows of {stream}: there is no such stream; {hint}"));
    }
    if let Some(expected) = &expect.content_root {
        let found = &executed.converted.manifest.content_root;
        if found != expected {
            all.push(format!("content_root: {found}, expected {expected}"));
        }
    }
    all
}
