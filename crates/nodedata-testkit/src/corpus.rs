//! The way to recordings: those in the repository, and the shared ones, which lie beside it and not in it.

use std::path::{Path, PathBuf};

use crate::skipped;

/// A folder or file below the shared corpora, such as `logs/public`. Where it is not there the test counts as
/// skipped and gets `None`.
pub fn folder(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora").join(name);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("not in ../shared/corpora: {name}"));
    None
}

/// A folder below `fixtures/` of the repository.
///
/// # Panics
/// When there is no such folder.
pub fn fixtures(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    assert!(folder.is_dir(), "no fixtures in {}", folder.display());
    folder
}

/// The MCAP recordings of the repository that are whole, sorted by name; the truth of each lies beside it.
///
/// # Panics
/// When they are not there.
pub fn recordings() -> Vec<PathBuf> {
    let mut recordings = files(&fixtures("mcap"), ".mcap");
    recordings.extend(files(&fixtures("mcap/special"), ".mcap"));
    assert!(18 <= recordings.len(), "{recordings:?}");
    recordings.sort_unstable_by_key(|it| it.file_name().map(ToOwned::to_owned));
    recordings
}

/// One of them, by its name without `.mcap`.
///
/// # Panics
/// When there is none of this name.
pub fn recording(name: &str) -> PathBuf {
    let found = recordings().into_iter().find(|it| it.file_stem().is_some_and(|it| it == name));
    found.unwrap_or_else(|| panic!("no recording {name} in the repository"))
}

/// The files of a folder whose name ends in `suffix`, sorted by name.
///
/// # Panics
/// When the folder cannot be listed.
pub fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be listed");
    let mut files: Vec<PathBuf> = entries
        .map(|it| it.expect("the folder can be listed").path())
        .filter(|it| it.is_file() && it.to_string_lossy().ends_with(suffix))
        .collect();
    files.sort_unstable();
    files
}
