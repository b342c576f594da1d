use std::path::{Path, PathBuf};

use nodedata_core::{Error, Files, OpenOptions, Result};
use nodedata_dataset::created_by;
use serde::{Deserialize, Serialize};

use crate::{OpenedSource, PlannedInput, inputs::hash_of};

/// A file beside the inputs that is longer is recognised by its stamp alone: results that others keep there may have any length.
const BESIDE_BYTES_MAX: u64 = 64 << 20;

/// What opening a source learned by reading all of it, and of which files: whoever opens the same files in the same way need
/// not read them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// `learned/1`.
    nd: String,
    /// Tool and version: another one may learn otherwise.
    created_by: String,
    format: String,
    /// What it was opened with.
    options: serde_json::Value,
    /// Whether damage was passed over.
    salvage: bool,
    inputs: Vec<PlannedInput>,
    /// Files that belong to them and of which no row comes: what a format learned may depend on what they say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    beside: Vec<PlannedInput>,
    /// In words of the format.
    text: String,
}

impl Learned {
    /// What an opening learned; `None` when metadata told everything. Without `digests` it is of use only where files have
    /// stamps.
    pub(crate) fn of(opened: &OpenedSource, digests: Option<&[String]>) -> Result<Option<Self>> {
        let plan = opened.source.plan();
        let Some(text) = plan.learned.clone() else { return Ok(None) };
        let input = |(idx, it): (usize, &nodedata_core::InputFile)| PlannedInput {
            path: it.path.display().to_string(),
            bytes: it.n_bytes,
            b3: digests.map(|it| it[idx].clone()).unwrap_or_default(),
            stamp: opened.files.stamp(&it.path),
        };
        let files = opened.files.as_ref();
        // Whoever opens the same again has those alone that were claimed.
        let listed = files.list()?;
        let listed = plan.beside.iter().filter(|it| listed.contains(it));
        let beside = |path: &PathBuf| -> Result<PlannedInput> {
            let bytes = files.open(path)?.n_bytes();
            let is_hashed = digests.is_some() && bytes <= BESIDE_BYTES_MAX;
            let b3 = if is_hashed { hash_of(files, path)? } else { String::new() };
            Ok(PlannedInput { path: path.display().to_string(), bytes, b3, stamp: files.stamp(path) })
        };
        Ok(Some(Self {
            nd: "learned/1".to_owned(),
            created_by: created_by(),
            format: opened.format.name().to_owned(),
            options: json(&opened.options)?,
            salvage: opened.options.salvage,
            inputs: plan.inputs.iter().enumerate().map(input).collect(),
            beside: listed.map(beside).collect::<Result<_>>()?,
            text,
        }))
    }

    /// What earlier runs to `out` left behind.
    pub(crate) fn noted(out: &Path) -> Vec<Self> {
        nodedata_dataset::notes(out).iter().filter_map(|it| serde_json::from_slice(it).ok()).collect()
    }

    /// As a note for later runs.
    pub(crate) fn to_note(&self) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(self).map_err(std::io::Error::from)?)
    }

    /// What was learned, when these are the same files, opened in the same way. A file that looks as it did is not read.
    pub(crate) fn recall(
        &self,
        format: &str,
        options: &OpenOptions,
        files: &dyn Files,
        paths: &[PathBuf],
    ) -> Result<Option<String>> {
        let is_same_way = self.nd == "learned/1"
            && self.created_by == created_by()
            && self.format == format
            && self.salvage == options.salvage
            && self.options == json(options)?;
        let is_beside =
            |it: &&PathBuf| self.beside.iter().any(|known| *it.display().to_string() == known.path);
        let (beside, paths): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(is_beside);
        let known: Vec<&str> = self.inputs.iter().map(|it| it.path.as_str()).collect();
        let now: Vec<String> = paths.iter().map(|it| it.display().to_string()).collect();
        let Some((found, named)) = known.split_at_checked(now.len()).filter(|_| is_same_way) else {
            return Ok(None);
        };
        // Behind those that are found lie files that rows name, and nothing where none are put in the place of their names.
        if found != now
            || beside.len() != self.beside.len()
            || (options.embed.is_empty() && !named.is_empty())
        {
            return Ok(None);
        }
        let named = named.iter().map(Path::new);
        if named.clone().any(|it| files.leads_out(it) || files.open(it).is_err()) {
            return Ok(None);
        }
        let inputs = self.inputs.iter().zip(paths.into_iter().map(PathBuf::as_path).chain(named));
        let beside = self.beside.iter().map(|it| (it, Path::new(&it.path)));
        for (input, path) in inputs.chain(beside) {
            if input.stamp.is_some() && input.stamp == files.stamp(path) {
                continue;
            }
            if input.b3.is_empty()
                || files.open(path)?.n_bytes() != input.bytes
                || hash_of(files, path)? != input.b3
            {
                return Ok(None);
            }
        }
        Ok(Some(self.text.clone()))
    }
}

fn json(options: &OpenOptions) -> Result<serde_json::Value> {
    serde_json::to_value(options).map_err(|err| Error::from(std::io::Error::from(err)))
}

#[cfg(test)]
mod tests;
