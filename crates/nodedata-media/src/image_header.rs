use nodedata_core::DType;

use crate::{
    Encoding,
    encoding::{DEPTH_HEADER_BYTES, rvl_size},
    sniff,
};

mod jpeg;
mod tiff;

/// What an encoded image says about the pixels it decodes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageHeader {
    /// Told from the bytes, never from a label.
    pub encoding: Encoding,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Samples of one decoded pixel: a palette counts as the colours it stands for.
    pub channels: u32,
    /// Type of one decoded sample.
    pub dtype: DType,
}

impl ImageHeader {
    /// Height, width and, when there is more than one, channels.
    pub fn shape(&self) -> ([u32; 3], usize) {
        ([self.height, self.width, self.channels], if self.channels == 1 { 2 } else { 3 })
    }
}

/// Reads the header of an encoded image without decoding it. `None` when the bytes are not a known
/// image, are cut inside the header, or have a coding whose header is not read here (AVIF, JPEG 2000, video).
pub fn image_header(bytes: &[u8]) -> Option<ImageHeader> {
    match sniff(bytes)? {
        Encoding::Jpeg => jpeg::header(bytes),
        Encoding::Png => png(bytes, Encoding::Png),
        Encoding::Webp => webp(bytes),
        Encoding::Gif => gif(bytes),
        Encoding::Tiff => tiff::header(bytes),
        Encoding::Bmp => bmp(bytes),
        Encoding::CompressedDepthPng => png(&bytes[DEPTH_HEADER_BYTES..], Encoding::CompressedDepthPng),
        Encoding::CompressedDepthRvl => {
            let (width, height) = rvl_size(bytes)?;
            let encoding = Encoding::CompressedDepthRvl;
            Some(ImageHeader { encoding, width, height, channels: 1, dtype: DType::UInt16 })
        }
        Encoding::Avif | Encoding::J2k | Encoding::H264 | Encoding::H265 => None,
    }
}

/// The IHDR chunk, which the PNG specification puts first.
fn png(bytes: &[u8], encoding: Encoding) -> Option<ImageHeader> {
    let ihdr = bytes.get(8..)?.first_chunk::<21>()?;
    if ihdr[..8] != *b"\0\0\0\x0dIHDR" {
        return None;
    }
    let channels = match ihdr[17] {
        0 => 1,
        2 => 3,
        // A palette may carry transparency in a later chunk; its colours are RGB.
        3 => 3,
        4 => 2,
        6 => 4,
        _ => return None,
    };
    let dtype = match ihdr[16] {
        1 | 2 | 4 | 8 => DType::UInt8,
        16 => DType::UInt16,
        _ => return None,
    };
    Some(ImageHeader { encoding, width: be_u32(&ihdr[8..])?, height: be_u32(&ihdr[12..])?, channels, dtype })
}

/// The three kinds of first chunk: lossy, lossless, extended.
fn webp(bytes: &[u8]) -> Option<ImageHeader> {
    let body = bytes.get(20..)?;
    let (width, height, has_alpha) = match bytes.get(12..16)? {
        b"VP8 " => {
            let frame = body.first_chunk::<10>()?;
            if frame[3..6] != [0x9d, 0x01, 0x2a] {
                return None;
            }
            let size = |at: usize| u32::from(u16::from_le_bytes([frame[at], frame[at + 1]]) & 0x3fff);
            (size(6), size(8), false)
        }
        b"VP8L" => {
            let frame = body.first_chunk::<5>()?;
            if frame[0] != 0x2f {
                return None;
            }
            let bits = le_u32(&frame[1..])?;
            ((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1, bits >> 28 & 1 == 1)
        }
        b"VP8X" => {
            let frame = body.first_chunk::<10>()?;
            let size = |at: usize| u32::from_le_bytes([frame[at], frame[at + 1], frame[at + 2], 0]) + 1;
            (size(4), size(7), frame[0] & 0x10 != 0)
        }
        _ => return None,
    };
    let channels = if has_alpha { 4 } else { 3 };
    Some(ImageHeader { encoding: Encoding::Webp, width, height, channels, dtype: DType::UInt8 })
}

fn gif(bytes: &[u8]) -> Option<ImageHeader> {
    let size = bytes.get(6..)?.first_chunk::<4>()?;
    let width = u32::from(u16::from_le_bytes([size[0], size[1]]));
    let height = u32::from(u16::from_le_bytes([size[2], size[3]]));
    Some(ImageHeader { encoding: Encoding::Gif, width, height, channels: 3, dtype: DType::UInt8 })
}

/// OS/2 headers (12 bytes) have 16-bit sizes; all later ones start alike. Height is negative for rows
/// from top to bottom.
fn bmp(bytes: &[u8]) -> Option<ImageHeader> {
    let header = bytes.get(14..)?;
    let (width, height, bits) = if header[0] == 12 {
        let size = header.get(4..)?.first_chunk::<8>()?;
        let word = |at: usize| u16::from_le_bytes([size[at], size[at + 1]]);
        (u32::from(word(0)), u32::from(word(2)), word(6))
    } else {
        let size = header.get(4..)?.first_chunk::<12>()?;
        let height = le_u32(&size[4..])?.cast_signed().unsigned_abs();
        (le_u32(size)?.cast_signed().unsigned_abs(), height, u16::from_le_bytes([size[10], size[11]]))
    };
    let channels = match bits {
        1 | 2 | 4 | 8 | 16 | 24 => 3,
        32 => 4,
        _ => return None,
    };
    Some(ImageHeader { encoding: Encoding::Bmp, width, height, channels, dtype: DType::UInt8 })
}

fn be_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|it| u32::from_be_bytes(*it))
}

fn le_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|it| u32::from_le_bytes(*it))
}

#[cfg(test)]
mod tests;
