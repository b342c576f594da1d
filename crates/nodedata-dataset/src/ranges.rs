use std::{io, sync::Arc};

use arrow_array::RecordBatch;
use bytes::{Buf, Bytes};
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

/// What a page's header takes, and more: the rest of a page is asked for by its length.
const HEADER_BYTES: u64 = 8 << 10;

/// A file read by range, as the Parquet reader asks for it.
#[derive(Clone)]
pub(crate) struct Ranges(pub(crate) Arc<dyn ReadAt>);

impl Length for Ranges {
    fn len(&self) -> u64 {
        self.0.n_bytes()
    }
}

impl ChunkReader for Ranges {
    type T = Cursor;

    fn get_read(&self, start: u64) -> Result<Cursor, ParquetError> {
        Ok(Cursor { file: Arc::clone(&self.0), next: start, window: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64).filter(|it| *it <= self.0.n_bytes());
        let end =
            end.ok_or_else(|| ParquetError::EOF("the file ends before the bytes it points at".to_owned()))?;
        self.0.read_at(start..end).map_err(|err| ParquetError::External(Box::new(err)))
    }
}

/// Reads on from a place, a header's worth at a time: a file in a bucket would otherwise be fetched to its end.
pub(crate) struct Cursor {
    file: Arc<dyn ReadAt>,
    next: u64,
    window: Bytes,
}

impl io::Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.window.is_empty() {
            let end = self.next.saturating_add(HEADER_BYTES).min(self.file.n_bytes());
            if end <= self.next {
                return Ok(0);
            }
            self.window = self.file.read_at(self.next..end).map_err(io::Error::other)?;
            self.next = end;
        }
        let n_bytes = into.len().min(self.window.len());
        self.window.copy_to_slice(&mut into[..n_bytes]);
        Ok(n_bytes)
    }
}

/// Batches of rows of one file of a dataset, in order.
pub struct Rows {
    path: String,
    reader: ParquetRecordBatchReader,
}

impl Rows {
    /// All rows of a file that lies at `path`.
    ///
    /// # Errors
    /// `Corrupt` when it is no Parquet file.
    pub fn of_file(path: &str, file: Arc<dyn ReadAt>) -> Result<Self> {
        let file = Ranges(file);
        let footer = footer(path, || ArrowReaderMetadata::load(&file, Default::default()))?;
        Self::new(path, ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer))
    }

    pub(crate) fn new(path: &str, builder: ParquetRecordBatchReaderBuilder<Ranges>) -> Result<Self> {
        let reader = guarded(|| builder.build()).map_err(|err| unreadable(path, err))?;
        Ok(Self { path: path.to_owned(), reader })
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = guarded(|| self.reader.next().transpose().map_err(ParquetError::from));
        next.map_err(|err| corrupt_rows(&self.path, err)).transpose()
    }
}

/// The footer of a file.
pub(crate) fn footer(
    path: &str,
    load: impl FnOnce() -> Result<ArrowReaderMetadata, ParquetError>,
) -> Result<ArrowReaderMetadata> {
    let footer = guarded(load).map_err(|err| unreadable(path, err))?;
    let mut columns = footer.metadata().row_groups().iter().flat_map(|it| it.columns());
    // The Parquet reader takes offsets and lengths below zero for a mistake of ours.
    let is_negative = columns.any(|it| {
        it.data_page_offset() < 0
            || it.dictionary_page_offset().is_some_and(|it| it < 0)
            || it.compressed_size() < 0
    });
    if is_negative || footer.metadata().row_groups().iter().any(|it| it.num_rows() < 0) {
        let err = ParquetError::General("a column chunk starts or ends before the file".to_owned());
        return Err(unreadable(path, err));
    }
    Ok(footer)
}

/// Runs a piece of the Parquet reader: a damaged page must not end the program.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(ParquetError::General("the page breaks the rules of its encoding".to_owned()))
    })
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
