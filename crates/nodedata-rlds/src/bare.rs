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

use nodedata_core::{Error, ErrorKind, Files, InputFile, Locus, OpenOptions, Result, Source};
use nodedata_steps::Listing;

use self::{
    learned::{Conditions, DealText, Learned},
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
    let inputs = inputs(&*files)?;
    let conditions = Conditions {
        partition_bytes: options.partition_bytes,
        record_bytes_max: options.record_bytes_max,
        verify_checksums: options.verify_checksums,
        deal: options.deal.as_ref().map(DealText::new),
    };
    let record_files = RecordFiles::new(files, options);
    let learned = match Learned::fitting(options, &conditions, &inputs) {
        Some(learned) => learned,
        None => {
            let pass = Pass { files: &record_files, inputs: &inputs, options };
            Learned::new(conditions, &inputs, pass.run()?)
        }
    };
    let shards = Shards::of_names(&listing);
    if !learned.has_steps() {
        return Ok(Box::new(Samples::open(record_files, inputs, learned, shards.warnings, options)?));
    }
    let leaves = features::leaves(&learned.keys)?;
    let described = Described {
        shards,
        listing,
        files: record_files,
        leaves,
        labels: Vec::new(),
        facts: Default::default(),
        metadata: Default::default(),
        file: None,
        recipe: format!("types {}", learned.types_hash()),
        learned: Some(learned.to_text()),
    };
    Ok(Box::new(RldsSource::new(described.plan(options)?)))
}

fn inputs(files: &dyn Files) -> Result<Vec<InputFile>> {
    let mut paths = files.list()?;
    paths.sort_unstable();
    if paths.is_empty() {
        let message = "the input has no files";
        return Err(Error::new(ErrorKind::Config, message).with_hint("name a `.tfrecord` file"));
    }
    let input = |path: std::path::PathBuf| {
        let n_bytes = files.open(&path).map_err(|err| err.at(Locus::path(&path)))?.n_bytes();
        Ok(InputFile { path, n_bytes })
    };
    paths.into_iter().map(input).collect()
}
