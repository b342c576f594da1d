use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{Error, Result};

use crate::{
    digest::B3,
    direct::Direct,
    name::DatasetName,
    record::{CommitRecord, Operation},
    remote::{LogEntry, Remote},
    revision::Revision,
};

/// What the logs of a store reach. Manifests are read once, however often it is asked.
#[derive(Default)]
pub(crate) struct Reach {
    /// Blobs of each manifest: digest and length.
    manifests: BTreeMap<B3, Vec<(B3, u64)>>,
}

/// A revision and everything it needs.
pub(crate) struct Reached<'a> {
    pub(crate) record: CommitRecord,
    /// Its manifest.
    pub(crate) manifest: B3,
    /// What the manifest names, or why it cannot be read.
    pub(crate) blobs: Result<&'a [(B3, u64)], Error>,
}

impl Reach {
    /// Every digest that a log reaches. A manifest that cannot be read is an error here: what it names is
    /// not known, so nothing may be thought to be needless. Of revisions that were purged only the manifests are needed.
    pub(crate) fn marks(&mut self, direct: &Direct) -> Result<BTreeSet<B3>> {
        let mut marks = BTreeSet::new();
        self.each(direct, &mut |b3, _| {
            marks.insert(*b3);
        })?;
        Ok(marks)
    }

    /// Of some blobs, those that a log reaches, and which revisions need them.
    pub(crate) fn who_needs(
        &mut self,
        direct: &Direct,
        wanted: &BTreeSet<B3>,
    ) -> Result<BTreeMap<B3, BTreeSet<String>>> {
        let mut found: BTreeMap<B3, BTreeSet<String>> = BTreeMap::new();
        self.each(direct, &mut |b3, by| {
            if wanted.contains(b3) {
                found.entry(*b3).or_default().insert(by.to_owned());
            }
        })?;
        Ok(found)
    }

    /// Shows every digest that a log reaches, and what needs it.
    fn each(&mut self, direct: &Direct, see: &mut dyn FnMut(&B3, &str)) -> Result<()> {
        for dataset in direct.datasets()? {
            let entries = direct.log(&dataset, 0)?;
            let purged = purged(&entries);
            for entry in &entries {
                match &entry.record.op {
                    Operation::Publish { manifest, revision, .. } => {
                        let by = format!("{dataset}@{revision}");
                        see(manifest, &by);
                        if !purged.contains(revision.as_str()) {
                            self.blobs(direct, &dataset, manifest)?.iter().for_each(|(b3, _)| see(b3, &by));
                        }
                    }
                    Operation::Attach { blob, revision, .. } => {
                        see(&blob.b3, &format!("{dataset}@{revision}"))
                    }
                    Operation::Create { sensitivity, readme, .. } => {
                        let policy = sensitivity.gate.as_ref().and_then(|it| it.policy);
                        let named = policy.into_iter().chain(readme.as_ref().map(|it| it.b3));
                        named.for_each(|it| see(&it, &dataset.to_string()));
                    }
                    Operation::Declare { sensitivity, .. } => {
                        let policy = sensitivity.gate.as_ref().and_then(|it| it.policy);
                        policy.iter().for_each(|it| see(it, &dataset.to_string()));
                    }
                    Operation::Tag { .. } | Operation::Withdraw { .. } | Operation::Purge { .. } => {}
                }
            }
        }
        Ok(())
    }

    /// A revision of a log entry; `None` for another record.
    pub(crate) fn revision(
        &mut self,
        direct: &Direct,
        dataset: &DatasetName,
        entry: &LogEntry,
    ) -> Option<Reached<'_>> {
        let Operation::Publish { manifest, .. } = &entry.record.op else { return None };
        Some(Reached {
            record: entry.record.clone(),
            manifest: *manifest,
            blobs: self.blobs(direct, dataset, manifest),
        })
    }

    fn blobs(&mut self, direct: &Direct, dataset: &DatasetName, manifest: &B3) -> Result<&[(B3, u64)]> {
        if !self.manifests.contains_key(manifest) {
            let revision = Revision::of_manifest(&direct.shared(), dataset, manifest)?;
            let blobs = revision.blobs()?.into_iter().map(|it| (it.b3, it.bytes)).collect();
            self.manifests.insert(*manifest, blobs);
        }
        Ok(&self.manifests[manifest])
    }
}

/// The revisions that a log says are purged.
pub(crate) fn purged(entries: &[LogEntry]) -> BTreeSet<&str> {
    let mut purged = BTreeSet::new();
    for entry in entries {
        if let Operation::Purge { revisions, .. } = &entry.record.op {
            purged.extend(revisions.iter().map(String::as_str));
        }
    }
    purged
}
