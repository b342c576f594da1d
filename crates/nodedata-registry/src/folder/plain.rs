use std::{collections::BTreeMap, path::PathBuf};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_dataset::PageTable;
use nodedata_schema::Schema;

use crate::{
    content::{Contents, EpisodeContent, EpisodeId},
    digest::B3,
    folder::footer::FeatureStats,
    record::BlobRef,
};

/// A dataset of shards that were not converted by us.
#[derive(Debug, Clone)]
pub(crate) struct PlainModel {
    /// Declared, or the union over all shards.
    pub(crate) schema: Schema,
    /// In order of path.
    pub(crate) shards: Vec<PlainShard>,
    /// Text of the card that came with it.
    pub(crate) readme: Option<String>,
}

/// One shard of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlainShard {
    /// In the dataset's folder.
    pub(crate) path: String,
    pub(crate) split: String,
    pub(crate) blob: BlobRef,
    pub(crate) rows: u64,
    pub(crate) row_groups: u64,
    pub(crate) episodes: Vec<PlainEpisode>,
    pub(crate) pages: PageTable,
    /// Large column chunks that can only be read as a whole; of shards in the registry nothing is known of that.
    pub(crate) whole: Vec<WholeChunk>,
    pub(crate) stats: BTreeMap<String, FeatureStats>,
    /// Where its bytes are; `None` when they lie in the registry.
    pub(crate) file: Option<PathBuf>,
}

/// A column chunk whose pages nothing tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WholeChunk {
    pub(crate) row_group: u32,
    pub(crate) column: String,
    pub(crate) bytes: u64,
}

/// One episode of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlainEpisode {
    /// As the rows say, where they do.
    pub(crate) index: Option<i64>,
    pub(crate) key: String,
    pub(crate) row: u64,
    pub(crate) rows: u64,
    pub(crate) row_group: u32,
    pub(crate) row_groups: u32,
    pub(crate) hash: B3,
    pub(crate) features: BTreeMap<String, B3>,
}

/// The position in a dataset that a key tells: a whole number, written as numbers are.
pub(crate) fn index_of(key: &str) -> Option<i64> {
    key.parse().ok().filter(|it: &i64| it.to_string() == key)
}

impl PlainShard {
    /// Key of an episode that is a whole shard.
    pub(crate) fn whole_key(path: &str) -> String {
        let inside = path.strip_prefix("data/").unwrap_or(path);
        inside.strip_suffix(".parquet").unwrap_or(inside).to_owned()
    }

    /// Takes another path, which its own digest makes unique.
    fn rename(&mut self) {
        let stem = self.path.strip_suffix(".parquet").unwrap_or(&self.path);
        let old_key = Self::whole_key(&self.path);
        self.path = format!("{stem}-{}.parquet", &self.blob.b3.hex()[..12]);
        for episode in self.episodes.iter_mut().filter(|it| it.key == old_key) {
            episode.key = Self::whole_key(&self.path);
        }
    }
}

impl PlainModel {
    /// Adds shards. One that is there already is passed over; one whose path is taken gets another.
    ///
    /// # Errors
    /// `Conflict` when two shards hold the same episode.
    pub(crate) fn add(&mut self, shards: Vec<PlainShard>) -> Result<()> {
        for mut shard in shards {
            if self.shards.iter().any(|it| it.blob.b3 == shard.blob.b3) {
                continue;
            }
            if self.shards.iter().any(|it| it.path == shard.path) {
                shard.rename();
            }
            self.shards.push(shard);
        }
        self.shards.sort_by(|a, b| a.path.cmp(&b.path));
        self.check_episodes()
    }

    /// No episode may lie in two shards.
    pub(crate) fn check_episodes(&self) -> Result<()> {
        let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for shard in &self.shards {
            for episode in &shard.episodes {
                let id = (shard.split.as_str(), episode.key.as_str());
                if let Some(other) = seen.insert(id, &shard.path) {
                    let message = if other == shard.path {
                        format!("the rows of episode {} do not follow one another", episode.key)
                    } else {
                        format!("episode {} of split `{}` lies in `{other}` too", episode.key, shard.split)
                    };
                    return Err(Error::new(ErrorKind::Conflict, message)
                        .at(Locus::path(&shard.path))
                        .with_hint("an episode lies in one shard; give each its own `episode_index`"));
                }
            }
        }
        Ok(())
    }

    /// What the episodes hold.
    pub(crate) fn contents(&self) -> Contents {
        let episodes = self.shards.iter().flat_map(|shard| shard.episodes.iter().map(move |it| (shard, it)));
        let one = |(shard, it): (&PlainShard, &PlainEpisode)| {
            let stream = nodedata_core::STEPS.to_owned();
            let id = EpisodeId { split: shard.split.clone(), stream, key: it.key.clone() };
            (id, EpisodeContent { hash: it.hash, features: it.features.clone(), rows: it.rows })
        };
        Contents(episodes.map(one).collect())
    }
}
