use std::{ops::Range, path::Path, sync::Arc};

use nodedata_core::{Files, Result};
use nodedata_io::FolderFiles;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use rayon::prelude::*;

use crate::{
    logical_hash::{FieldHasher, episode_hash},
    measure::Contents,
    ranges::Opened,
    shard::SealedShard,
    staging::Staging,
    table::Table,
};

/// Decoded bytes of a batch, about.
const BATCH_BYTES: u64 = 4 << 20;
/// Most rows of a batch.
const BATCH_ROWS_MAX: u64 = 4096;

/// The rows of one episode in one stream, by shard.
struct Walk<'a> {
    key: (usize, usize),
    parts: Vec<(&'a str, Range<u64>)>,
}

/// Makes the content hashes of `episodes` that are missing in `contents` from the finished shards: those of
/// episodes that run through several units, when not all of these were encoded by this run.
pub(crate) fn contents(
    staging: &Staging,
    tables: &[Arc<Table>],
    shards: &[SealedShard],
    episodes: &[usize],
    contents: &mut Contents,
) -> Result<()> {
    let mut walks: Vec<Walk<'_>> = Vec::new();
    for shard in shards {
        for part in &shard.facts.parts {
            let key = (part.episode, shard.facts.id.stream);
            if episodes.binary_search(&part.episode).is_err() || contents.contains_key(&key) {
                continue;
            }
            let part = (shard.path.as_str(), part.rows.clone());
            // Shards come by stream and number, and so do the parts of an episode.
            match walks.iter_mut().rev().find(|it| it.key == key) {
                Some(walk) => walk.parts.push(part),
                None => walks.push(Walk { key, parts: vec![part] }),
            }
        }
    }
    let hashed: Vec<Result<[u8; 32]>> = walks
        .par_iter()
        .with_max_len(1)
        .map(|walk| hash(staging, &tables[walk.key.1], &walk.parts))
        .collect();
    for (walk, hash) in walks.iter().zip(hashed) {
        contents.insert(walk.key, hash?);
    }
    Ok(())
}

fn hash(staging: &Staging, table: &Table, parts: &[(&str, Range<u64>)]) -> Result<[u8; 32]> {
    // The first column is `episode_index`, which is no feature of the source.
    let features = &table.features[1..];
    let mut hashers: Vec<FieldHasher> = features.iter().map(FieldHasher::new).collect();
    let files = FolderFiles::new(staging.tree_path(""));
    for (path, rows) in parts {
        let shard = Opened::of(path, files.open(Path::new(path))?, ArrowReaderOptions::new())?;
        let groups = shard.builder.metadata().row_groups();
        let n_bytes: i64 = groups.iter().map(|it| it.total_byte_size()).sum();
        let n_rows: i64 = groups.iter().map(|it| it.num_rows()).sum();
        let row_bytes = (n_bytes.max(1) as u64).div_ceil(n_rows.max(1) as u64);
        let batch_rows = (BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS_MAX);
        let shard = shard.with(|it| {
            it.with_batch_size(batch_rows as usize)
                .with_offset(rows.start as usize)
                .with_limit((rows.end - rows.start) as usize)
        });
        for batch in shard.rows()? {
            let batch = batch?;
            for (hasher, column) in hashers.iter_mut().zip(&batch.columns()[1..]) {
                hasher.update(column.as_ref());
            }
        }
    }
    let names = features.iter().map(|it| it.name.as_str());
    let hashes: Vec<_> = names.zip(hashers.into_iter().map(FieldHasher::finish)).collect();
    Ok(episode_hash(&hashes))
}
