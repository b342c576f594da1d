use std::{path::PathBuf, sync::Arc};

use nodedata_core::{
    Confidence, Detection, EpisodeStream, Files, Format, Listing, OpenOptions, OptionKey, ReadOptions,
    Result, Source, SourcePlan,
};
use nodedata_io::packed::Packing;

use crate::{
    bare,
    metadata::{DATASET_INFO, FEATURES},
    options::OPTIONS,
    plan::{Plan, plan},
    rows::record_stream,
    shards::{is_shard, is_tfrecord},
    tfrecord::is_head,
};

/// The RLDS format.
#[derive(Debug)]
pub struct Rlds;

/// The RLDS format, for the list of formats.
pub static RLDS: Rlds = Rlds;

/// Files that are called as TFRecords are. What only begins so may be of anything: logs of training do.
fn detect_bare(listing: &Listing<'_>) -> Detection {
    let named = Detection::by_name(listing, "TFRecord files", |it| it.to_str().is_some_and(is_tfrecord));
    let found = named.claims.iter().find_map(|it| {
        let head = listing.head(it);
        if is_head(&head) {
            return Some(format!("`{}` begins with a TFRecord", it.display()));
        }
        let packing = Packing::of(&head)?;
        Some(format!("`{}` is called as TFRecord files are, and is {}", it.display(), packing.name()))
    });
    match found {
        None => named,
        Some(why) => Detection { confidence: Confidence::Content, why, ..named },
    }
}

impl Format for Rlds {
    fn name(&self) -> &'static str {
        "rlds"
    }

    fn about(&self) -> &'static str {
        "RLDS (TFDS) episodes, as TensorFlow Datasets writes them, and TFRecord files alone"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let has_info = |root: &PathBuf| listing.has(&root.join(DATASET_INFO));
        let has_shards = |root: &PathBuf| {
            let names = listing.below(root).filter_map(|it| it.strip_prefix(root).ok()?.to_str());
            names.into_iter().any(is_shard)
        };
        let is_root = |root: &PathBuf| has_info(root) || has_shards(root);
        let roots: Vec<PathBuf> = listing.folders_with(FEATURES).into_iter().filter(is_root).collect();
        match roots.first() {
            Some(root) => {
                let other = if has_info(root) { "`dataset_info.json`" } else { "files of records" };
                let features = root.join(FEATURES);
                let why = format!("`{}` lies beside {other}, as in TFDS datasets", features.display());
                Detection::of_roots(listing, Confidence::Layout, roots, why)
            }
            None => detect_bare(listing),
        }
    }

    fn options(&self) -> &'static [OptionKey] {
        OPTIONS
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        if !files.list()?.iter().any(|it| it.ends_with(FEATURES)) {
            return bare::open(files, options);
        }
        Ok(Box::new(RldsSource::new(plan(files, options)?)))
    }
}

/// An opened dataset.
pub(crate) struct RldsSource(Arc<Plan>);

impl RldsSource {
    pub(crate) fn new(plan: Plan) -> Self {
        Self(Arc::new(plan))
    }
}

impl Source for RldsSource {
    fn plan(&self) -> &SourcePlan {
        &self.0.told
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        Ok(Box::new(record_stream(&self.0, partition, options)?))
    }
}
