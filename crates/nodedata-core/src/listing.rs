use std::{
    cell::RefCell,
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{Error, Files, Locus, Result};

/// What [`crate::Format::detect`] may look at: the names of an input's files, and how they begin.
///
/// A head is read when it is asked for, and once, whatever asks: a bucket answers each with a request. Of an input
/// of many files [`HEADS_MAX`] heads can be had; all others look empty, and their names alone speak for them.
pub struct Listing<'a> {
    files: &'a dyn Files,
    /// In the order of paths, so that what lies below a folder lies together.
    names: Vec<PathBuf>,
    heads: RefCell<BTreeMap<PathBuf, Head>>,
}

/// Bytes of a file that can be looked at.
pub const HEAD_BYTES: u64 = 4096;
/// Heads that are read of one input, whoever asks for them.
pub const HEADS_MAX: usize = 4096;
/// Files that [`Listing::sniffed`] gives of those with one ending, and of all.
const SNIFFED_PER_ENDING: usize = 4;
const SNIFFED_MAX: usize = 32;

/// How a file begins, or why that cannot be told.
struct Head {
    n_bytes: u64,
    bytes: Bytes,
    failure: Option<Error>,
}

impl<'a> Listing<'a> {
    /// The files of an input. Reads none of them.
    ///
    /// # Errors
    /// `Io` when they cannot be listed.
    pub fn new(files: &'a dyn Files) -> Result<Self> {
        let mut names = files.list()?;
        names.sort_unstable();
        Ok(Self { files, names, heads: RefCell::default() })
    }

    /// Every file, relative to the root of the input, in the order of paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.names.iter().map(PathBuf::as_path)
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &Path) -> bool {
        self.names.binary_search_by(|it| it.as_path().cmp(path)).is_ok()
    }

    /// The files in a folder and below it; all of them for the empty path.
    pub fn below<'l>(&'l self, folder: &Path) -> impl Iterator<Item = &'l Path> + use<'l, 'a> {
        let first = self.names.partition_point(|it| it.as_path() < folder);
        let n = self.names[first..].partition_point(|it| it.starts_with(folder));
        self.names[first..first + n].iter().map(PathBuf::as_path)
    }

    /// The folders in which there is a file of this path, such as `meta/info.json`.
    pub fn folders_with(&self, path: &str) -> Vec<PathBuf> {
        let n_parts = Path::new(path).components().count();
        let files = self.paths().filter(|it| it.ends_with(path));
        files.filter_map(|it| it.ancestors().nth(n_parts)).map(Path::to_owned).collect()
    }

    /// The first [`HEAD_BYTES`] of a file. Nothing of one that is empty, not there, or not to be read, nor after
    /// [`HEADS_MAX`] others.
    pub fn head(&self, path: &Path) -> Bytes {
        self.looked_at(path, |it| it.bytes.clone()).unwrap_or_default()
    }

    /// How long a file is; `None` where its head cannot be had either.
    pub fn n_bytes(&self, path: &Path) -> Option<u64> {
        self.looked_at(path, |it| it.failure.is_none().then_some(it.n_bytes)).flatten()
    }

    /// A few files of each ending, in the order of paths: those whose heads a format looks at that is not known by
    /// its names. Where one fits, the others of its ending are worth a look.
    pub fn sniffed(&self) -> Vec<&Path> {
        let mut n_of: BTreeMap<Option<&OsStr>, usize> = BTreeMap::new();
        let mut found = Vec::new();
        for path in self.paths() {
            let n = n_of.entry(path.extension()).or_default();
            *n += 1;
            if *n <= SNIFFED_PER_ENDING {
                found.push(path);
            }
            if found.len() == SNIFFED_MAX {
                break;
            }
        }
        found
    }

    /// Why the first of the files that were looked at could not be read, where there is one.
    pub fn take_failure(&self) -> Option<Error> {
        self.heads.borrow_mut().values_mut().find_map(|it| it.failure.take())
    }

    fn looked_at<T>(&self, path: &Path, ask: impl FnOnce(&Head) -> T) -> Option<T> {
        if !self.has(path) {
            return None;
        }
        let mut heads = self.heads.borrow_mut();
        if !heads.contains_key(path) {
            if heads.len() >= HEADS_MAX {
                return None;
            }
            let head = self.read(path).unwrap_or_else(|err| Head {
                n_bytes: 0,
                bytes: Bytes::new(),
                failure: Some(err.at(Locus::path(path))),
            });
            heads.insert(path.to_owned(), head);
        }
        heads.get(path).map(ask)
    }

    fn read(&self, path: &Path) -> Result<Head> {
        let file = self.files.open(path)?;
        let n_bytes = file.n_bytes();
        // Most files that are looked at are not read for that: of one far away, the block around is not fetched.
        let head = file.peek_at(0..n_bytes.min(HEAD_BYTES))?;
        // A copy, so that thousands of heads do not keep thousands of files mapped.
        Ok(Head { n_bytes, bytes: Bytes::copy_from_slice(&head), failure: None })
    }
}

impl std::fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ops::Range,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use super::*;
    use crate::{ErrorKind, ReadAt};

    /// Files of 10,000 bytes that count how often they are opened; one of them cannot be.
    struct Counted {
        names: Vec<&'static str>,
        n_opened: AtomicUsize,
    }

    struct Zeros(u64);

    impl ReadAt for Zeros {
        fn n_bytes(&self) -> u64 {
            self.0
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            Ok(vec![0; (range.end - range.start) as usize].into())
        }
    }

    impl Files for Counted {
        fn list(&self) -> Result<Vec<PathBuf>> {
            Ok(self.names.iter().map(PathBuf::from).collect())
        }

        fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
            self.n_opened.fetch_add(1, Ordering::Relaxed);
            match path.to_str() {
                Some("locked") => Err(Error::new(ErrorKind::Io, "cannot open the file")),
                Some("empty") => Ok(Arc::new(Zeros(0))),
                _ => Ok(Arc::new(Zeros(10_000))),
            }
        }
    }

    fn counted(names: &[&'static str]) -> Counted {
        Counted { names: names.to_vec(), n_opened: AtomicUsize::new(0) }
    }

    #[test]
    fn heads_are_short_and_read_once() {
        let files = counted(&["b", "empty", "locked"]);
        let listing = Listing::new(&files).unwrap();
        assert_eq!(files.n_opened.load(Ordering::Relaxed), 0);
        for _ in 0..3 {
            assert_eq!(listing.head(Path::new("b")).len() as u64, HEAD_BYTES);
            assert_eq!(listing.n_bytes(Path::new("b")), Some(10_000));
            assert_eq!(
                (listing.head(Path::new("empty")).len(), listing.n_bytes(Path::new("empty"))),
                (0, Some(0))
            );
            assert_eq!(
                (listing.head(Path::new("locked")).len(), listing.n_bytes(Path::new("locked"))),
                (0, None)
            );
            assert_eq!(listing.head(Path::new("absent")).len(), 0);
        }
        assert_eq!(files.n_opened.load(Ordering::Relaxed), 3);
        assert_eq!(listing.take_failure().unwrap().locus().path.as_deref(), Some(Path::new("locked")));
    }

    #[test]
    fn a_folder_of_many_files_is_not_read_through() {
        let names: Vec<&'static str> = (0..5000).map(|it| &*format!("{it:04}.png").leak()).collect();
        let files = counted(&[names, vec!["readme"]].concat());
        let listing = Listing::new(&files).unwrap();
        let sniffed: Vec<&Path> = listing.sniffed();
        assert_eq!(sniffed, ["0000.png", "0001.png", "0002.png", "0003.png", "readme"].map(Path::new));
        listing.paths().for_each(|it| drop(listing.head(it)));
        assert_eq!(files.n_opened.load(Ordering::Relaxed), HEADS_MAX);
    }

    #[test]
    fn folders_are_found_by_what_lies_in_them() {
        let files = counted(&[
            "a-b/x",
            "a/meta/info.json",
            "a/x",
            "b/c/meta/info.json",
            "meta/info.json",
            "xmeta/info.json",
        ]);
        let listing = Listing::new(&files).unwrap();
        assert_eq!(listing.folders_with("meta/info.json"), ["a", "b/c", ""].map(PathBuf::from));
        let below = |folder: &str| {
            listing.below(Path::new(folder)).map(|it| it.to_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(below("a"), ["a/meta/info.json", "a/x"]);
        assert_eq!(below("").len(), 6);
        assert_eq!(below("c"), [""; 0]);
        assert!(listing.has(Path::new("a/x")) && !listing.has(Path::new("a")));
    }
}
