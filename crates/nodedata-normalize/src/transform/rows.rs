use std::ops::Range;

use arrow_array::{Array, RecordBatch, UInt32Array, cast::AsArray, types::Int64Type};
use arrow_select::take::take_record_batch;
use nodedata_core::{
    Batch, Error, Feature, Locus, Loss, MediaShape, Numbering, RowSpan, STEP_INDEX, SourcePlan, Storage,
    StreamId, TIMESTAMP_NS,
};
use nodedata_steps::media_shapes;

/// The stream of the steps.
pub(super) const STEPS: StreamId = StreamId(0);

/// Some neighbouring rows of a batch.
pub(crate) fn kept(batch: &Batch, rows: Range<usize>, features: &[Feature]) -> Batch {
    if rows == (0..batch.rows.num_rows()) {
        return batch.clone();
    }
    let kept = batch.rows.slice(rows.start, rows.len());
    let pixels = pixels(batch, &kept, features);
    Batch { stream: batch.stream, spans: spans(&batch.spans, &rows), pixels, rows: kept }
}

/// Some rows of a batch, in order.
pub(crate) fn picked(batch: &Batch, rows: &[u32], features: &[Feature]) -> Batch {
    let places = UInt32Array::from(rows.to_vec());
    let kept = take_record_batch(&batch.rows, &places).expect("the places are those of rows");
    let pixels = pixels(batch, &kept, features);
    let of_row = |row: &u32| {
        let row = *row as usize;
        spans(&batch.spans, &(row..row + 1))
    };
    let mut joined: Vec<RowSpan> = Vec::new();
    for span in rows.iter().flat_map(of_row) {
        match joined.last_mut() {
            Some(last) if follows(last, &span) => last.n_rows += span.n_rows,
            _ => joined.push(span),
        }
    }
    Batch { stream: batch.stream, rows: kept, spans: joined, pixels }
}

/// Whether a span goes on where another ends.
fn follows(last: &RowSpan, span: &RowSpan) -> bool {
    let is_same = last.input == span.input && last.byte_range == span.byte_range;
    is_same && last.first_record + last.n_rows == span.first_record
}

fn spans(all: &[RowSpan], rows: &Range<usize>) -> Vec<RowSpan> {
    let (first, end) = (rows.start as u64, rows.end as u64);
    let mut at = 0;
    let mut kept = Vec::new();
    for span in all {
        let (from, to) = (at.max(first), (at + span.n_rows).min(end));
        if from < to {
            let first_record = span.first_record + (from - at);
            kept.push(RowSpan { n_rows: to - from, first_record, ..span.clone() });
        }
        at += span.n_rows;
    }
    kept
}

/// What the pixels of the rows that are left say. Encoded frames are looked at again; of bare ones with several findings
/// nobody knows which row has which.
fn pixels(batch: &Batch, kept: &RecordBatch, features: &[Feature]) -> Vec<MediaShape> {
    let mut pixels = Vec::new();
    let mut columns: Vec<usize> = batch.pixels.iter().map(|it| it.column).collect();
    columns.dedup();
    for column in columns {
        let array = kept.column(column);
        if features.get(column).is_some_and(|it| it.storage == Storage::EncodedMedia) {
            pixels.extend(media_shapes(column, array));
            continue;
        }
        let n_left = (array.len() - array.null_count()) as u64;
        let found = batch.pixels.iter().filter(|it| it.column == column && n_left != 0);
        pixels.extend(found.map(|it| MediaShape { n_rows: it.n_rows.min(n_left), ..it.clone() }));
    }
    pixels
}

/// An error with the address of the row it is about.
pub(super) fn at_row(err: Error, batch: &Batch, row: usize, feature: &str, place: Placed<'_>) -> Error {
    let Placed { plan, partition } = place;
    let told = &plan.partitions[partition];
    let value = |name: &str| {
        let column = batch.rows.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        (row < column.len() && column.is_valid(row)).then(|| column.value(row))
    };
    let locus = Locus {
        path: told.reads.first().and_then(|it| plan.input_path(it.input)),
        episode_idx: Some(told.episode as u64),
        feature: Some(feature.to_owned()),
        ..Locus::default()
    };
    match told.numbering {
        Numbering::Own => {
            let step_idx = value(STEP_INDEX).and_then(|it| u64::try_from(it).ok());
            err.at(Locus { step_idx, ..locus })
        }
        // A part of an episode does not know how many steps come before it.
        Numbering::Joined => match value(TIMESTAMP_NS) {
            Some(ns) => {
                let told =
                    Error::new(err.kind(), format!("{err}, at {ns} ns")).at(err.locus().clone()).at(locus);
                match err.hint() {
                    Some(hint) => told.with_hint(hint),
                    None => told,
                }
            }
            None => err.at(locus),
        },
    }
}

/// A row whose value cannot be changed.
pub(super) struct Misplaced {
    pub(super) row: usize,
    pub(super) err: Error,
}

/// What the loss of a row is: that of one step.
pub(super) fn loss_of(batch: &Batch, row: usize) -> Loss {
    let mut n_before = 0;
    let span = batch.spans.iter().find(|it| {
        n_before += it.n_rows;
        (row as u64) < n_before
    });
    Loss {
        byte_range: span.map(|it| it.byte_range.clone()),
        records: vec![(STEPS, 1)],
        uncounted: false,
        reason: "not_transformed",
    }
}

/// Where rows come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) plan: &'a SourcePlan,
    pub(super) partition: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_the_rows_that_are_left() {
        let span = |n_rows, first_record| RowSpan { input: 0, n_rows, byte_range: 0..9, first_record };
        let all = [span(3, 10), span(2, 0)];
        assert_eq!(spans(&all, &(0..4)), [span(3, 10), span(1, 0)]);
        assert_eq!(spans(&all, &(1..3)), [span(2, 11)]);
        assert_eq!(spans(&all, &(4..5)), [span(1, 1)]);
    }
}
