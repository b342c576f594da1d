//! Where the pages of lists begin in rows, where a file does not tell. Pages of version 1 say how many values they hold and not of how many
//! rows, so that rows in the middle of a chunk are reached only through all pages before them. They are looked through once; where each
//! page begins with a row, which the format leaves to writers, those before a row are passed over from then on.

use std::sync::Arc;

use parquet::{
    basic::Encoding,
    column::page::{Page, PageReader as _},
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, page_index::PageIndexProvider},
        page_index::{
            column_index::ColumnIndexMetaData,
            offset_index::{OffsetIndexMetaData, PageLocation},
        },
        serialized_reader::SerializedPageReader,
    },
};

use crate::{
    Ranges,
    guarded::guarded,
    runs::{Run, next_run, packed},
    watched::{Seen, Watched},
};

/// A row group alone, with where its pages are: as its file tells, and else as its pages do. `None` where looking at them tells nothing
/// more.
pub(crate) fn with_page_starts(
    file: &Ranges,
    metadata: &ParquetMetaData,
    group: usize,
) -> Option<ParquetMetaData> {
    let chunks = metadata.row_groups().get(group)?;
    let n_rows = u64::try_from(chunks.num_rows()).ok()?;
    let told = |column: usize| metadata.page_index()?.offset_index(group, column).cloned();
    let mut has_more = false;
    let mut columns = Vec::with_capacity(chunks.num_columns());
    for (column, chunk) in chunks.columns().iter().enumerate() {
        let mut pages = told(column);
        if pages.is_none() && 0 < chunk.column_descr().max_rep_level() {
            pages = guarded(|| page_starts(file, chunk, n_rows)).flatten();
            has_more |= pages.is_some();
        }
        columns.push(pages);
    }
    if !has_more {
        return None;
    }
    let alone = ParquetMetaData::new(metadata.file_metadata().clone(), vec![chunks.clone()]);
    let index: Arc<dyn PageIndexProvider> = Arc::new(PageStarts { columns });
    Some(alone.into_builder().set_page_index(Some(index)).build())
}

/// By column of the one row group.
#[derive(Debug)]
struct PageStarts {
    columns: Vec<Option<OffsetIndexMetaData>>,
}

impl PageIndexProvider for PageStarts {
    fn has_offset_indexes(&self) -> bool {
        true
    }

    fn has_column_indexes(&self) -> bool {
        false
    }

    fn column_index(&self, _group: usize, _column: usize) -> Option<&ColumnIndexMetaData> {
        None
    }

    fn offset_index(&self, group: usize, column: usize) -> Option<&OffsetIndexMetaData> {
        self.columns.get(column).filter(|_| group == 0)?.as_ref()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The pages of a chunk of lists; `None` where one does not begin with a row, or says itself how many it has, or cannot be read.
fn page_starts(file: &Ranges, chunk: &ColumnChunkMetaData, n_rows: u64) -> Option<OffsetIndexMetaData> {
    let seen = Arc::<Seen>::default();
    let file = Arc::new(Watched::new(file, &seen));
    let n_group = usize::try_from(n_rows).ok()?;
    let mut reader = SerializedPageReader::new(file, chunk, n_group, None).ok()?;
    let bits = 16 - chunk.column_descr().max_rep_level().cast_unsigned().leading_zeros();
    let mut page_locations: Vec<PageLocation> = Vec::new();
    let mut first_row = 0u64;
    while let Some(next) = reader.peek_next_page().ok()? {
        let start = seen.header();
        if next.is_dict {
            reader.skip_next_page().ok()?;
            continue;
        }
        if next.num_rows.is_some() {
            return None;
        }
        let page = reader.get_next_page().ok()??;
        let Page::DataPage { buf, num_values, rep_level_encoding: Encoding::RLE, .. } = page else {
            return None;
        };
        let n_bytes = u32::from_le_bytes(buf.get(..4)?.try_into().ok()?);
        let levels = buf.get(4..)?.get(..usize::try_from(n_bytes).ok()?)?;
        page_locations.push(PageLocation {
            offset: i64::try_from(start).ok()?,
            compressed_page_size: i32::try_from(seen.end().checked_sub(start)?).ok()?,
            first_row_index: i64::try_from(first_row).ok()?,
        });
        first_row = first_row.checked_add(rows_begun(levels, bits, num_values)?)?;
    }
    // Rows that the footer counts otherwise are for whoever reads them to find.
    let is_whole = first_row == n_rows && !page_locations.is_empty();
    is_whole.then_some(OffsetIndexMetaData { page_locations, unencoded_byte_array_data_bytes: None })
}

/// How many rows begin in a page of `n` values, as its repetition levels of `bits` bits say; `None` where it does not begin with one.
fn rows_begun(levels: &[u8], bits: u32, n: u32) -> Option<u64> {
    let (mut left, mut rest, mut n_rows) = (u64::from(n), levels, 0u64);
    let mut is_first = true;
    while left != 0 {
        let (n_run, n_begun, begins) = match next_run(&mut rest, bits)? {
            Run::Same { n, value } => {
                let n_run = n.min(left);
                (n_run, if value == 0 { n_run } else { 0 }, value == 0)
            }
            // Whole groups: whatever is not there would be rows.
            Run::Packed { n, values } if n * u64::from(bits) == values.len() as u64 * 8 => {
                let n_run = n.min(left);
                let n_begun = (0..n_run).filter(|it| packed(values, bits, *it) == 0).count() as u64;
                (n_run, n_begun, n_run != 0 && packed(values, bits, 0) == 0)
            }
            Run::Packed { .. } => return None,
        };
        if is_first && n_run != 0 {
            if !begins {
                return None;
            }
            is_first = false;
        }
        n_rows += n_begun;
        left -= n_run;
    }
    Some(n_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_in_runs_and_in_packed_levels() {
        // Five zeros in a run, three ones in a run.
        assert_eq!(rows_begun(&[5 << 1, 0, 3 << 1, 1], 1, 8), Some(5));
        // Of a longer run only what the page holds.
        assert_eq!(rows_begun(&[200, 1, 0], 1, 50), Some(50));
        // 0 1 1 0 1 0 0 0, of which six are values.
        assert_eq!(rows_begun(&[3, 0b0001_0110], 1, 6), Some(3));
        // Levels of two bits: 0 2 1 0, 0 1 2 0.
        assert_eq!(rows_begun(&[3, 0b0001_1000, 0b0010_0100], 2, 8), Some(4));
        // Levels of three bits cross bytes: 0 4 0 4 0 4 0 4.
        assert_eq!(rows_begun(&[3, 0b0010_0000, 0b0000_1000, 0b1000_0010], 3, 8), Some(4));
        assert_eq!(rows_begun(&[], 1, 0), Some(0));
        // In the middle of a row, and cut.
        assert_eq!(rows_begun(&[2 << 1, 1, 3 << 1, 0], 1, 5), None);
        assert_eq!(rows_begun(&[3, 0b0000_0001], 1, 8), None);
        assert_eq!(rows_begun(&[5 << 1, 0], 1, 8), None);
        assert_eq!(rows_begun(&[0x80; 9], 1, 8), None);
        assert_eq!(rows_begun(&[0xff, 0xff, 0xff, 0xff, 0x7f, 1], 16, u32::MAX), None);
    }
}
