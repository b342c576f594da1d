//! Where a LeRobot dataset keeps what.

use std::{ffi::OsStr, path::Path};

use nodedata_steps::{Listing, RootMarker};

/// The file that makes a folder a LeRobot dataset.
pub(crate) const INFO: &str = "meta/info.json";

/// The same, for whoever looks for the root.
pub(crate) const MARKER: RootMarker = RootMarker {
    file: INFO,
    datasets: "LeRobot datasets",
    hint: "name the folder that holds `meta`, `data` and `videos`",
};

/// Whether a path below the root is that of the episodes or the tasks, in any version.
pub(crate) fn is_metadata_table(path: &Path) -> bool {
    let mut parts = path.iter().map(OsStr::as_encoded_bytes);
    parts.next() == Some(b"meta")
        && parts.next().is_some_and(|it| it.starts_with(b"episodes") || it.starts_with(b"tasks"))
}

/// The tables below `meta/` that decide rows.
pub(crate) fn tables(listing: &Listing) -> impl Iterator<Item = &str> {
    listing.names().filter(|it| *it == INFO || is_metadata_table(Path::new(it)) || *it == "meta/stats.json")
}
