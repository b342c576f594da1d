use std::sync::Arc;

use arrow_array::RecordBatch;
use nodedata_arrow::{Batches, Ranges, Remembered};
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

/// How a file of a dataset is read: which rows and columns of it.
pub(crate) type Builder = ParquetRecordBatchReaderBuilder<Ranges>;

/// A Parquet file of a dataset whose footer is known.
pub(crate) struct Opened {
    path: String,
    file: Arc<Remembered>,
    pub(crate) builder: Builder,
}

impl Opened {
    /// Reads the footer of a file that lies at `path`.
    ///
    /// # Errors
    /// `Corrupt` when it is no Parquet file; what reading it reports.
    pub(crate) fn of(path: &str, file: Arc<dyn ReadAt>, options: ArrowReaderOptions) -> Result<Self> {
        let file = Remembered::of(file);
        let footer = footer(path, &ranges(&file), options)
            .map_err(|damage| file.failure_or(|| damage).at(Locus::path(path)))?;
        // A page index that could not be read is done without.
        file.forget();
        Ok(Self::remembered(path, file, footer))
    }

    /// A file whose footer was read before.
    pub(crate) fn with_footer(path: &str, file: Arc<dyn ReadAt>, footer: ArrowReaderMetadata) -> Self {
        Self::remembered(path, Remembered::of(file), footer)
    }

    fn remembered(path: &str, file: Arc<Remembered>, footer: ArrowReaderMetadata) -> Self {
        let builder = Builder::new_with_metadata(ranges(&file), footer);
        Self { path: path.to_owned(), file, builder }
    }

    /// Reads other rows or columns of it.
    pub(crate) fn with(self, change: impl FnOnce(Builder) -> Builder) -> Self {
        Self { builder: change(self.builder), ..self }
    }

    /// Its rows, in batches.
    ///
    /// # Errors
    /// `Corrupt` when its columns cannot be read; what reading it reports.
    pub(crate) fn rows(self) -> Result<Rows> {
        let Self { path, file, builder } = self;
        match Batches::of(builder) {
            Ok(batches) => Ok(Rows { path, file, batches }),
            Err(err) => Err(file.failure_or(|| unreadable(&path, err)).at(Locus::path(&path))),
        }
    }
}

fn ranges(file: &Arc<Remembered>) -> Ranges {
    Ranges(Arc::clone(file) as Arc<dyn ReadAt>)
}

/// Batches of rows of one file of a dataset, in order.
pub struct Rows {
    path: String,
    file: Arc<Remembered>,
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
        let file = Remembered::of(file);
        let of_length = file.n_bytes().saturating_mul(TABLE_BYTES_PER_BYTE).saturating_add(TABLE_BYTES_MIN);
        let footer = nodedata_arrow::footer_within(&ranges(&file), of_length.min(bytes_max))
            .map_err(|damage| file.failure_or(|| damage).at(Locus::path(path)))?;
        Opened::remembered(path, file, footer).rows()
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        let failed = |err| self.file.failure_or(|| corrupt_rows(&self.path, err)).at(Locus::path(&self.path));
        Some(batch.map_err(failed))
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
