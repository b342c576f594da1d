use nodedata_core::{DType, Error, ErrorKind, Result};

use crate::Decoded;

/// Quality of JPEG frames where nobody says another, out of 100.
pub const JPEG_QUALITY: u8 = 95;

/// Encodes a frame as PNG, without loss: 8 or 16 bits, gray, gray with alpha, RGB or RGBA.
///
/// # Errors
/// `Unsupported` for other shapes and types; `Corrupt` when the pixels are not as many as the size says.
pub fn encode_png(frame: &Decoded) -> Result<Vec<u8>> {
    png_of(frame, png::Compression::Balanced)
}

/// Encodes a decoded frame of video as PNG, as [`encode_png`] does, with less effort where more of it gains little: what video
/// was coded to keep hardly repeats itself. A picture that the quick way makes less than a quarter of its pixels' bytes, such as
/// one of large even areas, is worth the long one, and the smaller of the two is taken.
///
/// # Errors
/// As [`encode_png`].
pub fn encode_png_of_video(frame: &Decoded) -> Result<Vec<u8>> {
    let quick = png_of(frame, png::Compression::Fast)?;
    if frame.pixels.len() / 4 <= quick.len() {
        return Ok(quick);
    }
    let thorough = png_of(frame, png::Compression::Balanced)?;
    Ok(if thorough.len() < quick.len() { thorough } else { quick })
}

fn png_of(frame: &Decoded, compression: png::Compression) -> Result<Vec<u8>> {
    let color = match frame.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        4 => png::ColorType::Rgba,
        n => return Err(Error::new(ErrorKind::Unsupported, format!("PNG has no images of {n} channels"))),
    };
    let value_bytes = value_bytes(frame)?;
    check_size(frame, value_bytes)?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, frame.width, frame.height);
    encoder.set_color(color);
    encoder.set_compression(compression);
    encoder.set_depth(if value_bytes == 2 { png::BitDepth::Sixteen } else { png::BitDepth::Eight });
    let failed = |err: png::EncodingError| {
        Error::new(ErrorKind::Unsupported, "the frame cannot be written as PNG").with_source(err)
    };
    let mut writer = encoder.write_header().map_err(failed)?;
    if value_bytes == 2 {
        // PNG stores big endian.
        let mut pixels = frame.pixels.clone();
        pixels.chunks_exact_mut(2).for_each(|it| it.swap(0, 1));
        writer.write_image_data(&pixels).map_err(failed)?;
    } else {
        writer.write_image_data(&frame.pixels).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// Encodes a frame as JPEG of `quality` 1 to 100: 8 bits, gray or RGB.
///
/// # Errors
/// `Unsupported` for other shapes and types, and for sides above 65,535; `Corrupt` when the pixels are not as
/// many as the size says.
pub fn encode_jpeg(frame: &Decoded, quality: u8) -> Result<Vec<u8>> {
    let color = match (frame.channels, frame.dtype) {
        (1, DType::UInt8) => jpeg_encoder::ColorType::Luma,
        (3, DType::UInt8) => jpeg_encoder::ColorType::Rgb,
        (n, dtype) => {
            let message = format!("JPEG has no images of {n} channels of {dtype:?}");
            return Err(
                Error::new(ErrorKind::Unsupported, message).with_hint("store these frames as `png` or `raw`")
            );
        }
    };
    check_size(frame, 1)?;
    let side = |pixels: u32| {
        u16::try_from(pixels)
            .map_err(|_| Error::new(ErrorKind::Unsupported, format!("JPEG has no sides of {pixels} pixels")))
    };
    let (width, height) = (side(frame.width)?, side(frame.height)?);
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, quality.clamp(1, 100));
    encoder.encode(&frame.pixels, width, height, color).map_err(|err| {
        Error::new(ErrorKind::Unsupported, "the frame cannot be written as JPEG").with_source(err)
    })?;
    Ok(bytes)
}

fn value_bytes(frame: &Decoded) -> Result<usize> {
    match frame.dtype {
        DType::UInt8 => Ok(1),
        DType::UInt16 => Ok(2),
        dtype => Err(Error::new(ErrorKind::Unsupported, format!("images of {dtype:?} cannot be encoded"))),
    }
}

fn check_size(frame: &Decoded, value_bytes: usize) -> Result<()> {
    let Decoded { height, width, channels, pixels, .. } = frame;
    let expected = [*height, *width, *channels]
        .iter()
        .try_fold(value_bytes, |n_bytes, side| n_bytes.checked_mul(*side as usize));
    if expected != Some(pixels.len()) || pixels.is_empty() {
        let message = format!("{} bytes are no {height} × {width} × {channels} image", pixels.len());
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode_image;

    fn frame(channels: u32, dtype: DType) -> Decoded {
        let n_bytes = 6 * 4 * channels * if dtype == DType::UInt16 { 2 } else { 1 };
        let pixels = (0..n_bytes).map(|it| (it * 37 % 251) as u8).collect();
        Decoded { height: 4, width: 6, channels, dtype, pixels }
    }

    #[test]
    fn png_is_exact() {
        for dtype in [DType::UInt8, DType::UInt16] {
            for channels in 1..=4 {
                let frame = frame(channels, dtype);
                assert_eq!(decode_image(&encode_png(&frame).unwrap()).unwrap(), frame);
            }
        }
        assert_eq!(encode_png(&frame(5, DType::UInt8)).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn jpeg_keeps_the_picture() {
        for channels in [1, 3] {
            let smooth = Decoded {
                pixels: (0..4 * 6 * channels).map(|it| (100 + it / channels) as u8).collect(),
                ..frame(channels, DType::UInt8)
            };
            let back = decode_image(&encode_jpeg(&smooth, 95).unwrap()).unwrap();
            assert_eq!((back.height, back.width), (4, 6));
            // The decoder gives gray images three equal channels.
            let values = back.pixels.iter().step_by((back.channels / channels) as usize);
            let far = smooth.pixels.iter().zip(values).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far.unwrap() <= 4, "{far:?}");
        }
        assert_eq!(encode_jpeg(&frame(1, DType::UInt16), 95).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn pixels_must_fit_the_size() {
        let mut frame = frame(3, DType::UInt8);
        frame.pixels.pop();
        assert_eq!(encode_png(&frame).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(encode_jpeg(&frame, 95).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
