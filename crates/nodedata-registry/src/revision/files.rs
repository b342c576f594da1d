use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};
use nodedata_io::{Blocks, MemoryFiles};

use crate::{blob_reader::BlobReader, record::FileRef, revision::Revision};

/// The revision's manifest in the folder of a pull.
pub const REVISION_FILE: &str = "revision.json";

impl Revision {
    /// Every file of the folder that a pull makes, but [`REVISION_FILE`], in the order of their paths. Each path is
    /// checked: what a manifest says is no reason to write elsewhere.
    ///
    /// # Errors
    /// `Corrupt` for a path that leads out of the folder or is named twice; otherwise as [`Self::shards`].
    pub fn files(&self) -> Result<&[FileRef]> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let files = self.checked_files()?;
        Ok(self.files.get_or_init(|| files))
    }

    fn checked_files(&self) -> Result<Vec<FileRef>> {
        let manifest = self.manifest();
        let mut files: Vec<FileRef> = vec![manifest.readme.clone(), manifest.schema.file.clone()];
        files.extend(manifest.index.values().cloned());
        files.extend(manifest.files.iter().cloned());
        let shards = self.shards()?.iter();
        files.extend(shards.map(|it| FileRef { path: it.path.clone(), blob: it.blob.clone() }));
        let mut seen = BTreeMap::new();
        for file in &files {
            let path = Path::new(&file.path);
            let is_plain = path.components().all(|it| matches!(it, Component::Normal(_)))
                && !file.path.is_empty()
                && !file.path.contains('\\')
                && file.path != REVISION_FILE;
            if !is_plain {
                let message =
                    format!("the manifest names the file `{}`, which is no path inside a folder", file.path);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            if seen.insert(&file.path, &file.blob).is_some_and(|it| *it != file.blob) {
                let message = format!("the manifest names `{}` twice", file.path);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    fn file(&self, path: &Path) -> Result<&FileRef> {
        let files = self.files()?;
        let found =
            path.to_str().and_then(|path| files.binary_search_by(|it| it.path.as_str().cmp(path)).ok());
        found.and_then(|idx| files.get(idx)).ok_or_else(|| {
            let Self { dataset, manifest, .. } = self;
            let message = format!("{dataset}@{} has no such file", manifest.revision);
            Error::new(ErrorKind::Io, message).at(Locus::path(path))
        })
    }
}

/// The files of the folder that a pull would make, under the same paths. What is read of them is verified against
/// the tree of its blob first, and small reads share what was fetched.
impl Files for Revision {
    fn list(&self) -> Result<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = self.files()?.iter().map(|it| PathBuf::from(&it.path)).collect();
        paths.push(PathBuf::from(REVISION_FILE));
        paths.sort_unstable();
        Ok(paths)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        if path == Path::new(REVISION_FILE) {
            return MemoryFiles::default().with(path, self.manifest().to_bytes()?).open(path);
        }
        let reader = self.reader(&self.file(path)?.blob).map_err(|err| err.at(Locus::path(path)))?;
        let is_mapped = reader.is_mapped();
        let file = RevisionFile { path: path.to_owned(), reader };
        let file: Arc<dyn ReadAt> = if is_mapped { Arc::new(file) } else { Arc::new(Blocks::over(file)) };
        Ok(file)
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        if path == Path::new(REVISION_FILE) {
            return Some(self.digest().to_string());
        }
        Some(self.file(path).ok()?.blob.b3.to_string())
    }
}

/// A blob, by the name of the file that it is.
struct RevisionFile {
    path: PathBuf,
    reader: BlobReader,
}

impl ReadAt for RevisionFile {
    fn n_bytes(&self) -> u64 {
        self.reader.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.reader.read_at(range).map_err(|err| err.at(Locus::path(&self.path)))
    }
}
