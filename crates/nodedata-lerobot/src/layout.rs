//! Where a LeRobot dataset keeps what.

use std::{ffi::OsStr, path::Path};

use nodedata_steps::RootMarker;

use crate::info::Version;

/// The file that makes a folder a LeRobot dataset.
pub(crate) const INFO: &str = "meta/info.json";

/// Statistics over all episodes.
pub(crate) const STATS: &str = "meta/stats.json";

/// What GR00T says of the slices of state and action.
pub(crate) const MODALITY: &str = "meta/modality.json";

/// The episodes in version 2, and their statistics.
pub(crate) const EPISODES_LINES: &str = "meta/episodes.jsonl";
pub(crate) const EPISODES_STATS: &str = "meta/episodes_stats.jsonl";

/// The same, for whoever looks for the root.
pub(crate) const MARKER: RootMarker = RootMarker {
    file: INFO,
    datasets: "LeRobot datasets",
    hint: "name the folder that holds `meta`, `data` and `videos`",
};

/// Where a version has its table of episodes: a file, or a folder of them.
pub(crate) fn episodes_place(version: Version) -> &'static str {
    if version.has_file_per_episode() { EPISODES_LINES } else { "meta/episodes" }
}

/// Where the official writer puts the files of an episode, or of several.
pub(crate) struct Paths {
    pub(crate) data: &'static str,
    pub(crate) video: &'static str,
}

/// Versions 2.0 and 2.1: files of its own for each episode.
pub(crate) const APART: Paths = Paths {
    data: "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
    video: "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
};

/// Version 3.0: files of several episodes.
pub(crate) const JOINED: Paths = Paths {
    data: "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    video: "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
};

/// Whether a path below the root is that of the episodes or the tasks, in any version.
pub(crate) fn is_metadata_table(path: &Path) -> bool {
    let mut parts = path.iter().map(OsStr::as_encoded_bytes);
    parts.next() == Some(b"meta")
        && parts.next().is_some_and(|it| it.starts_with(b"episodes") || it.starts_with(b"tasks"))
}

/// Whether a name is that of a table of episodes in version 3.
pub(crate) fn is_episodes_table(name: &str) -> bool {
    name.starts_with("meta/episodes/") && name.ends_with(".parquet")
}
