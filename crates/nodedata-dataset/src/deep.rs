use std::collections::BTreeMap;

use arrow_array::{Array as _, ArrayRef, RecordBatch, cast::AsArray, types::Int64Type};
use nodedata_core::{
    EPISODE_INDEX, ErrorKind, Feature, Nested, Progress, Result, Storage, StreamId, StreamSchema,
};
use nodedata_media::Encoding;
use nodedata_schema::{RowPlace, Schema, SchemaCheck, Violations};
use rayon::prelude::*;

use crate::{
    deep_video::VideoWalk,
    entries::EpisodeEntry,
    logical_hash::{FieldHasher, episode_hash},
    manifest::ShardEntry,
    ranges::corrupt_rows,
    read::Dataset,
    verify::Validation,
};

/// Pictures and clips that cannot be decoded are named up to this number.
const MEDIA_NAMED: usize = 10;

/// Reads every row: content hashes against the index, values against the schema, frames by decoding them.
pub(crate) fn check_rows(
    dataset: &Dataset,
    schema: Option<&Schema>,
    streams: &BTreeMap<String, StreamSchema>,
    found: &mut Validation,
    progress: &dyn Progress,
) {
    let expected = match expected_contents(dataset) {
        Ok(expected) => expected,
        Err(err) => {
            found.add("unreadable-index", "index/episodes.parquet", err.chain(), "");
            return;
        }
    };
    let all: Vec<(&String, &StreamSchema)> = streams.iter().collect();
    let checked: Vec<_> = all
        .par_iter()
        .map(|(name, stream)| StreamWalk::new(dataset, stream, schema)?.walk(name, progress))
        .collect();
    for ((name, _), result) in all.iter().zip(checked) {
        match result {
            Ok(walked) => report(name, walked, &expected, found),
            Err(err) => {
                found.add("unreadable-rows", err.locus().to_string(), err.chain(), "restore the shard");
            }
        }
    }
}

type Contents = BTreeMap<(String, u64), [u8; 32]>;

fn expected_contents(dataset: &Dataset) -> Result<Contents> {
    let mut contents = Contents::new();
    for entry in dataset.episodes()? {
        if let (Some(stream), Some(content)) = (entry.stream, entry.content) {
            contents.insert((stream, entry.episode), content);
        }
    }
    Ok(contents)
}

fn report(name: &str, walked: Walked, expected: &Contents, found: &mut Validation) {
    const RESTORE: &str = "restore the dataset from a copy, or convert the source again";
    found.frames += walked.n_frames;
    found.clips += walked.n_clips;
    found.unchecked.extend(walked.unchecked.into_iter().map(|(at, why)| format!("{at}: {why}")));
    for (episode, hash) in &walked.contents {
        if expected.get(&(name.to_owned(), *episode)) != Some(hash) {
            let message =
                format!("the rows of episode {episode} have another content hash than the index says");
            found.add("content-mismatch", format!("topic {name}"), message, RESTORE);
        }
    }
    for violation in walked.violations.iter() {
        let hint = "change schema.json, or convert the source again";
        found.add("schema-violation", format!("topic {name}"), violation.to_string(), hint);
    }
    for (at, message) in walked.bad_frames {
        found.add(
            "undecodable-frame",
            at,
            message,
            "look at the frame in the source; it was kept byte for byte",
        );
    }
    for (at, message) in walked.bad_clips {
        let hint = "listen to the clip in the source; it was kept byte for byte";
        found.add("undecodable-clip", at, message, hint);
    }
}

#[derive(Default)]
struct Walked {
    contents: Vec<(u64, [u8; 32])>,
    violations: Violations,
    bad_frames: Vec<(String, String)>,
    n_bad_frames: usize,
    bad_clips: Vec<(String, String)>,
    n_bad_clips: usize,
    /// Clips that the decoder does not take.
    n_unsupported: usize,
    /// By feature.
    media: BTreeMap<String, Media>,
    unchecked: Vec<(String, String)>,
    n_frames: u64,
    n_clips: u64,
}

/// What the pictures and clips of a feature are, by their first bytes.
#[derive(Default)]
struct Media {
    n_pictures: usize,
    /// Clips of sound whose header was read.
    n_clips: usize,
    /// Bytes that begin like neither; the first of them are named.
    n_unknown: usize,
    unknown: Vec<Unknown>,
}

/// Bytes that are nothing known.
struct Unknown {
    at: String,
    n_bytes: usize,
    /// The first of them, for people.
    start: String,
}

impl Unknown {
    fn new(at: String, bytes: &[u8]) -> Self {
        let start = bytes[..bytes.len().min(8)].escape_ascii().to_string();
        Self { at, n_bytes: bytes.len(), start }
    }

    /// What is wrong with them where there should be a `medium`.
    fn told(&self, medium: &str) -> String {
        let start = &self.start;
        match self.n_bytes {
            0 => format!("is empty, where a {medium} should be"),
            n => format!("{n} bytes that begin with `{start}` are no {medium} of a coding that is known"),
        }
    }
}

impl Media {
    /// Beside pictures, bytes that are none are damage, and so they are beside clips of sound. Where a feature has nothing else,
    /// its coding is one that this build does not know, and nobody can tell.
    fn report(self, walked: &mut Walked) {
        let more = self.n_unknown - self.unknown.len();
        let (told, medium) = match (self.n_pictures, self.n_clips) {
            (0, 0) => (&mut walked.unchecked, "picture"),
            (0, _) => (&mut walked.bad_clips, "clip"),
            (_, _) => (&mut walked.bad_frames, "picture"),
        };
        let last = self.unknown.last().map(|it| it.at.clone());
        told.extend(self.unknown.into_iter().map(|it| {
            let message = it.told(medium);
            (it.at, message)
        }));
        if let Some(at) = last.filter(|_| 0 < more) {
            told.push((at, format!("{more} more of this feature are no {medium}s")));
        }
    }
}

/// One pass over the shards of a stream.
struct StreamWalk<'a> {
    dataset: &'a Dataset,
    stream: &'a StreamSchema,
    check: SchemaCheck,
    hashers: Vec<FieldHasher>,
    videos: VideoWalk,
    /// The episode being read, and how many of its rows came.
    current: Option<(u64, u64)>,
    /// The index of episodes, once a shard needed it.
    index: Option<Vec<EpisodeEntry>>,
    walked: Walked,
}

impl<'a> StreamWalk<'a> {
    fn new(dataset: &'a Dataset, stream: &'a StreamSchema, schema: Option<&Schema>) -> Result<Self> {
        let streams = std::slice::from_ref(stream);
        // A schema that speaks of other streams as well is a matter of the footers, which were checked.
        let check = schema.and_then(|it| SchemaCheck::new(&only(it, stream), streams).ok());
        let check = check.unwrap_or_else(|| SchemaCheck::undeclared(streams));
        let videos = VideoWalk::new(dataset, stream)?;
        let (hashers, walked) = (Vec::new(), Walked::default());
        Ok(Self { dataset, stream, check, hashers, videos, current: None, index: None, walked })
    }

    fn walk(mut self, name: &str, progress: &dyn Progress) -> Result<Walked> {
        for shard in self.dataset.manifest.shards.iter().filter(|it| it.stream == name) {
            let mut row = 0;
            for batch in self.dataset.shard(shard)? {
                let batch = batch?;
                self.batch(shard, &batch, row)?;
                let n_rows = batch.num_rows() as u64;
                progress.advanced(shard.share_of(row, n_rows), n_rows);
                row += n_rows;
            }
        }
        self.end_episode();
        for media in std::mem::take(&mut self.walked.media).into_values() {
            media.report(&mut self.walked);
        }
        Ok(self.walked)
    }

    /// Takes a batch apart into its episodes: by the column that says so or, in shards that others wrote
    /// without it, by the index.
    fn batch(&mut self, shard: &ShardEntry, batch: &RecordBatch, first_row: u64) -> Result<()> {
        let at = batch.schema_ref().index_of(EPISODE_INDEX).ok();
        let column = at.and_then(|it| batch.column(it).as_primitive_opt::<Int64Type>());
        let episodes: Vec<i64> = match column {
            Some(column) => column.values().to_vec(),
            None => self.indexed_episodes(shard, first_row, batch.num_rows())?,
        };
        let columns: Vec<usize> = (0..batch.num_columns()).filter(|it| Some(*it) != at).collect();
        let rows = batch.project(&columns).map_err(|err| corrupt_rows(&shard.path, err))?;
        let mut start = 0;
        while start < rows.num_rows() {
            let episode = episodes[start];
            let n_rows = episodes[start..].iter().take_while(|it| **it == episode).count();
            self.rows(shard, episode as u64, rows.slice(start, n_rows), first_row + start as u64);
            start += n_rows;
        }
        Ok(())
    }

    /// The episode of each of `n_rows` rows of a shard, as the index says, which is read once a stream, and only when it is
    /// needed.
    fn indexed_episodes(&mut self, shard: &ShardEntry, first_row: u64, n_rows: usize) -> Result<Vec<i64>> {
        let index = match self.index.take() {
            Some(index) => index,
            None => self.dataset.episodes()?,
        };
        let mut episodes = vec![-1; n_rows];
        let is_here = |it: &&EpisodeEntry| {
            self.dataset.manifest.shards.get(it.shard).is_some_and(|it| it.path == shard.path)
        };
        for entry in index.iter().filter(is_here) {
            let end = entry.row.saturating_add(entry.n_rows).min(first_row + n_rows as u64);
            for row in entry.row.max(first_row)..end {
                // Both lie inside the batch.
                episodes[(row - first_row) as usize] = entry.episode as i64;
            }
        }
        self.index = Some(index);
        Ok(episodes)
    }

    fn rows(&mut self, shard: &ShardEntry, episode: u64, rows: RecordBatch, row: u64) {
        if self.current.map(|(it, _)| it) != Some(episode) {
            self.end_episode();
            self.hashers = self.stream.features.iter().map(FieldHasher::new).collect();
            self.current = Some((episode, 0));
        }
        for (hasher, column) in self.hashers.iter_mut().zip(rows.columns()) {
            hasher.update(column.as_ref());
        }
        for (feature, column) in self.stream.features.iter().zip(rows.columns()) {
            if feature.storage == Storage::EncodedMedia {
                self.media(shard, feature, column, row);
            }
        }
        self.videos.rows(episode, &rows);
        if let Some((_, n_rows)) = &mut self.current {
            let place = RowPlace { episode, first_row: *n_rows };
            *n_rows += rows.num_rows() as u64;
            if let Err(broken) = self.check.rows(StreamId(0), rows, &[], place) {
                self.walked.violations.merge(broken);
            }
        }
    }

    /// Decodes every JPEG, PNG, FLAC and WAV. Other codings have no decoder in this build and are passed over; bytes that are no
    /// picture and no clip at all are noted.
    fn media(&mut self, shard: &ShardEntry, feature: &Feature, column: &ArrayRef, first_row: u64) {
        let nested = Nested::of(column);
        let Some(bytes) = nested.values.as_binary_opt::<i32>() else { return };
        let valid = nested.items.last().and_then(|it| it.valid.as_ref());
        let looked_at: Vec<Look> = (0..bytes.len())
            .into_par_iter()
            .map(|idx| match valid.is_none_or(|it| it.is_valid(idx)) {
                true => Look::at(bytes.value(idx)),
                false => Look::Absent,
            })
            .collect();
        let place = |idx: usize| {
            let (row, place) = nested.place_of(idx);
            let place: String = place.iter().map(|it| format!("[{it}]")).collect();
            format!("{}, row {}, feature `{}{place}`", shard.path, first_row + row as u64, feature.name)
        };
        let walked = &mut self.walked;
        let media = walked.media.entry(feature.name.clone()).or_default();
        for (idx, look) in looked_at.into_iter().enumerate() {
            media.n_pictures += usize::from(matches!(look, Look::Picture(_)));
            media.n_clips += usize::from(matches!(look, Look::Clip(_)));
            match look {
                Look::Absent | Look::Other | Look::Picture(Decoded::Passed) | Look::Clip(Decoded::Passed) => {
                }
                Look::Picture(Decoded::Whole) => walked.n_frames += 1,
                Look::Clip(Decoded::Whole) => walked.n_clips += 1,
                Look::Picture(Decoded::Unsupported(why)) | Look::Clip(Decoded::Unsupported(why)) => {
                    walked.n_unsupported += 1;
                    if walked.n_unsupported <= MEDIA_NAMED {
                        walked.unchecked.push((place(idx), why));
                    }
                }
                Look::Picture(Decoded::Broken(why)) => {
                    walked.n_bad_frames += 1;
                    if walked.n_bad_frames <= MEDIA_NAMED {
                        walked.bad_frames.push((place(idx), why));
                    }
                }
                Look::Clip(Decoded::Broken(why)) => {
                    walked.n_bad_clips += 1;
                    if walked.n_bad_clips <= MEDIA_NAMED {
                        walked.bad_clips.push((place(idx), why));
                    }
                }
                Look::Unknown => {
                    media.n_unknown += 1;
                    if media.n_unknown <= MEDIA_NAMED {
                        media.unknown.push(Unknown::new(place(idx), bytes.value(idx)));
                    }
                }
            }
        }
    }

    fn end_episode(&mut self) {
        let Some((episode, _)) = self.current.take() else { return };
        let names = self.stream.features.iter().map(|it| it.name.as_str());
        let hashes: Vec<_> = names.zip(self.hashers.drain(..).map(FieldHasher::finish)).collect();
        self.walked.contents.push((episode, episode_hash(&hashes)));
        let watched = self.videos.end_episode();
        self.walked.n_frames += watched.n_frames;
        self.walked.bad_frames.extend(watched.bad);
        self.walked.unchecked.extend(watched.unchecked);
    }
}

/// What the bytes of a medium turned out to be.
enum Look {
    Absent,
    Picture(Decoded),
    Clip(Decoded),
    /// Video as a file, or sound whose header is not read here. There are codings of those that nobody knows here, so what stands
    /// beside it may be one.
    Other,
    /// Nothing known by its first bytes.
    Unknown,
}

/// What came of decoding a medium.
enum Decoded {
    Whole,
    /// This build has no decoder for the coding.
    Passed,
    /// The decoder does not take this one, and says why.
    Unsupported(String),
    Broken(String),
}

impl Look {
    fn at(frame: &[u8]) -> Self {
        match nodedata_media::sniff(frame) {
            Some(Encoding::Jpeg | Encoding::Png) => match nodedata_media::decode_image(frame) {
                Ok(_) => Self::Picture(Decoded::Whole),
                Err(err) => Self::Picture(Decoded::Broken(err.chain())),
            },
            Some(_) => Self::Picture(Decoded::Passed),
            None if nodedata_media::sniff_clip(frame).is_some() => Self::at_clip(frame),
            None => Self::Unknown,
        }
    }

    fn at_clip(clip: &[u8]) -> Self {
        match nodedata_media::check_audio(clip) {
            Ok(true) => Self::Clip(Decoded::Whole),
            Ok(false) if nodedata_media::audio_header(clip).is_some() => Self::Clip(Decoded::Passed),
            Ok(false) => Self::Other,
            Err(err) if err.kind() == ErrorKind::Unsupported => Self::Clip(Decoded::Unsupported(err.chain())),
            Err(err) => Self::Clip(Decoded::Broken(err.chain())),
        }
    }
}

/// The part of a schema that speaks of one stream.
fn only(schema: &Schema, stream: &StreamSchema) -> Schema {
    let mut part = schema.clone();
    part.streams.retain(|name, _| **name == *stream.name);
    if *stream.name != *nodedata_core::STEPS {
        part.fields = Default::default();
    }
    part
}
