use std::collections::{BTreeMap, BTreeSet};

use nodedata_core::{Error, Result};

use crate::{
    digest::B3,
    direct::Direct,
    moves::HOPS_MAX,
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
    ///
    /// `go_on` is asked before each log and each manifest: a collection shows that it lives.
    pub(crate) fn marks(&mut self, direct: &Direct, go_on: &dyn Fn() -> Result<()>) -> Result<BTreeSet<B3>> {
        let mut marks = BTreeSet::new();
        self.each(direct, go_on, &mut |b3, _| {
            marks.insert(*b3);
        })?;
        Ok(marks)
    }

    /// Of some blobs, those that a log reaches, and which revisions need them. `go_on` as of [`Self::marks`].
    pub(crate) fn who_needs(
        &mut self,
        direct: &Direct,
        wanted: &BTreeSet<B3>,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<BTreeMap<B3, BTreeSet<String>>> {
        let mut found: BTreeMap<B3, BTreeSet<String>> = BTreeMap::new();
        self.each(direct, go_on, &mut |b3, by| {
            if wanted.contains(b3) {
                found.entry(*b3).or_default().insert(by.to_owned());
            }
        })?;
        Ok(found)
    }

    /// Shows every digest that a log reaches, and what needs it.
    fn each(
        &mut self,
        direct: &Direct,
        go_on: &dyn Fn() -> Result<()>,
        see: &mut dyn FnMut(&B3, &str),
    ) -> Result<()> {
        for dataset in direct.datasets()? {
            go_on()?;
            let entries = direct.log(&dataset, 0)?;
            let later = later(direct, &dataset, &entries)?;
            if later.is_deleted {
                continue;
            }
            let purged = &later.purged;
            for entry in &entries {
                match &entry.record.op {
                    Operation::Publish { manifest, revision, .. } => {
                        go_on()?;
                        let by = format!("{dataset}@{revision}");
                        see(manifest, &by);
                        if !purged.contains(revision) {
                            self.blobs(direct, &dataset, manifest)?.iter().for_each(|(b3, _)| see(b3, &by));
                        }
                    }
                    Operation::Attach { blob, revision, .. } => {
                        see(&blob.b3, &format!("{dataset}@{revision}"));
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
                    Operation::Tag { .. }
                    | Operation::Withdraw { .. }
                    | Operation::Purge { .. }
                    | Operation::Move { .. }
                    | Operation::Adopt { .. }
                    | Operation::Delete { .. } => {}
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

/// What became of a dataset since the records of a log, also under names that it got later.
#[derive(Default)]
pub(crate) struct Later {
    /// Revisions that were purged.
    pub(crate) purged: BTreeSet<String>,
    pub(crate) is_deleted: bool,
}

pub(crate) fn later(direct: &Direct, dataset: &DatasetName, entries: &[LogEntry]) -> Result<Later> {
    let mut found = Later::default();
    let (mut name, mut next) = (dataset.clone(), found.take_in(entries));
    for _ in 0..HOPS_MAX {
        let Some(to) = next else { break };
        let entries = direct.log(&to, 0)?;
        // Where the move was not ended, that name may be another dataset's.
        let is_it = entries
            .first()
            .is_some_and(|it| matches!(&it.record.op, Operation::Adopt { from, .. } if *from == name));
        next = if is_it { found.take_in(&entries) } else { None };
        name = to;
    }
    Ok(found)
}

impl Later {
    /// Returns where the log goes on.
    fn take_in(&mut self, entries: &[LogEntry]) -> Option<DatasetName> {
        let mut next = None;
        for entry in entries {
            match &entry.record.op {
                Operation::Purge { revisions, .. } => self.purged.extend(revisions.iter().cloned()),
                Operation::Move { to, .. } => next = Some(to.clone()),
                Operation::Delete { .. } => self.is_deleted = true,
                _ => {}
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use nodedata_core::ErrorKind;

    use super::*;
    use crate::{
        push::{NewDataset, create},
        store::Store,
    };

    #[test]
    fn whoever_reads_all_logs_is_asked_to_go_on_before_each() {
        let direct = Direct::new(Store::memory());
        for name in ["acme/x", "acme/y", "acme/z"] {
            create(&direct, &NewDataset::new(name.parse().unwrap(), "test")).unwrap();
        }
        let n_asked = Cell::new(0);
        let go_on = || -> Result<()> {
            n_asked.set(n_asked.get() + 1);
            Ok(())
        };
        assert_eq!(Reach::default().marks(&direct, &go_on).unwrap(), BTreeSet::new());
        assert_eq!(n_asked.get(), 3);
        let stopped = || -> Result<()> { Err(Error::new(ErrorKind::Io, "it was held up")) };
        let err = Reach::default().who_needs(&direct, &BTreeSet::new(), &stopped).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Io);
    }
}
