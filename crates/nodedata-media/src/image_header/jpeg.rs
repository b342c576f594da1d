use nodedata_core::DType;

use super::ImageHeader;
use crate::Encoding;

/// Segments before the frame header: real files have a dozen (profiles are split into many APP2).
const SEGMENTS_MAX: usize = 1024;

/// Walks marker segments by their lengths to the first frame header (SOF).
pub(super) fn header(bytes: &[u8]) -> Option<ImageHeader> {
    let mut rest = bytes.get(2..)?;
    for _ in 0..SEGMENTS_MAX {
        let [0xff, marker, tail @ ..] = rest else { return None };
        match *marker {
            // Fill bytes may stand before any marker.
            0xff => rest = &rest[1..],
            // TEM and RSTn have no length.
            0x01 | 0xd0..=0xd7 => rest = tail,
            // SOF0 to SOF15, except DHT (c4), JPG (c8) and DAC (cc).
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return frame(tail),
            // EOI or start of scan before any frame header.
            0xd9 | 0xda => return None,
            _ => {
                let n_bytes = u16::from_be_bytes(*tail.first_chunk::<2>()?);
                rest = tail.get(usize::from(n_bytes).max(2)..)?;
            }
        }
    }
    None
}

fn frame(segment: &[u8]) -> Option<ImageHeader> {
    let frame = segment.first_chunk::<8>()?;
    let height = u32::from(u16::from_be_bytes([frame[3], frame[4]]));
    let width = u32::from(u16::from_be_bytes([frame[5], frame[6]]));
    let dtype = match frame[2] {
        8 => DType::UInt8,
        2..=16 => DType::UInt16,
        _ => return None,
    };
    let channels = match frame[7] {
        n @ 1..=4 => u32::from(n),
        _ => return None,
    };
    // A height of 0 is told only after the scan (DNL): not a size yet.
    (width > 0 && height > 0).then_some(ImageHeader {
        encoding: Encoding::Jpeg,
        width,
        height,
        channels,
        dtype,
    })
}
