use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, Columns, EpisodeStream, Error, Finding, Layout, MediaShape, ReadOptions, Result, StreamId,
};

use super::{SamplePart, SampleRows};
use crate::STEPS;

/// Reads the records of one partition.
pub trait SampleReader: Send {
    /// Takes the next record in. Tells whether there was one.
    ///
    /// # Errors
    /// Damage with its loss; the next call goes on behind it.
    fn step(&mut self, rows: &mut SampleRows) -> Result<bool>;

    /// The columns of a batch, of those that were filled, and what the pixels in them say.
    fn finish(&mut self, columns: Vec<ArrayRef>) -> (Vec<ArrayRef>, Vec<MediaShape>) {
        (columns, Vec::new())
    }

    /// What reading found that leaves out nothing; known at the end.
    fn warnings(&self) -> &[Finding] {
        &[]
    }
}

/// The rows of one partition: batches, with damage in place.
pub struct SampleStream<R> {
    reader: R,
    rows: SampleRows,
    schema: SchemaRef,
    /// Damage behind the rows that were handed out.
    pending: Option<Error>,
}

impl<R: SampleReader> SampleStream<R> {
    /// `layout` is of the columns that the reader fills, `schema` of those that it hands out.
    pub fn new<S>(
        reader: R,
        part: &SamplePart<S>,
        layout: &Arc<Layout>,
        schema: SchemaRef,
        options: &ReadOptions,
    ) -> Self {
        let columns = Columns::new(Arc::clone(layout));
        let rows = SampleRows::new(columns, part.input, part.first_row, options.batch_bytes_max);
        Self { reader, rows, schema, pending: None }
    }

    /// The rows so far; `None` when there are none.
    fn take(&mut self) -> Option<Batch> {
        let (columns, spans) = self.rows.take()?;
        let (columns, pixels) = self.reader.finish(columns);
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .expect("the schema comes from the layout that the columns follow");
        Some(Batch { stream: STEPS, rows, spans, pixels })
    }
}

impl<R: SampleReader> EpisodeStream for SampleStream<R> {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if let Some(damage) = self.pending.take() {
            return Err(damage);
        }
        while !self.rows.is_full() {
            match self.reader.step(&mut self.rows) {
                Ok(true) => {}
                Ok(false) => break,
                // Rows in front of damage come first.
                Err(damage) => {
                    let Some(batch) = self.take() else { return Err(damage) };
                    self.pending = Some(damage);
                    return Ok(Some(batch));
                }
            }
        }
        Ok(self.take())
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.rows.records_read()
    }

    fn warnings(&self) -> &[Finding] {
        self.reader.warnings()
    }
}
