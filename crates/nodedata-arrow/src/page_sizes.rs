//! What the headers of a column's pages say of their sizes, before any of them is unpacked.

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Result};
use parquet::file::metadata::ColumnChunkMetaData;

use crate::{
    Ranges,
    thrift::{I32, STRUCT, Walk, is_bool},
};

/// What most headers take; the longest that one may have, because writers may put the least and the greatest value into it.
const WINDOW_BYTES: u64 = 4 << 10;
const HEADER_BYTES_MAX: u64 = 1 << 20;

// Kinds of pages.
const DATA_PAGE: i64 = 0;
const DICTIONARY_PAGE: i64 = 2;
const DATA_PAGE_V2: i64 = 3;

// Encodings.
const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;

/// The pages of a column together, as their headers tell.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct PageSizes {
    /// Values, nulls as well, of all data pages.
    pub(crate) n_values: u64,
    /// Bytes of all pages, unpacked.
    pub(crate) n_unpacked: u64,
    /// Bytes of the largest page, unpacked.
    pub(crate) largest: u64,
    /// Whether values may be places in a dictionary.
    pub(crate) has_dictionary: bool,
}

/// The header of a page.
#[derive(Debug, Default)]
struct Header {
    n_bytes: u64,
    kind: i64,
    n_unpacked: u64,
    n_packed: u64,
    n_values: u64,
    encoding: i64,
}

impl PageSizes {
    /// Of a chunk, each value of which takes `value_bytes` at least in a dictionary.
    ///
    /// # Errors
    /// `Corrupt` for a header that breaks the format, or that the Parquet reader might read otherwise; `Unsupported` for an
    /// encoding whose values may take more than their page; `Io`.
    pub(crate) fn of(file: &Ranges, chunk: &ColumnChunkMetaData, value_bytes: u64) -> Result<Self> {
        let (start, n_bytes) = chunk.byte_range();
        let end = start.checked_add(n_bytes).filter(|it| *it <= file.0.n_bytes());
        let end = end.ok_or_else(|| broken(start, "a column goes on behind the end of the file"))?;
        let mut sizes = Self::default();
        let mut at = start;
        while at < end {
            let header = header(file, at, end)?;
            let n_left = end - at - header.n_bytes;
            if n_left < header.n_packed {
                return Err(broken(at, "a page goes on behind the end of its column"));
            }
            sizes.add(&header, value_bytes, at)?;
            at += header.n_bytes + header.n_packed;
        }
        Ok(sizes)
    }

    fn add(&mut self, header: &Header, value_bytes: u64, at: u64) -> Result<()> {
        if header.kind == DICTIONARY_PAGE {
            if header.n_unpacked / value_bytes.max(1) < header.n_values {
                return Err(broken(at, "a dictionary says that it has more values than bytes for them"));
            }
            self.has_dictionary = true;
        } else {
            if !matches!(header.encoding, PLAIN | PLAIN_DICTIONARY | RLE | RLE_DICTIONARY) {
                let Header { encoding, .. } = header;
                let message =
                    format!("a page has the encoding {encoding}, which such a table is not read in");
                return Err(Error::new(ErrorKind::Unsupported, message).at(Locus::byte(at)));
            }
            self.n_values = self.n_values.saturating_add(header.n_values);
        }
        self.n_unpacked = self.n_unpacked.saturating_add(header.n_unpacked);
        self.largest = self.largest.max(header.n_unpacked);
        Ok(())
    }
}

fn broken(at: u64, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, what).at(Locus::byte(at))
}

/// The header of the page at a place, in a column that ends at `end`.
fn header(file: &Ranges, at: u64, end: u64) -> Result<Header> {
    let mut n_bytes = WINDOW_BYTES;
    loop {
        let window_end = at.saturating_add(n_bytes).min(end);
        let window: Bytes = file.0.read_at(at..window_end)?;
        if let Some(header) = (Walk { bytes: &window }).page_header() {
            return Ok(header);
        }
        if window_end == end || HEADER_BYTES_MAX <= n_bytes {
            return Err(broken(at, "the header of a page cannot be read"));
        }
        n_bytes *= 16;
    }
}

impl Walk<'_> {
    /// The header of a page. Fields of other types than the format says are none: the reader does not look at types.
    fn page_header(&mut self) -> Option<Header> {
        let n_all = self.bytes.len();
        let (mut id, mut header) = (0, Header::default());
        let (mut has_sizes, mut told) = ([false; 3], None);
        while let Some(field) = self.field(&mut id)? {
            match field {
                (1, I32) => (header.kind, has_sizes[0]) = (self.int()?, true),
                (2, I32) => (header.n_unpacked, has_sizes[1]) = (self.count()?, true),
                (3, I32) => (header.n_packed, has_sizes[2]) = (self.count()?, true),
                (4, I32) => self.skip(I32, 0)?,
                // One of these, which is that of the page's kind.
                (kind @ (5 | 7 | 8), STRUCT) if told.is_none() => {
                    told = Some(kind);
                    (header.n_values, header.encoding) = self.values(kind)?;
                }
                (1..=8, _) => return None,
                (_, kind) => self.skip(kind, 0)?,
            }
        }
        let is_told = matches!(
            (header.kind, told),
            (DATA_PAGE, Some(5)) | (DICTIONARY_PAGE, Some(7)) | (DATA_PAGE_V2, Some(8))
        );
        header.n_bytes = (n_all - self.bytes.len()) as u64;
        (is_told && has_sizes == [true; 3]).then_some(header)
    }

    /// How many values a page has and how they are encoded, as the part of its header says that has the number `part`.
    fn values(&mut self, part: i16) -> Option<(u64, i64)> {
        let (mut id, mut n_values, mut encoding) = (0, None, None);
        let at_encoding = if part == 8 { 4 } else { 2 };
        while let Some((number, kind)) = self.field(&mut id)? {
            match (part, number) {
                (_, 1) if kind == I32 => n_values = Some(self.count()?),
                (_, it) if it == at_encoding && kind == I32 => encoding = Some(self.int()?),
                // Encodings of levels; nulls, rows, bytes of levels; whether it is sorted, or packed.
                (5, 3 | 4) | (8, 2 | 3 | 5 | 6) if kind == I32 => self.skip(I32, 0)?,
                (7, 3) | (8, 7) if is_bool(kind) => {}
                (_, 1) => return None,
                (_, it) if it == at_encoding => return None,
                (5, 3 | 4) | (7, 3) | (8, 2 | 3 | 5..=7) => return None,
                // The least and the greatest value, and what later versions add.
                _ => self.skip(kind, 0)?,
            }
        }
        Some((n_values?, encoding?))
    }

    fn int(&mut self) -> Option<i64> {
        self.signed().filter(|it| i32::try_from(*it).is_ok())
    }

    fn count(&mut self) -> Option<u64> {
        u64::try_from(self.int()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zigzag(bytes: &mut Vec<u8>, number: i64) {
        let mut number = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while 0x80 <= number {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }

    /// A header of version 1: kind, sizes, values and their encoding.
    fn header(kind: i64, sizes: [i64; 2], n_values: i64, encoding: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [kind, sizes[0], sizes[1]] {
            bytes.push(0x15);
            zigzag(&mut bytes, number);
        }
        bytes.push(if kind == DICTIONARY_PAGE { 0x4c } else { 0x2c });
        for number in [n_values, encoding] {
            bytes.push(0x15);
            zigzag(&mut bytes, number);
        }
        if kind == DATA_PAGE {
            bytes.extend([0x15, 6, 0x15, 6]);
        }
        bytes.extend([0, 0]);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<(i64, u64, u64, u64, i64)> {
        let it = Walk { bytes }.page_header()?;
        Some((it.kind, it.n_unpacked, it.n_packed, it.n_values, it.encoding))
    }

    #[test]
    fn headers_tell_their_sizes() {
        assert_eq!(read(&header(DATA_PAGE, [1000, 20], 300, 8)), Some((0, 1000, 20, 300, 8)));
        assert_eq!(read(&header(DICTIONARY_PAGE, [9, 9], 2, 0)), Some((2, 9, 9, 2, 0)));
        let most = i64::from(i32::MAX);
        let told = Some((0, most.cast_unsigned(), most.cast_unsigned(), most.cast_unsigned(), 0));
        assert_eq!(read(&header(DATA_PAGE, [most, most], most, 0)), told);
    }

    #[test]
    fn what_the_reader_might_read_otherwise_is_no_header() {
        let sound = header(DATA_PAGE, [1000, 20], 300, 0);
        assert!(read(&sound).is_some());
        // Another kind of page than the part that is there, and one that is not there at all.
        assert!(read(&header(1, [9, 9], 2, 0)).is_none());
        let mut other = sound.clone();
        other[1] = (DATA_PAGE_V2 * 2) as u8;
        assert!(read(&other).is_none());
        // A size as a number of another type, below zero, or beyond 32 bits.
        let mut other = sound.clone();
        other[2] = 0x16;
        assert!(read(&other).is_none());
        assert!(read(&header(DATA_PAGE, [-1, 20], 300, 0)).is_none());
        assert!(read(&header(DATA_PAGE, [1 << 33, 20], 300, 0)).is_none());
        assert!(read(&header(DATA_PAGE, [9, 20], -300, 0)).is_none());
        for end in 0..sound.len() {
            assert!(read(&sound[..end]).is_none(), "{end} bytes");
        }
    }
}
