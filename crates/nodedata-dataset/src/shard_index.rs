//! What the end of a shard tells: its footer and where its pages lie. Once it is known, a step of a feature is one range of the shard,
//! and a dictionary one more, once.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use nodedata_arrow::Ranges;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    basic::Compression,
    file::{
        metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData},
        page_index::offset_index::PageLocation,
    },
    schema::types::ColumnDescriptor,
};

use crate::{
    page_table::PageTable,
    pages::{bytes_of, chunk_of, dictionary_of},
    ranges::footer,
};

/// An offset index that begins further from the end is not asked for: a footer may point anywhere.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// What is known of a shard without a row of it.
#[derive(Debug, Clone)]
pub struct ShardIndex {
    footer: ArrowReaderMetadata,
    /// First row of each row group, and at last the number of rows.
    group_starts: Vec<u64>,
    /// Pages of chunks, by row group and column, where the footer tells none that can be.
    others: BTreeMap<(usize, usize), Vec<PageLocation>>,
}

/// What the end of a file was enough for.
#[derive(Debug)]
pub enum FirstTouch {
    /// All of the index.
    Known(Box<ShardIndex>),
    /// Less: it begins earlier. The range reaches to the end of the file.
    Needs(Range<u64>),
}

/// One column chunk of a shard.
#[derive(Debug, Clone, Copy)]
pub struct ChunkIndex<'a> {
    chunk: &'a ColumnChunkMetaData,
    n_rows: u64,
    /// `None` where the chunk is read as a whole.
    pages: Option<&'a [PageLocation]>,
}

/// A data page, or a chunk that is read as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRange {
    /// Its bytes in the file, its header among them.
    pub bytes: Range<u64>,
    /// Its rows, counted from the row group's first.
    pub rows: Range<u64>,
}

impl ShardIndex {
    /// How much of a shard's end is read first: it holds the index of most.
    pub const TAIL_BYTES: u64 = 256 << 10;

    /// The range of a file of `n_bytes` that is read first.
    pub fn tail_of(n_bytes: u64) -> Range<u64> {
        n_bytes.saturating_sub(Self::TAIL_BYTES)..n_bytes
    }

    /// The index of a file of `n_bytes` at `path`, of which `tail` is the end.
    ///
    /// # Errors
    /// `Corrupt` when it is no Parquet file.
    pub fn of_tail(path: &str, n_bytes: u64, tail: Bytes) -> Result<FirstTouch> {
        let start = n_bytes.checked_sub(tail.len() as u64).ok_or_else(|| {
            let message = format!("{} bytes are more than the file's {n_bytes}", tail.len());
            Error::new(ErrorKind::Corrupt, message).at(Locus::path(path))
        })?;
        let tail = Arc::new(Tail { n_bytes, start, bytes: tail, missing: Mutex::default() });
        let load = |policy| {
            let options = ArrowReaderOptions::new().with_offset_index_policy(policy);
            let read = footer(path, &Ranges(Arc::clone(&tail) as Arc<dyn ReadAt>), options);
            (read, tail.take_missing())
        };
        let known = |footer| Ok(FirstTouch::Known(Box::new(Self::new(footer))));
        match load(PageIndexPolicy::Optional) {
            (Ok(footer), None) => known(footer),
            (_, Some(missing)) if missing.start >= n_bytes.saturating_sub(INDEX_BYTES_MAX) => {
                Ok(FirstTouch::Needs(missing.start..n_bytes))
            }
            // An offset index that cannot be read makes reading slower, nothing more.
            _ => match load(PageIndexPolicy::Skip) {
                (_, Some(missing)) => Ok(FirstTouch::Needs(missing.start..n_bytes)),
                (read, None) => known(read?),
            },
        }
    }

    /// Reads the index of a shard that lies at `path`: mostly one read of its end.
    ///
    /// # Errors
    /// `Corrupt` when it is no Parquet file; what reading reports.
    pub fn open(path: &str, file: &dyn ReadAt) -> Result<Self> {
        let n_bytes = file.n_bytes();
        let mut range = Self::tail_of(n_bytes);
        loop {
            let tail = file.read_at(range.clone()).map_err(|err| err.at(Locus::path(path)))?;
            match Self::of_tail(path, n_bytes, tail)? {
                FirstTouch::Known(index) => return Ok(*index),
                FirstTouch::Needs(more) if more.start < range.start => range = more,
                FirstTouch::Needs(_) => {
                    let message = "the footer points behind the end of the file";
                    return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::path(path)));
                }
            }
        }
    }

    fn new(footer: ArrowReaderMetadata) -> Self {
        let mut group_starts = vec![0];
        let mut n_rows = 0u64;
        for group in footer.metadata().row_groups() {
            n_rows = n_rows.saturating_add(u64::try_from(group.num_rows()).unwrap_or(0));
            group_starts.push(n_rows);
        }
        let mut index = Self { footer, group_starts, others: BTreeMap::new() };
        // What a writer elsewhere says of pages is believed where it can be so.
        let is_unsound =
            |it: &ChunkIndex<'_>| it.pages.is_some_and(|pages| !are_sound(it.chunk, it.n_rows, pages));
        let unsound: Vec<(usize, usize)> =
            index.all_chunks().filter(|(_, it)| is_unsound(it)).map(|(at, _)| at).collect();
        index.others.extend(unsound.into_iter().map(|it| (it, Vec::new())));
        index
    }

    /// The same index, where it lacks pages with those that `index/pages.parquet` has of the shard.
    #[must_use]
    pub fn with_pages(mut self, pages: &PageTable) -> Self {
        let columns = self.metadata().file_metadata().schema_descr().columns();
        let names: BTreeMap<String, usize> =
            columns.iter().enumerate().map(|(idx, it)| (it.path().string(), idx)).collect();
        let mut found: BTreeMap<(usize, usize), Vec<PageLocation>> = BTreeMap::new();
        for page in pages.iter().filter(|it| 0 <= it.first_row) {
            let at = (page.row_group as usize, names.get(page.column).copied());
            let (group, Some(column)) = at else { continue };
            let location = || {
                Some(PageLocation {
                    offset: i64::try_from(page.offset).ok()?,
                    compressed_page_size: i32::try_from(page.n_bytes).ok()?,
                    first_row_index: page.first_row,
                })
            };
            // One that is too long is a whole chunk, and so is what fills one. It must not be missing among others: the page before
            // it would have its rows.
            let nowhere =
                PageLocation { offset: 0, compressed_page_size: 0, first_row_index: page.first_row };
            found.entry((group, column)).or_default().push(location().unwrap_or(nowhere));
        }
        found.retain(|(group, column), pages| {
            let Some(chunk) = self.chunk(*group, *column) else { return false };
            let fills = |it: &PageLocation| Some(bytes_of(it)) == chunk_of(chunk.chunk);
            chunk.is_whole() && !pages.iter().any(fills) && are_sound(chunk.chunk, chunk.n_rows, pages)
        });
        self.others.extend(found);
        self
    }

    /// Whether the pages of a chunk are not known, so that it is read as a whole.
    pub fn lacks_pages(&self) -> bool {
        self.all_chunks().any(|(_, it)| it.is_whole() && 0 < it.n_rows)
    }

    /// What the footer says.
    pub fn metadata(&self) -> &ParquetMetaData {
        self.footer.metadata()
    }

    /// The same, for the Parquet crate's readers.
    pub fn footer(&self) -> &ArrowReaderMetadata {
        &self.footer
    }

    /// The Arrow schema of the rows, with what is said of each feature.
    pub fn arrow(&self) -> &SchemaRef {
        self.footer.schema()
    }

    /// How many rows there are.
    pub fn n_rows(&self) -> u64 {
        self.group_starts.last().copied().unwrap_or(0)
    }

    /// The row group of a row of the shard, and which row it is there.
    pub fn row_group_of(&self, row: u64) -> Option<(usize, u64)> {
        if self.n_rows() <= row {
            return None;
        }
        let group = self.group_starts.partition_point(|it| *it <= row).checked_sub(1)?;
        Some((group, row - self.group_starts.get(group)?))
    }

    /// The Parquet columns of a feature. One whose name holds a dot has them too.
    pub fn leaves_of(&self, feature: &str) -> Range<usize> {
        let columns = self.metadata().file_metadata().schema_descr().columns();
        let is_of = |it: &&Arc<ColumnDescriptor>| it.path().parts().first().is_some_and(|it| it == feature);
        let start = columns.iter().position(|it| is_of(&it)).unwrap_or(0);
        start..start + columns.iter().skip(start).take_while(is_of).count()
    }

    /// A chunk by its row group and its Parquet column.
    pub fn chunk(&self, group: usize, column: usize) -> Option<ChunkIndex<'_>> {
        let row_group = self.metadata().row_groups().get(group)?;
        let chunk = row_group.columns().get(column)?;
        let n_rows = u64::try_from(row_group.num_rows()).unwrap_or(0);
        let pages = match self.others.get(&(group, column)) {
            Some(others) => Some(others.as_slice()).filter(|it| !it.is_empty()),
            None => self.told(group, column),
        };
        Some(ChunkIndex { chunk, n_rows, pages })
    }

    /// Where the value of a Parquet column in a row of the shard lies: its row group, and what is read for it.
    pub fn page_of(&self, column: usize, row: u64) -> Option<(usize, PageRange)> {
        let (group, row) = self.row_group_of(row)?;
        Some((group, self.chunk(group, column)?.page_of(row)?))
    }

    fn all_chunks(&self) -> impl Iterator<Item = ((usize, usize), ChunkIndex<'_>)> {
        let groups = self.metadata().row_groups().iter().enumerate();
        let places = groups.flat_map(|(group, it)| (0..it.num_columns()).map(move |column| (group, column)));
        places.filter_map(|at| Some((at, self.chunk(at.0, at.1)?)))
    }

    /// What the footer tells of a chunk's pages.
    fn told(&self, group: usize, column: usize) -> Option<&[PageLocation]> {
        Some(self.metadata().page_index()?.offset_index(group, column)?.page_locations())
    }
}

impl<'a> ChunkIndex<'a> {
    /// What its pages are compressed with.
    pub fn codec(&self) -> Compression {
        self.chunk.compression()
    }

    /// Its column: physical type, length of a value of fixed length, and levels.
    pub fn column(&self) -> &'a ColumnDescriptor {
        self.chunk.column_descr()
    }

    /// What the footer says of it.
    pub fn metadata(&self) -> &'a ColumnChunkMetaData {
        self.chunk
    }

    /// Rows of its row group.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// All of its bytes; empty where it has none.
    pub fn bytes(&self) -> Range<u64> {
        chunk_of(self.chunk).unwrap_or(0..0)
    }

    /// Its dictionary page, which its data pages are read with. Where the chunk is read as a whole, that is a part of it.
    pub fn dictionary(&self) -> Option<Range<u64>> {
        dictionary_of(self.chunk, self.pages?)
    }

    /// Whether it is read as a whole, because nothing tells its pages.
    pub fn is_whole(&self) -> bool {
        self.pages.is_none()
    }

    /// Its data pages, in order; all of it where it is read as a whole.
    pub fn pages(&self) -> impl Iterator<Item = PageRange> + use<'a> {
        let this = *self;
        let n_pages = this.pages.map_or(usize::from(!this.bytes().is_empty()), <[_]>::len);
        (0..n_pages).filter_map(move |idx| this.page(idx))
    }

    /// What holds a row of the row group.
    pub fn page_of(&self, row: u64) -> Option<PageRange> {
        if self.n_rows <= row {
            return None;
        }
        let pages = self.pages.unwrap_or_default();
        let begins = |it: &PageLocation| u64::try_from(it.first_row_index).is_ok_and(|it| it <= row);
        self.page(pages.partition_point(begins).saturating_sub(1))
    }

    fn page(&self, idx: usize) -> Option<PageRange> {
        let Some(pages) = self.pages else {
            let bytes = self.bytes();
            return (idx == 0 && !bytes.is_empty()).then_some(PageRange { bytes, rows: 0..self.n_rows });
        };
        let first = |it: &PageLocation| u64::try_from(it.first_row_index).unwrap_or(0);
        let page = pages.get(idx)?;
        let end = pages.get(idx + 1).map_or(self.n_rows, first);
        Some(PageRange { bytes: bytes_of(page), rows: first(page)..end })
    }
}

/// Whether pages can be those of a chunk: one behind the other inside of it, from its first row on.
fn are_sound(chunk: &ColumnChunkMetaData, n_rows: u64, pages: &[PageLocation]) -> bool {
    let Some(chunk) = chunk_of(chunk) else { return pages.is_empty() };
    let starts_at_first = pages.first().is_some_and(|it| it.first_row_index == 0);
    let is_inside = |it: &PageLocation| {
        let bytes = bytes_of(it);
        !bytes.is_empty()
            && chunk.start <= bytes.start
            && bytes.end <= chunk.end
            && u64::try_from(it.first_row_index).is_ok_and(|it| it <= n_rows)
    };
    let follow = |it: &[PageLocation]| match it {
        [a, b] => bytes_of(a).end <= bytes_of(b).start && a.first_row_index <= b.first_row_index,
        _ => true,
    };
    starts_at_first && pages.iter().all(is_inside) && pages.windows(2).all(follow)
}

/// The end of a file. What is asked of the rest is noted.
struct Tail {
    n_bytes: u64,
    start: u64,
    bytes: Bytes,
    missing: Mutex<Option<Range<u64>>>,
}

impl Tail {
    fn take_missing(&self) -> Option<Range<u64>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ReadAt for Tail {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let within = |at: u64| at.checked_sub(self.start).and_then(|it| usize::try_from(it).ok());
        match (within(range.start), within(range.end)) {
            (Some(start), Some(end)) if start <= end && end <= self.bytes.len() => {
                Ok(self.bytes.slice(start..end))
            }
            (None, _) => {
                *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(range);
                Err(Error::new(ErrorKind::Corrupt, "the index begins before the bytes at hand"))
            }
            _ => Err(Error::new(ErrorKind::Corrupt, "the file ends before the bytes it points at")),
        }
    }
}

#[cfg(test)]
mod tests;
