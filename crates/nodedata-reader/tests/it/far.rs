//! Registries that are far away, and damage in them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::Silent;
use nodedata_registry::{
    B3, DatasetName, Direct, OpenStore, PushOptions, Reference, Remote, Store, StoreLocation, layout, push,
};
pub(crate) use nodedata_testkit::registry::Far;

use crate::made::Made;

/// A dataset that was published in a store in a folder.
pub(crate) struct Published {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) near: Arc<dyn Remote>,
    pub(crate) dataset: DatasetName,
}

impl Published {
    pub(crate) fn new(made: &Made) -> Self {
        let folder = tempfile::tempdir().unwrap();
        made.write(&folder.path().join("made"));
        let location = StoreLocation::Folder(folder.path().join("store"));
        let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
        let published =
            Self { folder, near: Direct::new(store).shared(), dataset: "acme/x".parse().unwrap() };
        published.push(|_| {});
        published
    }

    /// Publishes the folder once more, otherwise.
    pub(crate) fn push(&self, change: impl FnOnce(&mut PushOptions)) {
        let mut options = PushOptions::new(self.dataset.clone(), vec![self.made()], "test");
        change(&mut options);
        push(&self.near, &options, &Silent).unwrap_or_else(|err| panic!("{}", err.chain()));
    }

    pub(crate) fn made(&self) -> PathBuf {
        self.folder.path().join("made")
    }

    /// The same store as one that is far away.
    pub(crate) fn far(&self) -> Arc<Far> {
        far_at(&self.store())
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn reference(&self, text: &str) -> Reference {
        Reference::parse(text, "acme").unwrap()
    }

    /// The blob that a file of the folder is.
    pub(crate) fn blob(&self, path: &str) -> B3 {
        B3::of(&std::fs::read(self.made().join(path)).unwrap())
    }

    /// Where a blob lies in the store.
    pub(crate) fn at(&self, blob: &B3) -> PathBuf {
        self.store().join(layout::blob(blob))
    }
}

/// The store in a folder as one that is far away.
pub(crate) fn far_at(store: &Path) -> Arc<Far> {
    let location = StoreLocation::Folder(store.to_owned());
    let store = Store::open(&location, &OpenStore { journal: None, create: false }).unwrap();
    Far::over(store)
}

/// Flips a bit of a file; the second time it is as it was.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
