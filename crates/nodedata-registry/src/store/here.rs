//! What a folder of this machine is asked without the library between: for questions by the thousand, going to another thread and back
//! is most of what each costs.

use std::{fs, io, path::PathBuf};

use crate::store::{ObjectInfo, Store, Uploads};

impl Store {
    /// The file that an object is, or would be. `None` in other stores, and for a name that the library writes otherwise.
    fn here(&self, path: &str) -> Option<PathBuf> {
        match &self.0.uploads {
            Uploads::Local(uploads) if self.at(path).as_ref() == path => Some(uploads.root().join(path)),
            Uploads::Local(_) | Uploads::Multipart(_) => None,
        }
    }

    /// Whether the store is a folder that has no object of that name. Whatever else is the case is for whoever reads it.
    /// A folder says so without a thread of its own.
    pub fn is_absent_here(&self, path: &str) -> bool {
        self.here(path).is_some_and(|it| fs::symlink_metadata(it).is_err_and(|err| is_absence(&err)))
    }

    /// Length and time of each object in a folder. `None` in other stores, and where a file does not tell: whoever asks it by the
    /// library hears why.
    pub(super) fn heads_here(&self, paths: &[String]) -> Option<Vec<Option<ObjectInfo>>> {
        paths.iter().map(|it| self.head_here(it)).collect()
    }

    fn head_here(&self, path: &str) -> Option<Option<ObjectInfo>> {
        let found = match fs::metadata(self.here(path)?) {
            Ok(it) if it.is_file() => it,
            Err(err) if is_absence(&err) => return Some(None),
            Ok(_) | Err(_) => return None,
        };
        let modified = found.modified().ok()?.into();
        Some(Some(ObjectInfo { path: path.to_owned(), bytes: found.len(), modified }))
    }
}

fn is_absence(err: &io::Error) -> bool {
    err.kind() == io::ErrorKind::NotFound
}
