use std::sync::Arc;

use parquet::file::metadata::ParquetMetaData;

/// One data or dictionary page of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageEntry {
    /// Its row group.
    pub row_group: u32,
    /// The Parquet column, its parts joined by dots.
    pub column: Arc<str>,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes, its header counted.
    pub n_bytes: u64,
    /// First row, counted from the row group's; -1 for a dictionary page.
    pub first_row: i64,
}

/// Where every page of a file lies, for ranged reads without the footer. Nothing is told of columns without an offset index.
pub fn pages_of(metadata: &ParquetMetaData) -> Vec<PageEntry> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let names: Vec<Arc<str>> = columns.iter().map(|it| it.path().string().into()).collect();
    let mut pages = Vec::new();
    for (idx, group) in metadata.row_groups().iter().enumerate() {
        let offsets = metadata.page_index_for_row_group(idx);
        for (column_idx, (column, name)) in group.columns().iter().zip(&names).enumerate() {
            let Some(locations) = offsets.page_locations(column_idx) else { continue };
            let mut page = |offset: i64, n_bytes: i64, first_row| {
                pages.push(PageEntry {
                    row_group: idx as u32,
                    column: Arc::clone(name),
                    // What a writer elsewhere put below zero is nowhere.
                    offset: u64::try_from(offset).unwrap_or(0),
                    n_bytes: u64::try_from(n_bytes).unwrap_or(0),
                    first_row,
                });
            };
            if let Some(offset) = column.dictionary_page_offset() {
                page(offset, column.data_page_offset().saturating_sub(offset), -1);
            }
            for location in locations {
                page(location.offset, i64::from(location.compressed_page_size), location.first_row_index);
            }
        }
    }
    pages
}
