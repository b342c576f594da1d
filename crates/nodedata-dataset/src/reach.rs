use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};

/// The files of a dataset that lies elsewhere, and the first time that one of them could not be reached. What a gate or
/// the network refuses says nothing about the data, and those who read through other libraries lose what kind of
/// failure it was: so it is kept here.
pub(crate) struct Reached {
    files: Arc<dyn Files>,
    failure: Arc<Failure>,
}

#[derive(Default)]
struct Failure(Mutex<Option<Error>>);

impl Reached {
    pub(crate) fn over(files: Arc<dyn Files>) -> Self {
        Self { files, failure: Arc::default() }
    }

    /// # Errors
    /// The failure, when there was one.
    pub(crate) fn check(&self) -> Result<()> {
        let mut first = self.failure.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.take().map_or(Ok(()), Err)
    }

    fn lists(&self, path: &Path) -> bool {
        self.files.list().is_ok_and(|all| all.iter().any(|it| it == path))
    }
}

impl Failure {
    /// Whatever else would be read does not matter any more, and asking a server that is gone takes long.
    fn stop(&self) -> Result<()> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.as_ref().map_or(Ok(()), |it| Err(Error::new(it.kind(), it.to_string())))
    }

    /// Keeps the first failure of its kind, and hands a copy on to whoever asked.
    fn keep(&self, err: Error) -> Error {
        let mut copy = Error::new(err.kind(), err.to_string()).at(err.locus().clone());
        if let Some(hint) = err.hint() {
            copy = copy.with_hint(hint);
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(err);
        copy
    }
}

fn is_out_of_reach(err: &Error) -> bool {
    matches!(err.kind(), ErrorKind::Denied | ErrorKind::Io)
}

impl Files for Reached {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.files.list().map_err(|err| if is_out_of_reach(&err) { self.failure.keep(err) } else { err })
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        self.failure.stop()?;
        match self.files.open(path) {
            Ok(file) => {
                let (path, failure) = (path.to_owned(), Arc::clone(&self.failure));
                Ok(Arc::new(ReachedFile { path, file, failure }))
            }
            // A file that is not even listed is missing, which is for the check to tell.
            Err(err) if err.kind() == ErrorKind::Io && !self.lists(path) => Err(err),
            Err(err) if is_out_of_reach(&err) => Err(self.failure.keep(err.at(Locus::path(path)))),
            Err(err) => Err(err),
        }
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        self.files.stamp(path)
    }
}

struct ReachedFile {
    path: PathBuf,
    file: Arc<dyn ReadAt>,
    failure: Arc<Failure>,
}

impl ReadAt for ReachedFile {
    fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.failure.stop()?;
        self.file.read_at(range).map_err(|err| match is_out_of_reach(&err) {
            true => self.failure.keep(err.at(Locus::path(&self.path))),
            false => err,
        })
    }
}

#[cfg(test)]
mod tests {
    use nodedata_io::MemoryFiles;

    use super::*;

    /// Lists one file more than it opens, and opens one that it does not read.
    struct Gated(ErrorKind);

    impl Files for Gated {
        fn list(&self) -> Result<Vec<PathBuf>> {
            Ok(["gated", "unread"].map(PathBuf::from).to_vec())
        }

        fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
            match path.to_str() {
                Some("unread") => Ok(Arc::new(Self(self.0))),
                Some("gated") => Err(Error::new(self.0, "no").with_hint("ask")),
                _ => Err(Error::new(ErrorKind::Io, "no such file")),
            }
        }
    }

    impl ReadAt for Gated {
        fn n_bytes(&self) -> u64 {
            1
        }

        fn read_at(&self, _: Range<u64>) -> Result<Bytes> {
            Err(Error::new(self.0, "no").with_hint("ask"))
        }
    }

    #[test]
    fn what_cannot_be_reached_is_kept_and_what_is_missing_is_not() {
        for kind in [ErrorKind::Denied, ErrorKind::Io] {
            let reached = Reached::over(Arc::new(Gated(kind)));
            assert!(reached.open(Path::new("missing")).is_err());
            reached.check().unwrap();
            for read in
                [(|it: &Reached| it.open(Path::new("gated")).err()) as fn(&Reached) -> Option<Error>, |it| {
                    it.open(Path::new("unread")).unwrap().read_at(0..1).err()
                }]
            {
                assert_eq!(read(&reached).unwrap().to_string(), "no");
                let err = reached.check().unwrap_err();
                assert_eq!((err.kind(), err.hint()), (kind, Some("ask")));
                reached.check().unwrap();
            }
        }
        let corrupt = Reached::over(Arc::new(Gated(ErrorKind::Corrupt)));
        assert!(corrupt.open(Path::new("gated")).is_err());
        corrupt.check().unwrap();
        let memory = Reached::over(Arc::new(MemoryFiles::default().with("a", Bytes::from_static(b"x"))));
        assert_eq!(memory.open(Path::new("a")).unwrap().read_at(0..1).unwrap(), "x");
    }
}
