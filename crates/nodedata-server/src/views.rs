use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    B3, DatasetName, DatasetState, Remote, RevisionEntry,
    record::{BlobRef, RevisionManifest},
};
use semver::Version;

use crate::published;

/// Datasets whose view is kept.
const VIEWS_MAX: usize = 512;

/// What the log of a dataset adds up to, and which blobs belong to it.
#[derive(Debug, Clone)]
pub(crate) struct DatasetView {
    pub(crate) state: DatasetState,
    blobs: Arc<BTreeMap<B3, BlobUse>>,
    n_revisions: usize,
    n_attachments: usize,
}

/// What a blob is to its dataset.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlobUse {
    /// Length, where a manifest says.
    pub(crate) bytes: Option<u64>,
    /// Whether everybody who sees the dataset may read it: manifest, card, schema and documents say what is
    /// there, and are no data.
    pub(crate) is_open: bool,
    /// Major numbers of the revisions it belongs to: what grants are for.
    pub(crate) majors: BTreeSet<u64>,
}

impl DatasetView {
    fn of(state: DatasetState, remote: &Arc<dyn Remote>) -> Result<Self> {
        let mut view = Self { state, blobs: Arc::default(), n_revisions: 0, n_attachments: 0 };
        view.index(remote)?;
        Ok(view)
    }

    /// Takes in the blobs of revisions and documents that came since.
    fn index(&mut self, remote: &Arc<dyn Remote>) -> Result<()> {
        let (revisions, attachments) =
            (&self.state.revisions[self.n_revisions..], &self.state.attachments[self.n_attachments..]);
        if revisions.is_empty() && attachments.is_empty() {
            return Ok(());
        }
        let blobs = Arc::make_mut(&mut self.blobs);
        for entry in revisions {
            let revision = published::revision(remote, &self.state.dataset, entry)?;
            let major = Version::parse(&entry.revision).map_or(0, |it| it.major);
            for blob in revision.blobs()? {
                let found = blobs.entry(blob.b3).or_default();
                found.bytes = Some(blob.bytes);
                found.majors.insert(major);
            }
            for open in open_blobs(revision.manifest()) {
                blobs.entry(open.b3).or_default().is_open = true;
            }
            blobs.entry(entry.manifest).or_default().is_open = true;
        }
        for entry in attachments {
            let found = blobs.entry(entry.blob.b3).or_default();
            (found.bytes, found.is_open) = (Some(entry.blob.bytes), true);
        }
        (self.n_revisions, self.n_attachments) = (self.state.revisions.len(), self.state.attachments.len());
        Ok(())
    }

    /// What a blob is to the dataset; `None` when it is nothing to it.
    pub(crate) fn blob(&self, b3: &B3) -> Option<BlobUse> {
        if self.policy() == Some(*b3) {
            return Some(BlobUse { is_open: true, ..BlobUse::default() });
        }
        if let Some(card) = self.state.readme.as_ref().filter(|it| it.b3 == *b3) {
            return Some(BlobUse { bytes: Some(card.bytes), is_open: true, ..BlobUse::default() });
        }
        self.blobs.get(b3).cloned()
    }

    /// Digest of the text that readers agree to.
    pub(crate) fn policy(&self) -> Option<B3> {
        self.state.sensitivity.gate.as_ref()?.policy
    }

    pub(crate) fn is_purged(&self, b3: &B3) -> bool {
        self.state.purged.contains(b3)
    }
}

/// A revision's blobs that tell about data and are none.
fn open_blobs(manifest: &RevisionManifest) -> [&BlobRef; 2] {
    [&manifest.readme.blob, &manifest.schema.file.blob]
}

/// The views of datasets, each brought up to date whenever it is asked for: the store is the truth, and
/// others may write to it.
#[derive(Debug, Default)]
pub(crate) struct Views(Mutex<BTreeMap<DatasetName, Arc<DatasetView>>>);

impl Views {
    /// The view of a dataset; `None` when there is none.
    pub(crate) fn get(
        &self,
        remote: &Arc<dyn Remote>,
        dataset: &DatasetName,
    ) -> Result<Option<Arc<DatasetView>>> {
        let known = self.lock().get(dataset).cloned();
        let view = match known {
            Some(known) => {
                let newer = remote.log(dataset, known.state.next_seq)?;
                if newer.is_empty() {
                    return Ok(Some(known));
                }
                let mut view = (*known).clone();
                newer.iter().try_for_each(|it| view.state.apply(it))?;
                view.index(remote)?;
                view
            }
            None => match DatasetState::load(&**remote, dataset)? {
                Some(state) => DatasetView::of(state, remote)?,
                None => return Ok(None),
            },
        };
        let view = Arc::new(view);
        let mut views = self.lock();
        if views.len() >= VIEWS_MAX && !views.contains_key(dataset) {
            views.pop_first();
        }
        // Another request may have come further meanwhile.
        let is_newer = views.get(dataset).is_none_or(|it| it.state.next_seq <= view.state.next_seq);
        if is_newer {
            views.insert(dataset.clone(), Arc::clone(&view));
        }
        Ok(Some(view))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<DatasetName, Arc<DatasetView>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The SemVer number of a revision.
pub(crate) fn version_of(entry: &RevisionEntry) -> Result<Version> {
    Version::parse(&entry.revision).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "a revision of the log has no SemVer number").with_source(err)
    })
}
