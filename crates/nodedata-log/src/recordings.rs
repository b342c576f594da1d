use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, InputFile, Locus, Loss, OpenOptions, ReadAt, Result};

use crate::LogFacts;

/// One recording: an episode, in one file or in several that follow each other.
#[derive(Debug)]
pub struct Recording<F> {
    /// The recorder's own id, or its path relative to the root: stable when data is added.
    pub key: String,
    /// What is known of it besides what its files say.
    pub metadata: BTreeMap<String, String>,
    /// Its files, in order.
    pub files: Vec<PlannedFile<F>>,
    /// Files that say something of all of them, such as the description of a bag, and give no rows. All of each decides rows.
    pub shared: Vec<InputFile>,
}

/// A planned file of a recording.
#[derive(Debug)]
pub struct PlannedFile<F> {
    /// The file.
    pub input: InputFile,
    /// Files beside it without which it cannot be understood, such as a write-ahead log. All of each decides rows.
    pub companions: Vec<InputFile>,
    /// `None` when nothing of it can be read.
    pub log: Option<F>,
    /// What it declares and carries.
    pub facts: LogFacts,
}

/// Opens and plans every path as a recording of its own. What costs a whole file when opened to salvage is returned
/// beside them.
///
/// # Errors
/// `Io`; otherwise what `plan` returns for a file, unless opened to salvage and another one can be read.
pub fn each_file<F>(
    files: &dyn Files,
    paths: Vec<PathBuf>,
    options: &OpenOptions,
    plan: impl Fn(Arc<dyn ReadAt>, &Path) -> Result<(F, LogFacts)>,
) -> Result<(Vec<Recording<F>>, Vec<Error>)> {
    let mut recordings = Vec::new();
    let mut damage = Vec::new();
    for path in paths {
        let key = key_of(&path);
        let planned = plan_file(files, path, options, &mut damage, &plan)?;
        let (metadata, files, shared) = (BTreeMap::new(), vec![planned], Vec::new());
        recordings.push(Recording { key, metadata, files, shared });
    }
    if !damage.is_empty() && damage.len() == recordings.len() {
        return Err(damage.swap_remove(0));
    }
    Ok((recordings, damage))
}

/// Opens and plans one file. What costs the whole of it when opened to salvage is added to `damage`.
///
/// # Errors
/// `Io`; otherwise what `plan` returns, unless opened to salvage.
pub fn plan_file<F>(
    files: &dyn Files,
    path: PathBuf,
    options: &OpenOptions,
    damage: &mut Vec<Error>,
    plan: impl FnOnce(Arc<dyn ReadAt>, &Path) -> Result<(F, LogFacts)>,
) -> Result<PlannedFile<F>> {
    let file = files.open(&path).map_err(|err| err.at(Locus::path(&path)))?;
    let n_bytes = file.n_bytes();
    let (log, facts) = match plan(file, &path) {
        Ok((log, facts)) => (Some(log), facts),
        // A file that is no log at all costs only itself, unless it is all there is.
        Err(err) if options.salvage && err.kind() != ErrorKind::Io => {
            damage.push(whole_file_lost(err.at(Locus::path(&path)), n_bytes));
            (None, LogFacts::default())
        }
        Err(err) => return Err(err.at(Locus::path(&path))),
    };
    Ok(PlannedFile { input: InputFile { path, n_bytes }, companions: Vec::new(), log, facts })
}

/// A path as a key that is the same on every machine: `/` whatever this one uses.
pub fn key_of(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|it| it.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// The loss of a file of which nothing can be read.
pub fn whole_file_lost(err: Error, n_bytes: u64) -> Error {
    err.with_loss(Loss {
        byte_range: Some(0..n_bytes),
        records: Vec::new(),
        uncounted: true,
        reason: "unreadable_file",
    })
}
