use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use nodedata_core::{MessageTexts, Result, visible::visible};
use nodedata_dataset::{Dataset, Explanation, Manifest};
use nodedata_pipeline::{Rebuilt, Remake, no_recipe};
use nodedata_registry::{DatasetName, Remote, Revision, RevisionEntry, record::FileRef};

use crate::{args::ProgressArg, human, progress::Shown};

/// Makes a revision once more of its sources and compares all of its files, but for the card, which is no conversion's alone.
///
/// # Errors
/// `Unsupported` when the revision was not converted, or by another version; what converting reports.
pub(crate) fn of_revision(
    remote: &Arc<dyn Remote>,
    dataset: &DatasetName,
    entry: &RevisionEntry,
    sources: &[String],
    messages: &MessageTexts,
) -> Result<Rebuilt> {
    let revision = Revision::open(remote, dataset, entry)?;
    let read = |path: &str| {
        let found: Option<&FileRef> = revision.manifest().files.iter().find(|it| it.path == path);
        found.map(|it| revision.read(&it.blob)).transpose()
    };
    let manifest: Manifest = match read("manifest.json")? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(std::io::Error::from)?,
        None => return Err(no_recipe()),
    };
    let recipe = manifest.recipe_file.as_ref().map(|it| read(&it.path)).transpose()?.flatten();
    let recipe = recipe.ok_or_else(no_recipe)?;
    let mut files: BTreeMap<String, String> =
        manifest.files().into_iter().map(|it| (it.path, it.b3)).collect();
    files.remove(&manifest.readme.path);
    files.extend(revision.shards()?.iter().map(|it| (it.path.clone(), it.blob.b3.hex())));
    again(&Remake { manifest: &manifest, recipe: &recipe, files: &files, sources, messages })
}

/// Makes a dataset once more of its sources and compares the shards explained, as they lie there.
///
/// # Errors
/// As [`of_revision`]; `Io` when a shard cannot be read.
pub(crate) fn of_dataset(
    dataset: &Dataset,
    explained: &[Explanation],
    sources: &[String],
    messages: &MessageTexts,
) -> Result<Rebuilt> {
    let recipe = dataset.recipe()?.ok_or_else(no_recipe)?;
    let paths: BTreeSet<&str> = explained.iter().map(|it| it.shard.as_str()).collect();
    let files = paths.into_iter().map(|it| Ok((it.to_owned(), dataset.b3_of_file(it)?)));
    let files = files.collect::<Result<_>>()?;
    let remake = Remake { manifest: &dataset.manifest, recipe: &recipe, files: &files, sources, messages };
    again(&remake)
}

/// Runs the recipe into a folder that is gone afterwards.
fn again(remake: &Remake<'_>) -> Result<Rebuilt> {
    let folder = tempfile::tempdir()?;
    let shown = Shown::new(ProgressArg::Auto);
    let formats = nodedata_formats::builtin();
    let rebuilt = nodedata_pipeline::rebuild(&formats, remake, &folder.path().join("dataset"), &shown);
    shown.done();
    rebuilt
}

/// The lines about it, for people.
pub(crate) fn told(rebuilt: &Rebuilt) -> String {
    let mut text = format!("rebuild     {} the same\n", human::plural(rebuilt.same, "shard"));
    for path in &rebuilt.inputs {
        text.push_str(&format!(
            "wrong       other-input: the dataset was made of something else ({})\n",
            visible(path)
        ));
    }
    for path in &rebuilt.different {
        text.push_str(&format!(
            "wrong       rebuild-mismatch: the recipe makes other bytes ({})\n",
            visible(path)
        ));
    }
    text
}
