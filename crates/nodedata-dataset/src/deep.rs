use std::collections::BTreeMap;

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use nodedata_core::{EPISODE_INDEX, Progress, Result, Storage, StreamId, StreamSchema};
use nodedata_schema::{RowPlace, Schema, SchemaCheck, Violations};
use rayon::prelude::*;

use crate::{
    deep_media::{MediaWalk, Seen},
    deep_video::VideoWalk,
    episode_table::{EpisodeEntry, EpisodeTable},
    logical_hash::{FieldHasher, episode_hash},
    manifest::ShardEntry,
    ranges::corrupt_rows,
    read::Dataset,
    verify::Validation,
};

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
    for entry in dataset.episodes()?.iter() {
        if let (Some(stream), Some(content)) = (entry.stream, entry.content) {
            contents.insert((stream.to_owned(), entry.episode), content);
        }
    }
    Ok(contents)
}

fn report(name: &str, walked: Walked, expected: &Contents, found: &mut Validation) {
    const RESTORE: &str = "restore the dataset from a copy, or convert the source again";
    let media = walked.media;
    found.frames += media.n_frames;
    found.clips += media.n_clips;
    found.unchecked.extend(media.unchecked.into_iter().map(|(at, why)| format!("{at}: {why}")));
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
    for (at, message) in media.bad_frames {
        found.add(
            "undecodable-frame",
            at,
            message,
            "look at the frame in the source; it was kept byte for byte",
        );
    }
    for (at, message) in walked.mismatched {
        found.add("index-mismatch", at, message, RESTORE);
    }
    for (at, message) in media.bad_clips {
        let hint = "listen to the clip in the source; it was kept byte for byte";
        found.add("undecodable-clip", at, message, hint);
    }
}

#[derive(Default)]
struct Walked {
    contents: Vec<(u64, [u8; 32])>,
    violations: Violations,
    media: Seen,
    /// Where, and what the index says otherwise than the rows.
    mismatched: Vec<(String, String)>,
}

/// One pass over the shards of a stream.
struct StreamWalk<'a> {
    dataset: &'a Dataset,
    stream: &'a StreamSchema,
    check: SchemaCheck,
    hashers: Vec<FieldHasher>,
    media: MediaWalk,
    videos: VideoWalk,
    /// The episode being read, and how many of its rows came.
    current: Option<(u64, u64)>,
    /// The index of episodes, once a shard needed it.
    index: Option<EpisodeTable>,
    walked: Walked,
}

impl<'a> StreamWalk<'a> {
    fn new(dataset: &'a Dataset, stream: &'a StreamSchema, schema: Option<&Schema>) -> Result<Self> {
        let streams = std::slice::from_ref(stream);
        // A schema that speaks of other streams as well is a matter of the footers, which were checked.
        let check = schema.and_then(|it| SchemaCheck::new(&only(it, stream), streams).ok());
        let check = check.unwrap_or_else(|| SchemaCheck::undeclared(streams));
        let videos = VideoWalk::new(dataset, stream)?;
        let (hashers, media, walked) = (Vec::new(), MediaWalk::default(), Walked::default());
        Ok(Self { dataset, stream, check, hashers, media, videos, current: None, index: None, walked })
    }

    fn walk(mut self, name: &str, progress: &dyn Progress) -> Result<Walked> {
        for shard in self.dataset.manifest.shards.iter().filter(|it| it.stream == name) {
            let mut row = 0;
            for batch in self.dataset.shard(shard)? {
                progress.go_on()?;
                let batch = batch?;
                self.batch(shard, &batch, row)?;
                let n_rows = batch.num_rows() as u64;
                progress.advanced(shard.share_of(row, n_rows), n_rows);
                row += n_rows;
            }
        }
        self.end_episode();
        // What the video told is there already.
        let Seen { n_frames, n_clips, bad_frames, bad_clips, unchecked } = self.media.finish();
        let media = &mut self.walked.media;
        media.n_frames += n_frames;
        media.n_clips += n_clips;
        media.bad_frames.extend(bad_frames);
        media.bad_clips.extend(bad_clips);
        media.unchecked.extend(unchecked);
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
        let is_here = |it: &EpisodeEntry<'_>| {
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
                self.media.rows(&shard.path, &feature.name, column, row);
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

    fn end_episode(&mut self) {
        let Some((episode, _)) = self.current.take() else { return };
        let names = self.stream.features.iter().map(|it| it.name.as_str());
        let hashes: Vec<_> = names.zip(self.hashers.drain(..).map(FieldHasher::finish)).collect();
        self.walked.contents.push((episode, episode_hash(&hashes)));
        let watched = self.videos.end_episode();
        self.walked.mismatched.extend(watched.mismatched);
        let media = &mut self.walked.media;
        media.n_frames += watched.n_frames;
        media.bad_frames.extend(watched.bad);
        media.unchecked.extend(watched.unchecked);
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
