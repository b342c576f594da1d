use std::ops::Range;

use nodedata_core::ReadOptions;

/// Rows of a batch at most, however narrow they are.
const BATCH_ROWS_MAX: u64 = 1 << 20;

/// Cuts the rows of an episode into pieces of about `partition_bytes`.
pub fn cut(rows: Range<u64>, bytes_per_row: u64, partition_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let per_piece = (partition_bytes / bytes_per_row.max(1)).max(1);
    let mut start = rows.start;
    std::iter::from_fn(move || {
        let piece = start..rows.end.min(start.saturating_add(per_piece));
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// How many rows a batch of a piece may have, whose `n_rows` take `decoded_bytes`.
pub fn batch_rows(decoded_bytes: u64, n_rows: u64, options: &ReadOptions) -> usize {
    let bytes_per_row = (decoded_bytes / n_rows.max(1)).max(1);
    (options.batch_bytes_max as u64 / bytes_per_row).clamp(1, BATCH_ROWS_MAX) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_rows_and_are_never_empty() {
        let pieces = |rows, bytes_per_row, n_bytes| cut(rows, bytes_per_row, n_bytes).collect::<Vec<_>>();
        assert_eq!(pieces(3..10, 10, 35), [3..6, 6..9, 9..10]);
        assert_eq!(pieces(0..2, 100, 1), [0..1, 1..2]);
        assert_eq!(pieces(0..4, 0, 2), [0..2, 2..4]);
        assert_eq!(pieces(4..4, 10, 35), []);
    }
}
