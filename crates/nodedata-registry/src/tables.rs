//! The tables that only a revision has, and those of its index, from the bytes of blobs.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{FixedSizeBinaryBuilder, StringBuilder, UInt64Builder},
};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, ReadAt, Result};
use nodedata_dataset::{Columns, EpisodeTable, Rows, table};
use nodedata_io::MemoryFiles;

use crate::{
    content::{Contents, EpisodeContent, EpisodeId},
    digest::B3,
    record::{BlobRef, ShardRef},
};

pub(crate) fn read_episodes(bytes: Bytes) -> Result<EpisodeTable> {
    let path = "index/episodes.parquet";
    EpisodeTable::read(path, file(path, bytes)?)
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
pub(crate) fn contents_of(episodes: &EpisodeTable, features: Option<Bytes>) -> Result<Contents> {
    let mut contents = Contents::default();
    for row in episodes.iter() {
        let (Some(stream), Some(hash)) = (row.stream, row.content) else { continue };
        let id =
            EpisodeId { split: row.split.to_owned(), stream: stream.to_owned(), key: row.key.to_owned() };
        let new = || EpisodeContent { hash: B3(hash), features: BTreeMap::new(), rows: 0 };
        contents.0.entry(id).or_insert_with(new).rows += row.n_rows;
    }
    for batch in features.map(|it| batches("index/contents.parquet", it)).transpose()?.unwrap_or_default() {
        let table = Columns(&batch);
        for idx in 0..batch.num_rows() {
            let id = EpisodeId {
                split: table.text("split", idx)?,
                stream: table.text("stream", idx)?,
                key: table.text("episode_key", idx)?,
            };
            if let (Some(content), Some(hash)) = (contents.0.get_mut(&id), table.hash("content", idx)?) {
                content.features.insert(table.text("feature", idx)?, B3(hash));
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
        let text = |name, idx| table.text(name, idx);
        let hash = |name, idx| Ok::<_, Error>(B3(table.hash(name, idx)?.unwrap_or_default()));
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

fn u64s(values: impl Iterator<Item = u64>) -> ArrayRef {
    let mut builder = UInt64Builder::new();
    values.for_each(|it| builder.append_value(it));
    Arc::new(builder.finish())
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    values.for_each(|it| builder.append_option(it));
    Arc::new(builder.finish())
}

fn unbuildable(err: arrow_schema::ArrowError) -> Error {
    Error::new(ErrorKind::Corrupt, "cannot build an index table").with_source(err)
}

/// All rows of a table in memory.
fn batches(what: &str, bytes: Bytes) -> Result<Vec<RecordBatch>> {
    Rows::of_file(what, file(what, bytes)?)?.collect()
}

fn file(path: &str, bytes: Bytes) -> Result<Arc<dyn ReadAt>> {
    MemoryFiles::default().with(path, bytes).open(Path::new(path))
}
