use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_client::{Opening, Registry};
use nodedata_core::{Error, ErrorKind, Locus, Result, visible::visible};
use nodedata_dataset::Dataset;
use nodedata_registry::{DatasetName, DatasetState, Revision};

use crate::{commands::dataset_args::StoreArgs, message};

/// What a command that only reads was told to read.
///
/// What is there on disk is meant, whatever its name. Otherwise a name with an `@` behind the name of a dataset is a
/// revision, and so the `@` is not left out here: a folder that was mistyped is never looked for in a registry.
pub(crate) enum Target {
    /// A file or folder.
    Path(PathBuf),
    /// A revision, read where it lies.
    Revision {
        revision: Arc<Revision>,
        /// The file of it that was named: `owner/name@1.2.0/data/….parquet`.
        file: Option<String>,
    },
}

impl Target {
    /// What `path` means: something on disk, or a revision of the registry that the flags name.
    ///
    /// # Errors
    /// `Io` when it is the name of a dataset without an `@`, and not there; what the registry reports.
    pub(crate) fn of(path: &Path, store: &StoreArgs) -> Result<Self> {
        let written = path.to_str().and_then(written_as_revision);
        let Some((reference, file)) = written else {
            if !path.exists() && path.to_str().is_some_and(is_dataset) {
                return Err(Error::new(ErrorKind::Io, "there is no such file or folder")
                    .at(Locus::path(path))
                    .with_hint("name what is there, or a revision with its `@`: `owner/name@latest`"));
            }
            // Whoever reads it says what is wrong with it.
            return Ok(Self::Path(path.to_owned()));
        };
        if path.exists() {
            message::note(&format!(
                "{0} is taken for what lies here; `./{0}` says so, and `@b3:…` or `@seq:…` names a revision",
                visible(&path.to_string_lossy())
            ));
            return Ok(Self::Path(path.to_owned()));
        }
        let registry = Registry::open(store, Opening::Existing)?;
        let reference = registry.reference(reference)?;
        let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
        let entry = reference.resolve(&state)?;
        if let Some(reason) = &entry.withdrawn {
            let (dataset, number) = (&reference.dataset, &entry.revision);
            message::note(&format!("warning: {dataset} {number} is withdrawn: {}", visible(reason)));
        }
        let revision = Revision::open(&registry.remote, &reference.dataset, entry)?;
        Ok(Self::Revision { revision: Arc::new(revision), file: file.map(str::to_owned) })
    }
}

impl Target {
    /// The dataset, and the file of it that was named.
    ///
    /// # Errors
    /// What opening a dataset reports; `Config` for a file that lies in none.
    pub(crate) fn dataset(self) -> Result<(Dataset, Option<String>)> {
        match self {
            Self::Path(path) if path.is_dir() => Ok((Dataset::open(path)?, None)),
            Self::Path(path) => {
                let (dataset, file) = Dataset::of_file(&path)?;
                Ok((dataset, Some(file)))
            }
            Self::Revision { revision, file } => Ok((Dataset::over(revision)?, file)),
        }
    }
}

/// `owner/name@selector` and the path behind it; `None` for what does not begin as the name of a dataset does.
fn written_as_revision(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, rest) = text.split_once('@')?;
    if !is_dataset(name) {
        return None;
    }
    match rest.split_once('/') {
        // The selector holds no `/`.
        Some((selector, file)) => Some((&text[..name.len() + 1 + selector.len()], Some(file))),
        None => Some((text, None)),
    }
}

fn is_dataset(name: &str) -> bool {
    // Whose it is does not matter here.
    DatasetName::parse(name, "anybody").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_told_from_paths() {
        let shard = "acme/x@1.0.0/data/a@b.parquet";
        assert_eq!(written_as_revision(shard), Some(("acme/x@1.0.0", Some("data/a@b.parquet"))));
        for reference in ["acme/x@latest", "x@^1.2", "x@>=1.0.0, <2.0.0", "acme/x@"] {
            assert_eq!(written_as_revision(reference), Some((reference, None)));
        }
        for path in ["acme/x", "./acme/x@1.0.0", "/acme/x@1.0.0", "../x@1", "a/b/c@1", "Runs@home", "@latest"]
        {
            assert_eq!(written_as_revision(path), None, "{path}");
        }
    }
}
