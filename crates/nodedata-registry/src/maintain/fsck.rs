use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{Error, Progress, Result};
use serde::Serialize;

use crate::{
    digest::B3,
    direct::{Direct, LEASE_SECONDS},
    layout,
    maintain::{
        collecting::{CONDEMNED, broken_list},
        derived::beside_log,
        leases::Leased,
        reach::{Reach, later},
    },
    name::DatasetName,
    record::Operation,
    remote::Remote,
    store::{ObjectInfo, Store},
    tree::{self, Tree},
};

/// What is read at once when all bytes are: a multiple of a grain.
const WINDOW_BYTES: u64 = 8 << 20;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names and lengths.
    Quick,
    /// Every byte.
    Full,
    /// Every byte of so many blobs in a thousand, always the same ones.
    Sample(u32),
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FsckReport {
    /// Datasets looked at.
    pub datasets: u64,
    /// Revisions of them.
    pub revisions: u64,
    /// Blobs in the store.
    pub blobs: u64,
    /// Blobs that no revision and no attachment names.
    pub unreferenced: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Pushes under way.
    pub leases: u64,
    /// Uploads of blobs that have not ended.
    pub uploads: u64,
    /// Files that writers have not given their name, of killed ones and of those at work.
    pub staging_files: u64,
    /// Bytes of uploads and of such files, where the store tells.
    pub unfinished_bytes: u64,
    /// Of both, those that nobody has touched for as long as a lease lives: `store gc` removes them.
    pub abandoned: u64,
    /// Everything that is wrong.
    pub flaws: Vec<Flaw>,
}

/// Something that is wrong in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// Stable short name, such as `rot`.
    pub code: &'static str,
    /// The object.
    pub path: String,
    /// What was found.
    pub message: String,
    /// The blob concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<B3>,
    /// Revisions that need it: `owner/name@1.2.0`.
    pub needed_by: Vec<String>,
}

/// Looks whether everything is there that logs and revisions name, and with more depth whether it is what
/// was published. What lies beside the logs (look-ups of revisions, hints, what was noted of the last record) and leases are held
/// against what they follow from; look-ups that are missing are written.
///
/// # Errors
/// `Io`, `Denied` when the store does not answer; `Interrupted` when `progress` says to stop. What is wrong in the store
/// is no error but a flaw.
pub fn fsck(direct: &Direct, depth: Depth, progress: &dyn Progress) -> Result<FsckReport> {
    let store = direct.store();
    let mut check =
        Check { direct, report: FsckReport::default(), needed: BTreeMap::new(), trees: BTreeSet::new() };
    let mut blobs: BTreeMap<B3, ObjectInfo> = BTreeMap::new();
    for object in store.list(layout::BLOBS)? {
        match (layout::blob_at(&object.path), object.path.strip_suffix(".tree").and_then(layout::blob_at)) {
            (Some(b3), _) => {
                blobs.insert(b3, object);
            }
            (None, Some(b3)) => {
                check.trees.insert(b3);
            }
            (None, None) => {
                check.flaw("stray-object", object.path, "it is no blob and no tree".to_owned(), None);
            }
        }
    }
    check.report.blobs = blobs.len() as u64;
    check.unfinished()?;
    for dataset in direct.datasets()? {
        progress.go_on()?;
        check.report.datasets += 1;
        check.log(&dataset, &blobs)?;
    }
    let is_needed = |b3: &B3| check.needed.contains_key(b3);
    check.report.unreferenced = blobs.keys().filter(|it| !is_needed(it)).count() as u64;
    for (b3, object) in &blobs {
        check.tree(b3, object);
        let is_picked = match depth {
            Depth::Quick => false,
            Depth::Full => true,
            Depth::Sample(per_mille) => u32::from_le_bytes([b3.0[0], b3.0[1], b3.0[2], 0]) % 1000 < per_mille,
        };
        if is_picked {
            check.report.read_bytes += object.bytes;
            if let Some(message) = rot(store, b3, object.bytes, progress)? {
                check.flaw("rot", object.path.clone(), message, Some(*b3));
            }
            progress.advanced(object.bytes, 0);
        }
    }
    Ok(check.report)
}

struct Check<'a> {
    direct: &'a Direct,
    report: FsckReport,
    /// By blob: the revisions that need it.
    needed: BTreeMap<B3, Vec<String>>,
    trees: BTreeSet<B3>,
}

impl Check<'_> {
    fn flaw(&mut self, code: &'static str, path: String, message: String, blob: Option<B3>) {
        let needed_by = blob.and_then(|it| self.needed.get(&it)).cloned().unwrap_or_default();
        self.report.flaws.push(Flaw { code, path, message, blob, needed_by });
    }

    /// Pushes and collections that have not ended, or will not.
    fn unfinished(&mut self) -> Result<()> {
        let store = self.direct.store();
        let objects = store.list(layout::LEASES)?.into_iter().chain(store.list("gc")?);
        // Nothing is written to learn the store's time: what was written last tells it well enough.
        let now = objects.map(|it| it.modified).max().unwrap_or_default().max(chrono::Utc::now());
        let leased = Leased::read(store, now)?;
        self.report.leases = leased.n_leases;
        for (path, why) in leased.broken {
            self.flaw("broken-lease", path, why, None);
        }
        if let Some(err) = broken_list(store)? {
            self.flaw("broken-condemned-list", CONDEMNED.to_owned(), err.chain(), None);
        }
        let (uploads, staging) = (store.uploads_under_way()?, store.staging_files()?);
        self.report.uploads = uploads.len() as u64;
        self.report.staging_files = staging.len() as u64;
        for object in uploads.iter().chain(&staging) {
            self.report.unfinished_bytes += object.bytes;
            let age = (now - object.modified).num_seconds();
            self.report.abandoned += u64::from(age > LEASE_SECONDS.cast_signed());
        }
        Ok(())
    }

    fn log(&mut self, dataset: &DatasetName, blobs: &BTreeMap<B3, ObjectInfo>) -> Result<()> {
        let store = self.direct.store();
        let listed = store.list(&layout::log(dataset))?;
        let seqs: Vec<u64> = listed.iter().filter_map(|it| layout::seq_at(&it.path)).collect();
        for (expected, found) in seqs.iter().enumerate() {
            if *found != expected as u64 {
                let path = layout::record(dataset, expected as u64);
                self.flaw("log-gap", path, format!("it is missing, but record {found} is there"), None);
                break;
            }
        }
        let entries = match self.direct.log(dataset, 0) {
            Ok(entries) => entries,
            Err(err) => {
                self.flaw("broken-log", err.locus().to_string(), err.chain(), None);
                return Ok(());
            }
        };
        let mut reach = Reach::default();
        let later = later(self.direct, dataset, &entries)?;
        if later.is_deleted {
            return Ok(());
        }
        for entry in &entries {
            match &entry.record.op {
                Operation::Attach { blob, revision, .. } => {
                    self.need(blob.b3, blob.bytes, &format!("{dataset}@{revision}"), blobs);
                }
                Operation::Create { readme: Some(blob), .. } => {
                    self.need(blob.b3, blob.bytes, &format!("{dataset}@seq:0"), blobs);
                }
                _ => {}
            }
            let Some(found) = reach.revision(self.direct, dataset, entry) else { continue };
            self.report.revisions += 1;
            let Operation::Publish { revision, manifest, .. } = &found.record.op else { continue };
            let name = format!("{dataset}@{revision}");
            if later.purged.contains(revision) {
                // Its manifest stays and tells what is gone.
                self.needed.entry(*manifest).or_default().push(name);
                continue;
            }
            match found.blobs {
                Ok(named) => {
                    let named = named.to_vec();
                    self.needed.entry(*manifest).or_default().push(name.clone());
                    named.iter().for_each(|(b3, bytes)| self.need(*b3, *bytes, &name, blobs));
                }
                Err(err) => {
                    self.needed.entry(found.manifest).or_default().push(name);
                    self.flaw("broken-manifest", layout::blob(manifest), err.chain(), Some(*manifest));
                }
            }
        }
        for (code, path, message) in beside_log(self.direct, dataset, &entries)? {
            self.flaw(code, path, message, None);
        }
        Ok(())
    }

    fn need(&mut self, b3: B3, bytes: u64, name: &str, blobs: &BTreeMap<B3, ObjectInfo>) {
        self.needed.entry(b3).or_default().push(name.to_owned());
        let message = match blobs.get(&b3) {
            None => "it is missing".to_owned(),
            Some(it) if it.bytes != bytes => {
                format!("it has {} bytes, but the revision says {bytes}", it.bytes)
            }
            Some(_) => return,
        };
        let code = if blobs.contains_key(&b3) { "wrong-length" } else { "missing-blob" };
        // Told once, with all that need it.
        match self.report.flaws.iter_mut().find(|it| it.blob == Some(b3)) {
            Some(flaw) => flaw.needed_by.push(name.to_owned()),
            None => self.flaw(code, layout::blob(&b3), message, Some(b3)),
        }
    }

    fn tree(&mut self, b3: &B3, object: &ObjectInfo) {
        if tree::n_grains(object.bytes) > 0 && !self.trees.contains(b3) {
            self.flaw("missing-tree", layout::tree(b3), "its blob has none".to_owned(), Some(*b3));
        }
    }
}

/// What is wrong with the bytes of a blob.
fn rot(store: &Store, b3: &B3, n_bytes: u64, progress: &dyn Progress) -> Result<Option<String>> {
    progress.go_on()?;
    let path = layout::blob(b3);
    if tree::n_grains(n_bytes) == 0 {
        let found = B3::of(&store.get_range(&path, 0..n_bytes)?);
        return Ok((found != *b3).then(|| format!("its bytes hash to {found}")));
    }
    let parsed = store.get(&layout::tree(b3))?.map(|it| Tree::parse(b3, n_bytes, &it)).transpose();
    let tree = match parsed {
        Ok(tree) => tree,
        Err(err) => return Ok(Some(err.to_string())),
    };
    let mut cvs = Vec::new();
    let mut offset = 0;
    while offset < n_bytes {
        progress.go_on()?;
        let end = (offset + WINDOW_BYTES).min(n_bytes);
        let bytes = store.get_range(&path, offset..end)?;
        if let Some(Err(err)) = tree.as_ref().map(|it| it.verify(offset, &bytes)) {
            let at = err.locus().byte_offset.unwrap_or(offset);
            return Ok(Some(format!("the bytes from {at} on are not those that were published")));
        }
        cvs.extend(tree::grain_cvs(offset, &bytes));
        offset = end;
    }
    let found = tree::fold_root(&cvs);
    Ok((found != Some(*b3)).then(|| "its bytes hash to another digest".to_owned()))
}

impl From<&Flaw> for Error {
    fn from(flaw: &Flaw) -> Self {
        Self::new(nodedata_core::ErrorKind::Corrupt, format!("{}: {}", flaw.code, flaw.message))
            .at(nodedata_core::Locus::path(&flaw.path))
    }
}
