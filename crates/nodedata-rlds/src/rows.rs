use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use half::f16;
use nodedata_core::{
    Columns, DType, Error, ErrorKind, LeafId, Locus, PixelShape, ReadOptions, Result, RowSpan, Storage,
};
use nodedata_steps::{
    Piece, PieceReader, PieceStream, StepRows, batch_rows, image_pixels, in_episode, step_indices,
};

use crate::{
    columns::Origin,
    container::Container,
    example::Cursor,
    features::Leaf,
    plan::Plan,
    record::{out_of_range, text},
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
    let cursors = plan.places.iter().map(|(leaf, _)| bound.values[*leaf].cursor()).collect();
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
    cursors: Vec<Cursor>,
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
        for ((leaf, id), cursor) in self.plan.places.iter().zip(&mut self.cursors) {
            let leaf = &self.plan.keys.leaves[*leaf];
            let mut target = Target { leaf, id: *id, columns: &mut self.columns, record: &self.record };
            target.push(cursor, n_rows).map_err(|err| err.at(Locus::feature(&leaf.feature.name)))?;
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

/// The column that values of a leaf go to.
struct Target<'a> {
    leaf: &'a Leaf,
    id: LeafId,
    columns: &'a mut Columns,
    record: &'a [u8],
}

impl Target<'_> {
    fn push(&mut self, cursor: &mut Cursor, n_rows: usize) -> Result<()> {
        // The record holds as many: they were counted.
        let n = n_rows * self.leaf.n_values as usize;
        let (id, record) = (self.id, self.record);
        match self.leaf.feature.stored_dtype() {
            DType::Float32 => cursor.floats(record, self.columns.push_zeroed(id, n * 4)),
            DType::Float64 => self.floats(cursor, n, |it| Some(f64::from(it).to_le_bytes())),
            DType::Float16 => self.floats(cursor, n, |it| {
                let narrow = f16::from_f32(it);
                (narrow.to_f32() == it || it.is_nan()).then(|| narrow.to_le_bytes())
            }),
            DType::Bool => self.each(cursor, n, |cursor, columns| match cursor.int(record)? {
                it @ (0 | 1) => {
                    columns.push_bool(id, it == 1);
                    Ok(())
                }
                other => Err(out_of_range(other, DType::Bool)),
            }),
            DType::Int8 => self.ints(cursor, n, |it| i8::try_from(it).ok().map(i8::to_le_bytes)),
            DType::Int16 => self.ints(cursor, n, |it| i16::try_from(it).ok().map(i16::to_le_bytes)),
            DType::Int32 => self.ints(cursor, n, |it| i32::try_from(it).ok().map(i32::to_le_bytes)),
            // 64 bits are stored as they are, whatever their sign.
            DType::Int64 | DType::UInt64 => self.ints(cursor, n, |it| Some(it.to_le_bytes())),
            DType::UInt8 => self.ints(cursor, n, |it| u8::try_from(it).ok().map(u8::to_le_bytes)),
            DType::UInt16 => self.ints(cursor, n, |it| u16::try_from(it).ok().map(u16::to_le_bytes)),
            DType::UInt32 => self.ints(cursor, n, |it| u32::try_from(it).ok().map(u32::to_le_bytes)),
            DType::String => self.each(cursor, n, |cursor, columns| {
                columns.push_bytes(id, text(cursor.bytes(record)?)?.as_bytes());
                Ok(())
            }),
            DType::Bytes => self.each(cursor, n, |cursor, columns| {
                columns.push_bytes(id, cursor.bytes(record)?);
                Ok(())
            }),
        }
    }

    /// Pushes values one by one. An error is at the row of the value.
    fn each(
        &mut self,
        cursor: &mut Cursor,
        n: usize,
        mut push: impl FnMut(&mut Cursor, &mut Columns) -> Result<()>,
    ) -> Result<()> {
        for idx in 0..n {
            push(cursor, self.columns).map_err(|err| {
                let row = idx as u64 / self.leaf.n_values;
                err.at(Locus { step_idx: Some(row), ..Locus::default() })
            })?;
        }
        Ok(())
    }

    fn ints<const N: usize>(
        &mut self,
        cursor: &mut Cursor,
        n: usize,
        narrow: impl Fn(i64) -> Option<[u8; N]>,
    ) -> Result<()> {
        let (id, record, dtype) = (self.id, self.record, self.leaf.feature.dtype);
        self.each(cursor, n, |cursor, columns| {
            let value = cursor.int(record)?;
            columns.push_le(id, &narrow(value).ok_or_else(|| out_of_range(value, dtype))?);
            Ok(())
        })
    }

    fn floats<const N: usize>(
        &mut self,
        cursor: &mut Cursor,
        n: usize,
        convert: impl Fn(f32) -> Option<[u8; N]>,
    ) -> Result<()> {
        let (id, record, dtype) = (self.id, self.record, self.leaf.feature.dtype);
        self.each(cursor, n, |cursor, columns| {
            let mut stored = [0; 4];
            cursor.floats(record, &mut stored)?;
            let value = f32::from_le_bytes(stored);
            let bytes = convert(value).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, format!("{value:?} cannot be told as {dtype} exactly"))
            })?;
            columns.push_le(id, &bytes);
            Ok(())
        })
    }
}
