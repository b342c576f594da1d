//! Rows of an episode that do not lie in its order: put into it by their `frame_index`, and read in it.

use std::ops::Range;

use arrow_array::{RecordBatch, UInt64Array};
use arrow_select::{concat::concat_batches, take::take_record_batch};
use nodedata_arrow::ParquetFile;
use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::scan::Run;

/// Rows of a file by the step that each is; `None` where the runs do not have every step from 0 on once.
pub(crate) fn by_step(runs: &[&Run]) -> Option<Vec<u64>> {
    let n_rows: u64 = runs.iter().map(|it| it.n_rows).sum();
    let mut rows: Vec<Option<u64>> = vec![None; usize::try_from(n_rows).ok()?];
    for (row, step) in runs.iter().flat_map(|it| it.steps()) {
        let place = rows.get_mut(usize::try_from(step).ok()?)?;
        if place.replace(row).is_some() {
            return None;
        }
    }
    rows.into_iter().collect()
}

/// Neighbouring rows of a list as ranges, in its order.
pub(crate) fn ranges_of(rows: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == *row => last.end += 1,
            _ => ranges.push(*row..row + 1),
        }
    }
    ranges
}

/// Reads rows of a file in another order than they lie in. All of them are in memory at once: they are a piece of an
/// episode, which is cut for that.
///
/// # Errors
/// `Corrupt` when they cannot be read, or are fewer.
pub(crate) fn rows_in_order(
    file: &ParquetFile,
    columns: &[&str],
    order: &[u64],
    batch_rows: usize,
) -> Result<Vec<RecordBatch>> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    let batches = file.picked_rows(columns, &ranges_of(&sorted), batch_rows)?.collect::<Result<Vec<_>>>()?;
    let unreadable = |message: &str| Error::new(ErrorKind::Corrupt, message).at(Locus::path(&file.path));
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let all = concat_batches(&first.schema(), &batches)
        .map_err(|err| unreadable("the rows cannot be put together").with_source(err))?;
    if all.num_rows() != order.len() {
        return Err(unreadable("the file has fewer rows than when the dataset was planned"));
    }
    let places: Vec<u64> = order.iter().map(|row| sorted.partition_point(|it| it < row) as u64).collect();
    let picked = |places: &[u64]| {
        take_record_batch(&all, &UInt64Array::from(places.to_vec()))
            .map_err(|err| unreadable("the rows cannot be put in order").with_source(err))
    };
    places.chunks(batch_rows.max(1)).map(picked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_range() {
        assert_eq!(ranges_of(&[3, 4, 7, 8, 9, 2]), [3..5, 7..10, 2..3]);
        assert!(ranges_of(&[]).is_empty());
    }
}
