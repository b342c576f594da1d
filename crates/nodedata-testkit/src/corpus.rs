//! The way to the shared recordings, which lie beside the repository and not in it.

use std::path::{Path, PathBuf};

/// A folder below the shared corpora, such as `logs/mcap`. Prints that the test is skipped and gives
/// `None` when it is not there.
#[expect(clippy::print_stdout, reason = "a test that is skipped must say so")]
pub fn folder(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: corpus folder absent: {name}");
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
