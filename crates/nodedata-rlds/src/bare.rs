//! TFRecord files without metadata: what their records hold is learned from all of them. A record is a row, or, where keys begin with `steps/`, an
//! episode as TFDS lays one out.

mod features;
mod learned;
mod pass;
mod samples;
mod seen_keys;
mod stream;
mod table;

use std::sync::Arc;

use nodedata_core::{Files, OpenOptions, Result, Source};
use nodedata_steps::{Listing, sample_inputs};

use self::{
    learned::{Conditions, fitting, has_steps, learned, types_hash},
    pass::Pass,
    samples::Samples,
};
use crate::{container::RecordFiles, plan::Described, shards::Shards, source::RldsSource};

/// Opens files of TFRecords that no metadata lies beside.
///
/// # Errors
/// See [`nodedata_core::Format::open`].
pub(crate) fn open(files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
    let listing = Listing::unmarked(Arc::clone(&files))?;
    let shards = Shards::of_names(&listing)?;
    let inputs = sample_inputs(&*files, "a `.tfrecord` file")?;
    let conditions = Conditions {
        partition_bytes: options.partition_bytes,
        record_bytes_max: options.record_bytes_max,
        verify_checksums: options.verify_checksums,
        deal: options.deal.clone(),
    };
    let record_files = Arc::new(RecordFiles::new(files, options));
    let learned = match fitting(options, &conditions, &inputs) {
        Some(learned) => learned,
        None => {
            let pass = Pass { files: &record_files, inputs: &inputs, options };
            learned(conditions, &inputs, pass.run()?)
        }
    };
    if !has_steps(&learned.what) {
        return Ok(Box::new(Samples::open(record_files, inputs, learned, shards.warnings, options)?));
    }
    let leaves = features::leaves(&learned.what)?;
    let described = Described {
        shards,
        listing,
        files: record_files,
        leaves,
        labels: Vec::new(),
        facts: Default::default(),
        metadata: Default::default(),
        file: None,
        recipe: format!("types {}", types_hash(&learned.what)),
        learned: Some(learned.to_text()),
    };
    Ok(Box::new(RldsSource::new(described.plan(options)?)))
}
