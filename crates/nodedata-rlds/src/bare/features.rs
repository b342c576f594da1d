//! What was learned of episodes, as `features.json` would say it.

use std::collections::BTreeMap;

use nodedata_core::Result;
use serde_json::{Map, Value, json};

use super::seen_keys::{Kind, LearnedKey, STEPS_PREFIX};
use crate::features::{FeatureTree, Leaf, leaves as leaves_of};

/// What the values of lists in lists are called by TFDS, and what their lengths.
const FLAT_VALUES: &str = "/ragged_flat_values";
const ROW_LENGTHS: &str = "/ragged_row_lengths_";

/// The leaves of the keys. One whose values are of several kinds cannot be read.
///
/// # Errors
/// As of any features.
pub(super) fn leaves(keys: &[LearnedKey]) -> Result<Vec<Leaf>> {
    let tree: FeatureTree =
        serde_json::from_value(features(keys)).expect("what is written here is of the form that TFDS writes");
    let mut leaves = leaves_of(&tree.root()?)?;
    for leaf in &mut leaves {
        let of_leaf = |it: &&LearnedKey| it.key.strip_suffix(FLAT_VALUES).unwrap_or(&it.key) == leaf.key;
        if let Some(conflict) = keys.iter().find(of_leaf).and_then(|it| it.conflict.clone()) {
            leaf.unsupported = Some(conflict);
        }
    }
    Ok(leaves)
}

fn features(keys: &[LearnedKey]) -> Value {
    // Lists in lists have a key for each level of lengths beside that of their values.
    let mut n_levels: BTreeMap<&str, usize> = BTreeMap::new();
    for key in keys {
        if let Some((base, _level)) = key.key.rsplit_once(ROW_LENGTHS) {
            *n_levels.entry(base).or_default() += 1;
        }
    }
    let (mut steps, mut episode) = (Map::new(), Map::new());
    for key in keys {
        let name = &*key.key;
        if name.rsplit_once(ROW_LENGTHS).is_some() {
            continue;
        }
        let ragged = name.strip_suffix(FLAT_VALUES).and_then(|it| Some((it, *n_levels.get(it)?)));
        let (name, feature) = match ragged {
            Some((base, n)) => (base, (0..n).fold(tensor(key, Some(1)), |item, _| sequence(&item))),
            None => (name, tensor(key, key.size)),
        };
        match name.strip_prefix(STEPS_PREFIX) {
            Some(name) => steps.insert(name.to_owned(), feature),
            None => episode.insert(name.to_owned(), feature),
        };
    }
    episode.insert("steps".to_owned(), sequence(&json!({"featuresDict": {"features": steps}})));
    json!({"featuresDict": {"features": episode}})
}

fn sequence(item: &Value) -> Value {
    json!({"pythonClassName": "Sequence", "sequence": {"feature": item, "length": "-1"}})
}

fn tensor(key: &LearnedKey, size: Option<u32>) -> Value {
    let dtype = match key.kind {
        Kind::Int => "int64",
        Kind::Float => "float32",
        Kind::Bytes => "bytes",
        Kind::Text => "string",
    };
    let dimensions = match size {
        Some(1) => json!({}),
        Some(n) => json!({"dimensions": [n.to_string()]}),
        None => json!({"dimensions": ["-1"]}),
    };
    json!({"tensor": {"dtype": dtype, "shape": dimensions}})
}
