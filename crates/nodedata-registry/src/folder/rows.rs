use std::path::Path;

use arrow_array::{Array, RecordBatch, cast::AsArray, types};
use nodedata_arrow::Batches;
use nodedata_core::{
    Batch, EPISODE_INDEX, Error, ErrorKind, Feature, Locus, Progress, Result, STEPS, StreamId, StreamKind,
    StreamSchema,
};
use nodedata_dataset::{FieldHasher, episode_hash};
use nodedata_schema::SchemaBuilder;
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, errors::ParquetError};
use serde::{Deserialize, Serialize};

use crate::{digest::B3, folder::footer::Footer, hashing::open};

/// Rows decoded at once.
const BATCH_ROWS: usize = 1024;

/// What the rows of a shard tell: its episodes with the hashes of their features, and the shapes that only
/// rows know. Depends on the bytes and the cuts alone, so it is remembered by them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShardRows {
    /// Inferred schema of this shard, as a document.
    pub(crate) schema: String,
    /// Its episodes, in row order.
    pub(crate) episodes: Vec<FoundEpisode>,
}

/// The rows of one episode.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FoundEpisode {
    /// Value of the column `episode_index`, where there is one and it tells the episodes.
    pub(crate) index: Option<i64>,
    /// First row in the shard.
    pub(crate) row: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// Hash over all features.
    pub(crate) hash: B3,
    /// Hash of each feature, in order of name.
    pub(crate) features: Vec<(String, B3)>,
}

/// How a shard is cut into episodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum Cuts {
    /// Where the column `episode_index` changes.
    Column,
    /// The whole shard is one.
    Whole,
    /// As a sample index says: rows of each, one after the other.
    Given(Vec<u64>),
}

/// Reads all rows once.
///
/// # Errors
/// `Corrupt`, `SchemaMismatch`, `Io`; `Interrupted` when `progress` says to stop.
pub(crate) fn read_rows(
    path: &Path,
    footer: &Footer,
    cuts: &Cuts,
    progress: &dyn Progress,
) -> Result<ShardRows> {
    let at = |err: Error| err.at(Locus::path(path));
    let unreadable = |err: ParquetError| {
        at(Error::new(ErrorKind::Corrupt, "the rows of the shard cannot be decoded").with_source(err))
    };
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open(path)?, footer.metadata.clone());
    let batches = Batches::of(builder.with_batch_size(BATCH_ROWS)).map_err(unreadable)?;
    let stream = StreamSchema {
        id: StreamId(0),
        name: STEPS.into(),
        kind: StreamKind::Steps,
        features: footer.features.clone(),
        metadata: Default::default(),
    };
    let mut walk = Walk {
        schema: SchemaBuilder::new(std::slice::from_ref(&stream)),
        features: &footer.features,
        cuts,
        open: None,
        done: Vec::new(),
        row: 0,
    };
    for batch in batches {
        progress.go_on()?;
        walk.batch(&batch.map_err(unreadable)?).map_err(at)?;
    }
    walk.end();
    Ok(ShardRows { schema: walk.schema.finish().to_json(), episodes: walk.done })
}

struct Walk<'a> {
    schema: SchemaBuilder,
    features: &'a [Feature],
    cuts: &'a Cuts,
    open: Option<Open>,
    done: Vec<FoundEpisode>,
    row: u64,
}

/// The episode being read.
struct Open {
    index: Option<i64>,
    row: u64,
    rows: u64,
    hashers: Vec<FieldHasher>,
}

impl Walk<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let episodes = match self.cuts {
            Cuts::Column => Some(episode_values(batch)?),
            Cuts::Whole | Cuts::Given(_) => None,
        };
        let columns: Vec<usize> = self
            .features
            .iter()
            .map(|it| batch.schema_ref().index_of(&it.name))
            .collect::<Result<_, _>>()
            .map_err(|err| {
                Error::new(ErrorKind::Corrupt, "a column of the footer is missing").with_source(err)
            })?;
        let rows = batch
            .project(&columns)
            .map_err(|err| Error::new(ErrorKind::Corrupt, "the columns cannot be picked").with_source(err))?;
        self.schema.observe(&Batch {
            stream: StreamId(0),
            rows: rows.clone(),
            spans: Vec::new(),
            pixels: Vec::new(),
        });
        let mut start = 0;
        while start < rows.num_rows() {
            let (index, n_rows) = match &episodes {
                Some(values) => {
                    let index = values[start];
                    (Some(index), values[start..].iter().take_while(|it| **it == index).count())
                }
                None => (None, self.until_cut(rows.num_rows() - start)),
            };
            self.rows(index, &rows.slice(start, n_rows));
            start += n_rows;
        }
        Ok(())
    }

    /// How many of the next rows belong to the same episode.
    fn until_cut(&self, n_left: usize) -> usize {
        let Cuts::Given(lengths) = self.cuts else { return n_left };
        let mut end = 0;
        for length in lengths {
            end += length;
            if end > self.row {
                return n_left.min((end - self.row) as usize);
            }
        }
        n_left
    }

    fn rows(&mut self, index: Option<i64>, rows: &RecordBatch) {
        let is_new = match (&self.open, self.cuts) {
            (None, _) => true,
            (Some(open), Cuts::Column) => open.index != index,
            (Some(_), Cuts::Whole) => false,
            (Some(_), Cuts::Given(lengths)) => lengths
                .iter()
                .scan(0, |end, it| {
                    *end += it;
                    Some(*end)
                })
                .any(|end| end == self.row),
        };
        if is_new {
            self.end();
            let hashers = self.features.iter().map(FieldHasher::new).collect();
            self.open = Some(Open { index, row: self.row, rows: 0, hashers });
        }
        if let Some(open) = &mut self.open {
            for (hasher, column) in open.hashers.iter_mut().zip(rows.columns()) {
                hasher.update(column.as_ref());
            }
            open.rows += rows.num_rows() as u64;
        }
        self.row += rows.num_rows() as u64;
    }

    fn end(&mut self) {
        let Some(open) = self.open.take() else { return };
        let names = self.features.iter().map(|it| it.name.as_str());
        let mut fields: Vec<(&str, [u8; 32])> =
            names.zip(open.hashers).map(|(name, hasher)| (name, hasher.finish())).collect();
        let hash = B3(episode_hash(&fields));
        fields.sort_unstable();
        let features = fields.into_iter().map(|(name, hash)| (name.to_owned(), B3(hash))).collect();
        self.done.push(FoundEpisode { index: open.index, row: open.row, rows: open.rows, hash, features });
    }
}

/// The episode of each row.
fn episode_values(batch: &RecordBatch) -> Result<Vec<i64>> {
    let wrong = || {
        Error::new(ErrorKind::SchemaMismatch, format!("column `{EPISODE_INDEX}` does not hold whole numbers"))
            .with_hint("write it as int64, without nulls")
    };
    let column = batch.column_by_name(EPISODE_INDEX).ok_or_else(wrong)?;
    if column.null_count() > 0 {
        return Err(wrong());
    }
    macro_rules! values {
        ($($t:ty),*) => {
            $(if let Some(array) = column.as_primitive_opt::<$t>() {
                return array.values().iter().map(|it| i64::try_from(*it).map_err(|_| wrong())).collect();
            })*
        };
    }
    values!(types::Int64Type, types::Int32Type, types::Int16Type, types::UInt32Type, types::UInt64Type);
    Err(wrong())
}
