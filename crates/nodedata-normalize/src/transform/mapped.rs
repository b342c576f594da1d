use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use nodedata_core::{
    Batch, EpisodeFacts, EpisodeStream, Error, ErrorKind, Fate, Feature, InputRange, Nested, PixelShape,
    ReadOptions, Result, Source, SourcePlan, Storage, StreamId,
};
use nodedata_steps::image_pixels;

use super::{
    codes,
    fit::Op,
    images::{Frames, ImageOp},
    lists::around,
    numbers,
    rows::{Placed, STEPS, at_row},
};

/// Steps some of whose values are changed, each row by itself.
pub(super) struct MappedSource {
    inner: Box<dyn Source>,
    shared: Arc<Shared>,
}

struct Shared {
    plan: SourcePlan,
    schema: SchemaRef,
    columns: Vec<(usize, Vec<Op>)>,
}

/// A row whose value cannot be changed.
struct Misplaced {
    row: usize,
    err: Error,
}

impl MappedSource {
    /// `plan` is that of `inner` with the features that come of it.
    pub(super) fn new(inner: Box<dyn Source>, plan: SourcePlan, columns: Vec<(usize, Vec<Op>)>) -> Self {
        let schema = plan.streams[0].arrow();
        Self { inner, shared: Arc::new(Shared { plan, schema, columns }) }
    }
}

impl Shared {
    fn batch(&self, batch: Batch, partition: usize) -> Result<Batch> {
        if batch.stream != STEPS {
            return Ok(batch);
        }
        let features = &self.plan.streams[0].features;
        let mut columns = batch.rows.columns().to_vec();
        let mut pixels = batch.pixels.clone();
        for (column, ops) in &self.columns {
            let feature = &features[*column];
            let place = Placed { plan: &self.plan, partition };
            for op in ops {
                columns[*column] = change(op, &columns[*column], feature, *column, &mut pixels)
                    .map_err(|it| at_row(it.err, &batch, it.row, &feature.name, place))?;
            }
        }
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
            .expect("columns follow the features, and no row came or went");
        Ok(Batch { rows, pixels, ..batch })
    }
}

fn change(
    op: &Op,
    array: &ArrayRef,
    feature: &Feature,
    column: usize,
    pixels: &mut Vec<PixelShape>,
) -> Result<ArrayRef, Misplaced> {
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
        Op::Codes => codes::texts(array).map_err(|it| misplaced(it.idx, it.message, &feature.name)),
        Op::Images(op) => images(op, array, feature, column, pixels),
    }
}

fn images(
    op: &ImageOp,
    array: &ArrayRef,
    feature: &Feature,
    column: usize,
    pixels: &mut Vec<PixelShape>,
) -> Result<ArrayRef, Misplaced> {
    let found: Vec<&PixelShape> = pixels.iter().filter(|it| it.column == column).collect();
    let changed = op.apply(array, &found, &feature.arrow_type());
    let Frames { array, shape } = changed.map_err(|it| Misplaced { row: it.row, err: it.err })?;
    pixels.retain(|it| it.column != column);
    match (feature.storage, shape) {
        (Storage::EncodedMedia, _) => pixels.extend(image_pixels(column, &array)),
        (Storage::RawMedia, Some((dtype, shape))) => {
            let n_rows = (array.len() - array.null_count()) as u64;
            pixels.push(PixelShape { column, dtype, shape, encoding: "raw".to_owned(), n_rows });
        }
        (Storage::RawMedia | Storage::Plain, _) => {}
    }
    Ok(array)
}

fn misplaced(row: usize, message: String, feature: &str) -> Misplaced {
    let err = Error::new(ErrorKind::Corrupt, message).with_hint(format!(
        "`fields.{feature}.transform` does not fit every value: change it, or leave it out"
    ));
    Misplaced { row, err }
}

impl Source for MappedSource {
    fn plan(&self) -> &SourcePlan {
        &self.shared.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let inner = self.inner.read(partition, options)?;
        Ok(Box::new(MappedRows { inner, shared: Arc::clone(&self.shared), partition }))
    }
}

struct MappedRows {
    inner: Box<dyn EpisodeStream>,
    shared: Arc<Shared>,
    partition: usize,
}

impl EpisodeStream for MappedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let next = self.inner.next_batch()?;
        next.map(|it| self.shared.batch(it, self.partition)).transpose()
    }

    fn records_read(&self) -> &[(StreamId, u64)] {
        self.inner.records_read()
    }

    fn fates(&self) -> &[Fate] {
        self.inner.fates()
    }

    fn facts(&self) -> Option<&EpisodeFacts> {
        self.inner.facts()
    }

    fn looked_at(&self) -> &[InputRange] {
        self.inner.looked_at()
    }
}
