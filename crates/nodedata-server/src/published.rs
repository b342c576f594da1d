//! Revisions as the server opens them: anybody may have made their tables.

use std::sync::Arc;

use nodedata_core::Result;
use nodedata_registry::{B3, DatasetName, Remote, Revision, RevisionEntry};

/// Memory that the rows of one index table may take. A set that needs more is published to a store without a server.
const TABLE_BYTES_MAX: u64 = 1 << 30;

/// A revision that is published.
///
/// # Errors
/// As [`Revision::open`].
pub(crate) fn revision(
    remote: &Arc<dyn Remote>,
    dataset: &DatasetName,
    entry: &RevisionEntry,
) -> Result<Revision> {
    of_manifest(remote, dataset, &entry.manifest)
}

/// The revision whose manifest has that digest.
///
/// # Errors
/// As [`Revision::of_manifest`].
pub(crate) fn of_manifest(remote: &Arc<dyn Remote>, dataset: &DatasetName, digest: &B3) -> Result<Revision> {
    Ok(Revision::of_manifest(remote, dataset, digest)?.tables_within(TABLE_BYTES_MAX))
}
