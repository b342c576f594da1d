use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};

/// The files of the dataset below its root, which is the folder that holds `meta/info.json`.
pub(crate) struct Listing {
    files: Arc<dyn Files>,
    root: PathBuf,
    /// Relative to the root, in order.
    names: BTreeSet<String>,
    /// By file name.
    by_name: BTreeMap<String, Vec<String>>,
}

/// The file that makes a folder a LeRobot dataset.
pub(crate) const INFO: &str = "meta/info.json";

/// Whether a path below the root is that of the episodes or the tasks, in any version.
pub(crate) fn is_metadata_table(path: &Path) -> bool {
    let mut parts = path.iter().map(OsStr::as_encoded_bytes);
    parts.next() == Some(b"meta")
        && parts.next().is_some_and(|it| it.starts_with(b"episodes") || it.starts_with(b"tasks"))
}

impl Listing {
    /// Lists the files.
    ///
    /// # Errors
    /// `Unsupported` when there is no `meta/info.json`, or more than one.
    pub(crate) fn new(files: Arc<dyn Files>) -> Result<Self> {
        let all = files.list()?;
        let roots: Vec<&Path> =
            all.iter().filter(|it| it.ends_with(INFO)).filter_map(|it| it.parent()?.parent()).collect();
        let root = match roots.as_slice() {
            [root] => root.to_path_buf(),
            [] => {
                return Err(Error::new(ErrorKind::Unsupported, "no `meta/info.json` is among the files")
                    .with_hint("name the folder that holds `meta`, `data` and `videos`"));
            }
            [first, second, ..] => {
                let message = format!("{} LeRobot datasets lie below the folder", roots.len());
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .at(Locus::path(second.join(INFO)))
                    .with_hint(format!("convert one at a time, for example `{}`", first.display())));
            }
        };
        let names = all.iter().filter_map(|it| Some(it.strip_prefix(&root).ok()?.to_str()?.to_owned()));
        let names: BTreeSet<String> = names.collect();
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in &names {
            let file_name = name.rsplit('/').next().unwrap_or(name);
            by_name.entry(file_name.to_owned()).or_default().push(name.clone());
        }
        Ok(Self { files, root, names, by_name })
    }

    /// Names relative to the root, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The tables below `meta/` that decide rows.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|it| *it == INFO || is_metadata_table(Path::new(it)) || *it == "meta/stats.json")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The path of `name` as the source's files know it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    pub(crate) fn open(&self, name: &str) -> Result<Arc<dyn ReadAt>> {
        let path = self.path(name);
        self.files.open(&path).map_err(|err| err.at(Locus::path(path)))
    }

    /// The file that `info.json` calls `expected`: there, or the only one whose path differs in a single
    /// folder's name (seen in public datasets: `video/` for `videos/`).
    pub(crate) fn find(&self, expected: &str) -> Option<Found> {
        if self.has(expected) {
            return Some(Found::AsTold(expected.to_owned()));
        }
        let parts: Vec<&str> = expected.split('/').collect();
        let same_name = self.by_name.get(*parts.last()?)?;
        let mut near = same_name.iter().filter(|name| {
            let n_differing = name.split('/').zip(&parts).filter(|(one, two)| one != *two).count();
            name.split('/').count() == parts.len() && n_differing == 1
        });
        let found = near.next()?;
        near.next().is_none().then(|| Found::Elsewhere(found.clone()))
    }
}

/// How a file was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Where `info.json` says.
    AsTold(String),
    /// In a folder of another name.
    Elsewhere(String),
}
