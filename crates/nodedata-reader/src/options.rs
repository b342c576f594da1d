use std::path::PathBuf;

use nodedata_registry::HashCache;

/// Bytes that the cache has where nobody says otherwise.
const CACHE_BYTES: u64 = 64 << 30;

/// How a revision is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Where ranges of blobs are kept that came from far away. Default [`CacheOptions::Default`].
    pub cache: CacheOptions,
}

/// Where ranges of blobs are kept on this machine. All of its processes share what is there; registries that are folders of this machine
/// are read where they are, and nothing is kept of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CacheOptions {
    /// In `nodedata/blobs` of the user's cache folder, up to 64 GiB; nowhere where there is no such folder.
    #[default]
    Default,
    /// In a folder of one's own.
    At {
        /// The folder. It is made where it is not there.
        folder: PathBuf,
        /// Bytes of all files in it. What was used least lately goes for what comes.
        max_bytes: u64,
    },
    /// Nowhere.
    Off,
}

impl CacheOptions {
    /// The folder and its bytes; `None` where nothing is kept.
    pub fn place(&self) -> Option<(PathBuf, u64)> {
        match self {
            Self::Default => Some((HashCache::default_folder()?.join("blobs"), CACHE_BYTES)),
            Self::At { folder, max_bytes } => Some((folder.clone(), *max_bytes)),
            Self::Off => None,
        }
    }
}
