use std::sync::Arc;

use arrow_array::RecordBatch;
use nodedata_arrow::{Batches, Ranges};
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
};

/// Batches of rows of one file of a dataset, in order.
pub struct Rows {
    path: String,
    batches: Batches,
}

impl Rows {
    /// All rows of a file that lies at `path`.
    ///
    /// # Errors
    /// `Corrupt` when it is no Parquet file.
    pub fn of_file(path: &str, file: Arc<dyn ReadAt>) -> Result<Self> {
        let file = Ranges(file);
        let footer = footer(path, &file, ArrowReaderOptions::new())?;
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
