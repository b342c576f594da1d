//! Pieces of an episode whose frames are decoded.

use std::ops::Range;

/// A piece is about so many times as large as one that nobody decodes: each opens a decoder.
const PIECE: u64 = 4;
/// At most so many times: rows of a piece are in memory together.
const PIECE_MAX: u64 = 16;

/// Cuts rows into pieces that end where decoding of what follows can start anew, at `starts` (rising), so that no frame is decoded
/// for two of them. A group of frames that is too long for a piece is cut all the same.
pub(crate) fn cut_at(
    starts: &[u64],
    n_rows: u64,
    bytes_per_row: u64,
    partition_bytes: u64,
) -> Vec<Range<u64>> {
    let rows_of = |times: u64| (partition_bytes.saturating_mul(times) / bytes_per_row.max(1)).max(1);
    let (wanted, most) = (rows_of(PIECE), rows_of(PIECE_MAX));
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < n_rows {
        let from = starts.partition_point(|it| *it < start.saturating_add(wanted));
        let end = starts.get(from).copied().unwrap_or(n_rows);
        let end = end.min(start.saturating_add(most)).min(n_rows);
        pieces.push(start..end);
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_at_key_frames() {
        let starts: Vec<u64> = (0..10).map(|it| it * 6).collect();
        assert_eq!(cut_at(&starts, 60, 10, 20), [0..12, 12..24, 24..36, 36..48, 48..60]);
        assert_eq!(cut_at(&[0], 100, 10, 20), [0..32, 32..64, 64..96, 96..100], "one long group");
        assert_eq!(cut_at(&[0, 40], 60, 10, 20), [0..32, 32..40, 40..60]);
        assert_eq!(cut_at(&[], 4, 100, 20), [0..3, 3..4]);
        assert_eq!(cut_at(&[0], 0, 10, 20), []);
    }
}
