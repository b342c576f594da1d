use nodedata_core::DType;

use super::ImageHeader;
use crate::Encoding;

/// Entries read from the first directory; baseline images have about 15.
const ENTRIES_MAX: u16 = 256;

/// The byte order of a file, applied to every number in it.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    is_bigendian: bool,
}

impl Reader<'_> {
    fn u16(self, at: usize) -> Option<u16> {
        let raw = *self.bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.is_bigendian { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
    }

    fn u32(self, at: usize) -> Option<u32> {
        let raw = *self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.is_bigendian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    /// The first value of the directory entry at `at`: SHORT (3) or LONG (4), inline or behind an offset.
    fn first_value(self, at: usize) -> Option<u32> {
        let (kind, count) = (self.u16(at + 2)?, self.u32(at + 4)?);
        let width: u32 = match kind {
            3 => 2,
            4 => 4,
            _ => return None,
        };
        let is_inline = count.checked_mul(width)? <= 4;
        let value_at = if is_inline { at + 8 } else { usize::try_from(self.u32(at + 8)?).ok()? };
        if width == 2 { self.u16(value_at).map(u32::from) } else { self.u32(value_at) }
    }
}

/// Size, samples and sample type from the first image file directory.
pub(super) fn header(bytes: &[u8]) -> Option<ImageHeader> {
    let reader = Reader { bytes, is_bigendian: bytes[0] == b'M' };
    let directory = usize::try_from(reader.u32(4)?).ok()?;
    let n_entries = reader.u16(directory)?.min(ENTRIES_MAX);
    let (mut width, mut height) = (None, None);
    let (mut bits, mut channels, mut sample_format, mut is_palette) = (1, 1, 1, false);
    for idx in 0..usize::from(n_entries) {
        let at = directory.checked_add(2 + idx * 12)?;
        match reader.u16(at)? {
            256 => width = reader.first_value(at),
            257 => height = reader.first_value(at),
            258 => bits = reader.first_value(at)?,
            262 => is_palette = reader.first_value(at)? == 3,
            277 => channels = reader.first_value(at)?,
            339 => sample_format = reader.first_value(at)?,
            _ => {}
        }
    }
    let dtype = match (sample_format, bits) {
        (1, 1..=8) => DType::UInt8,
        (1, 9..=16) => DType::UInt16,
        (1, 32) => DType::UInt32,
        (2, 8) => DType::Int8,
        (2, 16) => DType::Int16,
        (2, 32) => DType::Int32,
        (3, 16) => DType::Float16,
        (3, 32) => DType::Float32,
        (3, 64) => DType::Float64,
        _ => return None,
    };
    let channels = if is_palette { 3 } else { channels };
    Some(ImageHeader { encoding: Encoding::Tiff, width: width?, height: height?, channels, dtype })
}
