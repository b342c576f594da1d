use nodedata_core::{Error, Locus};
use nodedata_log::corrupt;

/// Bytes that break MCAP's rules at an offset of the file; the path is added where it is known.
pub(crate) fn corrupt_at(byte_offset: u64, message: impl Into<String>) -> Error {
    corrupt(message).at(Locus::byte(byte_offset))
}
