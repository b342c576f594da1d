use std::io::Cursor;

use nodedata_core::{DType, Error, ErrorKind, Result};
use zune_core::{bytestream::ZCursor, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use crate::{Encoding, sniff};

/// Pixels one frame may have: 16k × 16k. A header that claims more is refused before memory is taken.
const PIXELS_MAX: u64 = 1 << 28;

/// A decoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// Values per pixel.
    pub channels: u32,
    /// Type of one value: `UInt8` or `UInt16`.
    pub dtype: DType,
    /// Rows from the top, pixels from the left, values in RGB order, 16-bit values little endian.
    pub pixels: Vec<u8>,
}

/// Decodes a JPEG or PNG frame.
///
/// # Errors
/// `Corrupt` when the bytes are damaged, `Limit` when the frame is larger than 2^28 pixels, `Unsupported`
/// for other codings.
pub fn decode_image(bytes: &[u8]) -> Result<Decoded> {
    match sniff(bytes) {
        Some(Encoding::Jpeg) => decode_jpeg(bytes),
        Some(Encoding::Png) => decode_png(bytes),
        _ => Err(Error::new(ErrorKind::Unsupported, "only JPEG and PNG frames are decoded")),
    }
}

fn decode_jpeg(bytes: &[u8]) -> Result<Decoded> {
    let corrupt = |err: zune_jpeg::errors::DecodeErrors| {
        Error::new(ErrorKind::Corrupt, "the JPEG frame is damaged")
            .with_source(std::io::Error::other(err.to_string()))
    };
    let options = DecoderOptions::default().set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(corrupt)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size(width as u64, height as u64)?;
    let pixels = decoder.decode().map_err(corrupt)?;
    let channels = pixels.len().checked_div(width * height).unwrap_or(0) as u32;
    Ok(Decoded { height: height as u32, width: width as u32, channels, dtype: DType::UInt8, pixels })
}

fn decode_png(bytes: &[u8]) -> Result<Decoded> {
    let corrupt = |err: png::DecodingError| {
        Error::new(ErrorKind::Corrupt, "the PNG frame is damaged")
            .with_source(std::io::Error::other(err.to_string()))
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    // Places in a palette and values of less than a byte are no pixels.
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(corrupt)?;
    let (width, height) = (reader.info().width, reader.info().height);
    check_size(u64::from(width), u64::from(height))?;
    let n_bytes = reader
        .output_buffer_size()
        .ok_or_else(|| Error::new(ErrorKind::Limit, "the PNG frame does not fit memory"))?;
    let mut pixels = vec![0; n_bytes];
    let info = reader.next_frame(&mut pixels).map_err(corrupt)?;
    pixels.truncate(info.buffer_size());
    let dtype = if info.bit_depth == png::BitDepth::Sixteen { DType::UInt16 } else { DType::UInt8 };
    if dtype == DType::UInt16 {
        // PNG stores big endian.
        for value in pixels.chunks_exact_mut(2) {
            value.swap(0, 1);
        }
    }
    Ok(Decoded { height, width, channels: info.color_type.samples() as u32, dtype, pixels })
}

fn check_size(width: u64, height: u64) -> Result<()> {
    if width.saturating_mul(height) > PIXELS_MAX {
        let message = format!("the frame claims {width} × {height} pixels, more than 2^28");
        return Err(Error::new(ErrorKind::Limit, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn sixteen_bit_png_is_exact_and_little_endian() {
        let frame = decode_image(&png(2, 1, png::BitDepth::Sixteen, &[0x01, 0x02, 0xff, 0xfe])).unwrap();
        assert_eq!((frame.height, frame.width, frame.channels, frame.dtype), (1, 2, 1, DType::UInt16));
        assert_eq!(frame.pixels, [0x02, 0x01, 0xfe, 0xff]);
    }

    #[test]
    fn palettes_and_packed_gray_become_pixels() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 3, 1);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Two);
        encoder.set_palette(vec![1, 2, 3, 40, 50, 60, 255, 0, 9]);
        encoder.write_header().unwrap().write_image_data(&[0b10_00_01_00]).unwrap();
        let frame = decode_image(&bytes).unwrap();
        assert_eq!((frame.channels, frame.dtype), (3, DType::UInt8));
        assert_eq!(frame.pixels, [255, 0, 9, 1, 2, 3, 40, 50, 60]);
        let frame = decode_image(&png(9, 1, png::BitDepth::One, &[0b1010_0001, 0b1000_0000])).unwrap();
        assert_eq!(frame.pixels, [255, 0, 255, 0, 0, 0, 0, 255, 255]);
    }

    #[test]
    fn damage_is_an_error() {
        let whole = png(8, 8, png::BitDepth::Eight, &[7; 64]);
        let mut flipped = whole.clone();
        let idx = whole.len() - 20;
        flipped[idx] ^= 0xff;
        assert_eq!(decode_image(&flipped).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(decode_image(&whole[..40]).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(decode_image(b"\xff\xd8\xff\xe0 cut short").unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(decode_image(b"plain text").unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
