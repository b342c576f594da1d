use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};

/// The files of a dataset below its root, which is the folder that holds the marker.
pub struct Listing {
    files: Arc<dyn Files>,
    root: PathBuf,
    /// Relative to the root, in order.
    names: BTreeSet<String>,
    /// By file name.
    by_name: BTreeMap<String, Vec<String>>,
}

/// The file that makes a folder a dataset of some format.
#[derive(Debug, Clone, Copy)]
pub struct RootMarker {
    /// Its path below the root.
    pub file: &'static str,
    /// What the format calls several of its datasets.
    pub datasets: &'static str,
    /// What the user can do when it is not there.
    pub hint: &'static str,
}

impl Listing {
    /// Lists the files.
    ///
    /// # Errors
    /// `Unsupported` when the marker is not there, or more than once; `Io`.
    pub fn new(files: Arc<dyn Files>, marker: &RootMarker) -> Result<Self> {
        let all = files.list()?;
        let n_parts = Path::new(marker.file).components().count();
        let marked = all.iter().filter(|it| it.ends_with(marker.file));
        let roots: Vec<&Path> = marked.filter_map(|it| it.ancestors().nth(n_parts)).collect();
        let root = match roots.as_slice() {
            [root] => root.to_path_buf(),
            [] => {
                let message = format!("no `{}` is among the files", marker.file);
                return Err(Error::new(ErrorKind::Unsupported, message).with_hint(marker.hint));
            }
            [first, second, ..] => {
                let message = format!("{} {} lie below the folder", roots.len(), marker.datasets);
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .at(Locus::path(second.join(marker.file)))
                    .with_hint(format!("convert one at a time, for example `{}`", first.display())));
            }
        };
        Ok(Self::below(files, root, &all))
    }

    /// Lists the files of a dataset without a marker: all of them.
    ///
    /// # Errors
    /// `Io`.
    pub fn unmarked(files: Arc<dyn Files>) -> Result<Self> {
        let all = files.list()?;
        Ok(Self::below(files, PathBuf::new(), &all))
    }

    fn below(files: Arc<dyn Files>, root: PathBuf, all: &[PathBuf]) -> Self {
        let names = all.iter().filter_map(|it| Some(it.strip_prefix(&root).ok()?.to_str()?.to_owned()));
        let names: BTreeSet<String> = names.collect();
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in &names {
            let file_name = name.rsplit('/').next().unwrap_or(name);
            by_name.entry(file_name.to_owned()).or_default().push(name.clone());
        }
        Self { files, root, names, by_name }
    }

    /// Names relative to the root, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is a file called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The path of `name` as the source's files know it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The files of the source, which may be more than the dataset.
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    /// Opens the file called `name`.
    ///
    /// # Errors
    /// `Io` when it is not there.
    pub fn open(&self, name: &str) -> Result<Arc<dyn ReadAt>> {
        let path = self.path(name);
        self.files.open(&path).map_err(|err| err.at(Locus::path(path)))
    }

    /// The file that the metadata calls `expected`: there, or the only one whose path differs in a single
    /// folder's name (seen in public datasets: `video/` for `videos/`).
    pub fn find(&self, expected: &str) -> Option<Found> {
        self.find_among(expected, |_| true)
    }

    /// The same, where only some of the names that are not quite the one looked for may be meant.
    pub fn find_among(&self, expected: &str, may_be_meant: impl Fn(&str) -> bool) -> Option<Found> {
        if self.has(expected) {
            return Some(Found::AsTold(expected.to_owned()));
        }
        let parts: Vec<&str> = expected.split('/').collect();
        let same_name = self.by_name.get(*parts.last()?)?;
        let mut near = same_name.iter().filter(|name| {
            let n_differing = name.split('/').zip(&parts).filter(|(one, two)| one != *two).count();
            name.split('/').count() == parts.len() && n_differing == 1 && may_be_meant(name)
        });
        let found = near.next()?;
        near.next().is_none().then(|| Found::Elsewhere(found.clone()))
    }
}

/// How a file was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Where the metadata says.
    AsTold(String),
    /// In a folder of another name.
    Elsewhere(String),
}
