use std::{collections::BTreeMap, path::Path};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::hashing::read_error;

/// A `sample_index.json` that somebody else wrote: which rows are which episode.
#[derive(Debug, Clone, Default)]
pub(crate) struct GivenIndex {
    /// By path of the shard: its episodes in row order.
    pub(crate) shards: BTreeMap<String, Vec<GivenEpisode>>,
}

/// One episode of a given index.
#[derive(Debug, Clone)]
pub(crate) struct GivenEpisode {
    pub(crate) key: String,
    pub(crate) split: Option<String>,
    pub(crate) rows: u64,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    inline_episodes: Option<Vec<Entry>>,
    #[serde(default)]
    episodes: Value,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    episode: Option<Value>,
    #[serde(default)]
    split: Option<String>,
    /// Path, or position among the shards in order of name.
    shard: Value,
    row: u64,
    rows: u64,
}

impl GivenIndex {
    /// Reads an index and holds it against the shards: path and rows of each, in order of path.
    pub(crate) fn read(file: &Path, shards: &[(String, u64)]) -> Result<Self> {
        let wrong = |message: String, hint: &str| {
            Error::new(ErrorKind::Config, message).at(Locus::path(file)).with_hint(hint)
        };
        let text = std::fs::read_to_string(file).map_err(|err| read_error(file, err))?;
        let unreadable =
            |err| wrong("the sample index cannot be read".to_owned(), "see docs/reference").with_source(err);
        let document: Document = serde_json::from_str(&text).map_err(unreadable)?;
        let entries = match document.inline_episodes {
            Some(entries) => entries,
            None if document.episodes.is_array() => {
                serde_json::from_value(document.episodes).map_err(unreadable)?
            }
            None => {
                return Err(wrong(
                    "the sample index lists no episodes".to_owned(),
                    "list them under `inline_episodes`, each with `episode`, `shard`, `row` and `rows`",
                ));
            }
        };
        let mut found: BTreeMap<String, Vec<(u64, GivenEpisode)>> = BTreeMap::new();
        for (idx, entry) in entries.into_iter().enumerate() {
            let shard = match &entry.shard {
                Value::String(path) => {
                    let fits = |it: &&(String, u64)| it.0 == *path || it.0.ends_with(&format!("/{path}"));
                    shards.iter().find(fits)
                }
                other => other.as_u64().and_then(|it| shards.get(usize::try_from(it).ok()?)),
            };
            let Some((path, _)) = shard else {
                let message = format!(
                    "episode {idx} of the sample index lies in shard {}, which is not pushed",
                    entry.shard
                );
                return Err(wrong(message, "name shards by path, or by position in order of name"));
            };
            let key = entry.key.or_else(|| match entry.episode? {
                Value::String(text) => Some(text),
                other => Some(other.to_string()),
            });
            let key = key.unwrap_or_else(|| idx.to_string());
            let episode = GivenEpisode { key, split: entry.split, rows: entry.rows };
            found.entry(path.clone()).or_default().push((entry.row, episode));
        }
        let mut index = Self::default();
        for (path, n_rows) in shards {
            let mut episodes = found.remove(path).unwrap_or_default();
            episodes.sort_by_key(|(row, _)| *row);
            let mut next = 0;
            for (row, episode) in &episodes {
                if *row != next || episode.rows == 0 {
                    let message = format!(
                        "`{path}`: row {next} is followed by an episode at row {row} with {} rows",
                        episode.rows
                    );
                    return Err(wrong(message, "every row must lie in exactly one episode"));
                }
                next = row.saturating_add(episode.rows);
            }
            if next != *n_rows {
                let message = format!("`{path}`: the sample index places {next} of {n_rows} rows");
                return Err(wrong(message, "every row must lie in exactly one episode"));
            }
            index.shards.insert(path.clone(), episodes.into_iter().map(|(_, it)| it).collect());
        }
        Ok(index)
    }
}
