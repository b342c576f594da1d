use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::{
    clock::fresh_id,
    digest::B3,
    direct::Direct,
    layout,
    maintain::reach::Reach,
    record::{Lease, from_bytes, to_canonical},
    store::Store,
};

/// What a collection that is under way is about to remove.
const CONDEMNED: &str = "gc/condemned.json";
/// A collection removes no more than this in one go, so that pushes never wait long.
const BLOBS_AT_ONCE: usize = 1000;
/// A list of condemned blobs that is older than this belongs to a collection that died.
const DEAD_SECONDS: i64 = 600;
/// How long a push waits for a collection that removes what it needs.
const WAIT_TRIES: u32 = 600;
const WAIT: Duration = Duration::from_millis(50);

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
    /// Parts of uploads that nobody will end.
    pub abandoned_uploads: u64,
}

#[derive(Serialize, Deserialize)]
struct Condemned {
    blobs: Vec<B3>,
}

/// Removes blobs that no revision, attachment or push under way needs.
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
    let now = clock(store)?;
    let is_old = |at: DateTime<Utc>| {
        let grace = i64::try_from(options.grace_seconds).unwrap_or(i64::MAX);
        (now - at).num_seconds() >= grace
    };
    let mut report = GcReport::default();
    let objects = store.list(layout::BLOBS)?;
    let mut reach = Reach::default();
    let mut needed = reach.marks(direct)?;
    needed.extend(leased(store, now, &mut report, options.dry_run)?);
    let mut candidates: Vec<(B3, u64)> = Vec::new();
    for object in &objects {
        let Some(b3) = layout::blob_at(&object.path) else { continue };
        report.blobs += 1;
        if needed.contains(&b3) {
            report.kept += 1;
        } else if is_old(object.modified) {
            candidates.push((b3, object.bytes));
        } else {
            report.young += 1;
        }
    }
    if options.dry_run {
        report.removed_bytes = candidates.iter().map(|(_, bytes)| bytes).sum();
        report.removed = candidates.into_iter().map(|(b3, _)| b3).collect();
        return Ok(report);
    }
    for candidates in candidates.chunks(BLOBS_AT_ONCE) {
        remove(direct, &mut reach, candidates, &mut report)?;
    }
    report.abandoned_uploads = abandoned(store, now)?;
    Ok(report)
}

fn remove(direct: &Direct, reach: &mut Reach, candidates: &[(B3, u64)], report: &mut GcReport) -> Result<()> {
    let store = direct.store();
    condemn(store, candidates)?;
    let swept = sweep(direct, reach, candidates, report);
    store.delete(CONDEMNED)?;
    swept
}

fn sweep(direct: &Direct, reach: &mut Reach, candidates: &[(B3, u64)], report: &mut GcReport) -> Result<()> {
    let store = direct.store();
    // Leases first, records after: a push that has ended in between is in the records.
    let now = clock(store)?;
    let mut needed = leased(store, now, report, false)?;
    needed.extend(reach.marks(direct)?);
    for (b3, bytes) in candidates {
        if needed.contains(b3) {
            report.kept += 1;
            continue;
        }
        // A blob is never seen without its tree.
        store.delete(&layout::blob(b3))?;
        store.delete(&layout::tree(b3))?;
        report.removed.push(*b3);
        report.removed_bytes += bytes;
    }
    Ok(())
}

fn condemn(store: &Store, candidates: &[(B3, u64)]) -> Result<()> {
    let list = Condemned { blobs: candidates.iter().map(|(b3, _)| *b3).collect() };
    let bytes = Bytes::from(to_canonical(&list)?);
    if store.put_create(CONDEMNED, bytes.clone())? == crate::store::Created::New {
        return Ok(());
    }
    let age = store.head(CONDEMNED)?.map(|it| it.modified);
    if let Some(at) = age
        && clock(store)? - at < TimeDelta::seconds(DEAD_SECONDS)
    {
        return Err(Error::new(ErrorKind::Conflict, "another collection is under way")
            .with_hint("wait for it; the list of one that died is ignored after ten minutes"));
    }
    store.put(CONDEMNED, bytes)
}

/// Called by a push that has written its lease: waits until no collection is about to remove its blobs.
pub(crate) fn wait_for_collection(store: &Store, lease: &str, blobs: &BTreeSet<B3>) -> Result<()> {
    for _ in 0..WAIT_TRIES {
        let Some(bytes) = store.get(CONDEMNED)? else { return Ok(()) };
        let condemned: Condemned = from_bytes("list of condemned blobs", &bytes)?;
        if !condemned.blobs.iter().any(|it| blobs.contains(it)) {
            return Ok(());
        }
        let times = store.heads(&[CONDEMNED.to_owned(), lease.to_owned()])?;
        if let [Some(condemned), Some(lease)] = times.as_slice()
            && lease.modified - condemned.modified > TimeDelta::seconds(DEAD_SECONDS)
        {
            return Ok(());
        }
        std::thread::sleep(WAIT);
    }
    Err(Error::new(ErrorKind::Io, "a collection is removing blobs that this push needs")
        .with_hint("try again when `node-data store gc` has ended"))
}

/// Blobs of pushes under way. Leases that have run out are taken away.
fn leased(store: &Store, now: DateTime<Utc>, report: &mut GcReport, dry_run: bool) -> Result<BTreeSet<B3>> {
    let mut blobs = BTreeSet::new();
    for object in store.list(layout::LEASES)? {
        // It may have ended since it was listed.
        let Some(bytes) = store.get(&object.path)? else { continue };
        let lease = Lease::parse(&bytes)?;
        let life = i64::try_from(lease.seconds).unwrap_or(i64::MAX);
        if (now - object.modified).num_seconds() <= life {
            blobs.extend(lease.blobs);
        } else if !dry_run {
            store.delete(&object.path)?;
            report.expired_leases += 1;
        }
    }
    Ok(blobs)
}

/// Removes parts of uploads into a directory that nobody has touched for as long as a lease lives.
fn abandoned(store: &Store, now: DateTime<Utc>) -> Result<u64> {
    if store.folder().is_none() {
        return Ok(0);
    }
    let mut n_removed = 0;
    for object in store.list(layout::UPLOADS)? {
        if (now - object.modified).num_seconds() > crate::direct::LEASE_SECONDS as i64 {
            store.delete(&object.path)?;
            n_removed += 1;
        }
    }
    Ok(n_removed)
}

/// The store's own time: that of this machine may be another.
fn clock(store: &Store) -> Result<DateTime<Utc>> {
    let path = format!("gc/clock-{}", fresh_id());
    store.put(&path, Bytes::from_static(b"now"))?;
    let found = store.head(&path)?;
    store.delete(&path)?;
    found
        .map(|it| it.modified)
        .ok_or_else(|| Error::new(ErrorKind::Io, "the store does not show what was written"))
}
