use std::path::PathBuf;

use nodedata_testkit::{corpus, truth::Truth};

/// A recording and what its official reader returns for it.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    pub(crate) truth: Truth,
}

impl Log {
    /// File name without `.mcap`.
    pub(crate) fn name(&self) -> String {
        self.path.file_stem().unwrap().to_string_lossy().into_owned()
    }
}

/// The recordings in the repository whose writers are those of every day.
pub(crate) fn fixtures() -> Vec<Log> {
    let logs = corpus::files(&corpus::fixtures("mcap"), ".mcap");
    assert!(6 <= logs.len(), "{logs:?}");
    logs.into_iter().map(log).collect()
}

/// All of them, special cases of the format too.
pub(crate) fn recordings() -> Vec<Log> {
    corpus::recordings().into_iter().map(log).collect()
}

fn log(path: PathBuf) -> Log {
    Log { truth: Truth::load(&path.with_extension("truth.json")), path }
}

/// One of them.
pub(crate) fn fixture(name: &str) -> PathBuf {
    corpus::fixtures("mcap").join(name)
}
