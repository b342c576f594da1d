use std::path::Path;

use nodedata_dataset::{DamageEntry, Explanation, NotRead, Report, Validation};
use nodedata_pipeline::{Converted, MadeStep, PlannedUnit, Rebuilt, Trial};
use nodedata_quality::QualityReport;
use nodedata_registry::PushReport;
use nodedata_schema::{Change, Violation};
use serde::Serialize;

/// What a conversion did.
#[derive(Serialize)]
pub(crate) struct Conversion<'a> {
    /// Folder of the dataset.
    pub(crate) out: String,
    /// Hash of all that decides the dataset's bytes.
    pub(crate) recipe: &'a str,
    /// Hash over the logical content of all episodes.
    pub(crate) content_root: &'a str,
    /// Number of shards.
    pub(crate) shards: usize,
    /// `report.json` of the dataset.
    pub(crate) report: &'a Report,
}

impl<'a> Conversion<'a> {
    /// What to say of a conversion to the folder `out`.
    pub(crate) fn new(converted: &'a Converted, out: &Path) -> Self {
        Self {
            out: out.display().to_string(),
            recipe: &converted.manifest.recipe,
            content_root: &converted.manifest.content_root,
            shards: converted.manifest.shards.len(),
            report: &converted.report,
        }
    }
}

/// What a pipeline did.
#[derive(Serialize)]
pub(crate) struct Ran<'a> {
    /// The conversion.
    #[serde(flatten)]
    pub(crate) conversion: Conversion<'a>,
    /// What the quality gate found; null without a gate, and when nothing was to be done.
    pub(crate) quality: Option<&'a QualityReport>,
    /// What was published; null for a pipeline without `publish`.
    pub(crate) published: Option<&'a PushReport>,
}

/// A conversion cut into units.
#[derive(Serialize)]
pub(crate) struct Planned<'a> {
    /// The file of the plan.
    pub(crate) plan: &'a Path,
    /// Recipe of the dataset.
    pub(crate) recipe: &'a str,
    /// Bytes of records in all units.
    pub(crate) bytes: u64,
    /// The units, in order.
    pub(crate) units: &'a [PlannedUnit],
}

/// A pipeline file that was proposed.
#[derive(Serialize)]
pub(crate) struct Proposal<'a> {
    /// The file that was written; null when there is none.
    pub(crate) out: Option<&'a Path>,
    /// The text of the pipeline; null when it was written to `out`.
    pub(crate) pipeline: Option<&'a str>,
}

/// A pipeline file without mistakes. One with mistakes is `mistakes/1`, on stderr.
#[derive(Serialize)]
pub(crate) struct CheckedPipeline {
    /// Always empty.
    pub(crate) mistakes: [String; 0],
}

/// How the tests of pipeline files ended.
#[derive(Serialize)]
pub(crate) struct PipelineTests<'a> {
    /// The tests, in the order of the files.
    pub(crate) tests: Vec<TestOfFile<'a>>,
    /// How many failed.
    pub(crate) failed: usize,
    /// Files of which nothing was run.
    pub(crate) skipped: Vec<SkippedFile<'a>>,
}

/// A file that is no pipeline, or has no tests.
#[derive(Serialize)]
pub(crate) struct SkippedFile<'a> {
    /// The file.
    pub(crate) file: &'a str,
    /// Why nothing was run.
    pub(crate) reason: &'a str,
}

/// A test of a pipeline file.
#[derive(Serialize)]
pub(crate) struct TestOfFile<'a> {
    /// The file.
    pub(crate) file: &'a str,
    /// How it ended.
    pub(crate) test: &'a Trial,
}

/// What a dataset's own files say against each other, and the quality rules of its rows.
#[derive(Serialize)]
pub(crate) struct CheckedDataset<'a> {
    /// The validation.
    #[serde(flatten)]
    pub(crate) found: &'a Validation,
    /// What the rules found; null when they were left out, or could not be looked at.
    pub(crate) quality: Option<&'a QualityReport>,
}

/// What the pointers of a source get wrong, found without reading its rows.
#[derive(Serialize)]
pub(crate) struct CheckedSource<'a> {
    /// Name of the format.
    pub(crate) format: &'a str,
    /// Episodes that can be used.
    pub(crate) episodes: u64,
    /// What the data does not put right.
    pub(crate) damage: &'a [DamageEntry],
    /// What the data puts right.
    pub(crate) repairs: &'a [DamageEntry],
    /// Remarks that lose nothing.
    pub(crate) warnings: &'a [DamageEntry],
    /// Files of the source that no row comes from.
    pub(crate) not_read: &'a NotRead,
}

/// Rows held against a schema.
#[derive(Serialize)]
pub(crate) struct CheckedSchema<'a> {
    /// What rows break; empty when every row follows the schema.
    pub(crate) violations: &'a [Violation],
}

/// How two schemas differ.
#[derive(Serialize)]
pub(crate) struct SchemaDifference<'a> {
    /// Whether what reads the old can read the new.
    pub(crate) compatible: bool,
    /// The differences.
    pub(crate) changes: &'a [Change],
}

/// Where rows come from.
#[derive(Serialize)]
pub(crate) struct Explained<'a> {
    /// Each shard with rows that were asked about.
    pub(crate) explained: &'a [Explanation],
    /// What the fields of the step are made of; null unless its sources were named.
    pub(crate) step: Option<&'a MadeStep>,
    /// What came of running the recipe again; null unless it was asked for.
    pub(crate) rebuild: Option<&'a Rebuilt>,
    /// Whether the recipe made the same bytes; null unless it was asked for.
    pub(crate) sound: Option<bool>,
}
