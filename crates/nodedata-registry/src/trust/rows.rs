use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
    sync::Arc,
};

use arrow_array::RecordBatch;
use nodedata_arrow::{Batches, Ranges, Remembered};
use nodedata_core::{EPISODE_INDEX, Error, ErrorKind, Feature, Files, Locus, ReadAt, Result};
use nodedata_dataset::{FieldHasher, episode_hash};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use crate::{
    content::{Contents, EpisodeContent, EpisodeId},
    digest::B3,
    record::ShardRef,
    revision::Revision,
    tables::read_episodes,
};

/// Rows decoded at once.
const BATCH_ROWS: usize = 256;

/// What the rows of a revision hold, made again from its shards.
#[derive(Default)]
pub(super) struct FoundRows {
    /// Episodes whose rows were hashed.
    pub(super) contents: Contents,
    /// Where the index and the shards do not fit each other: place and what was found.
    pub(super) misplaced: Vec<(String, String)>,
}

/// Rows of one episode in a shard, as the index says.
struct Part {
    row: u64,
    n_rows: u64,
    id: EpisodeId,
}

/// An episode some of whose rows were hashed.
struct Open {
    names: Vec<String>,
    hashers: Vec<FieldHasher>,
    n_rows: u64,
    parts_left: usize,
}

/// Reads every row of a revision. Of its tables only that is believed which rows belong to which episode; what these hold is
/// hashed anew.
///
/// # Errors
/// `Corrupt` when a table or a shard cannot be read; `Io`, `Denied`.
pub(super) fn found_rows(revision: &Revision) -> Result<FoundRows> {
    let mut found = FoundRows::default();
    let shards = revision.shards()?;
    let mut parts: Vec<Vec<Part>> = shards.iter().map(|_| Vec::new()).collect();
    let mut n_parts: BTreeMap<EpisodeId, usize> = BTreeMap::new();
    for row in read_episodes(revision.index("episodes")?, u64::MAX)?.iter() {
        let Some(stream) = row.stream else { continue };
        let id =
            EpisodeId { split: row.split.to_owned(), stream: stream.to_owned(), key: row.key.to_owned() };
        let Some(of_shard) = parts.get_mut(row.shard) else {
            found.misplaced.push((row.key.to_owned(), "the index places it in no shard".to_owned()));
            continue;
        };
        *n_parts.entry(id.clone()).or_default() += 1;
        of_shard.push(Part { row: row.row, n_rows: row.n_rows, id });
    }
    let mut open: BTreeMap<EpisodeId, Open> = BTreeMap::new();
    for (shard, mut parts) in shards.iter().zip(parts) {
        parts.sort_by_key(|it| it.row);
        let remembered = Remembered::of(Files::open(revision, Path::new(&shard.path))?);
        let file = Ranges(Arc::clone(&remembered) as Arc<dyn ReadAt>);
        let unreadable = |err: Box<dyn std::error::Error + Send + Sync>| {
            remembered.failure_or(|| {
                Error::new(ErrorKind::Corrupt, "the rows of the shard cannot be decoded")
                    .with_source(err)
                    .at(Locus::path(&shard.path))
            })
        };
        let footer =
            nodedata_arrow::footer(&file, ArrowReaderOptions::new()).map_err(|err| unreadable(err.into()))?;
        if let Some(message) = misplaced(&parts, shard, &footer) {
            found.misplaced.push((shard.path.clone(), message));
            continue;
        }
        let columns = columns(&footer);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
        let batches =
            Batches::of(reader.with_batch_size(BATCH_ROWS)).map_err(|err| unreadable(err.into()))?;
        let mut walk = Walk { columns: &columns, parts: &parts, at: 0, row: 0, n_parts: &n_parts };
        // Those without rows before the first row as well.
        walk.end_parts(&mut open, &mut found.contents);
        for batch in batches {
            walk.batch(&batch.map_err(|err| unreadable(err.into()))?, &mut open, &mut found.contents);
        }
    }
    Ok(found)
}

/// Why rows of a shard belong to no episode, or to two.
fn misplaced(parts: &[Part], shard: &ShardRef, footer: &ArrowReaderMetadata) -> Option<String> {
    let n_rows = u64::try_from(footer.metadata().file_metadata().num_rows()).unwrap_or_default();
    if n_rows != shard.rows {
        return Some(format!("it has {n_rows} rows, but the manifest says {}", shard.rows));
    }
    let mut next = 0;
    for part in parts {
        if part.row != next {
            return Some(format!("the index does not place row {} in one episode", next.min(part.row)));
        }
        next = part.row.saturating_add(part.n_rows);
    }
    (next != n_rows).then(|| format!("the index places {next} of the {n_rows} rows"))
}

/// The columns that are features, with their place.
fn columns(footer: &ArrowReaderMetadata) -> Vec<(usize, Feature)> {
    let fields = footer.schema().fields().iter().enumerate();
    let features = fields.filter(|(_, it)| it.name() != EPISODE_INDEX);
    features.filter_map(|(at, it)| Some((at, Feature::from_arrow(it)?))).collect()
}

/// One pass over a shard.
struct Walk<'a> {
    columns: &'a [(usize, Feature)],
    parts: &'a [Part],
    /// The part that is being read.
    at: usize,
    row: u64,
    n_parts: &'a BTreeMap<EpisodeId, usize>,
}

impl Walk<'_> {
    fn batch(&mut self, batch: &RecordBatch, open: &mut BTreeMap<EpisodeId, Open>, contents: &mut Contents) {
        let mut start = 0;
        while start < batch.num_rows() {
            let Some(part) = self.parts.get(self.at) else { return };
            let left = (part.row + part.n_rows).saturating_sub(self.row);
            let n_rows = (batch.num_rows() - start).min(usize::try_from(left).unwrap_or(usize::MAX));
            let episode = self.open_of(part, open);
            for ((at, _), hasher) in self.columns.iter().zip(&mut episode.hashers) {
                hasher.update(batch.column(*at).slice(start, n_rows).as_ref());
            }
            episode.n_rows += n_rows as u64;
            start += n_rows;
            self.row += n_rows as u64;
            self.end_parts(open, contents);
        }
    }

    /// Ends the parts whose rows are all read, also those that have none.
    fn end_parts(&mut self, open: &mut BTreeMap<EpisodeId, Open>, contents: &mut Contents) {
        while let Some(part) = self.parts.get(self.at).filter(|it| it.row + it.n_rows <= self.row) {
            self.at += 1;
            let episode = self.open_of(part, open);
            episode.parts_left -= 1;
            if episode.parts_left > 0 {
                continue;
            }
            let Some(Open { names, hashers, n_rows, .. }) = open.remove(&part.id) else { continue };
            let hashes: Vec<(&str, [u8; 32])> =
                names.iter().map(String::as_str).zip(hashers.into_iter().map(FieldHasher::finish)).collect();
            let hash = B3(episode_hash(&hashes));
            let features = hashes.into_iter().map(|(name, hash)| (name.to_owned(), B3(hash))).collect();
            contents.0.insert(part.id.clone(), EpisodeContent { hash, features, rows: n_rows });
        }
    }

    fn open_of<'o>(&self, part: &Part, open: &'o mut BTreeMap<EpisodeId, Open>) -> &'o mut Open {
        match open.entry(part.id.clone()) {
            Entry::Occupied(it) => it.into_mut(),
            Entry::Vacant(it) => it.insert(Open {
                names: self.columns.iter().map(|(_, it)| it.name.clone()).collect(),
                hashers: self.columns.iter().map(|(_, it)| FieldHasher::new(it)).collect(),
                n_rows: 0,
                parts_left: self.n_parts.get(&part.id).copied().unwrap_or(1),
            }),
        }
    }
}
