use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_dataset::PageTable;
use serde::Deserialize;

use crate::{
    folder::{
        card::own_text,
        footer::FeatureStats,
        plain::{PlainEpisode, PlainModel, PlainShard, index_of},
    },
    revision::Revision,
    tables::contents_of,
};

#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    shards: BTreeMap<String, BTreeMap<String, FeatureStats>>,
}

/// The model of a revision of plain shards, from its index: no shard is read.
///
/// # Errors
/// `Unsupported` for a revision that was converted; `Corrupt`, `Io`.
pub(crate) fn restore(revision: &Revision) -> Result<PlainModel> {
    let manifest = revision.manifest();
    let Some(contents) = manifest.index.get("contents") else {
        return Err(Error::new(ErrorKind::Unsupported, "a converted dataset cannot be added to or merged")
            .with_hint("convert all recordings to one folder and push that; only new shards are sent"));
    };
    let dataset = revision.as_dataset()?;
    let rows = dataset.episodes()?;
    let contents = contents_of(&rows, Some(dataset.bytes(&contents.path)?), u64::MAX)?;
    let schema = dataset.schema()?;
    let stats = dataset.bytes(&dataset.manifest.stats.path)?;
    let stats: Stats = crate::record::from_bytes("revision's stats.json", &stats)?;
    let refs = revision.shards()?;
    let mut shards: Vec<PlainShard> = refs
        .iter()
        .map(|it| PlainShard {
            path: it.path.clone(),
            split: it.split.clone(),
            blob: it.blob.clone(),
            rows: it.rows,
            row_groups: it.row_groups,
            episodes: Vec::new(),
            pages: PageTable::default(),
            whole: Vec::new(),
            stats: stats.shards.get(&it.path).cloned().unwrap_or_default(),
            file: None,
        })
        .collect();
    let out_of_range = || Error::new(ErrorKind::Corrupt, "the index names a shard that the revision has not");
    for (shard, pages) in shards.iter_mut().zip(dataset.all_pages()?) {
        shard.pages = pages;
    }
    let mut by_key: BTreeMap<(&str, &str), _> = BTreeMap::new();
    for (id, content) in &contents.0 {
        by_key.insert((&id.split, &id.key), content);
    }
    for row in rows.iter() {
        let shard = shards.get_mut(row.shard).ok_or_else(out_of_range)?;
        let Some(content) = by_key.get(&(row.split, row.key)) else { continue };
        shard.episodes.push(PlainEpisode {
            index: index_of(row.key),
            key: row.key.to_owned(),
            row: row.row,
            rows: row.n_rows,
            row_group: row.row_group,
            row_groups: row.n_row_groups,
            hash: content.hash,
            features: content.features.clone(),
        });
    }
    let readme = dataset.bytes(&dataset.manifest.readme.path)?;
    let readme = String::from_utf8_lossy(&readme).into_owned();
    Ok(PlainModel { schema, shards, readme: own_text(&readme) })
}
