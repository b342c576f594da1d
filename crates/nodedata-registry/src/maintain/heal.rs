use std::sync::Arc;

use bytes::Bytes;
use nodedata_core::{ErrorKind, ReadAt as _, Result, Silent};
use serde::Serialize;

use crate::{
    blob_reader::BlobReader,
    digest::B3,
    direct::Direct,
    layout,
    maintain::{
        derived::DERIVED,
        fsck::{Depth, Flaw, fsck},
    },
    name::DatasetName,
    record::BlobRef,
    remote::Remote,
    store::Store,
    tree,
};

/// What was mended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HealReport {
    /// Trees made again from their blobs.
    pub trees: Vec<B3>,
    /// Blobs fetched again.
    pub blobs: Vec<B3>,
    /// What follows from logs and did not agree with them: removed, and made again where it is needed.
    pub derived: Vec<String>,
    /// Leases and lists of collections that could not be read, and were taken away.
    pub removed: Vec<String>,
    /// What is still wrong.
    pub left: Vec<Flaw>,
}

/// Mends what [`fsck`] finds: trees from their blobs, blobs that are missing or damaged from another
/// registry that has them. A lease that cannot be read is taken away, which costs the push that wrote it no more than what a
/// collection removes before it says anew what it needs.
///
/// # Errors
/// `Io`, `Denied` of either side. What the other has not, or has damaged too, stays a flaw.
pub fn heal(direct: &Direct, from: Option<&Arc<dyn Remote>>, depth: Depth) -> Result<HealReport> {
    let store = direct.store();
    let mut report = HealReport::default();
    for flaw in fsck(direct, depth, &Silent)?.flaws {
        if matches!(flaw.code, "broken-lease" | "broken-condemned-list") {
            store.delete(&flaw.path)?;
            report.removed.push(flaw.path);
            continue;
        }
        let (Some(b3), Some(dataset)) = (flaw.blob, dataset_of(&flaw)) else {
            // A blob that nobody needs but that has no tree is mended all the same.
            match (flaw.code, flaw.blob) {
                ("missing-tree", Some(b3)) if make_tree(store, &b3)? => report.trees.push(b3),
                // What follows from the log is made again by the check.
                (code, None) if DERIVED.contains(&code) => {
                    store.delete(&flaw.path)?;
                    report.derived.push(flaw.path);
                }
                _ => report.left.push(flaw),
            }
            continue;
        };
        let is_mended = match flaw.code {
            "missing-tree" if make_tree(store, &b3)? => {
                report.trees.push(b3);
                continue;
            }
            "missing-tree" | "missing-blob" | "wrong-length" | "rot" | "broken-manifest" => match from {
                Some(from) => fetch(store, from, &dataset, &b3)?,
                None => false,
            },
            _ => false,
        };
        if is_mended { report.blobs.push(b3) } else { report.left.push(flaw) }
    }
    Ok(report)
}

fn dataset_of(flaw: &Flaw) -> Option<DatasetName> {
    flaw.needed_by.first()?.split_once('@')?.0.parse().ok()
}

/// Makes the tree of a sound blob; says whether it is sound.
fn make_tree(store: &Store, b3: &B3) -> Result<bool> {
    let Some(object) = store.head(&layout::blob(b3))? else { return Ok(false) };
    let mut cvs = Vec::new();
    let mut offset = 0;
    while offset < object.bytes {
        let end = (offset + tree::PART_BYTES_MIN).min(object.bytes);
        cvs.extend(tree::grain_cvs(offset, &store.get_range(&object.path, offset..end)?));
        offset = end;
    }
    if tree::fold_root(&cvs) != Some(*b3) {
        return Ok(false);
    }
    store.put(&layout::tree(b3), Bytes::from(tree::tree_bytes(&cvs)))?;
    Ok(true)
}

/// Fetches a blob from another registry, verified, in the place of what is here.
fn fetch(store: &Store, from: &Arc<dyn Remote>, dataset: &DatasetName, b3: &B3) -> Result<bool> {
    let Some(n_bytes) = from.blob_bytes(dataset, b3)? else { return Ok(false) };
    let blob = BlobRef { b3: *b3, sha256: String::new(), bytes: n_bytes };
    let reader = match BlobReader::open(from, dataset, b3, n_bytes) {
        Err(err) if err.kind() == ErrorKind::Corrupt => return Ok(false),
        other => other?,
    };
    // First all of it, so that a damaged copy there does not cost what is here.
    for part in 0..tree::n_parts(n_bytes) {
        match reader.read_at(tree::part_range(n_bytes, part)) {
            Err(err) if err.kind() == ErrorKind::Corrupt => return Ok(false),
            other => drop(other?),
        }
    }
    store.delete(&layout::blob(b3))?;
    store.delete(&layout::tree(b3))?;
    for part in 0..tree::n_parts(n_bytes) {
        store.upload_part(&blob, part, reader.read_at(tree::part_range(n_bytes, part))?)?;
    }
    store.seal(&blob)?;
    Ok(true)
}
