use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use serde::Serialize;

use crate::{
    digest::B3,
    direct::{Direct, LEASE_SECONDS},
    layout,
    maintain::{
        collecting::{Collecting, clock, remove_clocks},
        leases::Leased,
        reach::Reach,
    },
    store::Store,
};

/// Blobs that are condemned at once, so that pushes never wait long.
pub(super) const BLOBS_AT_ONCE: usize = 1000;

/// What may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOptions {
    /// Age below which nothing is removed, in seconds by the store's clock.
    pub grace_seconds: u64,
    /// Only says what would be removed.
    pub dry_run: bool,
}

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Blobs in the store before.
    pub blobs: u64,
    /// Blobs that a revision, an attachment or a push under way needs.
    pub kept: u64,
    /// Blobs that nobody needs, but that are too young.
    pub young: u64,
    /// Blobs removed.
    pub removed: Vec<B3>,
    /// Bytes of them.
    pub removed_bytes: u64,
    /// Leases that had run out.
    pub expired_leases: u64,
    /// Leases that cannot be read: what their pushes need is not known, so no blob was removed. They run out as others do;
    /// `store heal` takes them away at once.
    pub broken_leases: Vec<String>,
    /// Uploads that nobody will end: their parts were removed.
    pub abandoned_uploads: u64,
    /// Files of killed writers that had not got their name.
    pub staging_files: u64,
    /// Trees of blobs that are not there.
    pub orphan_trees: u64,
}

/// A blob, or the tree of one that is not there, that nobody seems to need.
struct Candidate {
    b3: B3,
    /// `None` for a tree alone.
    bytes: Option<u64>,
}

/// Removes blobs that no revision, attachment or push under way needs, and what killed pushes and collections left: uploads,
/// files without their name, trees alone.
///
/// A push writes its lease, then looks for condemned blobs; a collection writes the condemned blobs, then
/// looks for leases and, after that, for records. Whichever comes second sees the other.
///
/// # Errors
/// `Corrupt` when a manifest cannot be read: then nothing is removed. `Conflict` when another collection is
/// under way; `Io`, `Denied`.
pub fn gc(direct: &Direct, options: GcOptions) -> Result<GcReport> {
    let store = direct.store();
    if !store.is_initialised()? {
        return Err(Error::new(ErrorKind::Config, format!("{} is no store", store.label()))
            .with_hint("check the address; nothing was removed"));
    }
    let collecting = (!options.dry_run).then(|| Collecting::begin(store)).transpose()?;
    let now = clock(store)?;
    let grace = i64::try_from(options.grace_seconds).unwrap_or(i64::MAX);
    let is_old = |at: DateTime<Utc>| (now - at).num_seconds() >= grace;
    let mut report = GcReport::default();
    let mut reach = Reach::default();
    let leased = Leased::read(store, now)?;
    report.broken_leases = leased.broken.iter().map(|(path, _)| path.clone()).collect();
    let mut needed = reach.marks(direct, &|| Ok(()))?;
    needed.extend(leased.blobs.iter().copied());
    let mut candidates = candidates(store, &needed, &is_old, &mut report)?;
    if !leased.broken.is_empty() {
        // Any of them may be what such a push needs.
        report.kept += candidates.iter().filter(|it| it.bytes.is_some()).count() as u64;
        candidates.clear();
    }
    let Some(collecting) = collecting else {
        report.removed_bytes = candidates.iter().filter_map(|it| it.bytes).sum();
        report.orphan_trees = candidates.iter().filter(|it| it.bytes.is_none()).count() as u64;
        report.removed = candidates.iter().filter(|it| it.bytes.is_some()).map(|it| it.b3).collect();
        return Ok(report);
    };
    for candidates in candidates.chunks(BLOBS_AT_ONCE) {
        collecting.condemn(candidates.iter().map(|it| it.b3))?;
        let swept = sweep(direct, &collecting, &mut reach, candidates, &mut report);
        collecting.pardon()?;
        swept?;
    }
    // Last: a push that is run again after all that time has its lease until everything was decided.
    report.expired_leases = leased.remove_expired(store)?;
    let is_abandoned = |at: DateTime<Utc>| (now - at).num_seconds() > LEASE_SECONDS.cast_signed();
    report.abandoned_uploads = store.end_abandoned_uploads(&leased.blobs, &is_abandoned)?;
    report.staging_files = remove_clocks(store, is_abandoned)?;
    for file in store.staging_files()? {
        if is_abandoned(file.modified) {
            store.remove_staging_file(&file)?;
            report.staging_files += 1;
        }
    }
    Ok(report)
}

/// What nobody seems to need and is old enough.
fn candidates(
    store: &Store,
    needed: &BTreeSet<B3>,
    is_old: &dyn Fn(DateTime<Utc>) -> bool,
    report: &mut GcReport,
) -> Result<Vec<Candidate>> {
    let objects = store.list(layout::BLOBS)?;
    let there: BTreeSet<B3> = objects.iter().filter_map(|it| layout::blob_at(&it.path)).collect();
    let mut candidates = Vec::new();
    for object in &objects {
        let Some(b3) = layout::blob_at(&object.path) else {
            let of = object.path.strip_suffix(".tree").and_then(layout::blob_at);
            if let Some(b3) =
                of.filter(|it| !there.contains(it) && !needed.contains(it) && is_old(object.modified))
            {
                candidates.push(Candidate { b3, bytes: None });
            }
            continue;
        };
        report.blobs += 1;
        if needed.contains(&b3) {
            report.kept += 1;
        } else if is_old(object.modified) {
            candidates.push(Candidate { b3, bytes: Some(object.bytes) });
        } else {
            report.young += 1;
        }
    }
    Ok(candidates)
}

fn sweep(
    direct: &Direct,
    collecting: &Collecting<'_>,
    reach: &mut Reach,
    candidates: &[Candidate],
    report: &mut GcReport,
) -> Result<()> {
    let store = direct.store();
    // Leases first, records after: a push that has ended in between is in the records.
    let leased = Leased::read(store, clock(store)?)?;
    if !leased.broken.is_empty() {
        report.broken_leases = leased.broken.into_iter().map(|(path, _)| path).collect();
        report.kept += candidates.iter().filter(|it| it.bytes.is_some()).count() as u64;
        return Ok(());
    }
    let mut needed = leased.blobs;
    needed.extend(reach.marks(direct, &|| collecting.beat())?);
    for Candidate { b3, bytes } in candidates {
        if needed.contains(b3) {
            report.kept += u64::from(bytes.is_some());
            continue;
        }
        collecting.beat()?;
        // A blob is never seen without its tree.
        if let Some(bytes) = bytes {
            store.delete(&layout::blob(b3))?;
            report.removed.push(*b3);
            report.removed_bytes += bytes;
        } else {
            report.orphan_trees += 1;
        }
        store.delete(&layout::tree(b3))?;
    }
    Ok(())
}
