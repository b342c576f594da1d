use std::sync::Arc;

use arrow_array::RecordBatch;
use nodedata_arrow::{Batches, Ranges};
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
};

/// What the rows of an index table may take in memory, in bytes: so much of a small one, and so many times its file's length of a
/// larger one (hashes, of which there is one in each row, hardly compress). A small file that makes much more of itself is no table
/// of ours.
const TABLE_BYTES_MIN: u64 = 16 << 20;
const TABLE_BYTES_PER_BYTE: u64 = 64;

/// Batches of rows of one file of a dataset, in order.
pub struct Rows {
    path: String,
    batches: Batches,
}

impl Rows {
    /// All rows of an index table that lies at `path`, which somebody else may have written: they are held in memory, so what
    /// they take is known before any is decoded.
    ///
    /// # Errors
    /// `Corrupt` when it is no Parquet file; `Limit` when its rows take more memory than a table of its length may;
    /// `Unsupported` when its pages do not tell what they take; `Io`.
    pub fn of_file(path: &str, file: Arc<dyn ReadAt>) -> Result<Self> {
        Self::of_file_within(path, file, u64::MAX)
    }

    /// The same, for somebody who has memory for no more than `bytes_max` bytes of rows, however long the file is.
    ///
    /// # Errors
    /// As [`Self::of_file`].
    pub fn of_file_within(path: &str, file: Arc<dyn ReadAt>, bytes_max: u64) -> Result<Self> {
        let file = Ranges(file);
        let of_length = file.0.n_bytes().saturating_mul(TABLE_BYTES_PER_BYTE).saturating_add(TABLE_BYTES_MIN);
        let footer = nodedata_arrow::footer_within(&file, of_length.min(bytes_max))
            .map_err(|err| err.at(Locus::path(path)))?;
        Self::new(path, ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer))
    }

    pub(crate) fn new(path: &str, builder: ParquetRecordBatchReaderBuilder<Ranges>) -> Result<Self> {
        let batches = Batches::of(builder).map_err(|err| unreadable(path, err))?;
        Ok(Self { path: path.to_owned(), batches })
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next().map(|it| it.map_err(|err| corrupt_rows(&self.path, err)))
    }
}

/// The footer of a file.
pub(crate) fn footer(path: &str, file: &Ranges, options: ArrowReaderOptions) -> Result<ArrowReaderMetadata> {
    nodedata_arrow::footer(file, options).map_err(|err| unreadable(path, err))
}

fn unreadable(path: &str, err: ParquetError) -> Error {
    Error::new(ErrorKind::Corrupt, "this is not a Parquet file we can read")
        .with_source(err)
        .at(Locus::path(path))
}

pub(crate) fn corrupt_rows(path: &str, err: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Corrupt, "the rows of the file cannot be decoded")
        .with_source(err)
        .at(Locus::path(path))
}
