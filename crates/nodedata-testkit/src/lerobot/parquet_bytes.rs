use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{Field, Schema};
use arrow_select::{concat::concat_batches, take::take_record_batch};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder, arrow_writer::ArrowWriterOptions},
    basic::{Compression, GzipLevel, ZstdLevel},
    file::properties::WriterProperties,
};

/// How a Parquet file is written.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// Codec of all columns.
    pub compression: Compressed,
    /// Most rows of a row group.
    pub row_group_rows: usize,
    /// Whether Arrow's own schema is put beside Parquet's; only it tells fixed-size lists.
    pub has_arrow_schema: bool,
}

/// Codecs that writers of datasets use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressed {
    /// What the official writer uses.
    Snappy,
    /// Zstandard.
    Zstd,
    /// Deflate.
    Gzip,
    /// LZ4 without frames.
    Lz4Raw,
    /// Not at all.
    No,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { compression: Compressed::Snappy, row_group_rows: 1 << 20, has_arrow_schema: true }
    }
}

/// All rows of a Parquet file.
pub(super) fn from_parquet(bytes: &[u8]) -> RecordBatch {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes)).expect("a Parquet file");
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> =
        reader.build().expect("its rows").map(|it| it.expect("whole pages")).collect();
    concat_batches(&schema, &batches).expect("batches of one schema")
}

/// A Parquet file of some rows.
pub(super) fn to_parquet(rows: &RecordBatch, options: &WriteOptions) -> Vec<u8> {
    let compression = match options.compression {
        Compressed::Snappy => Compression::SNAPPY,
        Compressed::Zstd => Compression::ZSTD(ZstdLevel::default()),
        Compressed::Gzip => Compression::GZIP(GzipLevel::default()),
        Compressed::Lz4Raw => Compression::LZ4_RAW,
        Compressed::No => Compression::UNCOMPRESSED,
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(!options.has_arrow_schema);
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new_with_options(&mut bytes, rows.schema(), options).expect("a writable schema");
    writer.write(rows).expect("writable rows");
    writer.close().expect("a footer");
    bytes
}

/// The rows with another column in place of the one called `name`, or with one more.
///
/// # Panics
/// When the column has another number of rows.
pub fn with_column(rows: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    let field = Arc::new(Field::new(name, column.data_type().clone(), true));
    match fields.iter().position(|it| it.name() == name) {
        Some(at) => {
            fields[at] = field;
            columns[at] = column;
        }
        None => {
            fields.push(field);
            columns.push(column);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("as many rows")
}

/// The rows without the column called `name`.
///
/// # Panics
/// When there is none.
pub fn without_column(rows: &RecordBatch, name: &str) -> RecordBatch {
    let at = rows.schema().index_of(name).expect("a column of that name");
    let kept: Vec<usize> = (0..rows.num_columns()).filter(|it| *it != at).collect();
    rows.project(&kept).expect("columns of the batch")
}

/// The rows picked, in the order they are picked in.
///
/// # Panics
/// When there is no such row.
pub fn row_picked(rows: &RecordBatch, picked: impl IntoIterator<Item = usize>) -> RecordBatch {
    let picked: UInt64Array = picked.into_iter().map(|it| Some(it as u64)).collect();
    take_record_batch(rows, &picked).expect("rows of the batch")
}
