//! Where the rows of a Parquet file lie, as its footer tells.

use std::ops::Range;

use nodedata_core::RowSpan;

/// A row group as the footer describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowGroup {
    /// Position of its first row in the file.
    pub first_row: u64,
    /// Its rows.
    pub n_rows: u64,
    /// Where the pages of its columns lie in the file.
    pub byte_range: Range<u64>,
    /// Bytes after decompression.
    pub n_decoded: u64,
}

/// Where runs of rows of an input come from: a span for each of them in each row group that holds any of it.
pub fn spans(input: usize, groups: &[RowGroup], rows: &[Range<u64>]) -> Vec<RowSpan> {
    let mut spans = Vec::with_capacity(rows.len());
    for run in rows {
        let mut start = run.start;
        let first = groups.partition_point(|it| it.first_row + it.n_rows <= start);
        for group in groups.iter().skip(first).take_while(|it| it.first_row < run.end) {
            let end = run.end.min(group.first_row + group.n_rows);
            if start < end {
                let (n_rows, first_record) = (end - start, start - group.first_row);
                spans.push(RowSpan { input, n_rows, byte_range: group.byte_range.clone(), first_record });
                start = end;
            }
        }
    }
    spans
}

/// The bytes of the row groups that hold some rows.
pub fn bytes_of(groups: &[RowGroup], rows: &Range<u64>) -> Range<u64> {
    let mut inside =
        groups.iter().filter(|it| it.first_row < rows.end && rows.start < it.first_row + it.n_rows);
    let Some(first) = inside.next() else { return 0..0 };
    let last = inside.next_back().unwrap_or(first);
    first.byte_range.start..last.byte_range.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(sizes: &[(u64, u64)]) -> Vec<RowGroup> {
        let (mut first_row, mut at) = (0, 4);
        let group = |(n_rows, n_decoded): &(u64, u64)| {
            let group = RowGroup {
                first_row,
                n_rows: *n_rows,
                byte_range: at..at + n_decoded,
                n_decoded: *n_decoded,
            };
            first_row += n_rows;
            at += n_decoded;
            group
        };
        sizes.iter().map(group).collect()
    }

    #[test]
    fn rows_are_found_in_their_groups() {
        let groups = groups(&[(2, 10), (0, 0), (3, 20), (100, 1000)]);
        let told = |rows: &[Range<u64>]| {
            let spans = spans(7, &groups, rows);
            spans.iter().map(|it| (it.n_rows, it.byte_range.start, it.first_record)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[1..4, 6..7]), [(1, 4, 1), (2, 14, 0), (1, 34, 1)]);
        let (all, none) = (0..105, 105..110);
        assert_eq!(told(&[all]), [(2, 4, 0), (3, 14, 0), (100, 34, 0)]);
        assert!(told(&[none]).is_empty());
    }
}
