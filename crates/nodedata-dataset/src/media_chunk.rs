//! Column chunks of media and of other bytes: plain pages of a few rows, without statistics.
//!
//! The pages are those that the Parquet crate's own writer makes with [`properties::media`], or of bytes that are in no
//! lists with [`properties::stored`] and [`properties::plain`], byte for byte; only a chunk of nothing but nulls has no
//! column index here, and none where the nulls in lists are as many as the rows, and values of hundreds of megabytes are
//! compressed piece by piece. It copies every value three times on its way. Here a value stays where it is until its page
//! is written or compressed, which matters where media are nearly all there is.
//!
//! [`properties::media`]: crate::properties::media
//! [`properties::stored`]: crate::properties::stored
//! [`properties::plain`]: crate::properties::plain

use std::{
    io::{Read, Write},
    ops::Range,
    sync::Arc,
};

use arrow_array::{Array, ArrayRef};
use arrow_schema::Field;
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
    leaf_entries::LeafEntries,
    media_values::Values,
    page_header::{data_page_header, put_levels},
    properties::{PAGE_BYTES, ZSTD_LEVEL, zstd_level},
};

/// Bytes of a value's length before the value.
const PREFIX_BYTES: usize = size_of::<u32>();
/// Pages up to this are put together before they are compressed, as the Parquet crate does; larger ones are one value,
/// which would then be in memory twice.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// Encodes the bytes of one media column in one row group: of a binary column or of a struct's first field, alone or
/// in lists.
pub(crate) struct MediaWriter {
    column: ColumnDescPtr,
    /// Entries between two looks at the limits of the page.
    n_step: usize,
    /// Rows of a page.
    page_rows: usize,
    is_compressed: bool,
    /// The entries of the page at hand.
    open: Vec<Entries>,
    n_open_entries: usize,
    n_open_rows: usize,
    n_open_values: usize,
    n_open_bytes: usize,
    pages: Vec<Page>,
    /// Bytes of the pages as they are stored.
    n_bytes: usize,
    /// The same before compression.
    n_uncompressed: usize,
    n_entries: usize,
    n_rows: usize,
    offsets: OffsetIndexBuilder,
}

/// A page that is not yet written.
struct Page {
    /// Its header and its levels; where it is compressed, all of it.
    head: Vec<u8>,
    /// What comes behind that.
    entries: Vec<Entries>,
}

/// Some neighbouring entries of a batch: whole rows.
struct Entries {
    values: Arc<Values>,
    range: Range<usize>,
}

impl Entries {
    /// The values that are there.
    fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.range.clone().filter_map(|idx| self.values.value(idx))
    }
}

impl MediaWriter {
    /// `n_step` is the setting `write_batch_size` of the Parquet crate: how many entries it writes before it looks at
    /// the limits of the page, of which `page_rows` is one.
    pub(crate) fn new(column: ColumnDescPtr, n_step: usize, page_rows: usize, is_compressed: bool) -> Self {
        Self {
            column,
            n_step,
            page_rows,
            is_compressed,
            open: Vec::new(),
            n_open_entries: 0,
            n_open_rows: 0,
            n_open_values: 0,
            n_open_bytes: 0,
            pages: Vec::new(),
            n_bytes: 0,
            n_uncompressed: 0,
            n_entries: 0,
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
        let n_entries = values.entries.len();
        let n_step = self.n_step(array);
        let mut start = 0;
        while start < n_entries {
            let end = values.entries.next_row(n_entries.min(start + n_step));
            let step = entries_in_budget(&values, start..end);
            while start < end {
                let next = values.entries.next_row(end.min(start + step));
                self.push(&values, start..next);
                if self.n_open_rows >= self.page_rows || self.n_open_bytes >= PAGE_BYTES {
                    self.end_page()?;
                }
                start = next;
            }
        }
        Ok(())
    }

    /// The Parquet crate's step where all rows of a piece have one definition is a page, because it need not write these
    /// one by one. A piece that says of each row that it is no null has them one by one.
    fn n_step(&self, piece: &ArrayRef) -> usize {
        let alike =
            self.column.max_def_level() > 0 && piece.nulls().is_none_or(|it| it.null_count() == piece.len());
        if alike { self.page_rows } else { self.n_step }
    }

    fn push(&mut self, values: &Arc<Values>, range: Range<usize>) {
        self.n_open_entries += range.len();
        for idx in range.clone() {
            self.n_open_rows += usize::from(values.entries.repetitions[idx] == 0);
            if let Some(value) = values.value(idx) {
                self.n_open_values += 1;
                self.n_open_bytes += PREFIX_BYTES + value.len();
            }
        }
        self.open.push(Entries { values: Arc::clone(values), range });
    }

    fn end_page(&mut self) -> Result<()> {
        let mut levels = Vec::new();
        self.put_levels(self.column.max_rep_level(), |it| &it.repetitions, &mut levels);
        self.put_levels(self.column.max_def_level(), |it| &it.definitions, &mut levels);
        let too_large = |_| ParquetError::General("the values of one page have more than 2 GiB".to_owned());
        let n_payload = i32::try_from(levels.len() + self.n_open_bytes).map_err(too_large)?;
        let entries = std::mem::take(&mut self.open);
        let (n_stored, body, entries) = if self.is_compressed {
            let body = compressed(&levels, &entries, n_payload as usize)?;
            (i32::try_from(body.len()).map_err(too_large)?, body, Vec::new())
        } else {
            (n_payload, levels, entries)
        };
        let mut head = data_page_header(n_payload, n_stored, self.n_open_entries as i32);
        let n_head = head.len();
        let n_page = i32::try_from(n_head + n_stored as usize).map_err(too_large)?;
        head.extend_from_slice(&body);
        self.pages.push(Page { head, entries });
        self.offsets.append_row_count(self.n_open_rows as i64);
        let n_value_bytes = self.n_open_bytes - PREFIX_BYTES * self.n_open_values;
        self.offsets.append_unencoded_byte_array_data_bytes(Some(n_value_bytes as i64));
        self.offsets.append_offset_and_size(self.n_bytes as i64, n_page);
        self.n_bytes += n_page as usize;
        self.n_uncompressed += n_head + n_payload as usize;
        self.n_entries += self.n_open_entries;
        self.n_rows += self.n_open_rows;
        (self.n_open_entries, self.n_open_rows) = (0, 0);
        (self.n_open_values, self.n_open_bytes) = (0, 0);
        Ok(())
    }

    /// The levels of one kind of the page at hand; none where all are 0.
    fn put_levels(&self, max: i16, kind: impl Fn(&LeafEntries) -> &[u16], target: &mut Vec<u8>) {
        let max = usize::try_from(max).unwrap_or(0);
        if max > 0 {
            let levels: Vec<&[u16]> =
                self.open.iter().map(|it| &kind(&it.values.entries)[it.range.clone()]).collect();
            put_levels(&levels.concat(), max, target);
        }
    }

    /// Ends the chunk.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn close(mut self) -> Result<MediaChunk> {
        if self.n_open_rows > 0 {
            self.end_page()?;
        }
        let compression =
            if self.is_compressed { Compression::ZSTD(zstd_level()) } else { Compression::UNCOMPRESSED };
        let builder = ColumnChunkMetaData::builder(self.column)
            .set_compression(compression)
            .set_total_compressed_size(self.n_bytes as i64)
            .set_total_uncompressed_size(self.n_uncompressed as i64)
            .set_num_values(self.n_entries as i64)
            .set_data_page_offset(0);
        // As the Parquet crate says of a chunk without rows.
        let metadata = if self.pages.is_empty() {
            let levels = EncodingMask::new_from_encodings([Encoding::RLE].iter());
            builder.set_encodings_mask(levels).set_page_encoding_stats(Vec::new()).build()?
        } else {
            let pages = PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding: Encoding::PLAIN,
                count: self.pages.len() as i32,
            };
            builder
                .set_encodings_mask(EncodingMask::new_from_encodings([Encoding::PLAIN, Encoding::RLE].iter()))
                .set_page_encoding_stats(vec![pages])
                .build()?
        };
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

/// The levels and values of a page, which have `n_bytes`.
fn compressed(levels: &[u8], entries: &[Entries], n_bytes: usize) -> Result<Vec<u8>> {
    let put = |target: &mut dyn Write| {
        target.write_all(levels)?;
        entries.iter().flat_map(Entries::values).try_for_each(|value| {
            target.write_all(&(value.len() as u32).to_le_bytes())?;
            target.write_all(value)
        })
    };
    if n_bytes <= WHOLE_BYTES_MAX {
        let mut whole = Vec::with_capacity(n_bytes);
        put(&mut whole)?;
        let mut bytes = zstd::bulk::compress(&whole, ZSTD_LEVEL)?;
        bytes.shrink_to_fit();
        return Ok(bytes);
    }
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.set_pledged_src_size(Some(n_bytes as u64))?;
    put(&mut encoder)?;
    Ok(encoder.finish()?)
}

/// How many entries, of some that start a page's worth, may be added before the size of the page is looked at.
fn entries_in_budget(values: &Values, range: Range<usize>) -> usize {
    let n_entries = range.len();
    let lengths = range.filter_map(|it| values.value(it)).map(|it| PREFIX_BYTES + it.len());
    let (mut n_values, mut n_bytes, mut fit) = (0, 0, None);
    for length in lengths {
        n_values += 1;
        n_bytes += length;
        if n_bytes > PAGE_BYTES && fit.is_none() {
            fit = Some(n_values);
        }
    }
    match fit {
        Some(fit) if fit < n_values => (fit * n_entries).div_ceil(n_values).min(n_entries),
        _ => n_entries,
    }
}

/// The finished chunk of one column in one row group, whose pages are put together when it is written.
pub(crate) struct MediaChunk {
    pages: Vec<Page>,
    n_bytes: usize,
    close: ColumnCloseResult,
}

impl MediaChunk {
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
            let values = page.entries.iter().flat_map(Entries::values).map(Part::Value);
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
