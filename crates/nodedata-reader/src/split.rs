//! The episodes of a split in one stream.

mod depth;
mod episodes;
mod features;
mod pace;
mod video;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nodedata_core::{Error, ErrorKind, Fact, Feature, Locus, Result, StreamKind, suggest};
use nodedata_dataset::{EpisodeEntry, EpisodeTable};

pub use features::{FeatureInfo, MediaKind};

pub(crate) use depth::DepthFacts;
pub(crate) use episodes::{Episodes, Stretch};
pub(crate) use features::{Beside, Form, Pictures, VideoForm, dims_of, image_shape};
pub(crate) use video::{Group, VideoId, Videos};

use crate::{
    decode::Decoding,
    fields::{Field, Fields, FieldsRequest},
    place::Place,
    reader::Reader,
    shard::Shard,
};

/// The episodes of one split that have rows in one stream, in the order of the index and without those that are left out. Cheap to
/// clone, and shared by threads.
#[derive(Clone)]
pub struct Split(Arc<Inner>);

/// The number of the split that is opened next.
static NEXT: AtomicU64 = AtomicU64::new(0);

struct Inner {
    reader: Reader,
    /// A number that no other split of this process has, whatever it is of.
    unique: u64,
    name: Arc<str>,
    stream: Arc<str>,
    kind: StreamKind,
    episodes: Episodes,
    features: Vec<FeatureInfo>,
}

/// What is known of an episode without a row of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeInfo {
    /// Its stable key.
    pub key: String,
    /// Its position in the dataset.
    pub index: u64,
    /// Its rows in the stream.
    pub n_steps: u64,
    /// What was to be done, where the source says so.
    pub task: Option<String>,
    /// The input file that it comes from.
    pub source: String,
    /// What else the source says of it.
    pub metadata: BTreeMap<String, Fact>,
    /// Time of its first row by the source's own clock, in nanoseconds, where the stream has one.
    pub start_time_ns: Option<i64>,
    /// Time of its last row.
    pub end_time_ns: Option<i64>,
}

/// What tells an episode from the others, borrowed from the table of episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodeHead<'a> {
    /// Its stable key.
    pub key: &'a str,
    /// Its position in the dataset.
    pub index: u64,
    /// Its rows in the stream.
    pub n_steps: u64,
    /// What was to be done, where the source says so.
    pub task: Option<&'a str>,
}

impl Split {
    /// Finds the split.
    ///
    /// # Errors
    /// `Config` when there is no such split or stream; `Unsupported` when a column is nothing that a feature can be; `Corrupt`, `Io`,
    /// `Denied` when tables or the first shard cannot be read.
    pub(crate) fn open(reader: &Reader, name: &str, stream: &str) -> Result<Self> {
        let manifest = &reader.dataset().manifest;
        let unknown = |what: &str, found: &str, hint: String| {
            Error::new(ErrorKind::Config, format!("there is no {what} `{found}` in {}", reader.label()))
                .with_hint(hint)
        };
        if !manifest.splits.contains_key(name) && !manifest.shards.iter().any(|it| it.split == name) {
            let hint = suggest(name, manifest.splits.keys().map(String::as_str));
            return Err(unknown("split", name, hint));
        }
        let Some(entry) = manifest.streams.iter().find(|it| it.name == stream) else {
            let hint = suggest(stream, manifest.streams.iter().map(|it| it.name.as_str()));
            return Err(unknown("stream", stream, hint));
        };
        let episodes = Episodes::of(reader.table(), name, stream, &reader.excluded(name));
        let features = features_of(reader, stream, &episodes)?;
        Ok(Self(Arc::new(Inner {
            reader: reader.clone(),
            unique: NEXT.fetch_add(1, Ordering::Relaxed),
            name: name.into(),
            stream: stream.into(),
            kind: entry.kind(),
            episodes,
            features,
        })))
    }

    /// What it is a split of.
    pub fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// Whether its shards are files of this machine, which are mapped: then nothing need be fetched.
    pub fn is_mapped(&self) -> bool {
        self.0.reader.is_mapped()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The stream.
    pub fn stream(&self) -> &str {
        &self.0.stream
    }

    /// How many episodes there are.
    pub fn n_episodes(&self) -> usize {
        self.0.episodes.len()
    }

    /// Steps of all of them.
    pub fn n_steps(&self) -> u64 {
        self.0.episodes.n_steps()
    }

    /// Steps of each.
    pub fn lengths(&self) -> Vec<u64> {
        self.0.episodes.lengths()
    }

    /// What is known of an episode, by its position here.
    ///
    /// # Errors
    /// `Config` when there is no such episode; `Corrupt` or `Io` when the index cannot be read.
    pub fn episode(&self, idx: usize) -> Result<EpisodeInfo> {
        let table = self.0.reader.table();
        let (row, n_steps, entry) = self.entry(idx)?;
        // In the order of its rows, which lie in several shards where it is long.
        let mut parts = table_parts(table, row, &self.0.stream, self.0.episodes.parts(idx).len());
        let first = parts.next();
        Ok(EpisodeInfo {
            key: entry.key.to_owned(),
            index: entry.episode,
            n_steps,
            task: entry.task.map(str::to_owned),
            source: entry.source.to_owned(),
            metadata: table.metadata(row),
            start_time_ns: first.and_then(|it| it.0),
            end_time_ns: parts.last().or(first).and_then(|it| it.1),
        })
    }

    /// What tells an episode from the others, by its position here: of each step that is read, where [`Self::episode`] copies and parses all
    /// that the source says.
    ///
    /// # Errors
    /// `Config` when there is no such episode.
    pub fn head(&self, idx: usize) -> Result<EpisodeHead<'_>> {
        let (_, n_steps, entry) = self.entry(idx)?;
        Ok(EpisodeHead { key: entry.key, index: entry.episode, n_steps, task: entry.task })
    }

    /// The row of an episode in the table, its steps, and what stands there.
    fn entry(&self, idx: usize) -> Result<(usize, u64, EpisodeEntry<'_>)> {
        let found = self.0.episodes.table_row(idx).zip(self.0.episodes.length(idx));
        let entry = found.and_then(|(row, n_steps)| Some((row, n_steps, self.0.reader.table().get(row)?)));
        entry.ok_or_else(|| self.no_episode(idx))
    }

    /// Bytes of the shards that hold rows of it: what the size of a row is guessed from.
    pub fn shard_bytes(&self) -> u64 {
        let shards = &self.0.reader.dataset().manifest.shards;
        let bytes = |it: &usize| shards.get(*it).map_or(0, |it| it.bytes);
        self.0.episodes.shards().iter().map(bytes).sum()
    }

    /// Nanoseconds from one step to the next, where the schema says that there is one pace.
    pub fn step_ns(&self) -> Option<u64> {
        let step = (1e9 / self.told_fps()?).round();
        (step.is_finite() && 1.0 <= step).then_some(step as u64)
    }

    /// Whether a row is a sample of its own, and an episode no more than the file it came from.
    pub fn rows_are_samples(&self) -> bool {
        self.0.kind == StreamKind::Samples
    }

    /// What one row of the stream is.
    pub fn kind(&self) -> StreamKind {
        self.0.kind
    }

    /// The features of the stream, in the order of its columns.
    pub fn features(&self) -> &[FeatureInfo] {
        &self.0.features
    }

    /// Finds features by what is asked for.
    ///
    /// # Errors
    /// `Config` with every mistake.
    pub fn fields(&self, request: &FieldsRequest) -> Result<Fields> {
        request.find(&self.0.features)
    }

    pub(crate) fn stream_name(&self) -> &Arc<str> {
        &self.0.stream
    }

    pub(crate) fn episodes(&self) -> &Episodes {
        &self.0.episodes
    }

    pub(crate) fn unique(&self) -> u64 {
        self.0.unique
    }

    /// The position in the dataset of an episode of this split.
    pub(crate) fn episode_index(&self, idx: usize) -> Result<u64> {
        let table = self.0.reader.table();
        let entry = self.0.episodes.table_row(idx).and_then(|it| table.get(it));
        entry.map(|it| it.episode).ok_or_else(|| self.no_episode(idx))
    }

    /// Whether there are such steps.
    ///
    /// # Errors
    /// `Config` when there are not.
    pub(crate) fn check_steps(&self, episode: usize, steps: &Range<u64>) -> Result<()> {
        let n_steps = self.0.episodes.length(episode).ok_or_else(|| self.no_episode(episode))?;
        if steps.start <= steps.end && steps.end <= n_steps {
            return Ok(());
        }
        let message = format!(
            "steps {}..{} are asked of episode {episode} of `{}`, which has {n_steps}",
            steps.start, steps.end, self.0.name
        );
        Err(Error::new(ErrorKind::Config, message).with_hint("count steps from 0, the end not among them"))
    }

    fn no_episode(&self, idx: usize) -> Error {
        let message =
            format!("there is no episode {idx} in `{}`, which has {}", self.0.name, self.n_episodes());
        Error::new(ErrorKind::Config, message).with_hint("count episodes from 0")
    }
}

/// Times of the first and the last row of each part of an episode, from the row of the table that its first part is.
fn table_parts<'a>(
    table: &'a EpisodeTable,
    row: usize,
    stream: &'a str,
    n_parts: usize,
) -> impl Iterator<Item = (Option<i64>, Option<i64>)> + 'a {
    let first = table.get(row).map(|it| (it.episode, it.key, it.split));
    (row..table.len())
        .filter_map(|it| table.get(it))
        .filter(move |it| first == Some((it.episode, it.key, it.split)) && it.stream == Some(stream))
        .filter(|it| it.n_rows > 0)
        .take(n_parts)
        .map(|it| (it.start_time_ns, it.end_time_ns))
}

/// The features of a stream as its shards have them: those of the split, or of any other where it has none.
fn features_of(reader: &Reader, stream: &str, episodes: &Episodes) -> Result<Vec<FeatureInfo>> {
    let manifest = &reader.dataset().manifest;
    let of_split = episodes.shards().first().copied();
    let Some(idx) = of_split.or_else(|| manifest.shards.iter().position(|it| it.stream == stream)) else {
        return Ok(Vec::new());
    };
    let shard = reader.shards().get(idx).map_err(|err| reader.placed_unopened(err))?;
    let fields = shard.index.arrow().fields();
    let columns: Vec<String> = fields.iter().map(|it| it.name().clone()).collect();
    let beside = Beside { columns: &columns, has_video: manifest.index.contains_key("video") };
    let told = reader.schema().stream(stream);
    let mut features = Vec::with_capacity(fields.len());
    for field in fields {
        let feature = Feature::from_arrow(field).ok_or_else(|| {
            let message = format!("column `{}` has a type that no feature has", field.name());
            let at = Locus { feature: Some(field.name().clone()), ..Locus::path(&*shard.path) };
            reader.placed(Error::new(ErrorKind::Unsupported, message).at(at))
        })?;
        let told = told.and_then(|it| it.get(&feature.name));
        features.push(FeatureInfo::new(feature, told, &beside));
    }
    Ok(features)
}

impl Split {
    /// An error of this dataset in a shard, with the first row that lies where it happened.
    pub(crate) fn placed_at(&self, err: Error, shard: &Shard) -> Error {
        let row = err.locus().byte_offset.and_then(|it| shard.first_row_at(it));
        Place { shard: Some(shard.path.to_string()), row, ..self.0.reader.place() }.put_on(err)
    }

    /// The same of the first of some rows.
    pub(crate) fn placed_in(&self, err: Error, shard: &Shard, stretch: &Stretch) -> Error {
        let shard = Some(shard.path.to_string());
        let (row, step) = (Some(stretch.rows.start), Some(stretch.step));
        Place { shard, row, step, ..self.0.reader.place() }.put_on(err)
    }

    /// The same of a feature of an episode.
    pub(crate) fn placed_feature(&self, err: Error, episode: usize, feature: &str) -> Error {
        Place { feature: Some(feature.to_owned()), ..self.of_episode(episode) }.put_on(err)
    }

    /// A value of a feature.
    pub(crate) fn place(&self, episode: usize, shard: &Shard, row: u64, step: u64, feature: &str) -> Place {
        Place {
            shard: Some(shard.path.to_string()),
            row: Some(row),
            step: Some(step),
            feature: Some(feature.to_owned()),
            ..self.of_episode(episode)
        }
    }

    fn of_episode(&self, episode: usize) -> Place {
        let row = self.0.episodes.table_row(episode);
        let entry = row.and_then(|row| self.0.reader.table().get(row));
        Place {
            episode: entry.map(|it| it.episode),
            key: entry.map(|it| it.key.to_owned()),
            ..self.0.reader.place()
        }
    }
}

impl Decoding<'_> {
    /// An error at a row of a shard, which is one of a stretch.
    pub(crate) fn placed(
        &self,
        err: Error,
        shard: &Shard,
        row: u64,
        stretch: &Stretch,
        feature: &str,
    ) -> Error {
        let step = stretch.step + row.saturating_sub(stretch.rows.start);
        self.split.place(self.episode, shard, row, step, feature).put_on(err)
    }

    /// An error at a row of media.
    pub(crate) fn placed_at_row(
        &self,
        err: Error,
        row: Option<&crate::decode::MediaRow>,
        field: &Field,
    ) -> Error {
        match row {
            Some(it) => {
                self.split.place(self.episode, &it.shard, it.row, it.step, &field.info.name).put_on(err)
            }
            None => self.split.placed_feature(err, self.episode, &field.info.name),
        }
    }

    /// An error at a step.
    pub(crate) fn placed_step(&self, err: Error, step: u64, feature: &str) -> Error {
        let steps = step..step.saturating_add(1);
        let stretch = self.split.episodes().stretches(self.episode, steps).into_iter().next();
        let shard =
            stretch.and_then(|it| Some((self.split.reader().shards().get(it.shard).ok()?, it.rows.start)));
        match shard {
            Some((shard, row)) => self.split.place(self.episode, &shard, row, step, feature).put_on(err),
            None => self.split.placed_feature(err, self.episode, feature),
        }
    }
}

impl std::fmt::Debug for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Split")
            .field("reader", &self.0.reader)
            .field("name", &self.0.name)
            .field("stream", &self.0.stream)
            .field("n_episodes", &self.n_episodes())
            .finish_non_exhaustive()
    }
}

/// Keys that are left out.
pub(crate) type Excluded = BTreeMap<String, BTreeSet<String>>;
