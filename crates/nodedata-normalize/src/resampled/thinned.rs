use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Fate, Feature, Numbering, ReadOptions, Result, STEP_INDEX,
    Source, SourcePlan, StreamSchema, placed::Mistake,
};

use super::{at_rate, own_rate};
use crate::{Unfit, piece::STEPS, transform::picked};

/// Why rows are left out, as ledgers say it.
const NOT_NTH: &str = "not_every_nth";

/// One in so many steps of each episode, counted from its first, with numbers of its own.
pub(super) struct ThinnedSource {
    inner: Box<dyn Source>,
    plan: SourcePlan,
    n: u64,
    column: usize,
}

/// # Errors
/// The mistake, where rows have no numbers.
pub(super) fn refuse_unnumbered(streams: &[StreamSchema]) -> Result<usize, Vec<Mistake>> {
    let column = streams.first().and_then(|it| it.column(STEP_INDEX));
    column.ok_or_else(|| vec![unnumbered()])
}

fn unnumbered() -> Mistake {
    let message = "the rows of the source have no numbers, so none of them is the first of so many";
    Mistake::new("steps.clock.every", message).with_hint("remove it")
}

impl ThinnedSource {
    /// # Errors
    /// The mistake, where rows have no numbers of the source's own.
    pub(super) fn new(inner: Box<dyn Source>, n: u64) -> Result<Self, Unfit> {
        let column = refuse_unnumbered(&inner.plan().streams).map_err(Unfit::Mistakes)?;
        let mut plan = inner.plan().clone();
        if plan.partitions.iter().any(|it| it.numbering != Numbering::Own) {
            return Err(Unfit::Mistakes(vec![unnumbered()]));
        }
        for partition in &mut plan.partitions {
            partition.recipe.push_str(&format!("; one in {n} steps"));
            partition.counts = None;
        }
        if let Some(stream) = plan.streams.first_mut() {
            let rate = own_rate(stream).and_then(|it| it.divided(n));
            *stream = at_rate(stream.clone(), rate);
        }
        Ok(Self { inner, plan, n, column })
    }
}

impl Source for ThinnedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        Ok(Box::new(ThinnedRows {
            inner: self.inner.read(partition, options)?,
            features: self.plan.streams.first().map(|it| it.features.clone()).unwrap_or_default(),
            n: self.n,
            column: self.column,
            n_left_out: 0,
            fates: Vec::new(),
        }))
    }
}

struct ThinnedRows {
    inner: Box<dyn EpisodeStream>,
    features: Vec<Feature>,
    n: u64,
    column: usize,
    n_left_out: u64,
    /// What the source says, and how many are left out.
    fates: Vec<Fate>,
}

impl ThinnedRows {
    fn thinned(&self, batch: &Batch) -> Result<Batch> {
        let n = i64::try_from(self.n).unwrap_or(i64::MAX);
        let numbers = batch.rows.column(self.column).as_primitive_opt::<Int64Type>();
        let numbers = numbers.filter(|it| it.null_count() == 0);
        let numbers = numbers.ok_or_else(|| {
            let message = "rows without a number are none of so many";
            Error::new(ErrorKind::Corrupt, message).with_hint("remove `steps.clock.every`")
        })?;
        let kept = (0u32..).zip(numbers.values()).filter(|it| it.1 % n == 0);
        let rows: Vec<u32> = kept.clone().map(|it| it.0).collect();
        let renumbered = Int64Array::from_iter_values(kept.map(|it| it.1 / n));
        let batch = picked(batch, &rows, &self.features);
        let mut columns = batch.rows.columns().to_vec();
        columns[self.column] = std::sync::Arc::new(renumbered) as ArrayRef;
        let rows = RecordBatch::try_new(batch.rows.schema(), columns)
            .expect("a column of the same type and length takes the place of another");
        Ok(Batch { rows, ..batch })
    }
}

impl EpisodeStream for ThinnedRows {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        loop {
            let next = self.inner.next_batch();
            self.fates = self.inner.fates().to_vec();
            let batch = match next {
                Ok(Some(batch)) if batch.stream == STEPS => batch,
                other => {
                    self.tell();
                    return other;
                }
            };
            let thinned = self.thinned(&batch)?;
            self.n_left_out += (batch.rows.num_rows() - thinned.rows.num_rows()) as u64;
            self.tell();
            if thinned.rows.num_rows() != 0 {
                return Ok(Some(thinned));
            }
        }
    }

    fn records_read(&self) -> &[(nodedata_core::StreamId, u64)] {
        self.inner.records_read()
    }

    fn fates(&self) -> &[Fate] {
        &self.fates
    }

    fn below(&self) -> Option<&dyn EpisodeStream> {
        Some(self.inner.as_ref())
    }
}

impl ThinnedRows {
    fn tell(&mut self) {
        if self.n_left_out != 0 {
            let mut fate = Fate::new(STEPS);
            fate.dropped.insert(NOT_NTH, self.n_left_out);
            self.fates.push(fate);
        }
    }
}
