use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{
        BinaryBuilder, FixedSizeBinaryBuilder, Float64Builder, Int64Builder, MapBuilder, StringBuilder,
        UInt32Builder, UInt64Builder,
    },
};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use nodedata_core::{Attachment, EpisodeVideo, Error, ErrorKind, Fact, InputFile, Result, StreamSchema};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
};

use crate::pages::PageEntry;

/// The column of the texts in an episode's metadata, level by level.
const METADATA_TEXTS: [&str; 3] = ["metadata", "entries", "value"];

/// One row of `index/episodes.parquet`: the rows of one episode in one shard, or an episode without rows.
#[derive(Debug, Clone)]
pub struct EpisodeRow<'a> {
    /// Position of the episode in the dataset.
    pub episode: u64,
    /// Stable key.
    pub key: &'a str,
    /// Its split.
    pub split: &'a str,
    /// `None` for an episode without rows.
    pub place: Option<EpisodePlace<'a>>,
    /// What was to be done.
    pub task: Option<&'a str>,
    /// The input file it comes from.
    pub source: Cow<'a, str>,
    /// Content hash of the episode's rows in this stream, over all shards.
    pub content: Option<[u8; 32]>,
    /// What else the source says of the episode.
    pub metadata: &'a BTreeMap<Arc<str>, Fact>,
}

/// Where rows of an episode lie.
#[derive(Debug, Clone, Copy)]
pub struct EpisodePlace<'a> {
    /// Their stream.
    pub stream: &'a str,
    /// Position of the shard in the manifest.
    pub shard: usize,
    /// First row in the shard.
    pub row: u64,
    /// Rows.
    pub n_rows: u64,
    /// First row group.
    pub row_group: u64,
    /// Row groups.
    pub n_row_groups: u64,
    /// Time of the first row, where there is a clock.
    pub start_time_ns: Option<i64>,
    /// Time of the last row.
    pub end_time_ns: Option<i64>,
}

/// One row of `index/origins.parquet`: rows of a shard, and the bytes of the input that they come from.
#[derive(Debug, Clone)]
pub struct OriginRow<'a> {
    /// Position of the shard in the manifest.
    pub shard: usize,
    /// First row in the shard.
    pub row: u64,
    /// Rows.
    pub n_rows: u64,
    /// Input file.
    pub source: Cow<'a, str>,
    /// Bytes of it.
    pub byte_range: Range<u64>,
    /// Which of the stream's records in that range the first row is made of, counted from 0.
    pub first_record: u64,
}

/// The bytes of `index/episodes.parquet`.
///
/// # Errors
/// What encoding reports.
pub fn episode_table(rows: &[EpisodeRow<'_>]) -> Result<Vec<u8>> {
    let mut episode = Int64Builder::new();
    let (mut key, mut stream, mut split) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut shard, mut row, mut n_rows) = (UInt32Builder::new(), UInt64Builder::new(), UInt64Builder::new());
    let (mut group, mut n_groups) = (UInt32Builder::new(), UInt32Builder::new());
    let (mut start, mut end) = (Int64Builder::new(), Int64Builder::new());
    let (mut task, mut source) = (StringBuilder::new(), StringBuilder::new());
    let mut content = FixedSizeBinaryBuilder::new(32);
    let map = || MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    let (mut metadata, mut types) = (map(), map());
    for it in rows {
        episode.append_value(it.episode as i64);
        key.append_value(it.key);
        stream.append_option(it.place.map(|it| it.stream));
        split.append_value(it.split);
        shard.append_option(it.place.map(|it| it.shard as u32));
        row.append_option(it.place.map(|it| it.row));
        n_rows.append_value(it.place.map_or(0, |it| it.n_rows));
        group.append_option(it.place.map(|it| it.row_group as u32));
        n_groups.append_option(it.place.map(|it| it.n_row_groups as u32));
        start.append_option(it.place.and_then(|it| it.start_time_ns));
        end.append_option(it.place.and_then(|it| it.end_time_ns));
        task.append_option(it.task);
        source.append_value(&it.source);
        match it.content {
            Some(hash) => content.append_value(hash).map_err(table_error)?,
            None => content.append_null(),
        }
        for (name, value) in it.metadata {
            metadata.keys().append_value(name);
            metadata.values().append_value(value.to_string());
            if !matches!(value, Fact::Text(_)) {
                types.keys().append_value(name);
                types.values().append_value(value.type_name());
            }
        }
        metadata.append(true).map_err(table_error)?;
        types.append(true).map_err(table_error)?;
    }
    table(vec![
        ("episode_index", Arc::new(episode.finish()), false),
        ("episode_key", Arc::new(key.finish()), false),
        ("stream", Arc::new(stream.finish()), true),
        ("split", Arc::new(split.finish()), false),
        ("shard", Arc::new(shard.finish()), true),
        ("row", Arc::new(row.finish()), true),
        ("rows", Arc::new(n_rows.finish()), false),
        ("row_group", Arc::new(group.finish()), true),
        ("row_groups", Arc::new(n_groups.finish()), true),
        ("start_time_ns", Arc::new(start.finish()), true),
        ("end_time_ns", Arc::new(end.finish()), true),
        ("task", Arc::new(task.finish()), true),
        ("source", Arc::new(source.finish()), false),
        ("content", Arc::new(content.finish()), true),
        ("metadata", Arc::new(metadata.finish()), false),
        // Of values that are no text: `bool`, `int` or `float`.
        ("metadata_types", Arc::new(types.finish()), false),
    ])
}

/// The bytes of `index/pages.parquet`: where every page of every shard lies.
///
/// # Errors
/// What encoding reports.
pub fn page_table<'a>(shards: impl Iterator<Item = &'a [PageEntry]>) -> Result<Vec<u8>> {
    let (mut shard, mut group) = (UInt32Builder::new(), UInt32Builder::new());
    let mut column = StringBuilder::new();
    let (mut offset, mut length) = (UInt64Builder::new(), UInt64Builder::new());
    let mut first_row = Int64Builder::new();
    for (idx, pages) in shards.enumerate() {
        for page in pages {
            shard.append_value(idx as u32);
            group.append_value(page.row_group);
            column.append_value(&page.column);
            offset.append_value(page.offset);
            length.append_value(page.n_bytes);
            first_row.append_value(page.first_row);
        }
    }
    table(vec![
        ("shard", Arc::new(shard.finish()), false),
        ("row_group", Arc::new(group.finish()), false),
        ("column", Arc::new(column.finish()), false),
        ("offset", Arc::new(offset.finish()), false),
        ("length", Arc::new(length.finish()), false),
        ("first_row", Arc::new(first_row.finish()), false),
    ])
}

/// The bytes of `index/origins.parquet`: which rows of which shard come from which bytes of which input.
///
/// # Errors
/// What encoding reports.
pub fn origin_table<'a>(rows: impl Iterator<Item = OriginRow<'a>>) -> Result<Vec<u8>> {
    let mut shard = UInt32Builder::new();
    let (mut row, mut n_rows) = (UInt64Builder::new(), UInt64Builder::new());
    let mut source = StringBuilder::new();
    let (mut start, mut end) = (UInt64Builder::new(), UInt64Builder::new());
    let mut first_record = UInt64Builder::new();
    for it in rows {
        shard.append_value(it.shard as u32);
        row.append_value(it.row);
        n_rows.append_value(it.n_rows);
        source.append_value(&it.source);
        start.append_value(it.byte_range.start);
        end.append_value(it.byte_range.end);
        first_record.append_value(it.first_record);
    }
    table(vec![
        ("shard", Arc::new(shard.finish()), false),
        ("row", Arc::new(row.finish()), false),
        ("rows", Arc::new(n_rows.finish()), false),
        ("source", Arc::new(source.finish()), false),
        ("byte_start", Arc::new(start.finish()), false),
        ("byte_end", Arc::new(end.finish()), false),
        ("first_record", Arc::new(first_record.finish()), false),
    ])
}

/// The bytes of `index/video.parquet`: what a decoder needs beside the samples of an episode.
pub(crate) fn videos(
    all: &[EpisodeVideo],
    streams: &[StreamSchema],
    inputs: &[InputFile],
) -> Result<Vec<u8>> {
    let mut episode = Int64Builder::new();
    let (mut stream, mut feature, mut codec) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut config = BinaryBuilder::new();
    let (mut width, mut height) = (UInt32Builder::new(), UInt32Builder::new());
    let (mut fps, mut n_frames) = (Float64Builder::new(), UInt64Builder::new());
    let (mut source, mut first_frame) = (StringBuilder::new(), UInt64Builder::new());
    for video in all {
        episode.append_value(video.episode as i64);
        stream.append_value(streams.get(video.stream.0 as usize).map_or("", |it| &it.name));
        feature.append_value(&video.feature);
        codec.append_value(&video.codec);
        config.append_value(&video.codec_config);
        width.append_value(video.width);
        height.append_value(video.height);
        fps.append_value(video.fps);
        n_frames.append_value(video.n_frames);
        source.append_value(
            inputs.get(video.input).map(|it| it.path.display().to_string()).unwrap_or_default(),
        );
        first_frame.append_value(video.first_frame);
    }
    table(vec![
        ("episode_index", Arc::new(episode.finish()), false),
        ("stream", Arc::new(stream.finish()), false),
        ("feature", Arc::new(feature.finish()), false),
        ("codec", Arc::new(codec.finish()), false),
        ("codec_config", Arc::new(config.finish()), false),
        ("width", Arc::new(width.finish()), false),
        ("height", Arc::new(height.finish()), false),
        ("fps", Arc::new(fps.finish()), false),
        ("frames", Arc::new(n_frames.finish()), false),
        ("source", Arc::new(source.finish()), false),
        ("first_frame", Arc::new(first_frame.finish()), false),
    ])
}

/// The bytes of `index/attachments.parquet`. Names are data: the file lies under its own hash.
pub(crate) fn attachments(all: &[Attachment], paths: &[String]) -> Result<Vec<u8>> {
    let mut episode = Int64Builder::new();
    let (mut name, mut media_type, mut path) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut log_time, mut create_time) = (Int64Builder::new(), Int64Builder::new());
    let mut n_bytes = UInt64Builder::new();
    for (attachment, stored) in all.iter().zip(paths) {
        episode.append_value(attachment.episode as i64);
        name.append_value(&attachment.name);
        media_type.append_value(&attachment.media_type);
        log_time.append_value(attachment.log_time_ns);
        create_time.append_value(attachment.create_time_ns);
        n_bytes.append_value(attachment.n_bytes());
        path.append_value(stored);
    }
    table(vec![
        ("episode_index", Arc::new(episode.finish()), false),
        ("name", Arc::new(name.finish()), false),
        ("media_type", Arc::new(media_type.finish()), false),
        ("log_time_ns", Arc::new(log_time.finish()), false),
        ("create_time_ns", Arc::new(create_time.finish()), false),
        ("bytes", Arc::new(n_bytes.finish()), false),
        ("path", Arc::new(path.finish()), false),
    ])
}

/// One small table as a Parquet file in memory, by its columns: name, values, and whether they may be null. The same rows give
/// the same bytes.
///
/// # Errors
/// `Corrupt` when the columns do not fit each other; what encoding reports.
pub fn table(columns: Vec<(&str, ArrayRef, bool)>) -> Result<Vec<u8>> {
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, array, nullable)| arrow_schema::Field::new(*name, array.data_type().clone(), *nullable))
        .collect();
    let arrays = columns.into_iter().map(|(_, array, _)| array).collect();
    let schema = Arc::new(Schema::new(fields));
    table_of(&schema, &[RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(table_error)?])
}

/// The same of rows that are batches already.
///
/// # Errors
/// As [`table`].
pub fn table_of(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let level = ZstdLevel::try_new(1).expect("1 is a level of zstd");
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(crate::writer::created_by())
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(true)
        // Hardly a text of an episode is there twice.
        .set_column_dictionary_enabled(METADATA_TEXTS.map(str::to_owned).to_vec().into(), false)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(20_000)
        .set_max_row_group_row_count(Some(1 << 20))
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties)).map_err(parquet_error)?;
    batches.iter().try_for_each(|it| writer.write(it)).map_err(parquet_error)?;
    writer.into_inner().map_err(parquet_error)
}

fn table_error(err: ArrowError) -> Error {
    Error::new(ErrorKind::Corrupt, "cannot build an index table").with_source(err)
}

fn parquet_error(err: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Io, "cannot encode an index table").with_source(err)
}

#[cfg(test)]
mod tests {
    use parquet::{
        basic::Encoding,
        file::reader::{FileReader, SerializedFileReader},
    };

    use super::*;

    fn row(metadata: &BTreeMap<Arc<str>, Fact>) -> EpisodeRow<'_> {
        EpisodeRow {
            episode: 0,
            key: "run",
            split: "train",
            place: None,
            task: None,
            source: "run.mcap".into(),
            content: None,
            metadata,
        }
    }

    #[test]
    fn metadata_comes_back_with_its_types() {
        let metadata: BTreeMap<Arc<str>, Fact> = [
            ("quality", Fact::Text("good".to_owned())),
            ("attempts", Fact::Int(-3)),
            ("score", Fact::Float(0.5)),
            ("success", Fact::Bool(true)),
            ("code", Fact::Text("007".to_owned())),
        ]
        .map(|(key, value)| (key.into(), value))
        .into();
        let none = BTreeMap::new();
        let table = episode_table(&[row(&none), row(&metadata), row(&none)]).unwrap();
        let files = nodedata_io::MemoryFiles::default().with("episodes", table);
        let file = nodedata_core::Files::open(&files, std::path::Path::new("episodes")).unwrap();
        let read = crate::EpisodeEntry::read("episodes", file).unwrap();
        let told: BTreeMap<Arc<str>, Fact> =
            read[1].metadata.iter().map(|(key, value)| (key.as_str().into(), value.clone())).collect();
        assert_eq!(told, metadata);
        assert!(read[0].metadata.is_empty() && read[2].metadata.is_empty());
    }

    #[test]
    fn texts_of_episodes_have_no_dictionary_and_their_names_do() {
        let metadata = [("quality".into(), "good".to_owned().into())].into();
        let file =
            SerializedFileReader::new(bytes::Bytes::from(episode_table(&[row(&metadata)]).unwrap())).unwrap();
        let group = file.metadata().row_group(0);
        let has_dictionary = |name: &str| {
            let column = group.columns().iter().find(|it| it.column_path().string() == name).unwrap();
            column.encodings().any(|it| it == Encoding::RLE_DICTIONARY || it == Encoding::PLAIN_DICTIONARY)
        };
        assert!(has_dictionary("metadata.entries.key"));
        assert!(!has_dictionary(&METADATA_TEXTS.join(".")));
    }
}
