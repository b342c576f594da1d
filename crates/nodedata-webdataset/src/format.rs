use std::{path::Path, sync::Arc};

use nodedata_core::{Confidence, Detection, Files, Format, Listing, OpenOptions, OptionKey, Result, Source};
use nodedata_io::packed::{Packing, UNPACK_RATIO_MAX};

use crate::{index::indexes, source::WebDatasetSource, tar::begins_archive};

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
        &[UNPACK_RATIO_MAX]
    }

    /// Claims archives by how they are called or begin, and the indexes of shards beside them.
    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let found = Detection::by_magic(listing, "tar archives", is_named, begins_archive);
        if found.confidence == Confidence::No {
            return found;
        }
        // One that is packed begins as everything does that is packed so: its name tells the rest.
        let packed = found.claims.iter().find(|it| Packing::of(&listing.head(it)).is_some());
        let mut found = match packed {
            Some(path) if found.confidence == Confidence::Name => {
                let why = format!("`{}` is called as tar archives are, and packed", path.display());
                Detection { confidence: Confidence::Content, why, ..found }
            }
            _ => found,
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
