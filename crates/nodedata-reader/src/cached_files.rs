use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{Files, Locus, ReadAt, Result};
use nodedata_io::Blocks;
use nodedata_registry::{DatasetName, REVISION_FILE, Remote, Revision};

use crate::{
    blob::{BlobPlace, RemoteBlob},
    disk_cache::DiskCache,
};

/// The files of a revision that is far away, its tables above all: each process that opens it finds on the disk what others fetched.
pub(crate) struct CachedFiles {
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) dataset: DatasetName,
    pub(crate) revision: Revision,
    pub(crate) cache: DiskCache,
}

impl Files for CachedFiles {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.revision.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        let found = self.revision.files()?.iter().find(|it| Path::new(&it.path) == path);
        let Some(file) = found.filter(|_| path != Path::new(REVISION_FILE)) else {
            return self.revision.open(path);
        };
        let place = BlobPlace {
            remote: Arc::clone(&self.remote),
            dataset: self.dataset.clone(),
            b3: file.blob.b3,
            n_bytes: file.blob.bytes,
            cache: self.cache.clone(),
        };
        let (blob, _nothing) = RemoteBlob::open(place, &[]).map_err(|err| err.at(Locus::path(path)))?;
        Ok(Arc::new(Blocks::over(blob)))
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        self.revision.stamp(path)
    }
}
