//! Compression that pays. Whether a chunk of a plain column is compressed follows from its first values: they are encoded
//! and compressed on trial, and where that saves too little the chunk is stored as it is. The values come in the order of
//! the rows, so neither batches nor threads can change the answer; Parquet's own field for the codec tells it to readers.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{Field, Schema};
use nodedata_core::{DType, Feature};
use parquet::{
    arrow::{
        ArrowSchemaConverter,
        arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    errors::Result,
    file::{metadata::ColumnChunkMetaData, properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::ColumnDescPtr,
};

use self::sample::SAMPLE_BYTES;
use crate::{
    access::Access,
    column_writer::{Chunk, ColumnWriter},
    media_chunk::MediaWriter,
    properties,
    text_chunk::TextWriter,
};

mod sample;

/// What compression must save for a chunk to be compressed, in percent of its pages.
const GAIN_PERCENT_MIN: i64 = 10;
/// Pages smaller than this are compressed anyway: there is no time to win. They are those of few values, which repeat
/// and are in a dictionary, as well.
const SMALL_BYTES: i64 = 16 << 10;

/// A column that is compressed where that pays.
pub(crate) struct PlainColumn {
    dtype: DType,
    /// Values between two looks at the page limits, and rows of a page; both only of bytes.
    n_step: usize,
    page_rows: usize,
    compressed: ColumnFactory,
    stored: ColumnFactory,
    /// The values alone, without lists and nulls, compressed.
    trial: Arc<ColumnFactory>,
}

impl PlainColumn {
    /// # Errors
    /// When Parquet has no column for the feature.
    pub(crate) fn new(feature: &Feature, created_by: &str, access: Access) -> Result<Self> {
        let values =
            Feature { shape: Vec::new(), lists: Vec::new(), nullable: false, ..Feature::clone(feature) };
        Ok(Self {
            dtype: feature.stored_dtype(),
            n_step: properties::batch_rows(feature, access),
            page_rows: access.page_rows(),
            compressed: ColumnFactory::new(feature, properties::plain(feature, created_by, access))?,
            stored: ColumnFactory::new(feature, properties::stored(feature, created_by, access))?,
            trial: Arc::new(ColumnFactory::new(&values, properties::plain(&values, created_by, access))?),
        })
    }

    /// The writer that suits a chunk beginning with the rows of `head`.
    fn writer_for(&self, head: &[ArrayRef]) -> Result<ColumnWriter> {
        let trial = self.trial.encode(&[sample::values(self.dtype, head)?])?;
        self.writer(pays(&trial.close().metadata))
    }

    fn writer(&self, is_compressed: bool) -> Result<ColumnWriter> {
        let factory = if is_compressed { &self.compressed } else { &self.stored };
        let leaf = || Arc::clone(&factory.leaf);
        Ok(match self.dtype {
            DType::String => {
                ColumnWriter::Text(Box::new(TextWriter::new(leaf(), is_compressed, Arc::clone(&self.trial))))
            }
            DType::Bytes if factory.leaf.max_rep_level() == 0 => {
                let media = MediaWriter::new(leaf(), self.n_step, self.page_rows, is_compressed);
                ColumnWriter::Media(Box::new(media))
            }
            _ => ColumnWriter::Arrow(Box::new(factory.writer()?)),
        })
    }

    fn write(&self, writer: &mut ColumnWriter, array: &ArrayRef) -> Result<()> {
        writer.write(&self.compressed.field, array)
    }

    fn encode(&self, pieces: &[ArrayRef], is_compressed: bool) -> Result<Chunk> {
        let mut writer = self.writer(is_compressed)?;
        pieces.iter().try_for_each(|it| self.write(&mut writer, it))?;
        writer.close()
    }
}

/// Whether the pages are so much smaller compressed that this is worth the time of everybody who reads them.
fn pays(chunk: &ColumnChunkMetaData) -> bool {
    let (stored, compressed) = (chunk.uncompressed_size(), chunk.compressed_size());
    stored < SMALL_BYTES || compressed * 100 <= stored * (100 - GAIN_PERCENT_MIN)
}

/// Makes the Parquet crate's writers of one column.
pub(crate) struct ColumnFactory {
    field: Field,
    /// The first of its Parquet columns.
    leaf: ColumnDescPtr,
    writers: ArrowRowGroupWriterFactory,
}

impl ColumnFactory {
    /// # Errors
    /// When Parquet has no column for the feature.
    pub(crate) fn new(feature: &Feature, properties: WriterProperties) -> Result<Self> {
        let field = feature.arrow_field();
        let arrow = Arc::new(Schema::new(vec![field.clone()]));
        let columns = ArrowSchemaConverter::new().with_coerce_types(false).convert(&arrow)?;
        let nowhere =
            SerializedFileWriter::new(std::io::sink(), columns.root_schema_ptr(), Arc::new(properties))?;
        Ok(Self { field, leaf: columns.column(0), writers: ArrowRowGroupWriterFactory::new(&nowhere, arrow) })
    }

    /// A writer for each Parquet column of the feature.
    ///
    /// # Errors
    /// What the Parquet crate reports.
    pub(crate) fn writers(&self) -> Result<Vec<ArrowColumnWriter>> {
        self.writers.create_column_writers(0)
    }

    /// The writer of a feature that is one Parquet column.
    fn writer(&self) -> Result<ArrowColumnWriter> {
        Ok(self.writers()?.pop().expect("a feature has a column"))
    }

    /// The chunk of a feature that is one Parquet column.
    ///
    /// # Errors
    /// What the Parquet crate reports.
    pub(crate) fn encode(&self, pieces: &[ArrayRef]) -> Result<ArrowColumnChunk> {
        let mut writer = self.writer()?;
        for piece in pieces {
            compute_leaves(&self.field, piece)?.iter().try_for_each(|leaf| writer.write(leaf))?;
        }
        writer.close()
    }
}

/// Encodes one plain column in one row group.
pub(crate) struct PlainWriter {
    column: Arc<PlainColumn>,
    state: State,
}

enum State {
    /// The rows so far, which hold too few values to decide.
    Undecided {
        head: Vec<ArrayRef>,
        n_bytes: usize,
    },
    Decided(ColumnWriter),
}

impl PlainWriter {
    /// No rows yet.
    ///
    /// # Errors
    /// What the Parquet crate reports.
    pub(crate) fn new(column: Arc<PlainColumn>) -> Result<Self> {
        let state = match column.dtype {
            // A bit each, so that their pages are small.
            DType::Bool => State::Decided(column.writer(true)?),
            _ => State::Undecided { head: Vec::new(), n_bytes: 0 },
        };
        Ok(Self { column, state })
    }

    /// Encodes one more piece of the column.
    ///
    /// # Errors
    /// What the Parquet crate reports.
    pub(crate) fn write(&mut self, array: &ArrayRef) -> Result<()> {
        let column = &self.column;
        let (head, n_bytes) = match &mut self.state {
            State::Decided(writer) => return column.write(writer, array),
            State::Undecided { head, n_bytes } => (head, n_bytes),
        };
        match sample::rows_holding(column.dtype, array, SAMPLE_BYTES - *n_bytes) {
            Err(n_held) => {
                *n_bytes += n_held;
                head.push(Arc::clone(array));
            }
            Ok(n_rows) => {
                head.push(array.slice(0, n_rows));
                let mut writer = column.writer_for(head)?;
                head.pop();
                for piece in head.iter().chain([array]) {
                    column.write(&mut writer, piece)?;
                }
                self.state = State::Decided(writer);
            }
        }
        Ok(())
    }

    /// Ends the chunk.
    ///
    /// # Errors
    /// What the Parquet crate reports.
    pub(crate) fn close(self) -> Result<Chunk> {
        match self.state {
            State::Decided(writer) => writer.close(),
            // All there is decides.
            State::Undecided { head, .. } => {
                let chunk = self.column.encode(&head, true)?;
                if pays(chunk.metadata()) { Ok(chunk) } else { self.column.encode(&head, false) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
