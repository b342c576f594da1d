use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Columns, Error, ErrorKind, Locus, PixelShape, ReadOptions, Result, RowSpan, Storage};
use nodedata_steps::{
    Piece, PieceReader, PieceStream, StepRows, batch_rows, image_pixels, in_episode, step_indices,
};

use crate::{
    columns::Origin,
    container::Container,
    decode::{Decoder, LeafCursor},
    plan::Plan,
    tfrecord::lost,
};

/// The steps of one record, or why there are none.
pub(crate) type RecordStream = PieceStream<RecordRows>;

/// Starts reading a partition, which is a record.
///
/// # Errors
/// `Config` when there is no such partition; `Io`.
pub(crate) fn record_stream(plan: &Arc<Plan>, idx: usize, options: &ReadOptions) -> Result<RecordStream> {
    let (Some(frame), Some(partition)) = (plan.records.get(idx), plan.told.partitions.get(idx)) else {
        let message = format!("partition {idx} was asked for, but there are {}", plan.records.len());
        return Err(Error::new(ErrorKind::Config, message));
    };
    let bytes = &frame.byte_range;
    let input = partition.reads.first().map_or(0, |it| it.input);
    let path = &plan.told.inputs[input].path;
    let place = Locus { byte_offset: Some(bytes.start), ..in_episode(path, partition.episode as u64) };
    let schema = plan.told.streams[0].arrow();
    let piece =
        |n_steps| Piece { schema, steps: 0..n_steps, place: place.clone(), byte_range: bytes.clone() };
    let file = plan.record_files.open(path, Container::TfRecord).map_err(|err| err.at(place.clone()))?;
    let read = file.payload(frame).and_then(|record| plan.keys.bind(&record).map(|bound| (record, bound)));
    let (record, bound) = match read {
        Ok(read) => read,
        Err(err) if err.kind() == ErrorKind::Io => return Err(err.at(place.clone())),
        Err(err) => {
            let damage = lost(err, bytes.clone(), "damaged_record").at(place.clone());
            return Ok(PieceStream::unreadable(piece(0), damage));
        }
    };
    let cursors = plan.targets.iter().map(|it| bound.held[it.leaf].cursor()).collect();
    let rows = RecordRows {
        plan: Arc::clone(plan),
        record,
        cursors,
        columns: Columns::new(Arc::clone(&plan.layout)),
        batch_rows: batch_rows(partition.decoded_bytes, bound.n_steps, options),
        n_steps: bound.n_steps,
        input,
        byte_range: bytes.clone(),
    };
    Ok(PieceStream::new(piece(bound.n_steps), rows).with_facts(bound.facts))
}

/// Decodes a record, some steps of each leaf at a time.
pub(crate) struct RecordRows {
    plan: Arc<Plan>,
    record: Bytes,
    /// By column of the layout.
    cursors: Vec<LeafCursor>,
    columns: Columns,
    batch_rows: usize,
    n_steps: u64,
    input: usize,
    byte_range: Range<u64>,
}

impl PieceReader for RecordRows {
    fn next_rows(&mut self, first_step: u64) -> Result<Option<StepRows>> {
        let n_rows = (self.n_steps - first_step).min(self.batch_rows as u64) as usize;
        if n_rows == 0 {
            return Ok(None);
        }
        for (target, cursor) in self.plan.targets.iter().zip(&mut self.cursors) {
            let leaf = &self.plan.keys.leaves[target.leaf];
            let (columns, record) = (&mut self.columns, &self.record[..]);
            let tensor_bytes_max = self.plan.tensor_bytes_max;
            let mut decoder = Decoder { leaf, target, columns, record, tensor_bytes_max };
            decoder.rows(cursor, n_rows).map_err(|err| err.at(leaf.place()))?;
        }
        (0..n_rows).for_each(|_| self.columns.end_row());
        let mut decoded = self.columns.finish().into_iter();
        let steps = first_step..first_step + n_rows as u64;
        let mut columns = Vec::with_capacity(self.plan.columns.len());
        let mut pixels: Vec<PixelShape> = Vec::new();
        for (idx, column) in self.plan.columns.iter().enumerate() {
            let array = match column.origin {
                Origin::StepIndex => Some(step_indices(&steps)),
                Origin::Leaf(_) | Origin::Unsupported(_) => decoded.next(),
            };
            let array = array.expect("the layout has a column for each leaf that was kept");
            if column.feature.storage == Storage::EncodedMedia {
                pixels.extend(image_pixels(idx, &array));
            }
            columns.push(array);
        }
        let span = RowSpan {
            input: self.input,
            n_rows: n_rows as u64,
            byte_range: self.byte_range.clone(),
            first_record: first_step,
        };
        Ok(Some(StepRows { n_rows, columns, spans: vec![span], pixels }))
    }
}
