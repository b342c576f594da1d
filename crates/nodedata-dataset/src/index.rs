use std::{borrow::Cow, ops::Range, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Int64Builder, StringBuilder, UInt32Builder, UInt64Builder},
};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use nodedata_core::{Attachment, Error, ErrorKind, Result};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
};

/// The column of the texts in an episode's metadata, level by level.
pub(crate) const METADATA_TEXTS: [&str; 3] = ["metadata", "entries", "value"];

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
    let mut writer = TableWriter::new(schema, Some(1 << 20))?;
    batches.iter().try_for_each(|it| writer.0.write(it)).map_err(parquet_error)?;
    writer.finish()
}

/// Encodes an index table batch by batch.
pub(crate) struct TableWriter(ArrowWriter<Vec<u8>>);

impl TableWriter {
    /// Of a table whose row groups end where [`Self::group`] says.
    ///
    /// # Errors
    /// What encoding reports.
    pub(crate) fn with_own_groups(schema: &SchemaRef) -> Result<Self> {
        Self::new(schema, None)
    }

    fn new(schema: &SchemaRef, group_rows: Option<usize>) -> Result<Self> {
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
            .set_max_row_group_row_count(group_rows)
            .build();
        ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties))
            .map(Self)
            .map_err(parquet_error)
    }

    /// Writes a row group; none of no rows.
    ///
    /// # Errors
    /// What encoding reports.
    pub(crate) fn group(&mut self, rows: &RecordBatch) -> Result<()> {
        self.0.write(rows).and_then(|()| self.0.flush()).map_err(parquet_error)
    }

    /// The bytes of the table.
    ///
    /// # Errors
    /// What encoding reports.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().map_err(parquet_error)
    }
}

pub(crate) fn table_error(err: ArrowError) -> Error {
    Error::new(ErrorKind::Corrupt, "cannot build an index table").with_source(err)
}

fn parquet_error(err: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Io, "cannot encode an index table").with_source(err)
}
