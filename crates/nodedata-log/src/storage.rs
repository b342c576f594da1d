use std::{path::Path, sync::Arc};

use nodedata_core::{OpenOptions, ReadAt, Result};

use crate::{LogFacts, LogFile};

/// A kind of file that recordings of several formats may be stored in.
///
/// A format that describes recordings, such as a bag, is handed its storages where formats are listed, so that it
/// depends on none of them.
pub trait LogStorage: Send + Sync {
    /// Whether files of this name are such files.
    fn claims(&self, path: &Path) -> bool;

    /// Whether such files begin so.
    fn begins(&self, head: &[u8]) -> bool;

    /// Whether a file that begins so is one of a recorder of bags, whatever it is called.
    fn is_bag(&self, head: &[u8]) -> bool {
        let _unknown = head;
        false
    }

    /// Whether a file that is called so and begins so says that ROS 2 recorded it.
    fn is_of_ros2(&self, head: &[u8]) -> bool {
        let _unknown = head;
        false
    }

    /// Endings of the names of files beside such a file that it cannot be understood without.
    fn companions(&self) -> &'static [&'static str] {
        &[]
    }

    /// Endings of the names of files beside such a file that say nothing of messages.
    fn leftovers(&self) -> &'static [&'static str] {
        &[]
    }

    /// Plans one file.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `Limit` with the place of the first damage, when not opened to salvage or when nothing
    /// can be read; `Io`.
    fn open(&self, file: StoredFile<'_>, options: &OpenOptions) -> Result<(Box<dyn LogFile>, LogFacts)>;
}

/// A file to be opened, with what lies beside it.
pub struct StoredFile<'a> {
    /// Its name, for errors.
    pub path: &'a Path,
    /// Its bytes.
    pub file: Arc<dyn ReadAt>,
    /// Of each of [`LogStorage::companions`], the file where there is one: its name, and its bytes. The n-th of those that are
    /// there is part n of a [`crate::MessagePlace`], counted from 1.
    pub companions: Vec<Option<(&'a Path, Arc<dyn ReadAt>)>>,
}

impl std::fmt::Debug for StoredFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredFile").field("path", &self.path).finish_non_exhaustive()
    }
}
