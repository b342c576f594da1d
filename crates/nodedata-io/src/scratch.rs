use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::ReadAt;

use crate::{local::contents, memory::WholeFile};

/// A file without a name, which is written once and then read; it is gone with its last reader.
#[derive(Debug)]
pub struct Scratch(File);

impl Scratch {
    /// Where such files lie: in a folder of the caller's, or in that of the system.
    pub fn folder(scratch: Option<&Path>) -> PathBuf {
        scratch.map_or_else(std::env::temp_dir, Path::to_owned)
    }

    /// An empty one.
    ///
    /// # Errors
    /// When the folder is not there or takes no files.
    pub fn within(folder: &Path) -> io::Result<Self> {
        tempfile::tempfile_in(folder).map(Self)
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When there is no room.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// What was written, mapped.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn into_file(self) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(WholeFile(self.into_bytes()?)))
    }

    pub(crate) fn into_bytes(self) -> io::Result<Bytes> {
        let Self(mut file) = self;
        file.rewind()?;
        contents(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for n in [0, 10, 100_000] {
            let mut scratch = Scratch::within(&Scratch::folder(Some(folder.path()))).unwrap();
            let all: Vec<u8> = (0..n).map(|it| it as u8).collect();
            all.chunks(4096).for_each(|it| scratch.push(it).unwrap());
            let file = scratch.into_file().unwrap();
            assert_eq!(file.read_at(0..n as u64).unwrap(), all);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        assert!(Scratch::within(&folder.path().join("nowhere")).is_err());
    }
}
