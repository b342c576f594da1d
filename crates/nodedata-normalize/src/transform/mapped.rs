use std::{collections::VecDeque, ops::Range, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Feature, MediaShape, Nested, ReadOptions, Result, Source,
    SourcePlan, Storage, StreamId,
};
use nodedata_steps::media_shapes;

use super::{
    clips::flac,
    codes,
    fit::Op,
    images::{Frames, ImageOp},
    lists::around,
    minus::minus,
    numbers,
    raw_frame::RowFrames,
    rows::{Misplaced, Placed, STEPS, at_row, kept, loss_of},
};
use crate::cast::Misfit;

/// Steps some of whose values are changed, each row by itself.
pub(super) struct MappedSource {
    inner: Box<dyn Source>,
    shared: Arc<Shared>,
}

/// What is done to a column.
pub(super) struct Change {
    pub(super) column: usize,
    pub(super) ops: Vec<Op>,
    /// Columns that say what its values are.
    pub(super) beside: Vec<usize>,
}

struct Shared {
    plan: SourcePlan,
    schema: SchemaRef,
    /// The features of the steps before and after, with the columns that are left out at the end.
    before: Vec<Feature>,
    after: Vec<Feature>,
    /// A column that another one takes values of comes before it.
    changes: Vec<Change>,
    /// Columns that are left out, in order.
    left_out: Vec<usize>,
}

impl MappedSource {
    /// `plan` is that of `inner` with the features that come of it; of these columns are left out.
    pub(super) fn new(
        inner: Box<dyn Source>,
        mut plan: SourcePlan,
        changes: Vec<Change>,
        left_out: Vec<usize>,
    ) -> Self {
        let before = inner.plan().streams[0].features.clone();
        let after = plan.streams[0].features.clone();
        let mut at = 0..;
        plan.streams[0].features.retain(|_| at.next().is_none_or(|it| !left_out.contains(&it)));
        let schema = plan.streams[0].arrow();
        Self { inner, shared: Arc::new(Shared { plan, schema, before, after, changes, left_out }) }
    }
}

impl Shared {
    /// How many rows are changed at once: clouds that are filled up may become far more than their bytes were.
    fn rows_max(&self, batch_bytes_max: usize) -> usize {
        let row_bytes = |op: &Op| if let Op::Points(points) = op { points.row_bytes() } else { 0 };
        let all = self.changes.iter().flat_map(|it| &it.ops).map(row_bytes).fold(0, usize::saturating_add);
        batch_bytes_max.checked_div(all).map_or(usize::MAX, |it| it.max(1))
    }

    /// # Errors
    /// The row whose value cannot be changed, with its address and that it is lost.
    fn batch(&self, batch: &Batch, partition: usize) -> Result<Batch, Misplaced> {
        let mut columns = batch.rows.columns().to_vec();
        let mut pixels = batch.pixels.clone();
        for change in &self.changes {
            let feature = &self.after[change.column];
            let place = Placed { plan: &self.plan, partition };
            for op in &change.ops {
                let values = Values { rows: &batch.rows, columns: &columns, change, feature };
                let changed = values.change(op, &mut pixels).map_err(|Misplaced { row, err }| {
                    let err = at_row(err, batch, row, &feature.name, place);
                    Misplaced { row, err: err.with_loss(loss_of(batch, row)) }
                })?;
                columns[change.column] = changed;
            }
        }
        if !self.left_out.is_empty() {
            let mut at = 0..;
            columns.retain(|_| at.next().is_none_or(|it| !self.left_out.contains(&it)));
            for found in &mut pixels {
                found.column -= self.left_out.iter().filter(|it| **it < found.column).count();
            }
        }
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
            .expect("columns follow the features, and no row came or went");
        Ok(Batch { stream: batch.stream, rows, spans: batch.spans.clone(), pixels })
    }
}

/// The values of a column on their way.
struct Values<'a> {
    /// As they came.
    rows: &'a RecordBatch,
    /// As they are now.
    columns: &'a [ArrayRef],
    change: &'a Change,
    feature: &'a Feature,
}

impl Values<'_> {
    fn change(&self, op: &Op, pixels: &mut Vec<MediaShape>) -> Result<ArrayRef, Misplaced> {
        let (array, feature) = (&self.columns[self.change.column], self.feature);
        let misfit = |it: Misfit| misplaced(it.idx, it.message, &feature.name);
        match op {
            Op::Numbers(op, which) => {
                let nested = Nested::of(array.as_ref());
                let valid = nested.items.last().and_then(|it| it.valid.as_ref());
                let is_hidden = |idx: usize| valid.is_some_and(|it| it.is_null(idx));
                let values = numbers::apply(*op, &nested.values, *which, &is_hidden).map_err(|it| {
                    misplaced(nested.row_of(nested.dims.len(), it.idx), it.message, &feature.name)
                })?;
                let wrong = |err: arrow_schema::ArrowError| misplaced(0, err.to_string(), &feature.name);
                around(array.as_ref(), values, array.data_type()).map_err(wrong)
            }
            Op::Slice(slice) => slice.apply(array).map_err(misfit),
            Op::Rotate(rotate) => rotate.apply(array).map_err(misfit),
            Op::Minus(other) => minus(array, &self.columns[other.column]).map_err(misfit),
            Op::Codes => codes::texts(array).map_err(misfit),
            Op::Points(points) => {
                let beside: Vec<&ArrayRef> =
                    self.change.beside.iter().map(|it| self.rows.column(*it)).collect();
                points.apply(array, &beside).map_err(misfit)
            }
            Op::Images(op) => self.images(op, array, pixels),
            Op::Flac => clips(array, feature, self.change.column, pixels),
        }
    }

    fn images(
        &self,
        op: &ImageOp,
        array: &ArrayRef,
        pixels: &mut Vec<MediaShape>,
    ) -> Result<ArrayRef, Misplaced> {
        let (column, feature) = (self.change.column, self.feature);
        let found: Vec<&MediaShape> = pixels.iter().filter(|it| it.column == column).collect();
        let rows = RowFrames::of(self.rows, &self.change.beside);
        let changed = op.apply(array, &found, rows.as_ref(), &feature.arrow_type());
        let Frames { array, shape } = changed.map_err(|it| {
            let hint =
                "only frames that can be decoded are transformed: repair the frame, or leave out the transform; \
                 `on_error: salvage` leaves out such steps";
            let err = if it.err.hint().is_some() { it.err } else { it.err.with_hint(hint) };
            Misplaced { row: it.row, err }
        })?;
        pixels.retain(|it| it.column != column);
        match (feature.storage, shape) {
            (Storage::EncodedMedia, _) => pixels.extend(media_shapes(column, &array)),
            (Storage::RawMedia, Some((dtype, shape))) => {
                let n_rows = (array.len() - array.null_count()) as u64;
                pixels.push(MediaShape {
                    column,
                    dtype,
                    shape,
                    encoding: "raw".to_owned(),
                    rate_hz: None,
                    n_rows,
                });
            }
            (Storage::RawMedia | Storage::Plain, _) => {}
        }
        Ok(array)
    }
}

fn clips(
    array: &ArrayRef,
    feature: &Feature,
    column: usize,
    pixels: &mut Vec<MediaShape>,
) -> Result<ArrayRef, Misplaced> {
    let changed = flac(array, &feature.arrow_type()).map_err(|it| {
        let hint = "only intact WAV files are coded, and FLAC stays: repair the clip, or leave out the transform; \
                    `on_error: salvage` leaves out such steps";
        let err = if it.err.hint().is_some() { it.err } else { it.err.with_hint(hint) };
        Misplaced { row: it.row, err }
    })?;
    pixels.retain(|it| it.column != column);
    pixels.extend(media_shapes(column, &changed));
    Ok(changed)
}

fn misplaced(row: usize, message: String, feature: &str) -> Misplaced {
    let err = Error::new(ErrorKind::Corrupt, message).with_hint(format!(
        "`fields.{feature}.transform` does not fit every value: change it, or leave it out; `on_error: salvage` leaves out such \
         steps"
    ));
    Misplaced { row, err }
}

impl Source for MappedSource {
    fn plan(&self) -> &SourcePlan {
        &self.shared.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let inner = self.inner.read(partition, options)?;
        let shared = Arc::clone(&self.shared);
        let rows_max = shared.rows_max(options.batch_bytes_max);
        Ok(Box::new(MappedRows { inner, shared, partition, rows_max, todo: VecDeque::new() }))
    }
}

struct MappedRows {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    partition: usize,
    /// How many rows of a batch are changed at once.
    rows_max: usize,
    /// What is left of a batch that has more rows, or one that cannot be changed.
    todo: VecDeque<Todo>,
}

enum Todo {
    Change(Batch),
    Tell(Error),
}

impl MappedRows {
    /// Puts a batch of more rows than are changed at once on the list, in as many parts as it takes.
    fn cut(&mut self, batch: &Batch) {
        let n_rows = batch.rows.num_rows();
        for first in (0..n_rows).step_by(self.rows_max).rev() {
            let rows = first..first.saturating_add(self.rows_max).min(n_rows);
            self.todo.push_front(Todo::Change(kept(batch, rows, &self.shared.before)));
        }
    }

    /// Puts the rows beside one that is lost on the list: those before it, which can be changed, and those behind, in halves. Of many rows
    /// that are lost each costs a look at few others so.
    fn split(&mut self, batch: &Batch, lost: Misplaced) {
        let features = &self.shared.before;
        let Misplaced { row, err } = lost;
        let n_rows = batch.rows.num_rows();
        let middle = (row + 1).midpoint(n_rows);
        let rows = |rows: Range<usize>| (!rows.is_empty()).then(|| Todo::Change(kept(batch, rows, features)));
        let parts =
            [rows(0..row), Some(Todo::Tell(err)), rows(row + 1..middle), rows(middle.max(row + 1)..n_rows)];
        parts.into_iter().flatten().rev().for_each(|it| self.todo.push_front(it));
    }
}

impl EpisodeStream for MappedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        loop {
            let batch = match self.todo.pop_front() {
                Some(Todo::Change(batch)) => batch,
                Some(Todo::Tell(err)) => return Err(err),
                None => match self.inner.next_batch()? {
                    Some(batch) if batch.stream == STEPS && self.rows_max < batch.rows.num_rows() => {
                        self.cut(&batch);
                        continue;
                    }
                    Some(batch) if batch.stream == STEPS => batch,
                    other => return Ok(other),
                },
            };
            match self.shared.batch(&batch, self.partition) {
                Ok(changed) => return Ok(Some(changed)),
                Err(lost) => self.split(&batch, lost),
            }
        }
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(self.inner.as_ref())
    }
}
