use std::{path::PathBuf, sync::Arc};

use nodedata_core::{
    Confidence, Detection, EpisodeStream, Files, Format, Listing, OpenOptions, OptionKey, ReadOptions,
    Result, Source, SourcePlan,
};

use crate::{
    metadata::{DATASET_INFO, FEATURES},
    options::OPTIONS,
    plan::{Plan, plan},
    rows::record_stream,
    shards::{is_shard, is_tfrecord},
};

/// The RLDS format.
#[derive(Debug)]
pub struct Rlds;

/// The RLDS format, for the list of formats.
pub static RLDS: Rlds = Rlds;

impl Format for Rlds {
    fn name(&self) -> &'static str {
        "rlds"
    }

    fn about(&self) -> &'static str {
        "RLDS (TFDS) episodes, as TensorFlow Datasets writes them"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        // Whatever the container is: what is not read yet is refused by its name when it is opened.
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
            None => Detection::by_name(listing, "TFRecord files", |it| it.to_str().is_some_and(is_tfrecord)),
        }
    }

    fn options(&self) -> &'static [OptionKey] {
        OPTIONS
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        Ok(Box::new(RldsSource(Arc::new(plan(files, options)?))))
    }
}

/// An opened dataset.
struct RldsSource(Arc<Plan>);

impl Source for RldsSource {
    fn plan(&self) -> &SourcePlan {
        &self.0.told
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        Ok(Box::new(record_stream(&self.0, partition, options)?))
    }
}
