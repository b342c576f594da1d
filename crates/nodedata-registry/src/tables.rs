//! The tables that only a revision has, and those of its index, from the bytes of blobs.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef,
    builder::{FixedSizeBinaryBuilder, StringBuilder, UInt64Builder},
};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Files, ReadAt, Result};
use nodedata_dataset::{Columns, EpisodeTable, Rows, table};
use nodedata_io::MemoryFiles;

use crate::{
    bounded::{BlobBytes, Position},
    content::{Contents, EpisodeContent, EpisodeId},
    digest::B3,
    record::{BlobRef, ShardRef},
};

/// The index of episodes, whose rows take no more than `bytes_max` bytes of memory.
pub(crate) fn read_episodes(bytes: Bytes, bytes_max: u64) -> Result<EpisodeTable> {
    let path = "index/episodes.parquet";
    EpisodeTable::read_within(path, file(path, bytes)?, bytes_max)
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

/// The content of all episodes, from the two tables; rows of the second take no more than `bytes_max` bytes of memory.
pub(crate) fn contents_of(
    episodes: &EpisodeTable,
    features: Option<Bytes>,
    bytes_max: u64,
) -> Result<Contents> {
    let mut contents = Contents::default();
    for row in episodes.iter() {
        let (Some(stream), Some(hash)) = (row.stream, row.content) else { continue };
        let id =
            EpisodeId { split: row.split.to_owned(), stream: stream.to_owned(), key: row.key.to_owned() };
        let new = || EpisodeContent { hash: B3(hash), features: BTreeMap::new(), rows: 0 };
        let content = contents.0.entry(id).or_insert_with(new);
        content.rows = content.rows.saturating_add(row.n_rows);
    }
    let features = features.map(|it| rows("index/contents.parquet", it, bytes_max)).transpose()?;
    for batch in features.into_iter().flatten() {
        let batch = batch?;
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

/// The shards of such a table, whose rows take no more than `bytes_max` bytes of memory.
pub(crate) fn read_shards(bytes: Bytes, bytes_max: u64) -> Result<Vec<ShardRef>> {
    let mut shards = Vec::new();
    for batch in rows("the table of shards", bytes, bytes_max)? {
        let batch = batch?;
        let table = Columns(&batch);
        let text = |name, idx| table.text(name, idx);
        let hash = |name, idx| Ok::<_, Error>(B3(table.hash(name, idx)?.unwrap_or_default()));
        // As in a manifest, so that no form of it brings a number past its maximum.
        let count = |name, idx| Ok::<_, Error>(Position::new(name, table.u64(name, idx)?)?.get());
        for idx in 0..batch.num_rows() {
            shards.push(ShardRef {
                path: text("path", idx)?,
                stream: text("stream", idx)?,
                split: text("split", idx)?,
                blob: BlobRef {
                    b3: hash("b3", idx)?,
                    sha256: text("sha256", idx)?,
                    bytes: BlobBytes::new("bytes", table.u64("bytes", idx)?)?.get(),
                },
                rows: count("rows", idx)?,
                row_groups: count("row_groups", idx)?,
                episodes: (count("first_episode", idx)?, count("last_episode", idx)?),
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

/// All rows of a table, batch by batch.
fn rows(what: &str, bytes: Bytes, bytes_max: u64) -> Result<Rows> {
    Rows::of_file_within(what, file(what, bytes)?, bytes_max)
}

fn file(path: &str, bytes: Bytes) -> Result<Arc<dyn ReadAt>> {
    MemoryFiles::default().with(path, bytes).open(Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::{BLOB_BYTES_MAX, POSITION_MAX};

    fn shard(idx: u64) -> ShardRef {
        ShardRef {
            path: format!("train-{idx:05}.parquet"),
            stream: "steps".to_owned(),
            split: "train".to_owned(),
            blob: BlobRef { b3: B3::of(&idx.to_le_bytes()), sha256: "0".repeat(64), bytes: idx },
            rows: idx,
            row_groups: 1,
            episodes: (idx, idx),
            content: B3::of(b"content"),
            provenance: B3::of(b"provenance"),
        }
    }

    #[test]
    fn tables_of_shards_read_back_and_bring_no_number_past_its_maximum() {
        let shards: Vec<ShardRef> = (0..5000).map(shard).collect();
        let bytes = Bytes::from(write_shards(&shards).unwrap());
        assert_eq!(read_shards(bytes.clone(), u64::MAX).unwrap(), shards);
        // Who has less memory than an honest table takes reads none of it.
        assert_eq!(read_shards(bytes, 100_000).unwrap_err().kind(), ErrorKind::Limit);
        let read = |change: &dyn Fn(&mut ShardRef)| {
            let mut shards = vec![shard(0), shard(1)];
            shards.iter_mut().for_each(change);
            read_shards(write_shards(&shards).unwrap().into(), u64::MAX)
        };
        assert!(read(&|it| it.blob.bytes = BLOB_BYTES_MAX).is_ok());
        assert!(read(&|it| (it.rows, it.episodes) = (POSITION_MAX, (0, POSITION_MAX))).is_ok());
        let changes: [&dyn Fn(&mut ShardRef); 5] = [
            &|it| it.blob.bytes = BLOB_BYTES_MAX + 1,
            &|it| it.blob.bytes = u64::MAX,
            &|it| it.rows = POSITION_MAX + 1,
            &|it| it.row_groups = 1 << 63,
            &|it| it.episodes.1 = u64::MAX,
        ];
        for change in changes {
            assert_eq!(read(change).unwrap_err().kind(), ErrorKind::Limit);
        }
    }

    /// A small file that makes much of itself is not decoded, whichever table it is given for.
    #[test]
    fn a_table_is_read_within_the_memory_of_its_length() {
        let long = "x".repeat(20_000);
        let shards: Vec<ShardRef> =
            (0..2000).map(|idx| ShardRef { stream: long.clone(), ..shard(idx) }).collect();
        let bytes = Bytes::from(write_shards(&shards).unwrap());
        assert!(bytes.len() < 300_000, "{} bytes", bytes.len());
        let shards_err = read_shards(bytes.clone(), u64::MAX).map(drop).unwrap_err();
        let episodes_err = read_episodes(bytes.clone(), u64::MAX).map(drop).unwrap_err();
        let none = read_episodes(episodes().into(), u64::MAX).unwrap();
        let contents_err = contents_of(&none, Some(bytes), u64::MAX).map(drop).unwrap_err();
        for err in [shards_err, episodes_err, contents_err] {
            assert_eq!(err.kind(), ErrorKind::Limit, "{}", err.chain());
            assert!(err.locus().path.is_some() && err.hint().is_some(), "{err}");
        }
    }

    fn episodes() -> Vec<u8> {
        nodedata_dataset::episode_table(&[]).unwrap()
    }
}
