use std::path::{Path, PathBuf};

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

/// The recordings in the repository.
pub(crate) fn fixtures() -> Vec<Log> {
    let logs = corpus::files(&corpus::fixtures("mcap"), ".mcap");
    assert!(6 <= logs.len(), "{logs:?}");
    let log = |path: PathBuf| Log { truth: Truth::load(&path.with_extension("truth.json")), path };
    logs.into_iter().map(log).collect()
}

/// One of them.
pub(crate) fn fixture(name: &str) -> PathBuf {
    corpus::fixtures("mcap").join(name)
}

/// The recordings of the corpus beside the repository; none when it is absent.
pub(crate) fn recordings() -> Vec<Log> {
    let Some(folder) = corpus::folder("logs") else { return Vec::new() };
    let logs = corpus::files(&folder.join("mcap"), ".mcap");
    assert!(20 <= logs.len(), "{logs:?}");
    let truth = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Truth::load(&folder.join(format!("truth/mcap__{name}.json")))
    };
    logs.into_iter().map(|path| Log { truth: truth(&path), path }).collect()
}
