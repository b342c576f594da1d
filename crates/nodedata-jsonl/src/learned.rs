use std::{collections::BTreeMap, path::PathBuf};

use nodedata_core::{InputFile, OpenOptions, Reference, RowDeal};
use nodedata_message::{JsonKind, JsonType};
use nodedata_steps::{Learned, References};
use serde::{Deserialize, Serialize};

use crate::stretch::Stretch;

/// Of another version nothing is taken over.
pub(crate) const VERSION: u32 = 2;

/// What the full pass learned.
pub(crate) type LearnedRows = Learned<Conditions, Stretch, Rows>;

/// What records are.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    /// `None` where records stay bytes.
    pub(crate) types: Option<JsonType>,
    /// Path and length of the files that records name, which are inputs behind those that hold records.
    named: Vec<(String, u64)>,
    /// The fields among those that are embedded that records have within JSON text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) beside: Vec<String>,
}

/// The options that what is learned depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conditions {
    pub(crate) partition_bytes: u64,
    pub(crate) record_bytes_max: u64,
    pub(crate) unpack_ratio_max: u64,
    pub(crate) deal: Option<RowDeal>,
    pub(crate) mixed: Mixed,
    pub(crate) decodes: bool,
    pub(crate) embed: BTreeMap<String, Reference>,
    pub(crate) topics: Option<Vec<String>>,
}

/// What becomes of values that no one type holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mixed {
    /// A field of several kinds is JSON text; what no reader holds is refused.
    Json,
    /// Both are refused.
    Refuse,
    /// A field of several kinds is JSON text, and so is what no reader holds, in its own words.
    Text,
}

impl Rows {
    pub(crate) fn new(types: Option<JsonType>, named: &[InputFile], beside: Vec<String>) -> Self {
        let named = named.iter().map(|it| (it.path.display().to_string(), it.n_bytes));
        Self { types, named: named.collect(), beside }
    }

    /// The files that records name.
    pub(crate) fn named(&self) -> impl Iterator<Item = InputFile> {
        self.named.iter().map(|(path, n_bytes)| InputFile { path: PathBuf::from(path), n_bytes: *n_bytes })
    }

    /// What decides rows besides their bytes.
    pub(crate) fn types_hash(&self) -> String {
        let json = JsonType::from(JsonKind::Json);
        let text = serde_json::to_string(self.types.as_ref().unwrap_or(&json));
        let text = text.expect("words and lists of them are JSON");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

/// What was handed to an opening; `None` when there is nothing, or nothing that fits: then it is learned anew.
pub(crate) fn fitting(
    options: &OpenOptions,
    conditions: &Conditions,
    inputs: &[InputFile],
    references: &References,
) -> Option<LearnedRows> {
    let n_splits = options.n_splits();
    let learned = LearnedRows::fitting(options, VERSION, conditions, inputs, |_| true)?;
    let Rows { types, named, .. } = &learned.what;
    let n_inputs = inputs.len() + named.len();
    let are_sound =
        learned.files().iter().all(|it| Stretch::are_sound(&it.stretches, it.n_bytes, n_splits, n_inputs));
    let mut lacks = learned.files().iter().flat_map(|it| &it.stretches).flat_map(|it| &it.lacks).flatten();
    let fits = types.is_some() == conditions.decodes
        && types.as_ref().is_none_or(|it| it.n_leaves() <= JsonType::LEAVES_MAX)
        && are_sound
        // What was not there may have come.
        && !lacks.any(|it| references.is_there(it));
    fits.then_some(learned)
}
