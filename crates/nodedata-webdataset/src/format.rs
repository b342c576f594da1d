use std::{path::Path, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Confidence, Detection, Files, Format, Listing, OpenOptions, OptionKey, Result, Source};
use nodedata_io::{
    MemoryFiles,
    packed::{Packing, UNPACK_RATIO_MAX, Unpacker},
};

use crate::{
    index::{SHARD_MD5, indexes},
    source::WebDatasetSource,
    table::KEY,
    tar::{BLOCK_BYTES, begins_archive},
};

/// WebDataset.
pub static WEBDATASET: WebDataset = WebDataset;

/// Reads WebDataset; see [`WEBDATASET`].
#[derive(Debug, Clone, Copy)]
pub struct WebDataset;

/// What names of archives end with that are packed as a whole, in one word.
const SHORT_ENDINGS: [&str; 5] = [".tgz", ".tbz", ".tbz2", ".txz", ".tzst"];

impl Format for WebDataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }

    fn about(&self) -> &'static str {
        "WebDataset, samples in tar files, packed or not: types learned from all members, rows dealt to splits"
    }

    fn options(&self) -> &'static [OptionKey] {
        &[UNPACK_RATIO_MAX, SHARD_MD5]
    }

    fn key_column(&self) -> Option<&'static str> {
        Some(KEY)
    }

    /// Claims archives by how they are called or begin, and the indexes of shards beside them.
    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let found = Detection::by_magic(listing, "tar archives", is_named, begins_archive);
        if found.confidence == Confidence::No {
            return found;
        }
        let packed = match found.confidence {
            Confidence::Name => {
                found.claims.iter().find(|it| begins_packed_archive(listing.head(it))).cloned()
            }
            _ => None,
        };
        let mut found = match packed {
            Some(path) => {
                let why = format!("`{}` begins as tar archives do, packed", path.display());
                Detection { confidence: Confidence::Content, why, ..found }
            }
            None => found,
        };
        let folders: Vec<&Path> = found.claims.iter().filter_map(|it| it.parent()).collect();
        let beside = indexes(listing).filter(|it| it.parent().is_some_and(|it| folders.contains(&it)));
        let beside: Vec<_> = beside.map(Path::to_owned).collect();
        found.claims.extend(beside);
        found.claims.sort_unstable();
        found
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(WebDatasetSource::open(&files, options)?))
    }
}

fn is_named(path: &Path) -> bool {
    let Some(name) = path.file_name().map(|it| it.to_string_lossy().to_lowercase()) else { return false };
    let stem = Packing::of_name(&name).map_or(name.as_str(), |it| it.0);
    stem.ends_with(".tar") || SHORT_ENDINGS.iter().any(|it| name.ends_with(it))
}

/// Whether a file that is called as an archive, and begins so, is one that is packed as a whole.
fn begins_packed_archive(head: Bytes) -> bool {
    let Some(packing) = Packing::of(&head) else { return false };
    let Ok(file) = MemoryFiles::default().with("head", head).open(Path::new("head")) else { return false };
    let mut block = [0; BLOCK_BYTES];
    let mut n = 0;
    let mut unpacker = Unpacker::new(file, packing, BLOCK_BYTES as u64);
    // That the head is cut is no matter: what comes out before does.
    while n < BLOCK_BYTES
        && let Ok(more @ 1..) = unpacker.next_bytes(&mut block[n..])
    {
        n += more;
    }
    match packing {
        _ if n == BLOCK_BYTES => begins_archive(&block),
        Packing::Gzip | Packing::Xz => false,
        // Their blocks come out as a whole, and may be longer than a head: the name tells the rest.
        Packing::Zstd | Packing::Bzip2 => n == 0,
    }
}
