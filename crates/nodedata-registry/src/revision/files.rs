use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};
use nodedata_io::{Blocks, MemoryFiles};

use crate::{blob_reader::BlobReader, digest::B3, name::DatasetName, record::FileRef, revision::Revision};

/// Longest path of a file, in bytes.
const PATH_BYTES_MAX: usize = 4096;

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
        let mut named = vec![
            ("readme.path".to_owned(), manifest.readme.clone()),
            ("schema.path".to_owned(), manifest.schema.file.clone()),
        ];
        named.extend(manifest.index.iter().map(|(name, it)| (format!("index.{name}.path"), it.clone())));
        let files = manifest.files.iter().enumerate();
        named.extend(files.map(|(idx, it)| (format!("files[{idx}].path"), it.clone())));
        let shards = self.shards()?.iter().enumerate();
        named.extend(shards.map(|(idx, it)| {
            (format!("shards[{idx}].path"), FileRef { path: it.path.clone(), blob: it.blob.clone() })
        }));
        let refused = |field: &str, message: String| {
            Error::new(ErrorKind::Corrupt, message)
                .at(Locus::feature(field))
                .with_hint("every file has a plain path of its own inside the folder")
        };
        let mut seen = BTreeMap::new();
        for (field, file) in &named {
            if !is_plain(&file.path) {
                let message =
                    format!("the manifest names the file `{}`, which is no path inside a folder", file.path);
                return Err(refused(field, message));
            }
            if seen.insert(file.path.as_str(), &file.blob).is_some_and(|it| *it != file.blob) {
                return Err(refused(field, format!("the manifest names `{}` twice", file.path)));
            }
        }
        for (field, file) in &named {
            let mut folders = file.path.match_indices('/').map(|(at, _)| &file.path[..at]);
            if let Some(folder) = folders.find(|it| seen.contains_key(it)) {
                let message = format!("the manifest names `{folder}` as a file and as a folder");
                return Err(refused(field, message));
            }
        }
        let mut files: Vec<FileRef> = named.into_iter().map(|(_, file)| file).collect();
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

/// Whether a path is a file inside a folder, wherever it is made, and is written as all paths are.
fn is_plain(path: &str) -> bool {
    let parts = Path::new(path).components();
    let is_inside = parts.clone().all(|it| matches!(it, Component::Normal(_)));
    let is_spelled =
        || parts.map(|it| it.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/") == path;
    let is_text = !path.contains(|it: char| it == '\\' || it.is_control());
    !path.is_empty()
        && path.len() <= PATH_BYTES_MAX
        && is_text
        && is_inside
        && is_spelled()
        && path != REVISION_FILE
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
        let blob = &self.file(path)?.blob;
        let origin = Origin {
            path: path.to_owned(),
            dataset: self.dataset.clone(),
            revision: self.manifest.revision.clone(),
            b3: blob.b3,
        };
        let reader = self.reader(blob).map_err(|err| origin.told(err))?;
        let is_mapped = reader.is_mapped();
        let file = RevisionFile { origin, reader };
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
    origin: Origin,
    reader: BlobReader,
}

/// What a file is of.
struct Origin {
    path: PathBuf,
    dataset: DatasetName,
    revision: String,
    b3: B3,
}

impl Origin {
    /// A failure with its address; of a network that broke off, with what it was that did not come.
    fn told(&self, err: Error) -> Error {
        let Self { path, dataset, revision, b3 } = self;
        if err.kind() != ErrorKind::Io {
            return err.at(Locus::path(path));
        }
        let hint = err.hint().unwrap_or("check the network, then try again").to_owned();
        Error::new(ErrorKind::Io, format!("the blob {b3} of {dataset}@{revision} could not be read"))
            .with_source(err)
            .at(Locus::path(path))
            .with_hint(hint)
    }
}

impl ReadAt for RevisionFile {
    fn n_bytes(&self) -> u64 {
        self.reader.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.reader.read_at(range).map_err(|err| self.origin.told(err))
    }
}
