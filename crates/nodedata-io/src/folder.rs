use std::{
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};

use crate::{
    atomic_file::io_error,
    local::{leads_out, open_file, stamp_of, walk},
    memory::past_the_end,
    positioned::read_exact_at,
};

/// A folder whose files are read by system calls and never mapped: for files that may be damaged, or are exchanged while they
/// are read, because there a map ends the process where a read says what is wrong. Nothing is listed before it is asked for.
#[derive(Debug, Clone)]
pub struct FolderFiles {
    root: PathBuf,
}

impl FolderFiles {
    /// The files below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl Files for FolderFiles {
    /// As [`crate::LocalFiles::folder`] has them.
    fn list(&self) -> Result<Vec<PathBuf>> {
        walk(&self.root)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        let opened = open_file(&self.root.join(path)).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|err| io_error("cannot open the file", path, err))?;
        Ok(Arc::new(PlainFile { file, n_bytes: metadata.len() }))
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        stamp_of(&self.root.join(path))
    }

    fn leads_out(&self, path: &Path) -> bool {
        leads_out(&self.root, path)
    }
}

struct PlainFile {
    file: File,
    /// When it was opened.
    n_bytes: u64,
}

impl ReadAt for PlainFile {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let n_bytes = range.end.checked_sub(range.start).filter(|_| range.end <= self.n_bytes);
        let Some(n_bytes) = n_bytes.and_then(|it| usize::try_from(it).ok()) else {
            return Err(past_the_end(&range, self.n_bytes));
        };
        let mut bytes = vec![0; n_bytes];
        match read_exact_at(&self.file, &mut bytes, range.start) {
            Ok(()) => Ok(bytes.into()),
            Err(err) => {
                let kind = match err.kind() {
                    io::ErrorKind::UnexpectedEof => ErrorKind::Corrupt,
                    _ => ErrorKind::Io,
                };
                Err(Error::new(kind, "reading failed").with_source(err).at(Locus::byte(range.start)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_by_range_and_one_that_got_shorter_is_an_error() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        for (name, text) in [("b/c", "later"), ("a", "hello"), (".hidden", "x")] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("can make folders");
            std::fs::write(path, text).expect("can write");
        }
        let files = FolderFiles::new(folder.path());
        assert_eq!(files.list().unwrap(), [PathBuf::from("a"), PathBuf::from("b/c")]);
        let file = files.open(Path::new("b/c")).unwrap();
        assert_eq!((file.n_bytes(), &file.read_at(1..4).unwrap()[..]), (5, &b"ate"[..]));
        #[expect(clippy::reversed_empty_ranges, reason = "a range as a damaged file may name it")]
        let bad = [3..6, 4..3, u64::MAX..u64::MAX];
        for range in bad {
            assert_eq!(file.read_at(range).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        std::fs::write(folder.path().join("b/c"), "l").expect("can write");
        assert_eq!(file.read_at(0..5).unwrap_err().kind(), ErrorKind::Corrupt);
        for name in ["b", "z"] {
            assert_eq!(files.open(Path::new(name)).err().expect("no file").kind(), ErrorKind::Io);
        }
    }
}
