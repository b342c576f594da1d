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
    /// not known, so nothing may be thought to be needless.
    pub(crate) fn marks(&mut self, direct: &Direct) -> Result<BTreeSet<B3>> {
        let mut marks = BTreeSet::new();
        for dataset in direct.datasets()? {
            for entry in direct.log(&dataset, 0)? {
                match &entry.record.op {
                    Operation::Publish { manifest, .. } => {
                        marks.insert(*manifest);
                        marks.extend(self.blobs(direct, &dataset, manifest)?.iter().map(|(b3, _)| *b3));
                    }
                    Operation::Attach { blob, .. } => {
                        marks.insert(blob.b3);
                    }
                    Operation::Create { sensitivity, readme, .. } => {
                        marks.extend(sensitivity.gate.as_ref().and_then(|it| it.policy));
                        marks.extend(readme.as_ref().map(|it| it.b3));
                    }
                    Operation::Declare { sensitivity, .. } => {
                        marks.extend(sensitivity.gate.as_ref().and_then(|it| it.policy));
                    }
                    Operation::Tag { .. } | Operation::Withdraw { .. } | Operation::Purge { .. } => {}
                }
            }
        }
        Ok(marks)
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
