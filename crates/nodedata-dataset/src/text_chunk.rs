//! Column chunks of text: pages of numbers in a dictionary, plain pages once that is full.
//!
//! The chunk is the one that the Parquet crate's own writer makes where it gets row by row, byte for byte. It looks up
//! and compares every text. Text of robots repeats from row to row, as names of joints and frames do: here a row of
//! texts that equal those of the row before is the same numbers again, and of a stretch of such rows one is looked at. Pages end after the row that fills them, wherever
//! batches end.

use std::{ops::Range, sync::Arc};

use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_schema::Field;
use bytes::Bytes;
use parquet::{
    basic::Encoding,
    column::{
        page::{CompressedPage, Page, PageWriteSpec, PageWriter},
        writer::ColumnCloseResult,
    },
    errors::Result,
    file::{
        metadata::ColumnChunkMetaData,
        writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};

use self::{
    bounds::Bounds,
    facts::{ChunkFacts, PageFacts},
    open_page::{OpenPage, n_bytes_of_numbers, put_times},
};
use crate::{
    codec::ColumnFactory,
    leaf_entries::{Leaf, LeafEntries},
    page_header::put_levels,
    properties::{PAGE_BYTES, PAGE_ROWS, ZSTD_LEVEL},
    repeats::PackedTexts,
    rle::put_numbers,
    stats::leaf_values::for_each_bytes,
    text_dictionary::{Dictionary, PREFIX_BYTES, put_text},
};

mod bounds;
mod facts;
mod open_page;

/// Encodes one column of text in one row group.
pub(crate) struct TextWriter {
    column: ColumnDescPtr,
    is_compressed: bool,
    /// Encodes texts alone: what the Parquet crate says of the least and the greatest is what it would say of all.
    texts_alone: Arc<ColumnFactory>,
    dictionary: DictionaryState,
    page: OpenPage,
    /// The pages so far, but the dictionary's.
    pages: TrackedWrite<Vec<u8>>,
    facts: ChunkFacts,
    /// Of the texts that are in plain pages, and of a dictionary that has ended.
    bounds: Bounds,
    /// The numbers of the last row.
    row: Vec<u32>,
}

enum DictionaryState {
    Open(Box<Dictionary>),
    /// Its page: it was full, or the chunk ends.
    Ended(Vec<u8>),
}

impl TextWriter {
    /// No rows yet.
    pub(crate) fn new(column: ColumnDescPtr, is_compressed: bool, texts_alone: Arc<ColumnFactory>) -> Self {
        Self {
            facts: ChunkFacts::new(&column),
            column,
            is_compressed,
            texts_alone,
            dictionary: DictionaryState::Open(Box::default()),
            page: OpenPage::default(),
            pages: TrackedWrite::new(Vec::new()),
            bounds: Bounds::default(),
            row: Vec::new(),
        }
    }

    /// Encodes one more piece of the column.
    ///
    /// # Errors
    /// When a page would have 2 GiB.
    pub(crate) fn write(&mut self, field: &Field, array: &ArrayRef) -> Result<()> {
        let leaf = Leaf::of(field, array);
        let packed = leaf.values.as_string_opt::<i32>();
        if let (Some(n_values), Some(values), false) = (leaf.n_values_of_each_row(), packed, array.is_empty())
        {
            // All rows have the entries of the first.
            let entries = leaf.entries(0..1);
            let texts = PackedTexts::in_rows(values, n_values);
            for (row, n_times) in texts.stretches() {
                self.put_rows(&entries, 0..n_values, &row.map(|it| texts.text(it)), n_times)?;
            }
            return Ok(());
        }
        let mut texts = Vec::with_capacity(leaf.values.len());
        for_each_bytes(leaf.values.as_ref(), |_, text| texts.push(text));
        let entries = leaf.entries(0..array.len());
        for row in entries.rows() {
            let there = row.clone().filter_map(|it| entries.value(it)).map(|it| texts[it]);
            self.put_rows(&entries, row, &there, 1)?;
        }
        Ok(())
    }

    /// Encodes rows that are alike: the entries of one, its texts, and how many rows.
    fn put_rows<'a>(
        &mut self,
        entries: &LeafEntries,
        row: Range<usize>,
        texts: &(impl Iterator<Item = &'a [u8]> + Clone),
        n_rows: usize,
    ) -> Result<()> {
        if let DictionaryState::Open(dictionary) = &mut self.dictionary {
            self.row.clear();
            self.row.extend(texts.clone().map(|it| dictionary.number(it)));
        }
        let mut n_left = n_rows;
        while n_left > 0 {
            let page = &mut self.page;
            let n = match &self.dictionary {
                DictionaryState::Open(dictionary) => {
                    let n = page.n_rows(dictionary, self.row.len(), n_left);
                    put_times(&self.row, n, &mut page.numbers);
                    page.n_values += n * self.row.len();
                    n
                }
                DictionaryState::Ended(_) => {
                    for text in texts.clone() {
                        put_text(text, &mut page.plain);
                        page.n_values += 1;
                        self.bounds.include(text);
                    }
                    1
                }
            };
            page.put_levels(&self.column, entries, row.clone(), n);
            self.facts.count_levels(entries, row.clone(), n);
            n_left -= n;
            self.end_rows()?;
        }
        Ok(())
    }

    /// Ends what is full.
    fn end_rows(&mut self) -> Result<()> {
        let (is_page_full, is_dictionary_full) = match &self.dictionary {
            DictionaryState::Open(dictionary) => (
                n_bytes_of_numbers(self.page.numbers.len(), dictionary.width()) >= PAGE_BYTES,
                dictionary.page_len() >= PAGE_BYTES,
            ),
            DictionaryState::Ended(_) => (self.page.plain.len() >= PAGE_BYTES, false),
        };
        if is_page_full || is_dictionary_full || self.page.n_rows >= PAGE_ROWS {
            self.end_page()?;
        }
        if is_dictionary_full {
            self.end_dictionary()?;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<()> {
        let page = &mut self.page;
        let mut payload = Vec::new();
        for (levels, max) in [
            (&page.repetitions, self.column.max_rep_level()),
            (&page.definitions, self.column.max_def_level()),
        ] {
            if max > 0 {
                put_levels(levels, usize::from(max.unsigned_abs()), &mut payload);
            }
        }
        let (encoding, n_text_bytes) = match &self.dictionary {
            DictionaryState::Open(dictionary) => {
                payload.push(dictionary.width() as u8);
                put_numbers(&page.numbers, dictionary.width(), &mut payload);
                (Encoding::RLE_DICTIONARY, dictionary.n_bytes(&page.numbers))
            }
            DictionaryState::Ended(_) => {
                payload.extend_from_slice(&page.plain);
                (Encoding::PLAIN, page.plain.len() - PREFIX_BYTES * page.n_values)
            }
        };
        let n_payload = payload.len();
        let data = Page::DataPage {
            buf: compressed(payload, self.is_compressed)?,
            num_values: page.n_entries as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written = write_page(CompressedPage::new(data, n_payload), &mut self.pages)?;
        self.facts.add(&PageFacts {
            encoding,
            n_entries: page.n_entries,
            n_rows: page.n_rows,
            n_values: page.n_values,
            n_text_bytes,
            written,
        });
        page.clear();
        Ok(())
    }

    /// Writes the dictionary. What comes after it is plain.
    fn end_dictionary(&mut self) -> Result<()> {
        let DictionaryState::Open(dictionary) = &mut self.dictionary else { return Ok(()) };
        let dictionary = std::mem::take(dictionary);
        dictionary.texts().for_each(|it| self.bounds.include(it));
        let n_texts = dictionary.len() as u32;
        let texts = dictionary.into_page();
        let n_bytes = texts.len();
        let page = Page::DictionaryPage {
            buf: compressed(texts, self.is_compressed)?,
            num_values: n_texts,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let mut target = TrackedWrite::new(Vec::new());
        let written = write_page(CompressedPage::new(page, n_bytes), &mut target)?;
        self.facts.add_dictionary(&written);
        self.dictionary = DictionaryState::Ended(target.into_inner()?);
        Ok(())
    }

    /// Ends the chunk.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn close(mut self) -> Result<TextChunk> {
        if self.page.n_entries > 0 {
            self.end_page()?;
        }
        self.end_dictionary()?;
        let mut bytes = match self.dictionary {
            DictionaryState::Ended(page) => page,
            DictionaryState::Open(_) => Vec::new(),
        };
        bytes.extend_from_slice(&self.pages.into_inner()?);
        let statistics = self.bounds.statistics(&self.texts_alone, self.facts.n_nulls())?;
        let close = self.facts.close(self.column, self.is_compressed, statistics)?;
        Ok(TextChunk { bytes: bytes.into(), close })
    }
}

fn compressed(bytes: Vec<u8>, is_compressed: bool) -> Result<Bytes> {
    Ok(if is_compressed { zstd::bulk::compress(&bytes, ZSTD_LEVEL)?.into() } else { bytes.into() })
}

fn write_page(page: CompressedPage, target: &mut TrackedWrite<Vec<u8>>) -> Result<PageWriteSpec> {
    SerializedPageWriter::new(target).write_page(page)
}

/// The finished chunk of one column of text in one row group.
pub(crate) struct TextChunk {
    bytes: Bytes,
    close: ColumnCloseResult,
}

impl TextChunk {
    /// What the footer says of the chunk.
    pub(crate) fn metadata(&self) -> &ColumnChunkMetaData {
        &self.close.metadata
    }

    /// Writes the chunk as the next column of a row group.
    ///
    /// # Errors
    /// What the target reports.
    pub(crate) fn append_to_row_group<W: std::io::Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        group.append_column(&self.bytes, self.close)
    }
}

#[cfg(test)]
mod tests;
