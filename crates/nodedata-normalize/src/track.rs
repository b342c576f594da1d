use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_select::{interleave::interleave, take::take_record_batch};
use nodedata_core::{MediaShape, RowSpan};

use crate::align::NO_ROW;

/// Messages of one stream as they were decoded together.
#[derive(Debug)]
pub(crate) struct Messages {
    /// The columns kept of the stream.
    pub(crate) rows: RecordBatch,
    /// What their pixels say, by position among the columns kept.
    pub(crate) pixels: Vec<MediaShape>,
    /// Where they come from, in row order.
    pub(crate) spans: Vec<RowSpan>,
}

impl Messages {
    /// One of them alone, which holds on to none of the others.
    pub(crate) fn single(&self, row: usize) -> Self {
        let spans = self.span(row).into_iter().collect();
        let row = arrow_array::UInt32Array::from(vec![u32::try_from(row).expect("a batch has fewer rows")]);
        let rows = take_record_batch(&self.rows, &row).expect("the row is there");
        Self { rows, pixels: self.pixels.clone(), spans }
    }

    /// Where one of them comes from.
    fn span(&self, row: usize) -> Option<RowSpan> {
        let mut before = 0;
        for span in &self.spans {
            let within = (row as u64).checked_sub(before)?;
            if within < span.n_rows {
                return Some(RowSpan { n_rows: 1, first_record: span.first_record + within, ..span.clone() });
            }
            before += span.n_rows;
        }
        None
    }
}

/// One message, and where it stands among those of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) stamp: i64,
    /// Orders messages of one time: the partition, by its position in the recording.
    pub(crate) partition: u32,
    /// Position of its batch.
    pub(crate) batch: u32,
    pub(crate) row: u32,
}

/// Messages of one stream in the order of their time.
#[derive(Debug, Default)]
pub(crate) struct Track {
    pub(crate) batches: Vec<Arc<Messages>>,
    /// Ascending.
    pub(crate) stamps: Vec<i64>,
    /// Batch and row of each.
    at: Vec<(u32, u32)>,
    /// Where the first row of each batch stands in its partition; empty where nobody asks.
    origins: Vec<Place>,
}

impl Track {
    /// Puts messages in order. `places` count their batches among `batches`.
    pub(crate) fn new(batches: Vec<Arc<Messages>>, mut places: Vec<Place>) -> Self {
        places.sort_unstable();
        let stamps = places.iter().map(|it| it.stamp).collect();
        let at = places.iter().map(|it| (it.batch, it.row)).collect();
        Self { batches, stamps, at, origins: Vec::new() }
    }

    /// The same, knowing where the first row of each batch stands in its partition, whatever its stamp.
    pub(crate) fn with_origins(self, origins: Vec<Place>) -> Self {
        Self { origins, ..self }
    }

    /// Where the message at a row stands in its recording: batch and row are those of its partition.
    pub(crate) fn place(&self, row: usize) -> Option<Place> {
        let (batch, at) = *self.at.get(row)?;
        let origin = *self.origins.get(batch as usize)?;
        Some(Place { stamp: *self.stamps.get(row)?, row: origin.row.saturating_add(at), ..origin })
    }

    /// The values of one column at the rows chosen, null where none was.
    pub(crate) fn gather(&self, column: usize, data_type: &arrow_schema::DataType, rows: &[u32]) -> ArrayRef {
        let mut arrays: Vec<&dyn Array> =
            self.batches.iter().map(|it| it.rows.column(column).as_ref()).collect();
        let nothing = new_null_array(data_type, 1);
        let none = (arrays.len(), 0);
        arrays.push(nothing.as_ref());
        let place = |row: &u32| match *row {
            NO_ROW => none,
            row => {
                let (batch, row) = self.at[row as usize];
                (batch as usize, row as usize)
            }
        };
        let places: Vec<(usize, usize)> = rows.iter().map(place).collect();
        interleave(&arrays, &places).expect("batches of one stream have one type")
    }

    /// Where the message at a row comes from.
    pub(crate) fn span(&self, row: usize) -> Option<RowSpan> {
        let (batch, row) = self.at.get(row)?;
        self.batches[*batch as usize].span(*row as usize)
    }

    /// What the pixels of a column say at the rows chosen.
    pub(crate) fn pixels(&self, column: usize, rows: &[u32]) -> Vec<MediaShape> {
        let mut n_rows = vec![0u64; self.batches.len()];
        for row in rows.iter().filter(|it| **it != NO_ROW) {
            n_rows[self.at[*row as usize].0 as usize] += 1;
        }
        let mut all: Vec<MediaShape> = Vec::new();
        for (batch, n_rows) in self.batches.iter().zip(n_rows).filter(|it| it.1 != 0) {
            // A batch with several findings does not say which row has which: each counts for all of them.
            for found in batch.pixels.iter().filter(|it| it.column == column) {
                let same = |it: &&mut MediaShape| {
                    let what = |it: &MediaShape| (it.dtype, it.rate_hz);
                    what(it) == what(found) && it.shape == found.shape && it.encoding == found.encoding
                };
                match all.iter_mut().find(same) {
                    Some(known) => known.n_rows += n_rows,
                    None => all.push(MediaShape { n_rows, ..found.clone() }),
                }
            }
        }
        all
    }
}
