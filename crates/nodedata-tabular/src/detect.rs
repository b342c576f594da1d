use std::path::{Path, PathBuf};

use nodedata_core::{Confidence, Detection, Listing};

/// Folders that are a dataset of a format that keeps tables among its files: those are no tables of ours.
fn foreign_roots(listing: &Listing<'_>) -> Vec<PathBuf> {
    let has = |root: &Path, name: &str| listing.has(&root.join(name));
    let lerobot = listing.folders_with("meta/info.json");
    let shards = |root: &Path| listing.below(root).any(|it| it.to_string_lossy().contains(".parquet-"));
    let rlds = listing.folders_with("features.json").into_iter();
    let rlds = rlds.filter(|it| has(it, "dataset_info.json") || shards(it));
    let own = listing.folders_with("sample_index.json").into_iter().filter(|it| has(it, "manifest.json"));
    lerobot.into_iter().chain(rlds).chain(own).collect()
}

/// The tables of a format: files that are called so or begin so, and lie in no dataset of another one.
pub(crate) fn tables(
    listing: &Listing<'_>,
    what: &str,
    is_named: impl Fn(&Path) -> bool,
    begins: impl Fn(&[u8]) -> bool,
) -> Detection {
    let found = Detection::by_magic(listing, what, is_named, &begins);
    if found.claims.is_empty() {
        return found;
    }
    without_foreign(listing, found, what, begins)
}

/// What is left of a detection without the files of other formats' datasets.
pub(crate) fn without_foreign(
    listing: &Listing<'_>,
    mut found: Detection,
    what: &str,
    begins: impl Fn(&[u8]) -> bool,
) -> Detection {
    let roots = foreign_roots(listing);
    if roots.is_empty() {
        return found;
    }
    found.claims.retain(|it| !roots.iter().any(|root| it.starts_with(root)));
    let Some(first) = found.claims.first() else { return Detection::no() };
    let fitting = found.claims.iter().find(|it| begins(&listing.head(it)));
    (found.confidence, found.why) = match fitting {
        Some(it) => (Confidence::Content, format!("`{}` begins as {what} do", it.display())),
        None => (Confidence::Name, format!("`{}` is called as {what} are", first.display())),
    };
    found
}

/// Whether a path ends in one of these, whatever the case of its letters.
pub(crate) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|it| endings.iter().any(|ending| it.eq_ignore_ascii_case(ending)))
}
