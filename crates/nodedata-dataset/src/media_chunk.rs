//! Column chunks of encoded media: plain pages of a few rows, without compression and statistics.
//!
//! The pages are those that the Parquet crate's own writer makes with [`properties::media`], byte for byte; only a
//! chunk of nothing but nulls has no column index here.
//! It copies every value three times on its way. Here a value stays where it is until its page is written, which
//! matters where media are nearly all there is.
//!
//! [`properties::media`]: crate::properties::media

use std::{io::Read, sync::Arc};

use arrow_array::{Array, ArrayRef, BinaryArray, cast::AsArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, EncodingMask, PageType},
    column::writer::ColumnCloseResult,
    errors::{ParquetError, Result},
    file::{
        metadata::{ColumnChunkMetaData, OffsetIndexBuilder, PageEncodingStats},
        reader::{ChunkReader, Length},
        writer::SerializedRowGroupWriter,
    },
    schema::types::ColumnDescPtr,
};

use crate::{
    page_header::{data_page_header, put_levels},
    properties::{MEDIA_PAGE_ROWS, PAGE_BYTES},
};

/// Bytes of a value's length before the value.
const PREFIX_BYTES: usize = size_of::<u32>();
/// Bytes that a batch may keep in memory besides those of its values: as much as these, and this much more.
const SLACK_BYTES: usize = 64 << 10;

/// Encodes the bytes of one media column in one row group: of a binary column, or of a struct's first field.
pub(crate) struct MediaWriter {
    column: ColumnDescPtr,
    /// The rows of the page at hand.
    open: Vec<Rows>,
    n_open_rows: usize,
    n_open_values: usize,
    n_open_bytes: usize,
    pages: Vec<Page>,
    n_bytes: usize,
    n_rows: usize,
    offsets: OffsetIndexBuilder,
}

/// A page that is not yet written.
struct Page {
    /// Its header and its levels.
    head: Vec<u8>,
    rows: Vec<Rows>,
}

/// Some neighbouring rows of a batch.
struct Rows {
    values: Arc<Values>,
    start: usize,
    n_rows: usize,
}

/// The bytes of a batch, and what may be null, from the outside in.
struct Values {
    bytes: BinaryArray,
    optional: Vec<Option<NullBuffer>>,
}

impl Values {
    fn new(field: &Field, array: &ArrayRef) -> Self {
        let mut optional = Vec::new();
        if field.is_nullable() {
            optional.push(array.nulls().cloned());
        }
        let DataType::Struct(fields) = field.data_type() else {
            return Self { bytes: lean(array.as_binary()), optional };
        };
        let bytes = array.as_struct().column(0);
        if fields[0].is_nullable() {
            optional.push(bytes.nulls().cloned());
        }
        Self { bytes: lean(bytes.as_binary()), optional }
    }

    /// The value of a row, where it is there.
    fn value(&self, row: usize) -> Option<&[u8]> {
        self.is_there(row).then(|| self.bytes.value(row))
    }

    /// How many of the optional fields are there, from the outside in.
    fn level(&self, row: usize) -> usize {
        let is_there = |it: &&Option<NullBuffer>| it.as_ref().is_none_or(|it| it.is_valid(row));
        self.optional.iter().take_while(is_there).count()
    }

    fn is_there(&self, row: usize) -> bool {
        self.level(row) == self.optional.len()
    }
}

/// The values alone, where they are a small part of the memory that they keep.
fn lean(values: &BinaryArray) -> BinaryArray {
    let offsets = values.value_offsets();
    let n_bytes = (offsets[values.len()] - offsets[0]) as usize;
    match values.values().capacity() > 2 * n_bytes + SLACK_BYTES {
        true => values.iter().collect(),
        false => values.clone(),
    }
}

impl Rows {
    fn rows(&self) -> impl Iterator<Item = usize> {
        self.start..self.start + self.n_rows
    }

    /// The values that are there.
    fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.rows().filter_map(|row| self.values.value(row))
    }
}

impl MediaWriter {
    pub(crate) fn new(column: ColumnDescPtr) -> Self {
        Self {
            column,
            open: Vec::new(),
            n_open_rows: 0,
            n_open_values: 0,
            n_open_bytes: 0,
            pages: Vec::new(),
            n_bytes: 0,
            n_rows: 0,
            offsets: OffsetIndexBuilder::new(),
        }
    }

    /// Encodes one more piece of the column.
    ///
    /// # Errors
    /// When a page would have 2 GiB.
    pub(crate) fn write(&mut self, field: &Field, array: &ArrayRef) -> Result<()> {
        let values = Arc::new(Values::new(field, array));
        let n_rows = array.len();
        for start in (0..n_rows).step_by(MEDIA_PAGE_ROWS) {
            let end = n_rows.min(start + MEDIA_PAGE_ROWS);
            let step = rows_in_budget(&values, start, end);
            for start in (start..end).step_by(step) {
                self.push(&values, start, end.min(start + step));
                if self.n_open_rows >= MEDIA_PAGE_ROWS || self.n_open_bytes >= PAGE_BYTES {
                    self.end_page()?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, values: &Arc<Values>, start: usize, end: usize) {
        self.n_open_rows += end - start;
        for value in (start..end).filter_map(|it| values.value(it)) {
            self.n_open_values += 1;
            self.n_open_bytes += PREFIX_BYTES + value.len();
        }
        self.open.push(Rows { values: Arc::clone(values), start, n_rows: end - start });
    }

    fn end_page(&mut self) -> Result<()> {
        let mut levels = Vec::new();
        let max_level = usize::try_from(self.column.max_def_level()).unwrap_or(0);
        if max_level > 0 {
            let of_rows = self.open.iter().flat_map(|it| it.rows().map(|row| it.values.level(row)));
            put_levels(&of_rows.collect::<Vec<_>>(), max_level, &mut levels);
        }
        let too_large = |_| ParquetError::General("the values of one page have more than 2 GiB".to_owned());
        let n_payload = i32::try_from(levels.len() + self.n_open_bytes).map_err(too_large)?;
        let mut head = data_page_header(n_payload, self.n_open_rows as i32);
        let n_page = i32::try_from(head.len() + n_payload as usize).map_err(too_large)?;
        head.extend_from_slice(&levels);
        self.pages.push(Page { head, rows: std::mem::take(&mut self.open) });
        self.offsets.append_row_count(self.n_open_rows as i64);
        let n_value_bytes = self.n_open_bytes - PREFIX_BYTES * self.n_open_values;
        self.offsets.append_unencoded_byte_array_data_bytes(Some(n_value_bytes as i64));
        self.offsets.append_offset_and_size(self.n_bytes as i64, n_page);
        self.n_bytes += n_page as usize;
        self.n_rows += self.n_open_rows;
        (self.n_open_rows, self.n_open_values, self.n_open_bytes) = (0, 0, 0);
        Ok(())
    }

    /// Ends the chunk.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn close(mut self) -> Result<MediaChunk> {
        if self.n_open_rows > 0 {
            self.end_page()?;
        }
        let n_bytes = self.n_bytes as i64;
        let pages = PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding: Encoding::PLAIN,
            count: self.pages.len() as i32,
        };
        let encodings = EncodingMask::new_from_encodings([Encoding::PLAIN, Encoding::RLE].iter());
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings_mask(encodings)
            .set_page_encoding_stats(vec![pages])
            .set_total_compressed_size(n_bytes)
            .set_total_uncompressed_size(n_bytes)
            .set_num_values(self.n_rows as i64)
            .set_data_page_offset(0)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: self.n_bytes as u64,
            rows_written: self.n_rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(self.offsets.build()),
        };
        Ok(MediaChunk { pages: self.pages, n_bytes: self.n_bytes, close })
    }
}

/// How many rows, of some that start a page's worth, may be added before the size of the page is looked at.
fn rows_in_budget(values: &Values, start: usize, end: usize) -> usize {
    let lengths = (start..end).filter_map(|it| values.value(it)).map(|it| PREFIX_BYTES + it.len());
    let (mut n_values, mut n_bytes, mut fit) = (0, 0, None);
    for length in lengths {
        n_values += 1;
        n_bytes += length;
        if n_bytes > PAGE_BYTES && fit.is_none() {
            fit = Some(n_values);
        }
    }
    match fit {
        Some(fit) if fit < n_values => (fit * (end - start)).div_ceil(n_values).min(end - start),
        _ => end - start,
    }
}

/// The finished chunk of one column in one row group, whose pages are put together when it is written.
pub(crate) struct MediaChunk {
    pages: Vec<Page>,
    n_bytes: usize,
    close: ColumnCloseResult,
}

impl MediaChunk {
    /// Writes the chunk as the next column of a row group.
    ///
    /// # Errors
    /// What the target reports.
    pub(crate) fn append_to_row_group<W: std::io::Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        group.append_column(&Pages { pages: &self.pages, n_bytes: self.n_bytes }, self.close)
    }
}

/// Pages that follow each other.
struct Pages<'a> {
    pages: &'a [Page],
    n_bytes: usize,
}

impl Length for Pages<'_> {
    fn len(&self) -> u64 {
        self.n_bytes as u64
    }
}

impl<'a> ChunkReader for Pages<'a> {
    type T = PagesReader<'a>;

    fn get_read(&self, start: u64) -> Result<PagesReader<'a>> {
        let mut reader = PagesReader::new(self.pages);
        std::io::copy(&mut reader.by_ref().take(start), &mut std::io::sink())?;
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length.min(self.n_bytes)];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Puts pages together, copying each value once.
struct PagesReader<'a> {
    left: Box<dyn Iterator<Item = Part<'a>> + 'a>,
    prefix: [u8; PREFIX_BYTES],
    /// How much of the prefix is still to come, before the bytes.
    n_prefix: usize,
    bytes: &'a [u8],
}

enum Part<'a> {
    Head(&'a [u8]),
    /// Its length comes before it.
    Value(&'a [u8]),
}

impl<'a> PagesReader<'a> {
    fn new(pages: &'a [Page]) -> Self {
        let left = pages.iter().flat_map(|page| {
            let values = page.rows.iter().flat_map(Rows::values).map(Part::Value);
            std::iter::once(Part::Head(&page.head)).chain(values)
        });
        Self { left: Box::new(left), prefix: [0; PREFIX_BYTES], n_prefix: 0, bytes: &[] }
    }
}

impl Read for PagesReader<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let mut n_read = 0;
        while n_read < target.len() {
            let mut next = match self.n_prefix {
                0 => self.bytes,
                n => &self.prefix[PREFIX_BYTES - n..],
            };
            let n = next.read(&mut target[n_read..])?;
            n_read += n;
            match (self.n_prefix, n) {
                (0, 0) => match self.left.next() {
                    Some(Part::Head(bytes)) => self.bytes = bytes,
                    Some(Part::Value(bytes)) => {
                        self.prefix = (bytes.len() as u32).to_le_bytes();
                        (self.n_prefix, self.bytes) = (PREFIX_BYTES, bytes);
                    }
                    None => break,
                },
                (0, _) => self.bytes = &self.bytes[n..],
                _ => self.n_prefix -= n,
            }
        }
        Ok(n_read)
    }
}

#[cfg(test)]
#[path = "media_chunk/tests.rs"]
mod tests;
