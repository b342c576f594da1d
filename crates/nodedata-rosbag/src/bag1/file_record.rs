use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{Locus, Result};
use nodedata_log::{FileView, too_large};

use super::record::{HEADER_BYTES_MAX, Header, LENGTHS_BYTES, Record, corrupt_at};

/// A record of the file, of which only the header was fetched.
#[derive(Debug, Clone)]
pub(crate) struct FileRecord {
    pub(crate) start: u64,
    /// See [`super::record::op`].
    pub(crate) op: u8,
    header: Bytes,
    /// Where its data lies, as it says: that may be beyond the end of the file.
    pub(crate) data: Range<u64>,
}

impl FileRecord {
    /// The record at `at` of a file, or a part of one, that ends at `end`.
    ///
    /// # Errors
    /// `Corrupt` when no header lies there that holds together; `Io`.
    pub(crate) fn read(view: &mut FileView, at: u64, end: u64) -> Result<Self> {
        let n_left = end.saturating_sub(at);
        let length = view.up_to(at, 4.min(n_left))?;
        let Some(length) = length.first_chunk() else {
            return Err(corrupt_at(at, format!("{n_left} bytes are left where a record should start")));
        };
        let n_header = u64::from(u32::from_le_bytes(*length));
        if HEADER_BYTES_MAX < n_header {
            return Err(corrupt_at(
                at,
                format!("the header of a record says it has {n_header} bytes, more than any recorder writes"),
            ));
        }
        if n_left < n_header + LENGTHS_BYTES {
            return Err(corrupt_at(
                at,
                format!(
                    "file ends inside the header of a record: {n_left} bytes are left, but it has {n_header}"
                ),
            ));
        }
        let bytes = view.up_to(at + 4, n_header + 4)?;
        let (header, n_data) = bytes.split_at(bytes.len() - 4);
        let n_data = n_data.first_chunk().map_or(0, |it| u32::from_le_bytes(*it));
        let op = Header::parse(header).map_err(|err| err.at(Locus::byte(at)))?.op;
        let data_at = at + LENGTHS_BYTES + n_header;
        Ok(Self {
            start: at,
            op,
            header: bytes.slice(..header.len()),
            data: data_at..data_at + u64::from(n_data),
        })
    }

    /// The header, which held together when it was read.
    pub(crate) fn header(&self) -> Header<'_> {
        Header::of(self.op, &self.header)
    }

    /// Bytes of data.
    pub(crate) fn n_data(&self) -> u64 {
        self.data.end - self.data.start
    }

    /// Fetches the data.
    ///
    /// # Errors
    /// `Limit` when there are more than `n_bytes_max`; `Io`.
    pub(crate) fn fetch(&self, view: &mut FileView, n_bytes_max: u64) -> Result<Bytes> {
        if n_bytes_max < self.n_data() {
            return Err(too_large("a record", self.n_data(), n_bytes_max).at(Locus::byte(self.start)));
        }
        view.bytes(self.data.clone())
    }

    /// The record with its data.
    pub(crate) fn with<'a>(&'a self, data: &'a Bytes) -> Record<'a> {
        Record { header: self.header(), data }
    }
}
