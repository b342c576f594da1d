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

/// Where some rows of an input come from: a span for each row group that holds any of them.
pub fn spans(input: usize, groups: &[RowGroup], rows: &Range<u64>) -> Vec<RowSpan> {
    let mut spans = Vec::new();
    for group in groups {
        let start = rows.start.max(group.first_row);
        let end = rows.end.min(group.first_row + group.n_rows);
        if start < end {
            let (n_rows, first_record) = (end - start, start - group.first_row);
            spans.push(RowSpan { input, n_rows, byte_range: group.byte_range.clone(), first_record });
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
