//! Everything known before rows are read: columns, shards, the records that framing finds in them, and the pieces that large
//! ones are read in.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    Attachment, DatasetFacts, EpisodeFacts, EpisodeInfo, Error, ErrorKind, Files, Finding, FindingKind,
    Findings, InputFile, InputRange, Locus, OpenOptions, Partition, Result, SourcePlan, StreamId, StreamKind,
    StreamSchema, Unpacked,
};
use nodedata_steps::{Listing, STEPS, in_episode};
use rayon::prelude::*;

use crate::{
    attached::Attached,
    columns::columns,
    container::{Container, Frame, Frames, RecordFiles},
    cuts::CutRecord,
    episode_keys::EpisodeKeys,
    features::{self, FeatureTree, Leaf},
    info::DatasetInfo,
    look::{Look, look},
    metadata::{self, DATASET_INFO, FEATURES, MARKER, is_beside},
    options::episode_key,
    reading::Reading,
    shards::{Shard, Shards},
    tfrecord::{FRAMING_BYTES, empty_file, lost},
    view::PartOfRecord,
};

/// A planned dataset.
pub(crate) struct Plan {
    /// What others are told.
    pub(crate) told: SourcePlan,
    pub(crate) reading: Reading,
    listing: Listing,
    /// Files with the names of classes.
    labels: Vec<String>,
    /// See [`Described::file`].
    file: Option<&'static str>,
    /// The files that decide every row: that one, and the names of classes.
    deciding: Vec<InputRange>,
    /// See [`Described::recipe`].
    recipe: String,
    /// By partition.
    pub(crate) parts: Vec<Part>,
}

/// What a partition reads.
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) container: Container,
    pub(crate) frame: Frame,
    /// Which piece of a record it is; `None` for all of it.
    pub(crate) piece: Option<(Arc<CutRecord>, usize)>,
}

/// A shard, and what is known of each of its records.
struct Walked {
    frames: Frames,
    looks: Vec<Result<Option<Look>>>,
}

/// What is known of a dataset before its shards are looked at.
pub(crate) struct Described {
    pub(crate) listing: Listing,
    /// Where its records are read, by whoever has looked at them already as well: what is packed is unpacked once.
    pub(crate) files: Arc<RecordFiles>,
    pub(crate) shards: Shards,
    pub(crate) leaves: Vec<Leaf>,
    /// Files with the names of classes.
    pub(crate) labels: Vec<String>,
    pub(crate) facts: DatasetFacts,
    /// Of the stream.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The file that says what the features are; `None` where they were learned.
    pub(crate) file: Option<&'static str>,
    /// What else decides all rows, in the recipes of partitions.
    pub(crate) recipe: String,
    /// See [`SourcePlan::learned`].
    pub(crate) learned: Option<String>,
}

/// Opens a dataset: reads its metadata and walks its shards. Without `salvage` the first damage is the error.
///
/// # Errors
/// See [`nodedata_core::Format::open`].
pub(crate) fn plan(files: Arc<dyn Files>, options: &OpenOptions) -> Result<Plan> {
    let listing = Listing::new(files, &MARKER)?;
    let (features, tree): (String, FeatureTree) = metadata::read(&listing, FEATURES, options)?;
    let info = match listing.has(DATASET_INFO) {
        true => metadata::read::<DatasetInfo>(&listing, DATASET_INFO, options)?.1,
        false => DatasetInfo::default(),
    };
    let within = |name: &str| Locus::path(listing.path(name));
    let container = info.container().map_err(|err| err.at(within(DATASET_INFO)))?;
    let leaves = tree.root().and_then(|root| features::leaves(&root));
    let mut leaves = leaves.map_err(|err| err.at(within(FEATURES)))?;
    let labels = features::with_labels(&mut leaves, &listing, options)?;
    let described = Described {
        files: Arc::new(RecordFiles::new(Arc::clone(listing.files()), options)),
        shards: Shards::of(&listing, &info, container)?,
        listing,
        leaves,
        labels,
        facts: info.facts(),
        metadata: stream_metadata(&info, &features),
        file: Some(FEATURES),
        recipe: String::new(),
        learned: None,
    };
    described.plan(options)
}

impl Described {
    /// Walks the shards.
    ///
    /// # Errors
    /// As [`plan`].
    pub(crate) fn plan(self, options: &OpenOptions) -> Result<Plan> {
        let Self { listing, files, shards, mut leaves, labels, facts, metadata, file, recipe, learned } =
            self;
        let place = file.or(shards.found.first().map(|it| it.name.as_str())).map(|it| listing.path(it));
        let within = |err: Error| err.at(place.as_ref().map(Locus::path).unwrap_or_default());
        let (columns, unselected) = columns(&mut leaves, options).map_err(within)?;
        let key = episode_key(&leaves, options).map_err(within)?;
        let stream = StreamSchema {
            id: STEPS,
            name: nodedata_core::STEPS.into(),
            kind: StreamKind::Steps,
            features: columns.iter().map(|it| it.feature.clone()).collect(),
            metadata,
        };
        let told = SourcePlan { facts, streams: vec![stream], unselected, learned, ..SourcePlan::default() };
        let reading = Reading::new(files, leaves, columns, options);
        let mut plan =
            Plan { told, reading, listing, labels, file, deciding: Vec::new(), recipe, parts: Vec::new() };
        plan.add_episodes(shards, EpisodeKeys::of(key), options)?;
        Ok(plan)
    }
}

/// What the dataset says that has no place of its own.
fn stream_metadata(info: &DatasetInfo, features: &str) -> BTreeMap<String, String> {
    let facts =
        [("tfds:name", info.name.as_str()), ("tfds:config", &info.config_name), ("tfds:features", features)];
    let told = facts.into_iter().filter(|it| !it.1.is_empty());
    told.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Plan {
    fn add_episodes(&mut self, shards: Shards, mut keys: EpisodeKeys, options: &OpenOptions) -> Result<()> {
        let mut findings = Findings::default();
        let damaged = |err: Error, findings: &mut Findings| match options.salvage {
            true => {
                let name = |it: StreamId| (it == STEPS).then(|| nodedata_core::STEPS.to_owned());
                findings.push(Finding::new(FindingKind::Damage, &err, name));
                Ok(())
            }
            false => Err(err),
        };
        let Shards { found, missing, warnings } = shards;
        missing.into_iter().try_for_each(|it| damaged(it, &mut findings))?;
        warnings.into_iter().for_each(|it| findings.push(it));
        let inputs = self.add_inputs(&found)?;
        let is_asked = options.episode_facts || keys.are_told();
        let walked: Vec<Result<Walked>> =
            found.par_iter().map(|it| self.walk(it, is_asked, options.partition_bytes)).collect();
        for ((shard, input), walked) in found.iter().zip(inputs).zip(walked) {
            let path = self.told.inputs[input].path.clone();
            let Walked { frames, looks } = walked?;
            let is_sound = frames.damage.is_empty();
            for err in frames.damage {
                damaged(err.at(Locus::path(&path)), &mut findings)?;
            }
            let n_found = frames.records.len() as u64;
            if self.told.learned.is_some() && self.told.inputs[input].n_bytes == 0 {
                damaged(empty_file().at(Locus::path(&path)), &mut findings)?;
            }
            if let Some(n_told) = shard.n_told.filter(|it| is_sound && *it != n_found) {
                let n_bytes = self.told.inputs[input].n_bytes;
                damaged(miscounted(n_found, n_told, n_bytes).at(Locus::path(&path)), &mut findings)?;
            }
            for (record, (frame, look)) in frames.records.into_iter().zip(looks).enumerate() {
                let episode = self.told.episodes.len() as u64;
                let at = frame.byte_range.start;
                let place = Locus { byte_offset: Some(at), ..in_episode(&path, episode) };
                let look = match look {
                    Ok(look) => look,
                    Err(err) if err.kind() == ErrorKind::Io => return Err(err.at(place)),
                    Err(err) => {
                        let err = lost(err, frame.byte_range.clone(), "damaged_record").at(place);
                        damaged(err, &mut findings)?;
                        continue;
                    }
                };
                let facts = look.as_ref().map(|it| &it.told.facts);
                let Some(key) = keys.key(&shard.name, record, facts, &place)? else {
                    let err = lost(keys.none(&place), frame.byte_range.clone(), "unnamed_episode");
                    damaged(err, &mut findings)?;
                    continue;
                };
                self.add_record(shard, input, key, &frame, look, &mut findings);
            }
        }
        self.told.findings = findings.into_vec();
        Ok(())
    }

    /// Takes in every file that decides a row, in order of its path; returns the positions of the shards.
    fn add_inputs(&mut self, shards: &[Shard]) -> Result<Vec<usize>> {
        let metadata = self.file.into_iter().chain([DATASET_INFO]).filter(|it| self.listing.has(it));
        let labels = self.labels.iter().map(String::as_str);
        let shard_names = shards.iter().map(|it| it.name.as_str());
        let mut names: Vec<&str> = metadata.chain(labels).chain(shard_names).collect();
        names.sort_unstable();
        for name in &names {
            let n_bytes = self.listing.open(name)?.n_bytes();
            self.told.inputs.push(InputFile { path: self.listing.path(name), n_bytes });
        }
        let beside =
            self.listing.names().filter(|it| is_beside(it) && !self.labels.iter().any(|label| label == it));
        self.told.beside = beside.map(|it| self.listing.path(it)).collect();
        let position = |name: &str| names.partition_point(|it| *it < name);
        let deciding = self.file.into_iter().chain(self.labels.iter().map(String::as_str));
        self.deciding = deciding.map(|it| InputRange::whole(position(it))).collect();
        Ok(shards.iter().map(|it| position(&it.name)).collect())
    }

    /// Finds the records of a shard, and looks into those that have to be looked into.
    fn walk(&self, shard: &Shard, is_asked: bool, partition_bytes: u64) -> Result<Walked> {
        let path = self.listing.path(&shard.name);
        let mut file = self.reading.files.open(&path, shard.container)?;
        let is_read_now = is_asked || self.reading.keys.may_have_attached();
        let frames = file.walk(is_read_now).map_err(|err| err.at(Locus::path(&path)))?;
        let look = |it: &Frame| look(&self.reading, &file, it, partition_bytes, is_asked);
        // Those of a chunk one after the other: it is unpacked once, however many others are at the same time.
        let chunks: Vec<&[Frame]> = frames.records.chunk_by(Frame::shares_chunk).collect();
        let looks: Vec<Vec<_>> = chunks
            .into_par_iter()
            .map(|some| {
                let _held = some.first().and_then(|it| file.hold(it));
                some.iter().map(look).collect::<Vec<_>>()
            })
            .collect();
        Ok(Walked { frames, looks: looks.into_iter().flatten().collect() })
    }

    /// An episode for a record, and a partition for each piece of it.
    fn add_record(
        &mut self,
        shard: &Shard,
        input: usize,
        key: String,
        frame: &Frame,
        look: Option<Look>,
        findings: &mut Findings,
    ) {
        let (told, cut, attached) = look.map_or_else(Default::default, |it| (it.told, it.cut, it.attached));
        let path = self.told.inputs[input].path.clone();
        for (attached, byte_range) in attached {
            let unpacked = match byte_range {
                None => Some(self.unpacked(&path, shard.container, frame, &attached)),
                Some(_) => None,
            };
            let byte_range = byte_range.unwrap_or_else(|| frame.byte_range.clone());
            self.told.attachments.push(Attachment {
                episode: self.told.episodes.len(),
                unpacked,
                content: InputRange { input, byte_range },
                name: attached.name,
                media_type: attached.media_type,
                log_time_ns: 0,
                create_time_ns: 0,
            });
        }
        let place = Locus {
            byte_offset: Some(frame.byte_range.start),
            ..in_episode(&path, self.told.episodes.len() as u64)
        };
        if cut.is_some() {
            // Of a record that is read whole, reading tells them.
            told.warnings_at(&place).for_each(|it| findings.push(it));
        }
        let n_bytes = match &cut {
            // That of a record itself, where the frame has the mean of several.
            Some(cut) => cut.n_bytes().saturating_add(FRAMING_BYTES),
            None => frame.decoded_bytes(),
        };
        let part =
            |piece| Part { path: path.clone(), container: shard.container, frame: frame.clone(), piece };
        match &cut {
            None => {
                self.add_partition(input, frame, n_bytes, String::new());
                self.parts.push(part(None));
            }
            Some(cut) => {
                let n_before =
                    |step: u64| (u128::from(n_bytes) * u128::from(step) / u128::from(cut.n_steps())) as u64;
                for (idx, steps) in cut.pieces().enumerate() {
                    let n_bytes = n_before(steps.end) - n_before(steps.start);
                    let recipe = format!("steps {}..{}", steps.start, steps.end);
                    self.add_partition(input, frame, n_bytes, recipe);
                    self.parts.push(part(Some((Arc::clone(cut), idx))));
                }
            }
        }
        let EpisodeFacts { task, metadata } = told.facts;
        self.told.episodes.push(EpisodeInfo {
            key,
            input,
            task,
            split: shard.split.clone(),
            metadata: metadata.into_iter().map(|(name, fact)| (name.into(), fact)).collect(),
        });
    }

    /// A value of a record that does not lie in its file as it is.
    fn unpacked(&self, path: &Path, container: Container, frame: &Frame, it: &Attached) -> Unpacked {
        let files = Arc::clone(&self.reading.files);
        let (path, frame, place) = (path.to_owned(), frame.clone(), it.place.clone());
        Unpacked(Arc::new(PartOfRecord { files, path, container, frame, place }))
    }

    /// A partition of the next episode.
    fn add_partition(&mut self, input: usize, frame: &Frame, decoded_bytes: u64, recipe: String) {
        let own = InputRange { input, byte_range: frame.byte_range.clone() };
        let recipe = match (self.recipe.as_str(), recipe.as_str()) {
            ("", _) => recipe,
            (all, "") => all.to_owned(),
            (all, own) => format!("{all}, {own}"),
        };
        self.told.partitions.push(Partition {
            episode: self.told.episodes.len(),
            reads: std::iter::once(own).chain(self.deciding.iter().cloned()).collect(),
            decoded_bytes,
            recipe,
            ..Partition::default()
        });
    }
}

/// A file that ends between two records looks whole but for the metadata.
fn miscounted(n_found: u64, n_told: u64, n_bytes: u64) -> Error {
    let found =
        if n_bytes == 0 { "the file is empty".to_owned() } else { format!("the file has {n_found} records") };
    let message = format!("{found}, but `{DATASET_INFO}` says {n_told}");
    lost(Error::new(ErrorKind::Corrupt, message), n_bytes..n_bytes, "miscounted")
}
