use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Locus, Result, STEPS, meta, suggest};
use serde::Serialize;
use serde_json::Value;

use crate::{
    entries::OriginEntry,
    episode_table::EpisodeEntry,
    manifest::{InputEntry, ShardEntry},
    read::Dataset,
};

/// What the user wants explained.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// A row, counted in the shard when a shard is named, else in the rows of an episode and stream.
    pub row: Option<u64>,
    /// An episode, by position.
    pub episode: Option<u64>,
    /// A stream, by name.
    pub stream: Option<String>,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The shard that holds the rows.
    pub shard: String,
    /// Its stream: the topic.
    pub stream: String,
    /// Its split.
    pub split: String,
    /// First row in the shard, and how many rows are explained.
    pub rows: (u64, u64),
    /// Hashes of the shard.
    pub b3: String,
    /// Hash of the statement that proves the shard's origin.
    pub provenance: String,
    /// The recipe of the dataset.
    pub recipe: String,
    /// Tool that made it.
    pub made_by: String,
    /// Byte ranges of the input, in row order.
    pub origins: Vec<OriginRange>,
    /// The input files concerned.
    pub inputs: Vec<InputEntry>,
    /// Of a single row, what was done to the values of columns on their way, in order: names, or names with arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub transforms: BTreeMap<String, Vec<Value>>,
}

/// Rows and the bytes of the input that they come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OriginRange {
    /// First row in the shard.
    pub row: u64,
    /// Rows.
    pub n_rows: u64,
    /// Input file, relative to SRC.
    pub source: String,
    /// First byte, and one past the last. A chunk of a log holds records of other topics as well.
    pub bytes: (u64, u64),
    /// Which of the records of this stream in that range, counted from 0. `None` for a step that is made of messages of
    /// several topics: the range is that of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<(u64, u64)>,
}

/// Walks rows of a dataset, or of one shard of it, named by its path inside, back to the bytes of the input.
///
/// # Errors
/// `Config` when the question names something that is not there; `Io` or `Corrupt` when the dataset
/// cannot be read.
pub fn explain(dataset: &Dataset, shard: Option<&str>, question: &Question) -> Result<Vec<Explanation>> {
    let origins = dataset.origins()?;
    let is_made = is_made_of_messages(dataset);
    let places = match shard {
        Some(path) => vec![in_shard(dataset, path, question)?],
        None => in_dataset(dataset, question)?,
    };
    places.into_iter().map(|place| explanation(dataset, &origins, is_made, place)).collect()
}

/// Rows of one shard.
#[derive(Clone, Copy)]
struct Place {
    shard: usize,
    row: u64,
    n_rows: u64,
}

fn in_shard(dataset: &Dataset, path: &str, question: &Question) -> Result<Place> {
    let found = dataset.manifest.shards.iter().enumerate().find(|(_, it)| it.path == path);
    let (idx, shard) = found.ok_or_else(|| {
        let known = dataset.manifest.shards.iter().map(|it| it.path.as_str());
        Error::new(ErrorKind::Config, "the manifest knows no such shard")
            .at(Locus::path(path))
            .with_hint(suggest(path, known))
    })?;
    // A shard is of one stream, and its rows are counted from its start.
    if let Some(name) = question.stream.as_ref().filter(|it| **it != shard.stream) {
        return Err(Error::new(
            ErrorKind::Config,
            format!("the shard is of stream `{}`, not `{name}`", shard.stream),
        )
        .at(Locus::path(path))
        .with_hint("leave out `--stream`, or name the dataset instead of the shard"));
    }
    if question.episode.is_some() {
        return Err(Error::new(
            ErrorKind::Config,
            "rows of a shard are counted from its start, not by episode",
        )
        .at(Locus::path(path))
        .with_hint("leave out `--episode`, or name the dataset instead of the shard"));
    }
    match question.row {
        None => Ok(Place { shard: idx, row: 0, n_rows: shard.rows }),
        Some(row) if row < shard.rows => Ok(Place { shard: idx, row, n_rows: 1 }),
        Some(row) => Err(no_such_row(row, shard.rows, path)),
    }
}

fn in_dataset(dataset: &Dataset, question: &Question) -> Result<Vec<Place>> {
    let stream = question.stream.as_deref();
    if let Some(name) = stream
        && !dataset.manifest.streams.iter().any(|it| it.name == name)
    {
        let names: Vec<&str> = dataset.manifest.streams.iter().map(|it| it.name.as_str()).collect();
        return Err(Error::new(ErrorKind::Config, format!("the dataset has no stream `{name}`"))
            .with_hint(suggest(name, names)));
    }
    if question.row.is_some() && (stream.is_none() || question.episode.is_none()) {
        return Err(Error::new(ErrorKind::Config, "a row of a dataset needs its episode and its stream")
            .with_hint("add `--episode N --stream NAME`, or name a shard instead of the dataset"));
    }
    let entries = dataset.episodes()?;
    if let Some(episode) = question.episode.filter(|wanted| entries.iter().all(|it| it.episode != *wanted)) {
        let n_episodes = entries.iter().map(|it| it.episode.saturating_add(1)).max().unwrap_or(0);
        let message = format!("there is no episode {episode}: they count from 0 and there are {n_episodes}");
        return Err(Error::new(ErrorKind::Config, message)
            .at(Locus::path("index/episodes.parquet"))
            .with_hint("without `--episode` all of them are explained"));
    }
    let is_asked = |it: &EpisodeEntry<'_>| {
        it.stream.is_some()
            && stream.is_none_or(|name| it.stream == Some(name))
            && question.episode.is_none_or(|episode| it.episode == episode)
    };
    let entries: Vec<EpisodeEntry<'_>> = entries.iter().filter(is_asked).collect();
    let Some(row) = question.row else {
        return Ok(entries
            .iter()
            .map(|it| Place { shard: it.shard, row: it.row, n_rows: it.n_rows })
            .collect());
    };
    let mut before = 0;
    for entry in &entries {
        if row < before + entry.n_rows {
            return Ok(vec![Place { shard: entry.shard, row: entry.row + row - before, n_rows: 1 }]);
        }
        before += entry.n_rows;
    }
    Err(no_such_row(row, before, "the episode"))
}

fn no_such_row(row: u64, n_rows: u64, at: &str) -> Error {
    Error::new(ErrorKind::Config, format!("there is no row {row}: rows count from 0 and there are {n_rows}"))
        .at(Locus::path(at))
        .with_hint("without `--row` all of them are explained")
}

/// Whether the steps of a dataset are made of messages, so that none is a record of its own.
fn is_made_of_messages(dataset: &Dataset) -> bool {
    // A dataset that was not converted tells of no use, and its rows are what its files hold.
    dataset.manifest.ledger.values().any(|it| it.used.is_some())
}

fn explanation(
    dataset: &Dataset,
    origins: &[OriginEntry],
    is_made: bool,
    place: Place,
) -> Result<Explanation> {
    let manifest = &dataset.manifest;
    let shard: &ShardEntry = manifest.shards.get(place.shard).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("the index names shard {}, which is not there", place.shard))
    })?;
    let is_made = is_made && shard.stream == STEPS;
    let end = place.row + place.n_rows;
    let ranges: Vec<OriginRange> = origins
        .iter()
        .filter(|it| it.shard == place.shard && it.row < end && place.row < it.row + it.n_rows)
        .map(|it| {
            let (first, last) = (it.row.max(place.row), (it.row + it.n_rows).min(end));
            OriginRange {
                row: first,
                n_rows: last - first,
                source: it.source.clone(),
                bytes: (it.byte_start, it.byte_end),
                records: (!is_made)
                    .then(|| (it.first_record + first - it.row, it.first_record + last - it.row)),
            }
        })
        .collect();
    let inputs = manifest
        .inputs
        .iter()
        .filter(|input| ranges.iter().any(|it| it.source == input.path))
        .cloned()
        .collect();
    Ok(Explanation {
        shard: shard.path.clone(),
        stream: shard.stream.clone(),
        split: shard.split.clone(),
        rows: (place.row, place.n_rows),
        b3: shard.b3.clone(),
        provenance: shard.provenance.clone(),
        recipe: manifest.recipe.clone(),
        made_by: manifest.created_by.get("tool").cloned().unwrap_or_default(),
        origins: ranges,
        inputs,
        // One row is looked at closely; of all others nobody wants a footer read.
        transforms: if place.n_rows == 1 { transforms(dataset, shard)? } else { BTreeMap::new() },
    })
}

/// What the columns of a shard say was done to their values.
fn transforms(dataset: &Dataset, shard: &ShardEntry) -> Result<BTreeMap<String, Vec<Value>>> {
    let schema = dataset.parquet(&shard.path)?.builder.schema().clone();
    let told = schema.fields().iter().filter_map(|it| {
        let all: Vec<Value> = serde_json::from_str(it.metadata().get(meta::TRANSFORM)?).ok()?;
        Some((it.name().clone(), all))
    });
    Ok(told.collect())
}
