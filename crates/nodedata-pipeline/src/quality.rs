use std::collections::BTreeMap;

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use nodedata_core::{
    EPISODE_INDEX, Error, ErrorKind, Locus, Progress, Result, STEPS, Source, StreamId, StreamSchema,
};
use nodedata_dataset::{ContentHasher, Dataset, EpisodeEntry, ShardEntry};
use nodedata_quality::{
    Contents, QualityFinding, QualityReport, RangeBounds, Rule, Rules, StreamCheck, StreamSummary,
};
use nodedata_schema::{Fields, Schema};
use rayon::prelude::*;

use crate::scan::each_window;

/// Equal stretches of time that a report's timelines are told in.
const CELLS: usize = 60;

/// Holds every row of a source against quality rules, without writing anything. Damage is passed over where
/// `salvage` says so; it is the run that counts it.
///
/// # Errors
/// What reading the source reports.
pub(crate) fn check_source(source: &dyn Source, rules: &Rules, salvage: bool) -> Result<QualityReport> {
    let mut watches: Vec<Watch> = source.plan().streams.iter().map(|it| Watch::new(rules, it)).collect();
    each_window(source, salvage, |parts| {
        let mut by_stream: BTreeMap<StreamId, Vec<(u64, &RecordBatch)>> = BTreeMap::new();
        for part in &parts {
            let episode = source.plan().partitions[part.partition].episode as u64;
            for batch in &part.batches {
                by_stream.entry(batch.stream).or_default().push((episode, &batch.rows));
            }
        }
        watches.par_iter_mut().enumerate().for_each(|(idx, watch)| {
            let id = StreamId(u32::try_from(idx).unwrap_or(u32::MAX));
            for (episode, rows) in by_stream.get(&id).into_iter().flatten() {
                watch.observe(*episode, rows);
            }
        });
        Ok(())
    })?;
    let keys: Vec<String> = source.plan().episodes.iter().map(|it| it.key.clone()).collect();
    Ok(conclude(rules, watches, &keys))
}

/// Holds every row of a dataset against quality rules. The ranges that its schema declares count as well.
///
/// # Errors
/// `Io` or `Corrupt` when the dataset cannot be read.
pub fn check_quality(dataset: &Dataset, rules: &Rules, progress: &dyn Progress) -> Result<QualityReport> {
    progress.planned(dataset.manifest.shards.iter().map(|it| it.bytes).sum());
    let mut rules = rules.clone();
    if let Ok(schema) = Schema::from_json(&dataset.text(&dataset.manifest.schema.path)?) {
        declared_ranges(&schema, &mut rules);
    }
    let episodes = dataset.episodes()?;
    let mut index: BTreeMap<usize, Vec<EpisodeEntry<'_>>> = BTreeMap::new();
    let mut keys: BTreeMap<u64, String> = BTreeMap::new();
    for entry in episodes.iter() {
        keys.insert(entry.episode, entry.key.to_owned());
        index.entry(entry.shard).or_default().push(entry);
    }
    // Episodes may be numbered in another order than their rows stand in.
    index.values_mut().for_each(|it| it.sort_by_key(|entry| entry.row));
    let names: Vec<&str> = dataset.manifest.streams.iter().map(|it| it.name.as_str()).collect();
    let watched: Vec<Result<Option<Watch>>> =
        names.par_iter().map(|it| watch_stream(dataset, it, &index, &rules, progress)).collect();
    let keys: Vec<String> = keys.into_values().collect();
    let watches = watched.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
    Ok(conclude(&rules, watches, &keys))
}

/// Adds the limits that a schema declares to the rules, behind those that are there.
pub(crate) fn declared_ranges(schema: &Schema, rules: &mut Rules) {
    let mut add = |stream: &str, fields: &Fields| {
        for (name, field) in fields.iter().filter(|(_, it)| it.min.is_some() || it.max.is_some()) {
            rules.ranges.push(RangeBounds {
                stream: Some(stream.to_owned()),
                feature: name.to_owned(),
                min: field.min.map(|it| it.as_f64()),
                max: field.max.map(|it| it.as_f64()),
            });
        }
    };
    add(STEPS, &schema.fields);
    for (stream, fields) in &schema.streams {
        add(stream, fields);
    }
}

/// The rules at one stream, and the hash of its content.
struct Watch {
    check: StreamCheck,
    stream: StreamSchema,
    hashes: bool,
    current: Option<(u64, ContentHasher)>,
    contents: Vec<(u64, [u8; 32])>,
}

impl Watch {
    fn new(rules: &Rules, stream: &StreamSchema) -> Self {
        Self {
            check: StreamCheck::new(rules, stream),
            stream: stream.clone(),
            hashes: rules.is_on(Rule::DuplicateEpisode),
            current: None,
            contents: Vec::new(),
        }
    }

    fn observe(&mut self, episode: u64, rows: &RecordBatch) {
        self.check.observe(episode, rows);
        if !self.hashes {
            return;
        }
        if self.current.as_ref().map(|it| it.0) != Some(episode) {
            self.end_episode();
        }
        let features = &self.stream.features;
        let (_, hasher) = self.current.get_or_insert_with(|| (episode, ContentHasher::new(features)));
        hasher.update(rows);
    }

    fn end_episode(&mut self) {
        if let Some((episode, hasher)) = self.current.take() {
            let mut bound = blake3::Hasher::new();
            bound.update(self.stream.name.as_bytes()).update(&[0]).update(&hasher.finish());
            self.contents.push((episode, *bound.finalize().as_bytes()));
        }
    }
}

fn conclude(rules: &Rules, watches: Vec<Watch>, keys: &[String]) -> QualityReport {
    let mut contents = Contents::default();
    let mut findings: Vec<QualityFinding> = Vec::new();
    let mut finished = Vec::new();
    for mut watch in watches {
        watch.end_episode();
        for (episode, content) in watch.contents {
            contents.add(episode, content);
        }
        let (found, summary, pace) = watch.check.finish();
        findings.extend(found);
        finished.push((summary, pace));
    }
    if rules.is_on(Rule::DuplicateEpisode) {
        findings.extend(contents.findings(rules.level(Rule::DuplicateEpisode)));
    }
    let first = finished.iter().filter_map(|(_, it)| it.first_ns).min();
    let last = finished.iter().filter_map(|(_, it)| it.last_ns).max();
    let summaries = finished.into_iter().map(|(summary, pace)| {
        let cells = first.zip(last).map(|(first, last)| pace.timeline.cells(first, last, CELLS));
        StreamSummary { timeline: cells.unwrap_or_default(), ..summary }
    });
    QualityReport::new(rules, findings, summaries.collect(), keys)
}

/// `None` for a stream without shards.
fn watch_stream(
    dataset: &Dataset,
    name: &str,
    index: &BTreeMap<usize, Vec<EpisodeEntry<'_>>>,
    rules: &Rules,
    progress: &dyn Progress,
) -> Result<Option<Watch>> {
    let mut watch: Option<Watch> = None;
    for (idx, shard) in dataset.manifest.shards.iter().enumerate().filter(|(_, it)| it.stream == name) {
        let of_shard = index.get(&idx).map_or(&[][..], Vec::as_slice);
        let mut first_row = 0;
        for batch in dataset.shard(shard)? {
            let batch = batch?;
            if watch.is_none() {
                watch = Some(Watch::new(rules, &dataset.stream_of(shard, &batch.schema())?));
            }
            if let Some(watch) = &mut watch {
                let episodes = episodes_of(&batch, first_row, shard, of_shard)?;
                observe_shard(watch, &batch, shard, &episodes)?;
            }
            let n_rows = batch.num_rows() as u64;
            progress.advanced(shard.share_of(first_row, n_rows), n_rows);
            first_row += n_rows;
        }
    }
    Ok(watch)
}

/// The episodes of a batch's rows, in their order, each with its number of rows. Shards that were written
/// elsewhere may lack the column, or hold it in another width: where their episodes lie, the index says.
/// `index` has the entries of the shard in order of their rows.
fn episodes_of(
    batch: &RecordBatch,
    first_row: u64,
    shard: &ShardEntry,
    index: &[EpisodeEntry<'_>],
) -> Result<Vec<(u64, usize)>> {
    let column = batch.column_by_name(EPISODE_INDEX).and_then(|it| it.as_primitive_opt::<Int64Type>());
    if let Some(column) = column {
        let runs = column.values().chunk_by(|a, b| a == b);
        return Ok(runs.map(|it| (u64::try_from(it[0]).unwrap_or(0), it.len())).collect());
    }
    let last_row = first_row + batch.num_rows() as u64;
    let episodes = index.iter().filter_map(|it| {
        let (start, end) = (it.row.max(first_row), it.row.saturating_add(it.n_rows).min(last_row));
        (start < end).then(|| (it.episode, (end - start) as usize))
    });
    let episodes: Vec<_> = episodes.collect();
    if episodes.iter().map(|it| it.1).sum::<usize>() != batch.num_rows() {
        let message = "the sample index does not tell the episode of every row";
        let hint = "publish it again with a whole sample index; `validate --no-quality` checks the rest";
        return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::path(&shard.path)).with_hint(hint));
    }
    Ok(episodes)
}

fn observe_shard(
    watch: &mut Watch,
    batch: &RecordBatch,
    shard: &ShardEntry,
    episodes: &[(u64, usize)],
) -> Result<()> {
    let malformed = |what: &str| Error::new(ErrorKind::Corrupt, what).at(Locus::path(&shard.path));
    let schema = batch.schema();
    let is_feature = |idx: &usize| schema.field(*idx).name() != EPISODE_INDEX;
    let columns: Vec<usize> = (0..batch.num_columns()).filter(is_feature).collect();
    let rows =
        batch.project(&columns).map_err(|err| malformed("the shard has no columns").with_source(err))?;
    if rows.num_columns() != watch.stream.features.len() {
        return Err(malformed("the shard has other columns than the one before it"));
    }
    let mut start = 0;
    for (episode, n_rows) in episodes {
        watch.observe(*episode, &rows.slice(start, *n_rows));
        start += n_rows;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int32Array, Int64Array};

    use super::*;

    fn shard() -> ShardEntry {
        let empty = String::new;
        ShardEntry {
            path: "data/train-0.parquet".to_owned(),
            stream: STEPS.to_owned(),
            split: empty(),
            b3: empty(),
            sha256: None,
            bytes: 0,
            rows: 6,
            row_groups: 1,
            episodes: (4, 7),
            content: empty(),
            provenance: empty(),
        }
    }

    fn entry(episode: u64, row: u64, n_rows: u64) -> EpisodeEntry<'static> {
        EpisodeEntry {
            episode,
            key: "",
            stream: Some(STEPS),
            split: "",
            shard: 0,
            row,
            n_rows,
            row_group: 0,
            n_row_groups: 1,
            start_time_ns: None,
            end_time_ns: None,
            task: None,
            source: "",
            content: None,
        }
    }

    fn batch(name: &str, column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([(name, column)]).unwrap()
    }

    #[test]
    fn the_column_says_whose_rows_they_are() {
        let rows = batch(EPISODE_INDEX, Arc::new(Int64Array::from(vec![4, 4, 7])));
        assert_eq!(episodes_of(&rows, 0, &shard(), &[]).unwrap(), [(4, 2), (7, 1)]);
    }

    #[test]
    fn without_a_column_or_with_another_width_the_index_does() {
        let index = [entry(7, 0, 2), entry(3, 1, 0), entry(4, 2, 4)];
        for name in ["action", EPISODE_INDEX] {
            let rows = batch(name, Arc::new(Int32Array::from(vec![0; 3])));
            assert_eq!(episodes_of(&rows, 1, &shard(), &index).unwrap(), [(7, 1), (4, 2)], "{name}");
        }
        let rows = batch("action", Arc::new(Int32Array::from(vec![0; 3])));
        let err = episodes_of(&rows, 4, &shard(), &index).unwrap_err();
        assert_eq!((err.kind(), err.hint().is_some()), (ErrorKind::Corrupt, true));
    }
}
