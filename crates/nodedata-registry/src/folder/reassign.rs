use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{RecordBatch, StringArray};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_dataset::{
    EpisodeEntry, FileEntry, Manifest, card_configs, config_lines, pretty_json, split_card, table_of,
};
use serde_json::Value;

use crate::{
    folder::Draft,
    record::SplitRef,
    revision::Revision,
    tables::{batches, contents_of},
};

const EPISODES: &str = "index/episodes.parquet";
const SAMPLE_INDEX: &str = "sample_index.json";

/// A revision of a converted dataset with some of its shards counted to other splits, or with another card:
/// no shard changes, only what describes them. `split_of` says the split of a shard, by path, where it is
/// another.
///
/// # Errors
/// `Corrupt` when the revision's own files cannot be read; `Io`.
pub(crate) fn reassign(
    revision: &Revision,
    mut draft: Draft,
    split_of: &dyn Fn(&str) -> Option<String>,
    readme: Option<&str>,
) -> Result<Draft> {
    let dataset = revision.as_dataset()?;
    let mut manifest = Manifest::clone(&dataset.manifest);
    for shard in &mut draft.shards {
        if let Some(split) = split_of(&shard.path) {
            shard.split = split;
        }
    }
    let splits: Vec<&str> = draft.shards.iter().map(|it| it.split.as_str()).collect();
    let mut rows = dataset.episodes()?;
    for row in rows.iter_mut().filter(|it| it.stream.is_some()) {
        if let Some(split) = splits.get(row.shard) {
            (*split).clone_into(&mut row.split);
        }
    }
    let table = with_splits(dataset.bytes(EPISODES)?, &rows)?;
    let index = dataset.bytes(SAMPLE_INDEX)?;
    let mut index: Value = crate::record::from_bytes("revision's sample_index.json", &index)?;
    for episode in index.get_mut("inline_episodes").and_then(Value::as_array_mut).into_iter().flatten() {
        let shard =
            episode.get("shard").and_then(Value::as_u64).and_then(|it| splits.get(it as usize).copied());
        if let Some(split) = shard {
            episode["split"] = split.into();
        }
    }
    for (entry, shard) in manifest.shards.iter_mut().zip(&draft.shards) {
        entry.split.clone_from(&shard.split);
    }
    draft.contents = contents_of(&rows, None)?;
    draft.splits = counted(&draft, &rows);
    manifest.splits = draft.splits.iter().map(|(name, it)| (name.clone(), it.entry())).collect();
    manifest.content_root = content_root(&manifest, &rows);
    let published = String::from_utf8_lossy(&dataset.bytes(&manifest.readme.path)?).into_owned();
    let text = match (readme, split_card(&published)) {
        (Some(own), Some((yaml, _))) if split_card(own).is_none() => format!("---\n{yaml}\n---\n\n{own}"),
        (own, _) => own.unwrap_or(&published).to_owned(),
    };
    let episodes = draft.replace(EPISODES, table);
    manifest.index.insert("episodes".to_owned(), episodes.clone());
    index["tables"]["episodes"] = serde_json::to_value(&episodes).map_err(std::io::Error::from)?;
    let head = draft.replace(SAMPLE_INDEX, pretty_json(&index)?.into_bytes());
    manifest.index.insert("sample_index".to_owned(), head);
    let readme = manifest.readme.path.clone();
    manifest.readme = draft.replace(&readme, with_files(&text, &manifest).into_bytes());
    draft.replace("manifest.json", pretty_json(&manifest)?.into_bytes());
    Ok(draft)
}

impl Draft {
    /// Puts other bytes in the place of a file.
    fn replace(&mut self, path: &str, bytes: Vec<u8>) -> FileEntry {
        let blob = crate::hashing::blob_of(&bytes);
        self.sources.insert(blob.b3, crate::folder::Origin::Memory(Bytes::from(bytes)));
        for file in self.files.iter_mut().filter(|it| it.path == path) {
            file.blob = blob.clone();
        }
        FileEntry { path: path.to_owned(), b3: blob.b3.hex(), sha256: None, bytes: blob.bytes }
    }
}

/// The episode table with the splits of `rows`, which are its own, and everything else as it was.
fn with_splits(table: Bytes, rows: &[EpisodeEntry]) -> Result<Vec<u8>> {
    let broken = |err: arrow_schema::ArrowError| {
        Error::new(ErrorKind::Corrupt, "the episode table cannot be changed").with_source(err)
    };
    let mut splits = rows.iter().map(|it| it.split.as_str());
    let mut changed = Vec::new();
    for batch in batches(EPISODES, table)? {
        let at = batch.schema_ref().index_of("split").map_err(broken)?;
        let mut columns = batch.columns().to_vec();
        let split: StringArray = splits.by_ref().take(batch.num_rows()).map(Some).collect();
        columns[at] = std::sync::Arc::new(split);
        changed.push(RecordBatch::try_new(batch.schema(), columns).map_err(broken)?);
    }
    let schema = changed.first().map(RecordBatch::schema).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "the episode table has no rows").at(Locus::path(EPISODES))
    })?;
    table_of(&schema, &changed)
}

fn counted(draft: &Draft, rows: &[EpisodeEntry]) -> BTreeMap<String, SplitRef> {
    // A split that has become empty stays declared.
    let mut splits: BTreeMap<String, SplitRef> =
        draft.splits.keys().map(|it| (it.clone(), SplitRef::default())).collect();
    for shard in &draft.shards {
        let split = splits.entry(shard.split.clone()).or_default();
        split.shards += 1;
        split.frames += shard.rows;
    }
    let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        keys.entry(&row.split).or_default().insert(&row.key);
    }
    for (name, keys) in keys {
        splits.entry(name.to_owned()).or_default().episodes = keys.len() as u64;
    }
    splits
}

/// As the conversion takes it: by episode and stream.
fn content_root(manifest: &Manifest, rows: &[EpisodeEntry]) -> String {
    let position = |name: &str| manifest.streams.iter().position(|it| it.name == name).unwrap_or(usize::MAX);
    let mut all = BTreeMap::new();
    for row in rows {
        if let (Some(stream), Some(hash)) = (&row.stream, row.content) {
            let part = (row.key.as_str(), stream.as_str(), row.split.as_str(), hash);
            all.insert((row.episode, position(stream)), part);
        }
    }
    nodedata_dataset::content_root(all.into_values())
}

/// The card with the files of every split named one by one.
fn with_files(card: &str, manifest: &Manifest) -> String {
    let Some((yaml, body)) = split_card(card) else { return card.to_owned() };
    let mut lines = config_lines(&card_configs(manifest, true));
    // What stands beside `configs` is kept: it begins at a key of its own.
    let is_key = |it: &&str| it.chars().next().is_some_and(|it| it.is_ascii_alphabetic());
    let mut others = false;
    for line in yaml.lines() {
        if is_key(&line) {
            others = !line.starts_with("configs:");
        }
        if others {
            lines.push(line.to_owned());
        }
    }
    format!("---\n{}\n---\n{body}", lines.join("\n"))
}
