use nodedata_core::DType;

use crate::{EncodingName, PixelOrder, RawLayout};

/// What a message says about its raw pixels.
#[derive(Debug, Clone, Copy)]
pub struct RawImage {
    /// Read from the `encoding` field.
    pub layout: RawLayout,
    /// Pixels in a row.
    pub width: u64,
    /// Rows.
    pub height: u64,
    /// Bytes from one row to the next; 0 is taken to mean rows without padding.
    pub step: u64,
    /// Whether samples wider than a byte are stored big endian.
    pub is_bigendian: bool,
}

/// Result of [`normalize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalized {
    /// The pixels are now tight, red first and little endian.
    Stored(Stored),
    /// The description does not fit the bytes, which are as they came.
    AsIs,
}

/// The pixels as they lie after [`normalize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// How many bytes count, from the front.
    pub n_bytes: usize,
    /// Names the layout of those bytes: `rgb8` where the source had `bgr8`.
    pub encoding: EncodingName,
    /// Type of one sample.
    pub dtype: DType,
    /// Rows, samples or pixels in a row, channels. See [`PixelOrder`] for planar layouts.
    pub shape: [u32; 3],
}

impl Stored {
    /// Rows, columns and, when there is more than one, channels.
    pub fn dims(&self) -> &[u32] {
        if self.shape[2] == 1 { &self.shape[..2] } else { &self.shape }
    }
}

/// Checked sizes of an image, all in bytes of memory that is there.
struct Geometry {
    n_rows: usize,
    row_bytes: usize,
    step: usize,
    shape: [u32; 3],
}

/// Brings raw pixels into one form, in place: drops row padding, swaps blue-first colour to red-first
/// and big-endian samples to little endian. Bayer mosaics and YUV keep their order.
///
/// [`Normalized::AsIs`] means that sizes and bytes disagree and not one byte was touched.
pub fn normalize(data: &mut [u8], image: &RawImage) -> Normalized {
    let Some(geometry) = geometry(data.len(), image) else { return Normalized::AsIs };
    let Geometry { n_rows, row_bytes, step, shape } = geometry;
    let layout = &image.layout;
    let swap_endian = image.is_bigendian && layout.sample_bytes() > 1;
    let swap_colour = layout.order == PixelOrder::BlueFirst;
    let n_bytes = n_rows * row_bytes;
    if step == row_bytes {
        rewrite(&mut data[..n_bytes], layout, swap_endian, swap_colour);
    } else {
        // Row by row, so that a row is still in the cache when its samples are swapped.
        for row in 0..n_rows {
            data.copy_within(row * step..row * step + row_bytes, row * row_bytes);
            rewrite(&mut data[row * row_bytes..][..row_bytes], layout, swap_endian, swap_colour);
        }
    }
    Normalized::Stored(Stored { n_bytes, encoding: layout.stored_name(), dtype: layout.dtype, shape })
}

/// The sizes, or `None` when they do not describe exactly `n_bytes`.
fn geometry(n_bytes: usize, image: &RawImage) -> Option<Geometry> {
    let layout = &image.layout;
    let n_rows = match layout.order {
        PixelOrder::Plain | PixelOrder::BlueFirst => image.height,
        // 4:2:2 shares chroma between two neighbours.
        PixelOrder::Yuv422 if image.width.is_multiple_of(2) => image.height,
        PixelOrder::Yuv420Planes if image.width.is_multiple_of(2) && image.height.is_multiple_of(2) => {
            image.height.checked_mul(3)? / 2
        }
        PixelOrder::Yuv444Planes => image.height.checked_mul(3)?,
        PixelOrder::Yuv422 | PixelOrder::Yuv420Planes => return None,
    };
    let row_bytes = image
        .width
        .checked_mul(u64::from(layout.channels))?
        .checked_mul(u64::try_from(layout.sample_bytes()).ok()?)?;
    let step = if image.step == 0 { row_bytes } else { image.step };
    if step < row_bytes || n_rows.checked_mul(step)? != u64::try_from(n_bytes).ok()? {
        return None;
    }
    // Where one chroma row of 4:4:4 ends is not told when rows are padded.
    if layout.order == PixelOrder::Yuv444Planes && step != row_bytes {
        return None;
    }
    let shape = [u32::try_from(n_rows).ok()?, u32::try_from(image.width).ok()?, layout.channels];
    Some(Geometry {
        n_rows: usize::try_from(n_rows).ok()?,
        row_bytes: usize::try_from(row_bytes).ok()?,
        step: usize::try_from(step).ok()?,
        shape,
    })
}

fn rewrite(pixels: &mut [u8], layout: &RawLayout, swap_endian: bool, swap_colour: bool) {
    if swap_endian {
        match layout.sample_bytes() {
            2 => swap_samples::<2>(pixels),
            4 => swap_samples::<4>(pixels),
            8 => swap_samples::<8>(pixels),
            _ => {}
        }
    }
    if swap_colour {
        match (layout.sample_bytes(), layout.channels) {
            (1, 3) => swap_red_blue::<3, 1>(pixels),
            (1, 4) => swap_red_blue_alpha(pixels),
            (2, 3) => swap_red_blue::<6, 2>(pixels),
            (2, 4) => swap_red_blue::<8, 2>(pixels),
            _ => {}
        }
    }
}

/// Reverses the bytes of each sample.
fn swap_samples<const N: usize>(pixels: &mut [u8]) {
    for sample in pixels.chunks_exact_mut(N) {
        sample.reverse();
    }
}

/// Swaps the first and the third sample of each pixel of `PIXEL` bytes, `SAMPLE` bytes a sample.
fn swap_red_blue<const PIXEL: usize, const SAMPLE: usize>(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(PIXEL) {
        let (first, rest) = pixel.split_at_mut(2 * SAMPLE);
        first[..SAMPLE].swap_with_slice(&mut rest[..SAMPLE]);
    }
}

/// Four bytes a pixel fit one register: masks and shifts become vector code.
fn swap_red_blue_alpha(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(4) {
        let value = u32::from_le_bytes([pixel[0], pixel[1], pixel[2], pixel[3]]);
        let swapped = (value & 0xff00_ff00) | ((value >> 16) & 0xff) | ((value & 0xff) << 16);
        pixel.copy_from_slice(&swapped.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
