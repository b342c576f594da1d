use std::ops::Range;

use nodedata_arrow::{Ranges, page_headers};
use parquet::file::{
    metadata::{ColumnChunkMetaData, ParquetMetaData},
    page_index::offset_index::PageLocation,
};

use crate::page_table::{Page, PageTable};

/// The pages of a file, and what is known only as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundPages {
    /// Where they lie. A column chunk whose pages nothing tells is one row, that of its first row.
    pub pages: PageTable,
    /// Those chunks: row group, column and bytes.
    pub whole: Vec<(u32, String, u64)>,
}

/// Where every page of a file lies, for ranged reads without the footer: as its offset index says; where its writer left none, as the
/// headers of its pages in `file` do. These say nothing of rows in columns of lists, which are decoded by the chunk.
///
/// `metadata` must have passed [`nodedata_arrow::footer`], or come from a writer.
pub fn pages_of(metadata: &ParquetMetaData, file: Option<&Ranges>) -> FoundPages {
    let columns = metadata.file_metadata().schema_descr().columns();
    let names: Vec<String> = columns.iter().map(|it| it.path().string()).collect();
    let mut found = FoundPages::default();
    for (idx, group) in metadata.row_groups().iter().enumerate() {
        let n_rows = u64::try_from(group.num_rows()).unwrap_or(0);
        for (column_idx, (column, name)) in group.columns().iter().zip(&names).enumerate() {
            let mut page = |range: Range<u64>, first_row: i64| {
                let n_bytes = range.end.saturating_sub(range.start);
                let row_group = idx as u32;
                found.pages.push(Page { row_group, column: name, offset: range.start, n_bytes, first_row });
            };
            let told = metadata.page_index().and_then(|it| it.offset_index(idx, column_idx));
            let told = told.map(|it| it.page_locations().clone());
            let walked = || file.and_then(|file| page_headers(file, column, n_rows));
            if let Some(locations) = told.or_else(walked) {
                if let Some(dictionary) = dictionary_of(column, &locations) {
                    page(dictionary, -1);
                }
                for it in &locations {
                    page(bytes_of(it), it.first_row_index);
                }
            } else if let Some(chunk) = chunk_of(column) {
                page(chunk.clone(), 0);
                found.whole.push((idx as u32, name.clone(), chunk.end - chunk.start));
            }
        }
    }
    found
}

/// The bytes of a chunk; `None` where it has none, or lies nowhere.
pub(crate) fn chunk_of(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    // Some writers put a dictionary where there is none.
    let (data, dictionary) = (column.data_page_offset(), column.dictionary_page_offset());
    let start = dictionary.filter(|it| 0 < *it && *it < data).unwrap_or(data);
    let start = u64::try_from(start).ok()?;
    let n_bytes = u64::try_from(column.compressed_size()).ok()?;
    let end = start.checked_add(n_bytes)?;
    (start < end).then_some(start..end)
}

/// What lies in a chunk before its first data page. Some writers do not say that this is a dictionary.
pub(crate) fn dictionary_of(column: &ColumnChunkMetaData, pages: &[PageLocation]) -> Option<Range<u64>> {
    let chunk = chunk_of(column)?;
    let first = u64::try_from(pages.first()?.offset).ok()?;
    (chunk.start < first).then_some(chunk.start..first)
}

/// The bytes of a page. What a writer elsewhere put below zero is nowhere.
pub(crate) fn bytes_of(page: &PageLocation) -> Range<u64> {
    let start = u64::try_from(page.offset).unwrap_or(0);
    start..start.saturating_add(u64::try_from(page.compressed_page_size).unwrap_or(0))
}
