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
/// was coded to keep hardly repeats itself. Two bands of rows, a sixteenth of the frame, are coded in both ways, and the frame in the
/// long one if that makes them smaller by a 32nd. A frame that is hardly larger than such bands is coded in both, and the smaller
/// picture taken.
///
/// # Errors
/// As [`encode_png`].
pub fn encode_png_of_video(frame: &Decoded) -> Result<Vec<u8>> {
    check_size(frame, value_bytes(frame)?)?;
    let bands = bands(frame);
    let tried = bands.as_ref().unwrap_or(frame);
    let (quick, thorough) =
        (png_of(tried, png::Compression::Fast)?, png_of(tried, png::Compression::Balanced)?);
    if bands.is_none() {
        return Ok(if thorough.len() < quick.len() { thorough } else { quick });
    }
    let is_worth_it = thorough.len() < quick.len() - quick.len() / 32;
    png_of(frame, if is_worth_it { png::Compression::Balanced } else { png::Compression::Fast })
}

/// Bytes of a band that tell how well a frame compresses, whatever each way writes in front of its codes.
const BAND_BYTES: usize = 8 << 10;

/// Two bands of rows, around a quarter and three quarters of the height, as a frame of their own; `None` for a frame that has no more
/// than four. Two are better than many thin ones: a texture repeats itself within rows that lie together.
fn bands(frame: &Decoded) -> Option<Decoded> {
    let &Decoded { height, width, channels, dtype, ref pixels } = frame;
    let n_all = height as usize;
    let row_bytes = pixels.len().checked_div(n_all)?;
    let n_rows = BAND_BYTES.div_ceil(row_bytes.max(1)).max(n_all / 32);
    if 4 * n_rows >= n_all {
        return None;
    }
    let last = n_all - n_rows;
    let band = |first: usize| &pixels[first * row_bytes..][..n_rows * row_bytes];
    let pixels = [band(last / 4), band(3 * last / 4)].concat();
    Some(Decoded { height: 2 * n_rows as u32, width, channels, dtype, pixels })
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
    use proptest::prelude::*;

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

    /// Bytes that look like chance, the same ones each time.
    fn noise(seed: u64) -> impl Iterator<Item = u8> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
    }

    /// 160 × 160 pixels of RGB, larger than what is coded in both ways at once.
    fn large(pixels: impl Iterator<Item = u8>) -> Decoded {
        let pixels = pixels.take(160 * 160 * 3).collect();
        Decoded { height: 160, width: 160, channels: 3, dtype: DType::UInt8, pixels }
    }

    #[test]
    fn a_grainy_frame_of_video_is_coded_the_quick_way() {
        // A slope with the noise of a sensor: sums of chances, around their mean.
        let grain = noise(1).zip(noise(2)).map(|(a, b)| (a & 3) + (b & 3));
        let frame = large(grain.enumerate().map(|(idx, it)| (idx / 3 % 160 / 2) as u8 + it));
        let coded = encode_png_of_video(&frame).unwrap();
        assert_eq!(coded, png_of(&frame, png::Compression::Fast).unwrap());
        assert!(coded.len() < encode_png(&frame).unwrap().len() * 105 / 100);
        assert_eq!(decode_image(&coded).unwrap(), frame);
    }

    #[test]
    fn a_frame_of_video_that_repeats_itself_is_coded_the_long_way() {
        let tile: Vec<u8> = noise(3).take(3 * 16).collect();
        let frame = large(tile.into_iter().cycle());
        let coded = encode_png_of_video(&frame).unwrap();
        assert_eq!(coded, encode_png(&frame).unwrap());
        assert!(2 * coded.len() < png_of(&frame, png::Compression::Fast).unwrap().len());
        assert_eq!(decode_image(&coded).unwrap(), frame);
    }

    #[test]
    fn bands_are_other_rows_of_the_frame() {
        for (height, width) in
            [(1, 1), (4, 8_192), (5, 8_192), (9, 5_000), (240, 64), (480, 640), (2_000, 40)]
        {
            let pixels = (0..height * width).map(|it| (it / width % 251) as u8).collect();
            let frame = Decoded { height, width, channels: 1, dtype: DType::UInt8, pixels };
            let Some(bands) = bands(&frame) else {
                assert!(height * width <= 4 * (8_192 + width), "{height} × {width}");
                continue;
            };
            check_size(&bands, 1).unwrap();
            assert_eq!(bands.width, width);
            let firsts: Vec<u8> = bands.pixels.chunks(width as usize).map(|it| it[0]).collect();
            let (upper, lower) = firsts.split_at(firsts.len() / 2);
            let step = |it: &[u8]| it.windows(2).all(|it| (it[0] + 1) % 251 == it[1]);
            assert!(step(upper) && step(lower), "{height} × {width}: {firsts:?}");
            let gap = (height as usize - upper.len()) / 2;
            assert!(gap >= upper.len(), "{height} × {width}: bands of {} rows overlap", upper.len());
        }
    }

    proptest! {
        #[test]
        fn png_of_video_is_exact(
            (width, height, channels) in (1_u32..80, 1_u32..80, 1_u32..=4),
            is_deep in any::<bool>(),
            (seed, mask) in any::<(u64, u8)>(),
        ) {
            let dtype = if is_deep { DType::UInt16 } else { DType::UInt8 };
            let n_bytes = (width * height * channels) as usize * dtype.byte_width().unwrap();
            // From one colour, over few values, to all.
            let pixels = noise(seed).map(|it| it & mask).take(n_bytes).collect();
            let frame = Decoded { height, width, channels, dtype, pixels };
            prop_assert_eq!(decode_image(&encode_png_of_video(&frame).unwrap()).unwrap(), frame);
        }
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
        assert_eq!(encode_png_of_video(&frame).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(encode_jpeg(&frame, 95).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
