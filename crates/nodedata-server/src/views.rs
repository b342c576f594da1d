use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    Anchor, B3, DatasetName, DatasetState, Gate, Remote, RevisionEntry, Sensitivity, Store,
    gate::Standing,
    layout,
    record::{BlobRef, RevisionManifest, Visibility},
};
use semver::Version;

use crate::{
    catalog::Catalog,
    database::{Checkpoint, Database},
    published,
};

/// Datasets whose view is kept.
const VIEWS_MAX: usize = 512;

/// What the log of a dataset adds up to, and which blobs belong to it.
#[derive(Debug, Clone)]
pub(crate) struct DatasetView {
    pub(crate) state: DatasetState,
    blobs: Arc<BTreeMap<B3, BlobUse>>,
    /// Kinds of revisions: what stands before those of one kind is the same.
    kinds: Vec<Kind>,
    /// The kind of each revision of the state, as position.
    kind_of: Vec<usize>,
    n_revisions: usize,
    n_attachments: usize,
}

/// Revisions that are let in to alike. Of datasets there are few, however many revisions they have.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    /// Major number: what grants are for.
    pub(crate) major: u64,
    /// How many declarations were made before it was published.
    n_declared: u64,
    /// What the manifest says of its data.
    floor: Sensitivity,
    /// What stands before it now.
    pub(crate) standing: Standing,
}

/// What a blob is to its dataset.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlobUse {
    /// Length, where a manifest says.
    pub(crate) bytes: Option<u64>,
    /// Whether everybody who sees the dataset may read it: documents about revisions, and what is agreed to.
    pub(crate) is_open: bool,
    /// Kinds of the revisions it belongs to, as positions, each with whether whoever sees such a revision may read it:
    /// manifest, card and schema say what is there, and are no data.
    uses: BTreeMap<usize, bool>,
}

impl DatasetView {
    fn of(state: DatasetState, remote: &Arc<dyn Remote>) -> Result<Self> {
        let mut view = Self {
            state,
            blobs: Arc::default(),
            kinds: Vec::new(),
            kind_of: Vec::new(),
            n_revisions: 0,
            n_attachments: 0,
        };
        view.index(remote)?;
        Ok(view)
    }

    /// Takes in the blobs of revisions and documents that came since.
    fn index(&mut self, remote: &Arc<dyn Remote>) -> Result<()> {
        // What is declared anew may count for all of them.
        for kind in &mut self.kinds {
            kind.standing = kind.standing_in(&self.state);
        }
        let (revisions, attachments) =
            (&self.state.revisions[self.n_revisions..], &self.state.attachments[self.n_attachments..]);
        if revisions.is_empty() && attachments.is_empty() {
            return Ok(());
        }
        let blobs = Arc::make_mut(&mut self.blobs);
        for entry in revisions {
            let revision = published::revision(remote, &self.state.dataset, entry)?;
            let kind = kind_of(&mut self.kinds, &self.state, entry, &revision.manifest().sensitivity);
            self.kind_of.push(kind);
            if entry.purged.is_some() {
                // All that is left of it: it tells what is gone.
                blobs.entry(entry.manifest).or_default().uses.insert(kind, true);
                continue;
            }
            for blob in revision.blobs()? {
                let found = blobs.entry(blob.b3).or_default();
                found.bytes = Some(blob.bytes);
                found.uses.entry(kind).or_default();
            }
            let open = open_blobs(revision.manifest()).map(|it| it.b3);
            for open in open.into_iter().chain([entry.manifest]) {
                blobs.entry(open).or_default().uses.insert(kind, true);
            }
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
        if self.gates().any(|it| it.policy == Some(*b3)) {
            return Some(BlobUse { is_open: true, ..BlobUse::default() });
        }
        if let Some(card) = self.state.readme.as_ref().filter(|it| it.b3 == *b3) {
            return Some(BlobUse { bytes: Some(card.bytes), is_open: true, ..BlobUse::default() });
        }
        self.blobs.get(b3).cloned()
    }

    /// Whether [`Self::blob`] knows a blob, for those who ask of thousands.
    pub(crate) fn has_blob(&self, b3: &B3) -> bool {
        self.blobs.contains_key(b3)
            || self.state.readme.as_ref().is_some_and(|it| it.b3 == *b3)
            || self.gates().any(|it| it.policy == Some(*b3))
    }

    /// What stands before a revision of the dataset, one of those that `state` lists.
    pub(crate) fn standing(&self, entry: &RevisionEntry) -> Option<&Standing> {
        let at = self.state.revisions.iter().position(|it| it.revision == entry.revision)?;
        Some(&self.kinds.get(*self.kind_of.get(at)?)?.standing)
    }

    /// What is kept of the log, whatever becomes of it in the store.
    fn checkpoint(&self) -> Checkpoint {
        let seq = self.state.next_seq.saturating_sub(1);
        Checkpoint {
            anchor: Anchor { seq, record: self.state.last },
            visibility: self.state.visibility,
            moved: self.state.moved.clone(),
        }
    }

    /// What a new declaration is held against: what is declared now, and what stands before revisions that were published
    /// since, whose manifests may say more. Those before stay as they are, whatever is declared.
    pub(crate) fn declared_now(&self) -> Vec<Standing> {
        let Self { state, kinds, .. } = self;
        let mut all = vec![Standing { visibility: state.visibility, sensitivity: state.sensitivity.clone() }];
        let n_now = state.declarations.len() as u64;
        let since = kinds.iter().filter(|it| it.n_declared == n_now);
        all.extend(since.map(|it| it.standing.clone()));
        all
    }

    /// The kinds of revisions that a blob belongs to, each with whether it is open to whoever sees such a revision.
    pub(crate) fn uses<'a>(&'a self, blob: &'a BlobUse) -> impl Iterator<Item = (&'a Kind, bool)> {
        blob.uses.iter().filter_map(|(at, is_open)| Some((self.kinds.get(*at)?, *is_open)))
    }

    /// The gates that stand before anything of the dataset, that of now first.
    pub(crate) fn gates(&self) -> impl Iterator<Item = &Gate> {
        let now = &self.state.sensitivity;
        let all = [now].into_iter().chain(self.kinds.iter().map(|it| &it.standing.sensitivity));
        all.filter_map(|it| it.gate.as_ref())
    }

    /// The gate before the revision that is meant when none is named: before the newest, or the one declared now.
    pub(crate) fn gate(&self) -> Option<&Gate> {
        let newest = self.state.head().and_then(|it| self.standing(it));
        newest.and_then(|it| it.sensitivity.gate.as_ref()).or(self.state.sensitivity.gate.as_ref())
    }

    /// Bytes of everything that belongs to the dataset, each blob once.
    pub(crate) fn n_bytes(&self) -> u64 {
        let blobs = self.blobs.iter().filter(|(b3, _)| !self.is_purged(b3));
        let card = self.state.readme.as_ref().filter(|it| !self.blobs.contains_key(&it.b3));
        let n_bytes = blobs.filter_map(|(_, it)| it.bytes).chain(card.map(|it| it.bytes));
        n_bytes.fold(0, u64::saturating_add)
    }

    /// Everything that belongs to the dataset, as far as its length is known.
    pub(crate) fn held(&self) -> Vec<BlobRef> {
        let blobs = self.blobs.iter().filter(|(b3, _)| !self.is_purged(b3));
        let blobs = blobs.filter_map(|(b3, it)| Some((*b3, it.bytes?)));
        blobs.map(|(b3, bytes)| BlobRef { b3, sha256: String::new(), bytes }).collect()
    }

    pub(crate) fn is_purged(&self, b3: &B3) -> bool {
        self.state.purged.contains(b3)
    }
}

impl Kind {
    fn standing_in(&self, state: &DatasetState) -> Standing {
        Standing::of(&state.declarations, self.n_declared, &self.floor)
    }
}

/// The kind of a revision, which is added where there is none yet.
fn kind_of(kinds: &mut Vec<Kind>, state: &DatasetState, entry: &RevisionEntry, said: &Sensitivity) -> usize {
    let major = Version::parse(&entry.revision).map_or(0, |it| it.major);
    let n_declared = entry.n_declared;
    let is_it = |it: &Kind| it.major == major && it.n_declared == n_declared && it.floor == *said;
    kinds.iter().position(is_it).unwrap_or_else(|| {
        let standing = state.standing(entry, said);
        kinds.push(Kind { major, n_declared, floor: said.clone(), standing });
        kinds.len() - 1
    })
}

/// A revision's blobs that tell about data and are none.
fn open_blobs(manifest: &RevisionManifest) -> [&BlobRef; 2] {
    [&manifest.readme.blob, &manifest.schema.file.blob]
}

/// The views of datasets, each brought up to date whenever it is asked for: the store is the truth, and
/// others may write to it.
#[derive(Debug)]
pub(crate) struct Views {
    database: Database,
    catalog: Arc<Catalog>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    n_uses: u64,
    /// Each with the number of its last use.
    views: BTreeMap<DatasetName, (u64, Arc<DatasetView>)>,
}

impl Kept {
    fn get(&mut self, dataset: &DatasetName) -> Option<Arc<DatasetView>> {
        self.n_uses += 1;
        let (used, view) = self.views.get_mut(dataset)?;
        *used = self.n_uses;
        Some(Arc::clone(view))
    }

    fn keep(&mut self, dataset: &DatasetName, view: &Arc<DatasetView>) {
        // Another request may have come further meanwhile.
        let is_older = self.views.get(dataset).is_some_and(|(_, it)| it.state.next_seq > view.state.next_seq);
        if is_older {
            return;
        }
        if self.views.len() >= VIEWS_MAX && !self.views.contains_key(dataset) {
            let oldest = self.views.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.views.remove(&oldest);
            }
        }
        self.views.insert(dataset.clone(), (self.n_uses, Arc::clone(view)));
    }
}

impl Views {
    pub(crate) fn new(database: Database, catalog: Arc<Catalog>) -> Self {
        Self { database, catalog, kept: Mutex::default() }
    }

    /// The view of a dataset that is kept, if a look at a folder says that nothing came to its log since. `None` where more is to be
    /// asked, and where the dataset is not public: of that the other ways tell.
    pub(crate) fn at_hand(
        &self,
        store: &Store,
        dataset: &DatasetName,
        may_see: bool,
    ) -> Option<Arc<DatasetView>> {
        let known = self.lock().get(dataset)?;
        let DatasetState { visibility, moved, deleted, next_seq, .. } = &known.state;
        let is_shown = may_see || *visibility == Visibility::Public;
        let is_current = || store.is_absent_here(&layout::record(dataset, *next_seq));
        (is_shown && moved.is_none() && deleted.is_none() && is_current()).then_some(known)
    }

    /// The view of a dataset; `None` when there is none.
    pub(crate) fn get(
        &self,
        remote: &Arc<dyn Remote>,
        dataset: &DatasetName,
    ) -> Result<Option<Arc<DatasetView>>> {
        let known = self.lock().get(dataset);
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
            None => {
                let Some(state) = self.state(remote, dataset)? else { return Ok(None) };
                DatasetView::of(state, remote)?
            }
        };
        self.database.note_checkpoint(dataset, &view.checkpoint())?;
        let view = Arc::new(view);
        self.lock().keep(dataset, &view);
        // What lists show. Where that fails, the next look through the store does it.
        drop(self.catalog.take_in(remote, &view.state));
        Ok(Some(view))
    }

    /// What the log of a dataset adds up to, from the records alone, held against what was seen of them before: nothing else in
    /// the store is believed.
    pub(crate) fn state(
        &self,
        remote: &Arc<dyn Remote>,
        dataset: &DatasetName,
    ) -> Result<Option<DatasetState>> {
        let seen = self.database.checkpoint(dataset)?;
        DatasetState::proved(&**remote, dataset, seen.as_ref().map(|it| &it.anchor))
    }

    /// The name that a dataset got after one that it had, as far as the server has seen it.
    pub(crate) fn moved(&self, dataset: &DatasetName) -> Result<Option<DatasetName>> {
        Ok(self.database.checkpoint(dataset)?.and_then(|it| it.moved))
    }

    /// The view of a dataset that is public; `None` for one that is private and for one that is not there. Both are found out
    /// by the same questions to database and store, so that nobody learns from the time it takes which it is.
    pub(crate) fn get_public(
        &self,
        remote: &Arc<dyn Remote>,
        dataset: &DatasetName,
    ) -> Result<Option<Arc<DatasetView>>> {
        let seen = self.database.checkpoint(dataset)?;
        let next = seen.as_ref().map_or(0, |it| it.anchor.seq.saturating_add(1));
        let is_shut = seen.is_none_or(|it| it.visibility == Visibility::Private);
        if is_shut && remote.log(dataset, next)?.is_empty() {
            return Ok(None);
        }
        let view = self.get(remote, dataset)?;
        Ok(view.filter(|it| it.state.visibility == Visibility::Public))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The SemVer number of a revision.
pub(crate) fn version_of(entry: &RevisionEntry) -> Result<Version> {
    Version::parse(&entry.revision).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "a revision of the log has no SemVer number").with_source(err)
    })
}
