use std::{fs::File, ops::Range, path::Path};

use nodedata_core::{Error, ErrorKind, Locus, Progress, Result};
use nodedata_io::io_error;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, RowSelection},
        arrow_writer::ArrowWriterOptions,
    },
    basic::Encoding,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
};

use crate::{
    hashing_file::HashingFile,
    page_table::PageTable,
    pages::pages_of,
    ranges::{Opened, Rows},
    read::Dataset,
    table::encode_error,
    without::kept::KeptShard,
    writer::created_by,
};

/// Decoded bytes of a batch, about.
const BATCH_BYTES: u64 = 4 << 20;
/// Most rows of a batch.
const BATCH_ROWS_MAX: u64 = 4096;
/// Values between two looks at the page limits, where no column asks for smaller pages.
const WRITE_BATCH_ROWS: usize = 1024;
/// Pages of up to so many rows are made small on purpose. The writer looks at its limits only so often, so that they make it look
/// more often.
const SMALL_PAGE_ROWS: usize = 64;

/// A shard that was written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// BLAKE3-256 of the file, 64 hex digits.
    pub b3: String,
    /// Length.
    pub bytes: u64,
    /// Rows of each row group.
    pub group_rows: Vec<u64>,
    /// Where its pages lie.
    pub pages: PageTable,
}

impl KeptFile {
    /// The row groups that hold some rows of it, wherever an index says that these are: the first, and how many.
    pub fn groups_of(&self, row: u64, n_rows: u64) -> (u64, u64) {
        let at = |row: u64| {
            let mut end = 0;
            let is_before = |rows: &&u64| {
                end += **rows;
                end <= row
            };
            self.group_rows.iter().take_while(is_before).count() as u64
        };
        let (first, last) = (at(row), at(row.saturating_add(n_rows).saturating_sub(1)));
        // Without rows the last lies before the first.
        (first, (last + 1).saturating_sub(first))
    }
}

impl Dataset {
    /// Writes what stays of a shard to `to`, synced: the same columns, footer entries, codecs, encodings and sizes of pages; its
    /// row groups end where they did, and those of which nothing stays are gone. The same rows give the same bytes.
    ///
    /// # Errors
    /// `Corrupt` when the shard cannot be decoded; `Io`; `Interrupted` when `progress` says to stop.
    pub fn write_kept(
        &self,
        path: &str,
        kept: &KeptShard,
        to: &Path,
        progress: &dyn Progress,
    ) -> Result<KeptFile> {
        let builder = self.parquet(path)?.builder;
        let parquet = builder.metadata();
        let arrow = builder.schema().clone();
        let footer = ArrowReaderMetadata::try_new(parquet.clone(), Default::default());
        let footer = footer.map_err(|err| unreadable(path, err))?;
        let options = ArrowWriterOptions::new()
            .with_properties(properties(parquet))
            .with_parquet_schema(parquet.file_metadata().schema_descr().clone())
            // The shard's own entry is kept with the others.
            .with_skip_arrow_metadata(true);
        let file = File::create(to).map_err(|err| io_error("cannot make the shard", to, err))?;
        let failed = |err| encode_error(err).at(Locus::path(path));
        let mut writer =
            ArrowWriter::try_new_with_options(HashingFile::new(file), arrow, options).map_err(failed)?;
        let mut start = 0;
        for (idx, group) in parquet.row_groups().iter().enumerate() {
            let n_rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let parts = kept.parts(start..start.saturating_add(n_rows));
            let part = Part { group: idx, start, n_rows, n_bytes: group.total_byte_size(), parts };
            start = start.saturating_add(n_rows);
            if part.parts.is_empty() {
                continue;
            }
            for batch in part.rows(self, path, &footer)? {
                progress.go_on()?;
                writer.write(&batch?).map_err(failed)?;
            }
            writer.flush().map_err(failed)?;
        }
        if start != kept.n_rows() + kept.n_gone() {
            let message = format!("the shard has {start} rows, and the manifest says otherwise");
            return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::path(path)));
        }
        let metadata = writer.finish().map_err(failed)?;
        let file = writer.inner_mut();
        let unflushed = |err| io_error("cannot flush the shard", to, err);
        file.sync().map_err(unflushed)?;
        let digest = file.finish().map_err(unflushed)?;
        let group_rows = metadata.row_groups().iter().map(|it| u64::try_from(it.num_rows()).unwrap_or(0));
        Ok(KeptFile {
            b3: digest.b3,
            bytes: digest.bytes,
            group_rows: group_rows.collect(),
            pages: pages_of(&metadata, None).pages,
        })
    }
}

/// What stays of a row group.
struct Part {
    group: usize,
    /// Its first row in the shard.
    start: u64,
    n_rows: u64,
    n_bytes: i64,
    /// Of the shard's rows.
    parts: Vec<Range<u64>>,
}

impl Part {
    fn rows(&self, dataset: &Dataset, path: &str, footer: &ArrowReaderMetadata) -> Result<Rows> {
        let within = |row: u64| usize::try_from(row - self.start).unwrap_or(usize::MAX);
        let parts = self.parts.iter().map(|it| within(it.start)..within(it.end));
        let n_rows = usize::try_from(self.n_rows).unwrap_or(usize::MAX);
        let row_bytes = u64::try_from(self.n_bytes).unwrap_or(0).div_ceil(self.n_rows.max(1));
        let batch_rows = (BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS_MAX);
        let shard = Opened::with_footer(path, dataset.file(path)?, footer.clone());
        let shard = shard.with(|it| {
            it.with_row_groups(vec![self.group])
                .with_row_selection(RowSelection::from_consecutive_ranges(parts, n_rows))
                .with_batch_size(batch_rows as usize)
        });
        shard.rows()
    }
}

fn unreadable(path: &str, err: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Corrupt, "this is not a Parquet file we can read")
        .with_source(err)
        .at(Locus::path(path))
}

/// Settings that write columns as the shard has them.
fn properties(metadata: &ParquetMetaData) -> WriterProperties {
    let columns = metadata.file_metadata().schema_descr().num_columns();
    let page_rows: Vec<Option<usize>> = (0..columns).map(|it| page_rows_of(metadata, it)).collect();
    let small = page_rows.iter().flatten().filter(|it| **it <= SMALL_PAGE_ROWS).min();
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(created_by())
        .set_write_batch_size(small.copied().unwrap_or(WRITE_BATCH_ROWS))
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
        .set_dictionary_enabled(false)
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64))
        .set_offset_index_disabled(false)
        .set_key_value_metadata(metadata.file_metadata().key_value_metadata().cloned());
    for (idx, page_rows) in page_rows.into_iter().enumerate() {
        let chunks = || metadata.row_groups().iter().filter_map(|it| it.columns().get(idx));
        let Some(first) = chunks().next() else { continue };
        let path = first.column_path().clone();
        let has_statistics = chunks().any(|it| it.statistics().is_some());
        let statistics = if has_statistics { EnabledStatistics::Chunk } else { EnabledStatistics::None };
        builder = builder
            .set_column_compression(path.clone(), first.compression())
            .set_column_encoding(path.clone(), encoding_of(first))
            .set_column_dictionary_enabled(
                path.clone(),
                chunks().any(|it| it.dictionary_page_offset().is_some()),
            )
            .set_column_statistics_enabled(path.clone(), statistics);
        if let Some(rows) = page_rows {
            builder = builder.set_column_data_page_row_count_limit(path, rows);
        }
    }
    builder.build()
}

/// Most rows of a page of a column, where the file tells.
fn page_rows_of(metadata: &ParquetMetaData, column: usize) -> Option<usize> {
    let mut most = None;
    for (idx, group) in metadata.row_groups().iter().enumerate() {
        let locations = metadata.page_index()?.offset_index(idx, column)?.page_locations();
        let starts = locations.iter().map(|it| it.first_row_index);
        let ends = starts.clone().skip(1).chain([group.num_rows()]);
        most = most.max(starts.zip(ends).map(|(start, end)| end.saturating_sub(start)).max());
    }
    usize::try_from(most?).ok().filter(|it| *it > 0)
}

/// How the values of a chunk are encoded where no dictionary holds them.
fn encoding_of(chunk: &ColumnChunkMetaData) -> Encoding {
    let told = |it: &Encoding| {
        matches!(
            it,
            Encoding::BYTE_STREAM_SPLIT
                | Encoding::DELTA_BINARY_PACKED
                | Encoding::DELTA_LENGTH_BYTE_ARRAY
                | Encoding::DELTA_BYTE_ARRAY
        )
    };
    chunk.encodings().find(told).unwrap_or(Encoding::PLAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_are_told_of_whatever_an_index_says() {
        let group_rows = vec![10, 20];
        let file = KeptFile { b3: String::new(), bytes: 0, group_rows, pages: PageTable::default() };
        let found = [(0, 10), (9, 2), (10, 20), (0, 30), (10, 0), (0, 0), (30, 5), (u64::MAX, 2)];
        let found = found.map(|(row, n_rows)| file.groups_of(row, n_rows));
        assert_eq!(found, [(0, 1), (0, 2), (1, 1), (0, 2), (1, 0), (0, 1), (2, 1), (2, 1)]);
    }
}
