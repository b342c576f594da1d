//! Everything known before a record is read: columns, shards, and the records that framing finds in them.

use std::{collections::BTreeMap, sync::Arc};

use nodedata_core::{
    EpisodeInfo, Error, ErrorKind, Files, Finding, FindingKind, Findings, InputFile, InputRange, Layout,
    LeafId, Locus, OpenOptions, Partition, Result, SourcePlan, StreamId, StreamKind, StreamSchema,
};
use nodedata_steps::{Listing, STEPS};

use crate::{
    columns::{Column, columns, layout},
    container::{Container, Frame, RecordFiles},
    dataset_info::DatasetInfo,
    features::{self, Node},
    metadata::{self, DATASET_INFO, FEATURES, MARKER},
    record::Keys,
    shards::{Shard, shards},
    tfrecord::lost,
};

/// A planned dataset.
pub(crate) struct Plan {
    /// What others are told.
    pub(crate) told: SourcePlan,
    pub(crate) listing: Listing,
    pub(crate) keys: Keys,
    pub(crate) columns: Vec<Column>,
    pub(crate) layout: Arc<Layout>,
    /// By column of the layout: the leaf.
    pub(crate) places: Vec<(usize, LeafId)>,
    /// By partition: its record.
    pub(crate) records: Vec<Frame>,
    pub(crate) record_files: RecordFiles,
}

/// Opens a dataset: reads its metadata and walks its shards. Without `salvage` the first damage is the error.
///
/// # Errors
/// See [`nodedata_core::Format::open`].
pub(crate) fn plan(files: Arc<dyn Files>, options: &OpenOptions) -> Result<Plan> {
    let listing = Listing::new(files, &MARKER)?;
    let (features, root): (String, Node) = metadata::read(&listing, FEATURES, options)?;
    let info = match listing.has(DATASET_INFO) {
        true => metadata::read::<DatasetInfo>(&listing, DATASET_INFO, options)?.1,
        false => DatasetInfo::default(),
    };
    let within = |name: &str| Locus::path(listing.path(name));
    info.check().map_err(|err| err.at(within(DATASET_INFO)))?;
    let leaves = features::leaves(&root).map_err(|err| err.at(within(FEATURES)))?;
    let (columns, unselected) = columns(&leaves, options).map_err(|err| err.at(within(FEATURES)))?;
    let (layout, places) = layout(&columns);
    let stream = StreamSchema {
        id: STEPS,
        name: nodedata_core::STEPS.into(),
        kind: StreamKind::Steps,
        features: columns.iter().map(|it| it.feature.clone()).collect(),
        metadata: stream_metadata(&info, &features),
    };
    let told = SourcePlan { facts: info.facts(), streams: vec![stream], unselected, ..SourcePlan::default() };
    let record_files = RecordFiles::new(Arc::clone(listing.files()), options);
    let mut plan = Plan {
        told,
        listing,
        keys: Keys::new(leaves),
        columns,
        layout,
        places,
        records: Vec::new(),
        record_files,
    };
    plan.add_episodes(&info, options)?;
    Ok(plan)
}

/// What the dataset says that has no place of its own.
fn stream_metadata(info: &DatasetInfo, features: &str) -> BTreeMap<String, String> {
    let facts =
        [("tfds:name", info.name.as_str()), ("tfds:config", &info.config_name), ("tfds:features", features)];
    let told = facts.into_iter().filter(|it| !it.1.is_empty());
    told.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Plan {
    fn add_episodes(&mut self, info: &DatasetInfo, options: &OpenOptions) -> Result<()> {
        let mut findings = Findings::default();
        let mut damaged = |err: Error| match options.salvage {
            true => {
                let name = |it: StreamId| (it == STEPS).then(|| nodedata_core::STEPS.to_owned());
                findings.push(Finding::new(FindingKind::Damage, &err, name));
                Ok(())
            }
            false => Err(err),
        };
        let (shards, missing) = shards(&self.listing, info);
        missing.into_iter().try_for_each(&mut damaged)?;
        let inputs = self.add_inputs(&shards)?;
        let mut unknown = Vec::new();
        for (shard, input) in shards.iter().zip(inputs) {
            let path = self.listing.path(&shard.name);
            let file = self.record_files.open(&path, Container::TfRecord)?;
            let frames = file.walk().map_err(|err| err.at(Locus::path(&path)))?;
            let is_sound = frames.damage.is_empty();
            for err in frames.damage {
                damaged(err.at(Locus::path(&path)))?;
            }
            let n_found = frames.records.len() as u64;
            if let Some(n_told) = shard.n_told.filter(|it| is_sound && *it != n_found) {
                damaged(miscounted(n_found, n_told, self.told.inputs[input].n_bytes).at(Locus::path(&path)))?;
            }
            if shard.n_told.is_none() {
                unknown.push(path);
            }
            self.add_records(shard, input, frames.records);
        }
        if let (Some(first), false) = (unknown.first(), info.splits.is_empty()) {
            let message = format!(
                "`{DATASET_INFO}` does not count the records of {} files, the first of them this one; what they hold is read",
                unknown.len()
            );
            findings.push(Finding::warning(message, Locus::path(first)));
        }
        self.told.findings = findings.into_vec();
        Ok(())
    }

    /// Takes in every file that decides a row, in order of its path; returns the positions of the shards.
    fn add_inputs(&mut self, shards: &[Shard]) -> Result<Vec<usize>> {
        let metadata = [FEATURES, DATASET_INFO].into_iter().filter(|it| self.listing.has(it));
        let mut names: Vec<&str> = metadata.chain(shards.iter().map(|it| it.name.as_str())).collect();
        names.sort_unstable();
        for name in &names {
            let n_bytes = self.listing.open(name)?.n_bytes();
            self.told.inputs.push(InputFile { path: self.listing.path(name), n_bytes });
        }
        Ok(shards.iter().map(|it| names.partition_point(|name| *name < it.name.as_str())).collect())
    }

    /// An episode for each record.
    fn add_records(&mut self, shard: &Shard, input: usize, records: Vec<Frame>) {
        let features = self.listing.path(FEATURES);
        let features = self.told.inputs.iter().position(|it| it.path == features);
        for (idx, record) in records.into_iter().enumerate() {
            let reads = std::iter::once(InputRange { input, byte_range: record.byte_range.clone() });
            self.told.partitions.push(Partition {
                episode: self.told.episodes.len(),
                reads: reads.chain(features.map(InputRange::whole)).collect(),
                decoded_bytes: record.byte_range.end - record.byte_range.start,
                ..Partition::default()
            });
            self.told.episodes.push(EpisodeInfo {
                key: format!("{}#{idx}", shard.name),
                input,
                split: shard.split.clone(),
                ..EpisodeInfo::default()
            });
            self.records.push(record);
        }
    }
}

/// A file that ends between two records looks whole but for the metadata.
fn miscounted(n_found: u64, n_told: u64, n_bytes: u64) -> Error {
    let message = format!("the file has {n_found} records, but `{DATASET_INFO}` says {n_told}");
    lost(Error::new(ErrorKind::Corrupt, message), n_bytes..n_bytes, "miscounted")
}
