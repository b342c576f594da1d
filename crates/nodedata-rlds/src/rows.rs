use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Columns, Error, ErrorKind, Locus, MediaShape, ReadOptions, Result, RowSpan, Storage};
use nodedata_steps::{
    Piece, PieceReader, PieceStream, StepRows, batch_rows, in_episode, media_shapes, step_indices,
};

use crate::{
    columns::Origin,
    decode::{Decoder, LeafCursor},
    plan::{Part, Plan},
    record::Record,
    semantics::Told,
    tfrecord::lost,
};

/// The steps of one record, or why there are none.
pub(crate) type RecordStream = PieceStream<RecordRows>;

/// Starts reading a partition, which is a record, or a piece of one.
///
/// # Errors
/// `Config` when there is no such partition; `Io`.
pub(crate) fn record_stream(plan: &Arc<Plan>, idx: usize, options: &ReadOptions) -> Result<RecordStream> {
    let (Some(part), Some(partition)) = (plan.parts.get(idx), plan.told.partitions.get(idx)) else {
        let message = format!("partition {idx} was asked for, but there are {}", plan.parts.len());
        return Err(Error::new(ErrorKind::Config, message));
    };
    let bytes = &part.frame.byte_range;
    let input = partition.reads.first().map_or(0, |it| it.input);
    let place = Locus { byte_offset: Some(bytes.start), ..in_episode(&part.path, partition.episode as u64) };
    let schema = plan.told.streams[0].arrow();
    let piece = |steps| Piece { schema, steps, place: place.clone(), byte_range: bytes.clone() };
    let read = match read(plan, part) {
        Ok(read) => read,
        Err(err) if err.kind() == ErrorKind::Io => return Err(err.at(place.clone())),
        Err(err) => {
            let damage = lost(err, bytes.clone(), "damaged_record").at(place.clone());
            return Ok(PieceStream::unreadable(piece(0..0), damage));
        }
    };
    let ReadRecord { bytes: record, bound, steps, told } = read;
    let cursors = plan.reading.targets.iter().map(|it| bound.held[it.leaf].cursor()).collect();
    let rows = RecordRows {
        plan: Arc::clone(plan),
        record,
        cursors,
        columns: Columns::new(Arc::clone(&plan.reading.layout)),
        batch_rows: batch_rows(bound.decoded_bytes, bound.n_steps, options),
        end: steps.end,
        input,
        byte_range: bytes.clone(),
    };
    let stream = PieceStream::new(piece(steps), rows);
    Ok(match told {
        Some(told) => stream.with_warnings(told.warnings_at(&place).collect()).with_facts(told.facts),
        None => stream,
    })
}

/// What a partition reads.
struct ReadRecord {
    bytes: Bytes,
    bound: Record,
    /// Of the episode.
    steps: Range<u64>,
    /// What it tells of its episode, where nobody has looked.
    told: Option<Told>,
}

fn read(plan: &Plan, part: &Part) -> Result<ReadRecord> {
    let reading = &plan.reading;
    let open = || reading.files.open(&part.path, part.container);
    let Some((cut, piece)) = &part.piece else {
        let file = open()?;
        let bytes = file.payload(&part.frame)?;
        let bound = reading.keys.bind(&bytes)?;
        let told = reading.semantics.of_record(&bytes, &bound)?;
        let steps = 0..bound.n_steps;
        return Ok(ReadRecord { bytes, bound, steps, told: Some(told) });
    };
    let bytes = cut.record(*piece, || open()?.view(&part.frame))?;
    let mut bound = reading.keys_of_rows.bind(&bytes)?;
    let steps = cut.steps(*piece);
    // Where no feature is selected, none tells it.
    bound.n_steps = steps.end - steps.start;
    Ok(ReadRecord { bytes, bound, steps, told: None })
}

/// Decodes a record, some steps of each leaf at a time.
pub(crate) struct RecordRows {
    plan: Arc<Plan>,
    record: Bytes,
    /// By column of the layout.
    cursors: Vec<LeafCursor>,
    columns: Columns,
    batch_rows: usize,
    /// The step of the episode at which it ends.
    end: u64,
    input: usize,
    byte_range: Range<u64>,
}

impl PieceReader for RecordRows {
    fn next_rows(&mut self, first_step: u64) -> Result<Option<StepRows>> {
        let n_rows = (self.end - first_step).min(self.batch_rows as u64) as usize;
        if n_rows == 0 {
            return Ok(None);
        }
        let reading = &self.plan.reading;
        for (target, cursor) in reading.targets.iter().zip(&mut self.cursors) {
            let leaf = &reading.keys.leaves[target.leaf];
            let (columns, record) = (&mut self.columns, &self.record[..]);
            let tensor_bytes_max = reading.tensor_bytes_max;
            let mut decoder = Decoder { leaf, target, columns, record, tensor_bytes_max };
            decoder.rows(cursor, n_rows).map_err(|err| err.at(leaf.place()))?;
        }
        (0..n_rows).for_each(|_| self.columns.end_row());
        let mut decoded = self.columns.finish().into_iter();
        let steps = first_step..first_step + n_rows as u64;
        let mut columns = Vec::with_capacity(self.plan.reading.columns.len());
        let mut pixels: Vec<MediaShape> = Vec::new();
        for (idx, column) in self.plan.reading.columns.iter().enumerate() {
            let array = match column.origin {
                Origin::StepIndex => Some(step_indices(&steps)),
                Origin::Leaf(_) | Origin::Attached(_) | Origin::Unsupported(_) => decoded.next(),
            };
            let array = array.expect("the layout has a column for each leaf that was kept");
            if column.feature.storage == Storage::EncodedMedia {
                pixels.extend(media_shapes(idx, &array));
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
