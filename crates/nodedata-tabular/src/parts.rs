use std::ops::Range;

use nodedata_arrow::RowGroup;
use nodedata_steps::cut;

/// Rows of a file that are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) rows: Range<u64>,
    /// The row groups that hold them.
    pub(crate) byte_range: Range<u64>,
    pub(crate) n_decoded: u64,
}

impl Part {
    /// With the nulls of columns that its file lacks, which take room as values do.
    pub(crate) fn with_nulls(self, bytes_per_row: u64) -> Self {
        let n_rows = self.rows.end - self.rows.start;
        Self { n_decoded: self.n_decoded.saturating_add(n_rows.saturating_mul(bytes_per_row)), ..self }
    }
}

/// Parts of a row group at most, and their bytes, where each has to go through those before it.
const WALKED_PARTS_MAX: u64 = 32;
const WALKED_BYTES_MAX: u64 = 32 << 20;

/// Cuts row groups of any size into parts of about `partition_bytes`: a large one into several, small ones together. Where parts `walk`
/// through those before them, there are fewer of them, as far as memory allows.
pub(crate) fn parts(groups: &[RowGroup], partition_bytes: u64, walk: bool) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open: Option<Part> = None;
    for group in groups.iter().filter(|it| it.n_rows != 0) {
        let rows = group.first_row..group.first_row + group.n_rows;
        if partition_bytes < group.n_decoded {
            parts.extend(open.take());
            let per_row = group.n_decoded / group.n_rows;
            let walked = if walk { (group.n_decoded / WALKED_PARTS_MAX).min(WALKED_BYTES_MAX) } else { 0 };
            parts.extend(cut(rows, per_row, partition_bytes.max(walked)).map(|rows| {
                let n_decoded = (rows.end - rows.start).saturating_mul(per_row);
                Part { rows, byte_range: group.byte_range.clone(), n_decoded }
            }));
            continue;
        }
        let next = Part { rows, byte_range: group.byte_range.clone(), n_decoded: group.n_decoded };
        open = match open.take() {
            None => Some(next),
            Some(it) if partition_bytes < it.n_decoded.saturating_add(next.n_decoded) => {
                parts.push(it);
                Some(next)
            }
            Some(it) => Some(Part {
                rows: it.rows.start..next.rows.end,
                // Row groups may lie in any order.
                byte_range: it.byte_range.start.min(next.byte_range.start)
                    ..it.byte_range.end.max(next.byte_range.end),
                n_decoded: it.n_decoded + next.n_decoded,
            }),
        };
    }
    parts.extend(open);
    parts
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
    fn large_groups_are_cut_and_small_ones_joined() {
        let groups = groups(&[(2, 10), (0, 0), (3, 20), (100, 1000), (1, 10)]);
        let found = parts(&groups, 250, false);
        let rows: Vec<Range<u64>> = found.iter().map(|it| it.rows.clone()).collect();
        assert_eq!(rows, [0..5, 5..30, 30..55, 55..80, 80..105, 105..106]);
        assert_eq!((found[0].byte_range.clone(), found[1].byte_range.clone()), (4..34, 34..1034));
        assert_eq!(found.iter().map(|it| it.n_decoded).sum::<u64>(), 1040);
        assert_eq!(parts(&groups, 1, false).len(), 106);
        assert_eq!(parts(&groups, u64::MAX, false).len(), 1);
        // A hundred rows of ten bytes in parts of three.
        assert_eq!(parts(&groups, 1, true).len(), 2 + 3 + 34 + 1);
    }
}
