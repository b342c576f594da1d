use arrow_array::ArrayRef;
use arrow_schema::Field;
use parquet::{
    arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves},
    errors::Result,
    file::{metadata::ColumnChunkMetaData, writer::SerializedRowGroupWriter},
};

use crate::{
    media_chunk::{MediaChunk, MediaWriter},
    text_chunk::{TextChunk, TextWriter},
};

/// Encodes a feature that is one Parquet column, in one row group.
pub(crate) enum ColumnWriter {
    /// As the Parquet crate does.
    Arrow(Box<ArrowColumnWriter>),
    Media(Box<MediaWriter>),
    Text(Box<TextWriter>),
}

impl ColumnWriter {
    /// Encodes one more piece of the column.
    ///
    /// # Errors
    /// What the writers report.
    pub(crate) fn write(&mut self, field: &Field, array: &ArrayRef) -> Result<()> {
        match self {
            Self::Arrow(writer) => {
                compute_leaves(field, array)?.iter().try_for_each(|leaf| writer.write(leaf))
            }
            Self::Media(writer) => writer.write(field, array),
            Self::Text(writer) => writer.write(field, array),
        }
    }

    /// Ends the chunk.
    ///
    /// # Errors
    /// What the writers report.
    pub(crate) fn close(self) -> Result<Chunk> {
        Ok(match self {
            Self::Arrow(writer) => Chunk::Arrow(Box::new(writer.close()?)),
            Self::Media(writer) => Chunk::Media(Box::new(writer.close()?)),
            Self::Text(writer) => Chunk::Text(Box::new(writer.close()?)),
        })
    }
}

/// A finished column chunk.
pub(crate) enum Chunk {
    Arrow(Box<ArrowColumnChunk>),
    Media(Box<MediaChunk>),
    Text(Box<TextChunk>),
}

impl Chunk {
    /// What the footer says of the chunk.
    pub(crate) fn metadata(&self) -> &ColumnChunkMetaData {
        match self {
            Self::Arrow(chunk) => &chunk.close().metadata,
            Self::Media(chunk) => chunk.metadata(),
            Self::Text(chunk) => chunk.metadata(),
        }
    }

    /// Writes the chunk as the next column of a row group.
    ///
    /// # Errors
    /// What the target reports.
    pub(crate) fn append_to_row_group<W: std::io::Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        match self {
            Self::Arrow(chunk) => chunk.append_to_row_group(group),
            Self::Media(chunk) => chunk.append_to_row_group(group),
            Self::Text(chunk) => chunk.append_to_row_group(group),
        }
    }
}
