use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_log::{corrupt, foreign_start};

/// What every database begins with.
pub(crate) const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of the header, which is the front of page 1.
pub(crate) const HEADER_BYTES: usize = 100;
/// The newest version of the file format, that of write-ahead logs.
const VERSION_MAX: u8 = 2;

/// How a database is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of a page.
    pub(crate) page_bytes: u32,
    /// Bytes of a page that are not reserved for extensions.
    pub(crate) usable: usize,
    /// How texts are stored.
    pub(crate) encoding: TextEncoding,
    /// Pages of the database; `None` where an old library wrote last, and the size of the file counts.
    pub(crate) n_pages: Option<u32>,
    /// The first page of the list of free ones; 0 for none.
    pub(crate) first_free: u32,
}

/// How the texts of a database are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextEncoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Header {
    /// Parses the front of page 1.
    ///
    /// # Errors
    /// `Corrupt` for what is no database, `Unsupported` for a later version.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let at = |error: Error, offset: u64| Err(error.at(Locus::byte(offset)));
        if !bytes.starts_with(MAGIC) {
            return at(foreign_start(bytes, "SQLite", MAGIC), 0);
        }
        if bytes.len() < HEADER_BYTES {
            let message = format!("file ends after {} bytes, inside the header of the database", bytes.len());
            return at(corrupt(message), 0);
        }
        let page_bytes = page_bytes_of(u32::from(u16_at(bytes, 16)));
        let Some(page_bytes) = page_bytes else {
            return at(corrupt(format!("header says pages of {} bytes", u16_at(bytes, 16))), 16);
        };
        if VERSION_MAX < bytes[19] {
            let message = format!("database is of version {}, but only 1 and 2 are known", bytes[19]);
            let error = Error::new(ErrorKind::Unsupported, message);
            return at(error.with_hint("update this program"), 19);
        }
        let reserved = u32::from(bytes[20]);
        if page_bytes < reserved + 480 {
            let message = format!("header reserves {reserved} of the {page_bytes} bytes of a page");
            return at(corrupt(message), 20);
        }
        let encoding = match u32_at(bytes, 56) {
            // A database without any content says nothing.
            0 | 1 => TextEncoding::Utf8,
            2 => TextEncoding::Utf16Le,
            3 => TextEncoding::Utf16Be,
            other => return at(corrupt(format!("header names the text encoding {other}")), 56),
        };
        let is_current = bytes[24..28] == bytes[92..96];
        let n_pages = Some(u32_at(bytes, 28)).filter(|it| *it != 0 && is_current);
        let usable = (page_bytes - reserved) as usize;
        Ok(Self { page_bytes, usable, encoding, n_pages, first_free: u32_at(bytes, 32) })
    }
}

/// A size of pages as it is stored; `None` where there is no such size.
pub(crate) fn page_bytes_of(stored: u32) -> Option<u32> {
    let page_bytes = if stored == 1 { 1 << 16 } else { stored };
    (page_bytes.is_power_of_two() && (512..=1 << 16).contains(&page_bytes)).then_some(page_bytes)
}

impl TextEncoding {
    /// A stored text; `None` where it is none.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<String> {
        let pair = |it: &[u8]| match self {
            Self::Utf16Be => u16::from_be_bytes([it[0], it[1]]),
            Self::Utf8 | Self::Utf16Le => u16::from_le_bytes([it[0], it[1]]),
        };
        match self {
            Self::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
            Self::Utf16Le | Self::Utf16Be => {
                let units = bytes.len().is_multiple_of(2).then(|| bytes.chunks_exact(2).map(pair))?;
                char::decode_utf16(units).collect::<Result<String, _>>().ok()
            }
        }
    }
}

/// The number at `at`, which lies in the bytes.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The number at `at`, which lies in the bytes.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
