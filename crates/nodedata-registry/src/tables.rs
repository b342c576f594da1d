//! The index tables of a revision as Parquet: written with the columns of a converted dataset, read by
//! name.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    builder::{FixedSizeBinaryBuilder, Int64Builder, StringBuilder, UInt32Builder, UInt64Builder},
    cast::AsArray,
    types::{Int64Type, UInt32Type, UInt64Type},
};
use arrow_schema::{Field, Schema};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
};

use crate::{
    content::{Contents, EpisodeContent, EpisodeId},
    digest::B3,
    record::{BlobRef, ShardRef},
};

/// One row of `index/episodes.parquet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EpisodeRow {
    pub(crate) episode: i64,
    pub(crate) key: String,
    /// `None` for an episode without rows.
    pub(crate) stream: Option<String>,
    pub(crate) split: String,
    pub(crate) shard: u32,
    pub(crate) row: u64,
    pub(crate) rows: u64,
    pub(crate) row_group: u32,
    pub(crate) row_groups: u32,
    pub(crate) source: String,
    pub(crate) content: Option<B3>,
}

/// One row of `index/pages.parquet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRow {
    pub(crate) shard: u32,
    pub(crate) row_group: u32,
    pub(crate) column: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) first_row: i64,
}

pub(crate) fn write_episodes(rows: &[EpisodeRow]) -> Result<Vec<u8>> {
    let mut content = FixedSizeBinaryBuilder::new(32);
    for row in rows {
        match &row.content {
            Some(hash) => content.append_value(hash.0).map_err(unbuildable)?,
            None => content.append_null(),
        }
    }
    let absent = |n| {
        let mut builder = Int64Builder::new();
        builder.append_nulls(n);
        builder.finish()
    };
    let mut task = StringBuilder::new();
    rows.iter().for_each(|_| task.append_null());
    table(vec![
        ("episode_index", i64s(rows.iter().map(|it| it.episode)), false),
        ("episode_key", texts(rows.iter().map(|it| Some(it.key.as_str()))), false),
        ("stream", texts(rows.iter().map(|it| it.stream.as_deref())), true),
        ("split", texts(rows.iter().map(|it| Some(it.split.as_str()))), false),
        ("shard", u32s(rows.iter().map(|it| it.shard)), true),
        ("row", u64s(rows.iter().map(|it| it.row)), true),
        ("rows", u64s(rows.iter().map(|it| it.rows)), false),
        ("row_group", u32s(rows.iter().map(|it| it.row_group)), true),
        ("row_groups", u32s(rows.iter().map(|it| it.row_groups)), true),
        ("start_time_ns", Arc::new(absent(rows.len())), true),
        ("end_time_ns", Arc::new(absent(rows.len())), true),
        ("task", Arc::new(task.finish()), true),
        ("source", texts(rows.iter().map(|it| Some(it.source.as_str()))), false),
        ("content", Arc::new(content.finish()), true),
    ])
}

pub(crate) fn read_episodes(bytes: Bytes) -> Result<Vec<EpisodeRow>> {
    let mut rows = Vec::new();
    for batch in batches("index/episodes.parquet", bytes)? {
        let table = Columns(&batch);
        for idx in 0..batch.num_rows() {
            rows.push(EpisodeRow {
                episode: table.i64("episode_index", idx)?,
                key: table.text("episode_key", idx)?.unwrap_or_default(),
                stream: table.text("stream", idx)?,
                split: table.text("split", idx)?.unwrap_or_default(),
                shard: table.u32("shard", idx)?,
                row: table.u64("row", idx)?,
                rows: table.u64("rows", idx)?,
                row_group: table.u32("row_group", idx)?,
                row_groups: table.u32("row_groups", idx)?,
                source: table.text("source", idx)?.unwrap_or_default(),
                content: table.hash("content", idx)?,
            });
        }
    }
    Ok(rows)
}

pub(crate) fn write_pages(rows: &[PageRow]) -> Result<Vec<u8>> {
    table(vec![
        ("shard", u32s(rows.iter().map(|it| it.shard)), false),
        ("row_group", u32s(rows.iter().map(|it| it.row_group)), false),
        ("column", texts(rows.iter().map(|it| Some(it.column.as_str()))), false),
        ("offset", u64s(rows.iter().map(|it| it.offset)), false),
        ("length", u64s(rows.iter().map(|it| it.length)), false),
        ("first_row", i64s(rows.iter().map(|it| it.first_row)), false),
    ])
}

pub(crate) fn read_pages(bytes: Bytes) -> Result<Vec<PageRow>> {
    let mut rows = Vec::new();
    for batch in batches("index/pages.parquet", bytes)? {
        let table = Columns(&batch);
        for idx in 0..batch.num_rows() {
            rows.push(PageRow {
                shard: table.u32("shard", idx)?,
                row_group: table.u32("row_group", idx)?,
                column: table.text("column", idx)?.unwrap_or_default(),
                offset: table.u64("offset", idx)?,
                length: table.u64("length", idx)?,
                first_row: table.i64("first_row", idx)?,
            });
        }
    }
    Ok(rows)
}

/// `index/contents.parquet`: the hash of every feature of every episode.
pub(crate) fn write_contents(contents: &Contents) -> Result<Vec<u8>> {
    let rows = || contents.0.iter().flat_map(|(id, it)| it.features.iter().map(move |feature| (id, feature)));
    let mut hash = FixedSizeBinaryBuilder::new(32);
    for (_, (_, b3)) in rows() {
        hash.append_value(b3.0).map_err(unbuildable)?;
    }
    table(vec![
        ("split", texts(rows().map(|(id, _)| Some(id.split.as_str()))), false),
        ("stream", texts(rows().map(|(id, _)| Some(id.stream.as_str()))), false),
        ("episode_key", texts(rows().map(|(id, _)| Some(id.key.as_str()))), false),
        ("feature", texts(rows().map(|(_, (name, _))| Some(name.as_str()))), false),
        ("content", Arc::new(hash.finish()), false),
    ])
}

/// The content of all episodes, from the two tables.
pub(crate) fn contents_of(episodes: &[EpisodeRow], features: Option<Bytes>) -> Result<Contents> {
    let mut contents = Contents::default();
    for row in episodes {
        let (Some(stream), Some(hash)) = (&row.stream, row.content) else { continue };
        let id = EpisodeId { split: row.split.clone(), stream: stream.clone(), key: row.key.clone() };
        let new = || EpisodeContent { hash, features: BTreeMap::new(), rows: 0 };
        contents.0.entry(id).or_insert_with(new).rows += row.rows;
    }
    for batch in features.map(|it| batches("index/contents.parquet", it)).transpose()?.unwrap_or_default() {
        let table = Columns(&batch);
        for idx in 0..batch.num_rows() {
            let id = EpisodeId {
                split: table.text("split", idx)?.unwrap_or_default(),
                stream: table.text("stream", idx)?.unwrap_or_default(),
                key: table.text("episode_key", idx)?.unwrap_or_default(),
            };
            let feature = table.text("feature", idx)?.zip(table.hash("content", idx)?);
            if let (Some(content), Some((name, hash))) = (contents.0.get_mut(&id), feature) {
                content.features.insert(name, hash);
            }
        }
    }
    Ok(contents)
}

/// The shards of a revision that has too many for its manifest.
pub(crate) fn write_shards(shards: &[ShardRef]) -> Result<Vec<u8>> {
    let hash_of = |hash: fn(&ShardRef) -> [u8; 32]| -> Result<ArrayRef> {
        let mut builder = FixedSizeBinaryBuilder::new(32);
        for shard in shards {
            builder.append_value(hash(shard)).map_err(unbuildable)?;
        }
        Ok(Arc::new(builder.finish()))
    };
    table(vec![
        ("path", texts(shards.iter().map(|it| Some(it.path.as_str()))), false),
        ("stream", texts(shards.iter().map(|it| Some(it.stream.as_str()))), false),
        ("split", texts(shards.iter().map(|it| Some(it.split.as_str()))), false),
        ("b3", hash_of(|it| it.blob.b3.0)?, false),
        ("sha256", texts(shards.iter().map(|it| Some(it.blob.sha256.as_str()))), false),
        ("bytes", u64s(shards.iter().map(|it| it.blob.bytes)), false),
        ("rows", u64s(shards.iter().map(|it| it.rows)), false),
        ("row_groups", u64s(shards.iter().map(|it| it.row_groups)), false),
        ("first_episode", u64s(shards.iter().map(|it| it.episodes.0)), false),
        ("last_episode", u64s(shards.iter().map(|it| it.episodes.1)), false),
        ("content", hash_of(|it| it.content.0)?, false),
        ("provenance", hash_of(|it| it.provenance.0)?, false),
    ])
}

pub(crate) fn read_shards(bytes: Bytes) -> Result<Vec<ShardRef>> {
    let mut shards = Vec::new();
    for batch in batches("the table of shards", bytes)? {
        let table = Columns(&batch);
        let text = |name, idx| Ok::<_, Error>(table.text(name, idx)?.unwrap_or_default());
        let hash = |name, idx| Ok::<_, Error>(table.hash(name, idx)?.unwrap_or(B3([0; 32])));
        for idx in 0..batch.num_rows() {
            shards.push(ShardRef {
                path: text("path", idx)?,
                stream: text("stream", idx)?,
                split: text("split", idx)?,
                blob: BlobRef {
                    b3: hash("b3", idx)?,
                    sha256: text("sha256", idx)?,
                    bytes: table.u64("bytes", idx)?,
                },
                rows: table.u64("rows", idx)?,
                row_groups: table.u64("row_groups", idx)?,
                episodes: (table.u64("first_episode", idx)?, table.u64("last_episode", idx)?),
                content: hash("content", idx)?,
                provenance: hash("provenance", idx)?,
            });
        }
    }
    Ok(shards)
}

/// `index/origins.parquet`: which rows of which shard come from which bytes of which file.
pub(crate) fn write_origins(shards: &[(u64, String, u64)]) -> Result<Vec<u8>> {
    table(vec![
        ("shard", u32s(0..shards.len() as u32), false),
        ("row", u64s(shards.iter().map(|_| 0)), false),
        ("rows", u64s(shards.iter().map(|it| it.0)), false),
        ("source", texts(shards.iter().map(|it| Some(it.1.as_str()))), false),
        ("byte_start", u64s(shards.iter().map(|_| 0)), false),
        ("byte_end", u64s(shards.iter().map(|it| it.2)), false),
        ("first_record", u64s(shards.iter().map(|_| 0)), false),
    ])
}

fn i64s(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(arrow_array::Int64Array::from_iter_values(values))
}

fn u64s(values: impl Iterator<Item = u64>) -> ArrayRef {
    let mut builder = UInt64Builder::new();
    values.for_each(|it| builder.append_value(it));
    Arc::new(builder.finish())
}

fn u32s(values: impl Iterator<Item = u32>) -> ArrayRef {
    let mut builder = UInt32Builder::new();
    values.for_each(|it| builder.append_value(it));
    Arc::new(builder.finish())
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    values.for_each(|it| builder.append_option(it));
    Arc::new(builder.finish())
}

/// One small table as a Parquet file in memory; the same rows give the same bytes.
fn table(columns: Vec<(&str, ArrayRef, bool)>) -> Result<Vec<u8>> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array, nullable)| Field::new(*name, array.data_type().clone(), *nullable))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array, _)| array).collect();
    write_batches(&[RecordBatch::try_new(schema, arrays).map_err(unbuildable)?])
}

/// The rows of a small table as a Parquet file in memory; there is at least one batch.
pub(crate) fn write_batches(batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let Some(first) = batches.first() else {
        return Err(Error::new(ErrorKind::Corrupt, "an index table has no rows"));
    };
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(nodedata_dataset::created_by())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a level of zstd")))
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(20_000)
        .set_max_row_group_row_count(Some(1 << 20))
        .build();
    let unwritable = |err: parquet::errors::ParquetError| {
        Error::new(ErrorKind::Io, "cannot encode an index table").with_source(err)
    };
    let mut writer =
        ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties)).map_err(unwritable)?;
    batches.iter().try_for_each(|it| writer.write(it)).map_err(unwritable)?;
    writer.into_inner().map_err(unwritable)
}

fn unbuildable(err: arrow_schema::ArrowError) -> Error {
    Error::new(ErrorKind::Corrupt, "cannot build an index table").with_source(err)
}

/// All rows of a table in memory.
pub(crate) fn batches(what: &str, bytes: Bytes) -> Result<Vec<RecordBatch>> {
    let unreadable = |err: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Corrupt, format!("{what} cannot be read")).with_source(err)
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|err| unreadable(err.into()))?;
    reader.collect::<Result<_, _>>().map_err(|err| unreadable(err.into()))
}

/// Columns by name and type.
struct Columns<'a>(&'a RecordBatch);

impl Columns<'_> {
    fn column(&self, name: &str) -> Result<&dyn Array> {
        self.0
            .column_by_name(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("an index table has no column `{name}`")))
    }

    fn text(&self, name: &str, idx: usize) -> Result<Option<String>> {
        let array = self.column(name)?.as_string_opt::<i32>().ok_or_else(|| wrong(name))?;
        Ok(array.is_valid(idx).then(|| array.value(idx).to_owned()))
    }

    fn i64(&self, name: &str, idx: usize) -> Result<i64> {
        Ok(self.column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong(name))?.value(idx))
    }

    fn u64(&self, name: &str, idx: usize) -> Result<u64> {
        Ok(self.column(name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong(name))?.value(idx))
    }

    fn u32(&self, name: &str, idx: usize) -> Result<u32> {
        Ok(self.column(name)?.as_primitive_opt::<UInt32Type>().ok_or_else(|| wrong(name))?.value(idx))
    }

    fn hash(&self, name: &str, idx: usize) -> Result<Option<B3>> {
        let array = self.column(name)?.as_fixed_size_binary_opt().ok_or_else(|| wrong(name))?;
        let hash = array.is_valid(idx).then(|| array.value(idx));
        hash.map(|it| it.try_into().map(B3).map_err(|_| wrong(name))).transpose()
    }
}

fn wrong(name: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("column `{name}` of an index table has another type"))
}
