use std::ops::Range;

use parquet::{
    basic::{Compression, Encoding, EncodingMask, PageType},
    column::{page::PageWriteSpec, writer::ColumnCloseResult},
    errors::Result,
    file::{
        metadata::{ColumnChunkMetaData, LevelHistogram, OffsetIndexBuilder, PageEncodingStats},
        statistics::Statistics,
    },
    schema::types::{ColumnDescPtr, ColumnDescriptor},
};

use crate::{leaf_entries::LeafEntries, properties::zstd_level};

/// What the footer of a file says of a chunk, gathered page by page.
pub(super) struct ChunkFacts {
    n_entries: usize,
    n_rows: usize,
    n_values: usize,
    n_text_bytes: usize,
    n_compressed: usize,
    n_uncompressed: usize,
    n_written: u64,
    n_number_pages: i32,
    n_plain_pages: i32,
    dictionary_len: usize,
    /// How many entries have each level.
    repetitions: Vec<i64>,
    definitions: Vec<i64>,
    /// Rows, bytes of text and length of each page.
    pages: Vec<(usize, usize, usize)>,
}

/// One page of values.
pub(super) struct PageFacts {
    pub(super) encoding: Encoding,
    pub(super) n_entries: usize,
    pub(super) n_rows: usize,
    pub(super) n_values: usize,
    pub(super) n_text_bytes: usize,
    pub(super) written: PageWriteSpec,
}

impl ChunkFacts {
    pub(super) fn new(column: &ColumnDescriptor) -> Self {
        let none_of = |max: i16| vec![0; usize::from(max.unsigned_abs()) + 1];
        Self {
            n_entries: 0,
            n_rows: 0,
            n_values: 0,
            n_text_bytes: 0,
            n_compressed: 0,
            n_uncompressed: 0,
            n_written: 0,
            n_number_pages: 0,
            n_plain_pages: 0,
            dictionary_len: 0,
            repetitions: none_of(column.max_rep_level()),
            definitions: none_of(column.max_def_level()),
            pages: Vec::new(),
        }
    }

    /// Counts the levels of rows that are alike: the entries of one, and how many rows.
    pub(super) fn count_levels(&mut self, entries: &LeafEntries, row: Range<usize>, n_rows: usize) {
        for idx in row {
            self.repetitions[usize::from(entries.repetitions[idx])] += n_rows as i64;
            self.definitions[usize::from(entries.definitions[idx])] += n_rows as i64;
        }
    }

    /// Adds a page of values.
    pub(super) fn add(&mut self, page: &PageFacts) {
        match page.encoding {
            Encoding::PLAIN => self.n_plain_pages += 1,
            _ => self.n_number_pages += 1,
        }
        self.n_entries += page.n_entries;
        self.n_rows += page.n_rows;
        self.n_values += page.n_values;
        self.n_text_bytes += page.n_text_bytes;
        self.pages.push((page.n_rows, page.n_text_bytes, page.written.compressed_size));
        self.add_written(&page.written);
    }

    /// Adds the page of the dictionary.
    pub(super) fn add_dictionary(&mut self, written: &PageWriteSpec) {
        self.dictionary_len = written.compressed_size;
        self.add_written(written);
    }

    fn add_written(&mut self, written: &PageWriteSpec) {
        self.n_compressed += written.compressed_size;
        self.n_uncompressed += written.uncompressed_size;
        self.n_written += written.bytes_written;
    }

    /// Entries that are no value.
    pub(super) fn n_nulls(&self) -> u64 {
        (self.n_entries - self.n_values) as u64
    }

    /// All of it. The dictionary comes first, and the pages in their order behind it.
    pub(super) fn close(
        self,
        column: ColumnDescPtr,
        is_compressed: bool,
        statistics: Statistics,
    ) -> Result<ColumnCloseResult> {
        let mut offsets = OffsetIndexBuilder::new();
        let mut offset = self.dictionary_len;
        for (n_rows, n_text_bytes, n_bytes) in &self.pages {
            offsets.append_row_count(*n_rows as i64);
            offsets.append_unencoded_byte_array_data_bytes(Some(*n_text_bytes as i64));
            offsets.append_offset_and_size(offset as i64, *n_bytes as i32);
            offset += n_bytes;
        }
        let of_pages = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let mut pages = vec![
            of_pages(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
            of_pages(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, self.n_number_pages),
            of_pages(PageType::DATA_PAGE, Encoding::PLAIN, self.n_plain_pages),
        ];
        pages.retain(|it| it.count > 0);
        let encodings: Vec<Encoding> = pages.iter().map(|it| it.encoding).chain([Encoding::RLE]).collect();
        let compression = match is_compressed {
            true => Compression::ZSTD(zstd_level()),
            false => Compression::UNCOMPRESSED,
        };
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(pages)
            .set_total_compressed_size(self.n_compressed as i64)
            .set_total_uncompressed_size(self.n_uncompressed as i64)
            .set_num_values(self.n_entries as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(self.dictionary_len as i64)
            .set_statistics(statistics)
            .set_unencoded_byte_array_data_bytes((!self.pages.is_empty()).then_some(self.n_text_bytes as i64))
            .set_repetition_level_histogram(histogram(self.repetitions))
            .set_definition_level_histogram(histogram(self.definitions))
            .build()?;
        Ok(ColumnCloseResult {
            bytes_written: self.n_written,
            rows_written: self.n_rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(offsets.build()),
        })
    }
}

/// None where there is but one level, which the Parquet crate leaves out.
fn histogram(counts: Vec<i64>) -> Option<LevelHistogram> {
    (counts.len() > 1).then(|| counts.into())
}
