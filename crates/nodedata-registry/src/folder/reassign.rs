use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_dataset::{
    EpisodeTable, FileEntry, Manifest, content_root_of, pretty_json, split_card, with_files,
};
use serde_json::Value;

use crate::{
    folder::{Draft, Origin},
    hashing::read_error,
    record::SplitRef,
    revision::Revision,
    tables::contents_of,
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
    let rows = dataset.episodes()?.with_splits(|shard| splits.get(shard).copied());
    let at = |err: Error| err.at(Locus::path(EPISODES));
    let rows = rows.map_err(at)?;
    let table = rows.to_bytes().map_err(at)?;
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
    draft.contents = contents_of(&rows, None, u64::MAX)?;
    draft.splits = counted(&draft, &rows);
    manifest.splits = draft.splits.iter().map(|(name, it)| (name.clone(), it.entry())).collect();
    manifest.content_root = content_root_of(&manifest.streams, rows.iter());
    let published = String::from_utf8_lossy(&dataset.bytes(&manifest.readme.path)?).into_owned();
    let text = readme.map_or_else(|| published.clone(), |own| in_place_of(&published, own));
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

/// The dataset that was converted, with a card that somebody wrote in the place of the one that was made for it.
///
/// # Errors
/// `Corrupt` when its own files cannot be read; `Io`.
pub(crate) fn with_card(mut draft: Draft, card: &str) -> Result<Draft> {
    let manifest = draft.text("manifest")?;
    let mut manifest: Manifest = crate::record::from_bytes("dataset's manifest.json", &manifest)?;
    let made = draft.text("readme")?;
    let text = in_place_of(&String::from_utf8_lossy(&made), card);
    let path = manifest.readme.path.clone();
    manifest.readme = draft.replace(&path, text.into_bytes());
    draft.replace("manifest.json", pretty_json(&manifest)?.into_bytes());
    Ok(draft)
}

/// A card in the place of another: with the YAML of that one, unless it brings its own.
fn in_place_of(made: &str, own: &str) -> String {
    match split_card(made) {
        Some((yaml, _)) if split_card(own).is_none() => format!("---\n{yaml}\n---\n\n{own}"),
        _ => own.to_owned(),
    }
}

impl Draft {
    /// The bytes of a file that describes the dataset, by its role, before they are sent.
    fn text(&self, role: &str) -> Result<Bytes> {
        match self.role(role).and_then(|it| self.sources.get(&it.blob.b3)) {
            Some(Origin::Memory(bytes)) => Ok(bytes.clone()),
            Some(Origin::File(path)) => {
                std::fs::read(path).map(Bytes::from).map_err(|err| read_error(path, err))
            }
            None => Err(Error::new(ErrorKind::Corrupt, format!("the dataset has no {role}"))),
        }
    }

    /// Puts other bytes in the place of a file.
    pub(crate) fn replace(&mut self, path: &str, bytes: Vec<u8>) -> FileEntry {
        let blob = crate::hashing::blob_of(&bytes);
        self.sources.insert(blob.b3, Origin::Memory(Bytes::from(bytes)));
        for file in self.files.iter_mut().filter(|it| it.path == path) {
            file.blob = blob.clone();
        }
        FileEntry { path: path.to_owned(), b3: blob.b3.hex(), sha256: None, bytes: blob.bytes }
    }
}

fn counted(draft: &Draft, rows: &EpisodeTable) -> BTreeMap<String, SplitRef> {
    // A split that has become empty stays declared.
    let mut splits: BTreeMap<String, SplitRef> =
        draft.splits.keys().map(|it| (it.clone(), SplitRef::default())).collect();
    for shard in &draft.shards {
        let split = splits.entry(shard.split.clone()).or_default();
        split.shards += 1;
        split.frames += shard.rows;
    }
    let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows.iter() {
        keys.entry(row.split).or_default().insert(row.key);
    }
    for (name, keys) in keys {
        splits.entry(name.to_owned()).or_default().episodes = keys.len() as u64;
    }
    splits
}
