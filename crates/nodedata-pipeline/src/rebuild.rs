use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use nodedata_core::{Error, ErrorKind, Formats, MessageTexts, Progress, Result};
use nodedata_dataset::{InputEntry, Manifest, created_by};
use serde::Serialize;

use crate::{Recipe, convert};

/// A dataset that is to be made once more.
#[derive(Debug, Clone, Copy)]
pub struct Remake<'a> {
    /// What it says of itself.
    pub manifest: &'a Manifest,
    /// The content of its `recipe.json`; see [`no_recipe`] where there is none.
    pub recipe: &'a [u8],
    /// The files to compare: path, and BLAKE3 of what lies there, in 64 hex digits.
    pub files: &'a BTreeMap<String, String>,
    /// What it was made of: files, folders, globs or URLs.
    pub sources: &'a [String],
    /// The message definitions that its user gave.
    pub messages: &'a MessageTexts,
}

/// What came of running a recipe again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Shards that came out the same.
    pub same: u64,
    /// Paths of files that came out otherwise, or not at all, or that were not there.
    pub different: Vec<String>,
    /// Paths of inputs that are not what the dataset was made of, or not there, or that it was not made of.
    pub inputs: Vec<String>,
}

impl Rebuilt {
    /// Whether the dataset is what its recipe makes of its inputs.
    pub fn is_same(&self) -> bool {
        self.different.is_empty() && self.inputs.is_empty()
    }
}

/// Why a dataset without a `recipe.json` cannot be made again.
pub fn no_recipe() -> Error {
    Error::new(ErrorKind::Unsupported, "the dataset has no recipe.json").with_hint(
        "it was not converted, or by an older version: convert its source again, and compare `content_root`",
    )
}

/// Refuses a dataset of another version: only the one that made it makes it again.
///
/// # Errors
/// `Unsupported`.
pub(crate) fn refuse_other_version(manifest: &Manifest) -> Result<()> {
    let made_by = manifest.created_by.get("tool").map_or("another tool", String::as_str);
    if made_by == created_by() {
        return Ok(());
    }
    let message = format!("the dataset was made by `{made_by}`, this is `{}`", created_by());
    Err(Error::new(ErrorKind::Unsupported, message).with_hint("run the version that made it"))
}

/// Runs a recipe on a source once more, at `out`, and compares.
///
/// # Errors
/// `Unsupported` when another version made the dataset; `Corrupt` when its recipe cannot be read; as [`convert()`].
pub fn rebuild(
    formats: &Formats,
    remake: &Remake<'_>,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Rebuilt> {
    let Remake { manifest, recipe, files, sources, messages } = *remake;
    refuse_other_version(manifest)?;
    let options = Recipe::from_json(recipe)?.options_with(sources, out, messages)?;
    let made = convert(formats, &options, progress)?.manifest;
    let made_files: BTreeMap<String, String> = made.files().into_iter().map(|it| (it.path, it.b3)).collect();
    let shards: BTreeSet<&str> = made.shards.iter().map(|it| it.path.as_str()).collect();
    let mut rebuilt = Rebuilt { inputs: other_inputs(&manifest.inputs, &made.inputs), ..Rebuilt::default() };
    for (path, b3) in files {
        match made_files.get(path) == Some(b3) {
            true => rebuilt.same += u64::from(shards.contains(path.as_str())),
            false => rebuilt.different.push(path.clone()),
        }
    }
    let known: BTreeSet<String> = manifest.files().into_iter().map(|it| it.path).collect();
    rebuilt.different.extend(made_files.into_keys().filter(|it| !known.contains(it)));
    Ok(rebuilt)
}

/// Paths that are in one list only, or not with the same content in both.
fn other_inputs(before: &[InputEntry], now: &[InputEntry]) -> Vec<String> {
    let alone = |these: &[InputEntry], those: &[InputEntry]| -> Vec<String> {
        these.iter().filter(|it| !those.contains(it)).map(|it| it.path.clone()).collect()
    };
    let mut paths = alone(before, now);
    paths.append(&mut alone(now, before));
    paths.sort_unstable();
    paths.dedup();
    paths
}
