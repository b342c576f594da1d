use std::collections::BTreeMap;

use nodedata_core::Result;
use serde_json::{Value, json};

use crate::{canonical::pretty_json, episode_table::EpisodeRow, manifest::FileEntry};

/// Rows of the episode index up to this number are listed in `sample_index.json` itself.
const INLINE_EPISODES: usize = 10_000;

/// How much a dataset holds.
#[derive(Debug, Clone, Copy)]
pub struct IndexTotals {
    /// Episodes.
    pub episodes: u64,
    /// Rows.
    pub rows: u64,
    /// Shards.
    pub shards: u64,
    /// Row groups of all shards.
    pub row_groups: u64,
}

/// The text of `sample_index.json`: the head of the index, which names its tables.
///
/// # Errors
/// What encoding reports.
pub fn sample_index(
    totals: IndexTotals,
    rows: &[EpisodeRow<'_>],
    tables: &BTreeMap<String, FileEntry>,
) -> Result<String> {
    let mut head = json!({
        "nd": "sample-index/1",
        "episodes": totals.episodes,
        "rows": totals.rows,
        "shards": totals.shards,
        "row_groups": totals.row_groups,
        "tables": tables,
    });
    if rows.len() <= INLINE_EPISODES {
        head["inline_episodes"] = rows.iter().map(inline).collect();
    }
    pretty_json(&head)
}

fn inline(row: &EpisodeRow<'_>) -> Value {
    let mut entry = json!({"episode": row.episode, "key": row.key, "split": row.split});
    if let Some(place) = &row.place {
        entry["stream"] = place.stream.into();
        entry["shard"] = place.shard.into();
        entry["row"] = place.row.into();
        entry["rows"] = place.n_rows.into();
        entry["row_group"] = place.row_group.into();
        entry["row_groups"] = place.n_row_groups.into();
    }
    entry
}
