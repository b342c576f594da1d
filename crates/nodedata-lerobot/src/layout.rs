//! Where a LeRobot dataset keeps what.

use nodedata_steps::{Listing, RootMarker};

/// The file that makes a folder a LeRobot dataset.
pub(crate) const INFO: &str = "meta/info.json";

/// The same, for whoever looks for the root.
pub(crate) const MARKER: RootMarker = RootMarker {
    file: INFO,
    datasets: "LeRobot datasets",
    hint: "name the folder that holds `meta`, `data` and `videos`",
};

/// The tables below `meta/` that decide rows.
pub(crate) fn tables(listing: &Listing) -> impl Iterator<Item = &str> {
    listing.names().filter(|it| {
        *it == INFO
            || it.starts_with("meta/episodes")
            || it.starts_with("meta/tasks")
            || *it == "meta/stats.json"
    })
}
