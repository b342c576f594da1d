use std::{collections::VecDeque, ops::Range};

use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use nodedata_core::{
    Batch, EpisodeStream, Error, ErrorKind, Fate, Locus, Numbering, ReadOptions, Result, Source, SourcePlan,
};

use super::{
    End,
    lists::retyped,
    minus::minus,
    neighbours::{Beside, Edges, Neighbours, Pulled, breaks},
    rows::{Misplaced, Placed, STEPS, at_row, kept, loss_of},
    stacked::in_parts,
};
use crate::cast::Misfit;

/// A column whose values are those of other steps, or differences to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) column: usize,
    pub(super) steps: i32,
    pub(super) end: End,
    pub(super) makes: Makes,
}

/// What comes of the value of another step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Makes {
    /// It stands for the own one.
    Value,
    /// It is taken away from the own one.
    Difference,
    /// As `Difference`; where there is no such step nothing has changed.
    DifferenceOrZero,
}

/// Steps some of whose values are those of later or earlier steps of the episode.
pub(super) struct ShiftedSource {
    neighbours: Neighbours,
    plan: SourcePlan,
    schema: SchemaRef,
    shifts: Vec<Shift>,
    /// Why steps are left out, as ledgers say it.
    why: &'static str,
}

/// Rows of an episode around a part, of the columns that are shifted.
struct Line {
    segments: Vec<RecordBatch>,
    /// How many lie before the part.
    n_before: usize,
}

impl ShiftedSource {
    /// `plan` is that of `inner` with the features that come of it.
    pub(super) fn new(
        inner: Box<dyn Source>,
        mut plan: SourcePlan,
        makes_steps: Vec<bool>,
        shifts: Vec<Shift>,
        why: &'static str,
    ) -> Self {
        let far = |sign: i64| {
            let steps = shifts.iter().map(|it| i64::from(it.steps) * sign).max().unwrap_or(0).max(0);
            usize::try_from(steps).unwrap_or(usize::MAX)
        };
        let mut columns: Vec<usize> = shifts.iter().map(|it| it.column).collect();
        columns.sort_unstable();
        columns.dedup();
        let edges = Edges { columns, n_after: far(1), n_before: far(-1) };
        in_parts(&mut plan, &makes_steps, why);
        if shifts.iter().any(|it| it.steps < 0 && it.end == End::Drop) {
            // The source does not know that its first steps are left out.
            let of_steps = plan.partitions.iter_mut().zip(&makes_steps).filter(|it| *it.1);
            of_steps.for_each(|(it, _)| it.numbering = Numbering::Joined);
        }
        let schema = plan.streams[0].arrow();
        Self { neighbours: Neighbours::new(inner, makes_steps, edges), plan, schema, shifts, why }
    }

    fn shift(&self, pulled: &mut Pulled, partition: usize, options: &ReadOptions) -> Result<()> {
        let columns: Vec<usize> = self.shifts.iter().map(|it| it.column).collect();
        let project = |it: &Batch| it.rows.project(&columns).expect("the columns are those of the steps");
        let own: Vec<RecordBatch> = pulled.steps().map(project).collect();
        let n_own: usize = own.iter().map(RecordBatch::num_rows).sum();
        if n_own == 0 {
            return Ok(());
        }
        let before = self.neighbours.before(partition, options)?;
        let after = self.neighbours.after(partition, options)?;
        pulled.looked_at.extend(before.looked_at.iter().chain(&after.looked_at).cloned());
        let line = Line { n_before: before.n_rows, segments: self.in_order(before, own, after) };
        let is_broken = |err: &Error| breaks(err, self.neighbours.inner.plan(), partition);
        let features = &self.neighbours.inner.plan().streams[0].features;
        let mut results = VecDeque::with_capacity(pulled.results.len());
        let mut runs = line.runs(pulled.results.iter().filter_map(|it| match it {
            Ok(batch) => (batch.stream == STEPS).then(|| Some(batch.rows.num_rows())),
            Err(err) => is_broken(err).then_some(None),
        }));
        let mut run = runs.next().unwrap_or_default();
        let (mut first, mut n_kept) = (line.n_before, 0);
        for result in std::mem::take(&mut pulled.results) {
            let batch = match result {
                Ok(batch) if batch.stream == STEPS => batch,
                other => {
                    if other.as_ref().is_err_and(is_broken) {
                        run = runs.next().unwrap_or_default();
                    }
                    results.push_back(other);
                    continue;
                }
            };
            let end = first + batch.rows.num_rows();
            let rows = kept_of(&self.shifts, first..end, &run);
            n_kept += rows.len();
            // Rows that are left out have no value, which a column need not allow.
            if !rows.is_empty() {
                let within = rows.start - first..rows.end - first;
                let place = At { line: &line, run: &run, partition };
                self.push(&mut results, kept(&batch, within, features), rows.start, &place)?;
            }
            first = end;
        }
        pulled.results = results;
        if n_kept < n_own {
            let mut fate = Fate::new(STEPS);
            fate.dropped.insert(self.why, (n_own - n_kept) as u64);
            pulled.fates.push(fate);
        }
        Ok(())
    }

    /// Neighbours have the columns once each and in order; the line has one for each shift.
    fn in_order(&self, before: Beside, own: Vec<RecordBatch>, after: Beside) -> Vec<RecordBatch> {
        let mut columns: Vec<usize> = self.shifts.iter().map(|it| it.column).collect();
        let wanted = columns.clone();
        columns.sort_unstable();
        columns.dedup();
        let places: Vec<usize> =
            wanted.iter().map(|it| columns.partition_point(|column| column < it)).collect();
        let beside = |it: RecordBatch| it.project(&places).expect("every shifted column is there");
        let before = before.rows.into_iter().map(beside);
        before.chain(own).chain(after.rows.into_iter().map(beside)).collect()
    }

    /// Hands on what comes of the rows of a batch, and which of them are lost. `first` counts in the line.
    fn push(
        &self,
        results: &mut VecDeque<Result<Batch>>,
        mut batch: Batch,
        mut first: usize,
        place: &At<'_>,
    ) -> Result<()> {
        let features = &self.neighbours.inner.plan().streams[0].features;
        while batch.rows.num_rows() != 0 {
            let Misplaced { row, err } = match self.batch(batch.clone(), first, place)? {
                Ok(made) => {
                    results.push_back(Ok(made));
                    break;
                }
                Err(lost) => lost,
            };
            // Of the rows before it only another column may have one that is lost: no deeper than there are columns.
            self.push(results, kept(&batch, 0..row, features), first, place)?;
            results.push_back(Err(err.with_loss(loss_of(&batch, row))));
            batch = kept(&batch, row + 1..batch.rows.num_rows(), features);
            first += row + 1;
        }
        Ok(())
    }

    fn batch(&self, batch: Batch, first: usize, place: &At<'_>) -> Result<Result<Batch, Misplaced>> {
        let mut columns = batch.rows.columns().to_vec();
        for (idx, shift) in self.shifts.iter().enumerate() {
            let field = self.schema.field(shift.column);
            let failed = |err| {
                Error::new(ErrorKind::Limit, "the values of other steps do not fit one column")
                    .with_source(err)
                    .at(Locus::feature(field.name()))
            };
            let rows = first..first + batch.rows.num_rows();
            let own = &columns[shift.column];
            let outside = (shift.makes == Makes::DifferenceOrZero).then_some(own);
            let mut array = place.line.values(idx, shift.steps, rows, place.run, outside).map_err(failed)?;
            if shift.makes != Makes::Value {
                array = match minus(own, &array) {
                    Ok(array) => array,
                    Err(Misfit { idx: row, message }) => {
                        let hint = format!(
                            "`fields.{}.type` names a type that holds differences; `on_error: salvage` leaves out such steps",
                            field.name()
                        );
                        let err = Error::new(ErrorKind::Corrupt, message).with_hint(hint);
                        let place = Placed { plan: &self.plan, partition: place.partition };
                        return Ok(Err(Misplaced {
                            row,
                            err: at_row(err, &batch, row, field.name(), place),
                        }));
                    }
                };
            }
            columns[shift.column] = retyped(&array, field.data_type()).map_err(failed)?;
        }
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
            .expect("columns follow the features, and no row came or went");
        Ok(Ok(Batch { rows, ..batch }))
    }
}

/// Where the rows of a batch lie.
struct At<'a> {
    line: &'a Line,
    /// Where in it the rows lie next to each other.
    run: &'a Range<usize>,
    partition: usize,
}

impl Line {
    /// Where rows lie next to each other, between those that damage took. `own` has the rows of each batch of the part in order, and
    /// nothing for what was lost.
    fn runs(&self, own: impl Iterator<Item = Option<usize>>) -> std::vec::IntoIter<Range<usize>> {
        let (mut runs, mut start, mut at) = (Vec::new(), 0, self.n_before);
        for n_rows in own {
            match n_rows {
                Some(n_rows) => at += n_rows,
                None => runs.push(std::mem::replace(&mut start, at)..at),
            }
        }
        runs.push(start..self.segments.iter().map(RecordBatch::num_rows).sum());
        runs.into_iter()
    }

    /// The values of a column `steps` later than some rows of a run; where that has no such step those of `outside`, which has as
    /// many rows, else null.
    fn values(
        &self,
        column: usize,
        steps: i32,
        rows: Range<usize>,
        run: &Range<usize>,
        outside: Option<&ArrayRef>,
    ) -> Result<ArrayRef, arrow_schema::ArrowError> {
        let (run_start, run_end) = (run.start as i64, run.end as i64);
        let start = rows.start as i64 + i64::from(steps);
        let end = start + rows.len() as i64;
        let data_type = self.segments[0].column(column).data_type();
        // The first rows of those asked for, or the last.
        let others = |n: i64, is_first: bool| {
            let n = usize::try_from(n).unwrap_or(0);
            match outside {
                Some(own) if is_first => own.slice(0, n),
                Some(own) => own.slice(own.len() - n, n),
                None => new_null_array(data_type, n),
            }
        };
        let mut parts: Vec<ArrayRef> = Vec::new();
        // An empty part would do no harm, but one of the whole is shared instead of copied.
        let mut push = |it: ArrayRef| {
            if !it.is_empty() {
                parts.push(it);
            }
        };
        push(others(end.min(run_start) - start.min(run_start), true));
        let (there_start, there_end) = (start.clamp(run_start, run_end), end.clamp(run_start, run_end));
        let mut at = 0i64;
        for segment in &self.segments {
            let n = segment.num_rows() as i64;
            let (from, to) = ((there_start - at).clamp(0, n), (there_end - at).clamp(0, n));
            push(segment.column(column).slice(from as usize, (to - from) as usize));
            at += n;
        }
        push(others(end.max(run_end) - start.max(run_end), false));
        match parts.as_slice() {
            [only] => Ok(ArrayRef::clone(only)),
            parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>()),
        }
    }
}

/// Of some rows of a run those that are kept: for which every shift that drops finds a step in it.
fn kept_of(shifts: &[Shift], mut rows: Range<usize>, run: &Range<usize>) -> Range<usize> {
    for shift in shifts.iter().filter(|it| it.end == End::Drop) {
        let n = usize::try_from(shift.steps.unsigned_abs()).unwrap_or(usize::MAX);
        if shift.steps > 0 {
            rows.end = rows.end.min(run.end.saturating_sub(n));
        } else {
            rows.start = rows.start.max(run.start.saturating_add(n));
        }
    }
    rows.start.min(rows.end)..rows.end
}

impl Source for ShiftedSource {
    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        let mut pulled = self.neighbours.own(partition, options)?;
        self.shift(&mut pulled, partition, options)?;
        Ok(Box::new(pulled))
    }
}
