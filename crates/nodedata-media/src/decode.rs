use std::io::Cursor;

use nodedata_core::{DType, Error, ErrorKind, Result};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use crate::{Encoding, ImageShape, sniff};

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

impl Decoded {
    /// Size and type of the pixels.
    pub fn shape(&self) -> ImageShape {
        let &Self { height, width, channels, dtype, .. } = self;
        ImageShape { height, width, channels, dtype }
    }
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
        _ => Err(not_decoded()),
    }
}

/// Decodes a JPEG or PNG frame to `pixels`, which have just the room for an image of `shape`: what
/// [`crate::image_header`] tells of the frame, and so what a schema says.
///
/// A gray JPEG is one channel here. Transparency that a PNG has beside its colours, for an entry of its palette or for one
/// colour, is left out. After an error `pixels` hold anything.
///
/// # Errors
/// `SchemaMismatch` when the frame is of another shape, or a JPEG in the colours of a printer; otherwise those of
/// [`decode_image`].
pub fn decode_image_into(bytes: &[u8], shape: &ImageShape, pixels: &mut [u8]) -> Result<()> {
    match sniff(bytes) {
        Some(Encoding::Jpeg) => decode_jpeg_into(bytes, shape, pixels),
        Some(Encoding::Png) => decode_png_into(bytes, shape, pixels),
        _ => Err(not_decoded()),
    }
}

fn not_decoded() -> Error {
    Error::new(ErrorKind::Unsupported, "only JPEG and PNG frames are decoded")
}

fn damaged_jpeg(err: &DecodeErrors) -> Error {
    let cause = std::io::Error::other(err.to_string());
    Error::new(ErrorKind::Corrupt, "the JPEG frame is damaged").with_source(cause)
}

type Jpeg<'a> = JpegDecoder<ZCursor<&'a [u8]>>;
type Png<'a> = png::Reader<Cursor<&'a [u8]>>;

/// A decoder that has read the header, with width and height.
fn jpeg_decoder(bytes: &[u8]) -> Result<(Jpeg<'_>, [usize; 2])> {
    let options = DecoderOptions::default().set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|err| damaged_jpeg(&err))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size(width as u64, height as u64)?;
    Ok((decoder, [width, height]))
}

fn decode_jpeg(bytes: &[u8]) -> Result<Decoded> {
    let (mut decoder, [width, height]) = jpeg_decoder(bytes)?;
    let pixels = decoder.decode().map_err(|err| damaged_jpeg(&err))?;
    let channels = pixels.len().checked_div(width * height).unwrap_or(0) as u32;
    Ok(Decoded { height: height as u32, width: width as u32, channels, dtype: DType::UInt8, pixels })
}

fn decode_jpeg_into(bytes: &[u8], shape: &ImageShape, pixels: &mut [u8]) -> Result<()> {
    let (mut decoder, [width, height]) = jpeg_decoder(bytes)?;
    // What its colours are called is settled only when they are decoded.
    let (channels, colors) = match decoder.info().map(|it| it.components) {
        Some(1) => (1, ColorSpace::Luma),
        Some(3) => (3, ColorSpace::RGB),
        _ => {
            let message = format!("the JPEG frame has the colours of a printer, and the schema says {shape}");
            return Err(Error::new(ErrorKind::SchemaMismatch, message)
                .with_hint("read this feature as coded bytes, or store its frames in RGB"));
        }
    };
    let (height, width) = (height as u32, width as u32);
    let found = ImageShape { height, width, channels, dtype: DType::UInt8 };
    shape.check(&found, "the JPEG frame", pixels)?;
    let options = decoder.options().jpeg_set_out_colorspace(colors);
    decoder.set_options(options);
    // As in a new vector, whatever the decoder may leave out.
    pixels.fill(0);
    decoder.decode_into(pixels).map_err(|err| damaged_jpeg(&err))
}

fn damaged_png(err: &png::DecodingError) -> Error {
    let cause = std::io::Error::other(err.to_string());
    Error::new(ErrorKind::Corrupt, "the PNG frame is damaged").with_source(cause)
}

/// A reader that is in front of the first row, and the bytes of all rows.
fn png_reader(bytes: &[u8]) -> Result<(Png<'_>, usize)> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    // Places in a palette and values of less than a byte are no pixels.
    decoder.set_transformations(png::Transformations::EXPAND);
    let reader = decoder.read_info().map_err(|err| damaged_png(&err))?;
    let (width, height) = (reader.info().width, reader.info().height);
    check_size(u64::from(width), u64::from(height))?;
    let n_bytes = reader
        .output_buffer_size()
        .ok_or_else(|| Error::new(ErrorKind::Limit, "the PNG frame does not fit memory"))?;
    Ok((reader, n_bytes))
}

/// Reads the rows, values little endian.
fn read_png(reader: &mut Png<'_>, pixels: &mut [u8]) -> Result<png::OutputInfo> {
    let info = reader.next_frame(pixels).map_err(|err| damaged_png(&err))?;
    if info.bit_depth == png::BitDepth::Sixteen {
        // PNG stores big endian.
        for value in pixels.chunks_exact_mut(2) {
            value.swap(0, 1);
        }
    }
    Ok(info)
}

fn decode_png(bytes: &[u8]) -> Result<Decoded> {
    let (mut reader, n_bytes) = png_reader(bytes)?;
    let (width, height) = (reader.info().width, reader.info().height);
    let mut pixels = vec![0; n_bytes];
    let info = read_png(&mut reader, &mut pixels)?;
    pixels.truncate(info.buffer_size());
    let channels = info.color_type.samples() as u32;
    Ok(Decoded { height, width, channels, dtype: png_dtype(info.bit_depth), pixels })
}

fn decode_png_into(bytes: &[u8], shape: &ImageShape, pixels: &mut [u8]) -> Result<()> {
    let (mut reader, n_bytes) = png_reader(bytes)?;
    let (width, height) = (reader.info().width, reader.info().height);
    let (color, depth) = reader.output_color_type();
    // What stands beside the colours became a channel of its own.
    let has_added_alpha = reader.info().trns.is_some();
    let n_decoded = color.samples();
    let channels = n_decoded - usize::from(has_added_alpha);
    let dtype = png_dtype(depth);
    let found = ImageShape { height, width, channels: channels as u32, dtype };
    shape.check(&found, "the PNG frame", pixels)?;
    let whole = |info: png::OutputInfo| {
        // A first frame of an animation that is smaller than its picture.
        if info.buffer_size() == n_bytes {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "the PNG frame is smaller than its header says"))
    };
    if !has_added_alpha {
        return read_png(&mut reader, pixels).and_then(whole);
    }
    let mut decoded = vec![0; n_bytes];
    read_png(&mut reader, &mut decoded).and_then(whole)?;
    let value_bytes = dtype.byte_width().unwrap_or(1);
    let kept = pixels.chunks_exact_mut(channels * value_bytes);
    for (kept, pixel) in kept.zip(decoded.chunks_exact(n_decoded * value_bytes)) {
        kept.copy_from_slice(&pixel[..kept.len()]);
    }
    Ok(())
}

fn png_dtype(depth: png::BitDepth) -> DType {
    if depth == png::BitDepth::Sixteen { DType::UInt16 } else { DType::UInt8 }
}

fn check_size(width: u64, height: u64) -> Result<()> {
    if width.saturating_mul(height) > PIXELS_MAX {
        let message = format!("the frame claims {width} × {height} pixels, more than 2^28");
        return Err(Error::new(ErrorKind::Limit, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
