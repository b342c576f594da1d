//! YUV to RGB in the same fixed-point steps as FFmpeg's swscale takes on x86 for frames that keep their size:
//! 3.13 coefficients, the high half of a 16-bit product, and the nearest chroma sample.
//!
//! Frames of 8 bits whose chroma is half as wide, which nearly all are, are converted in lanes of 16 bits; pixel by pixel
//! goes what is left, and in the tests everything.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod lanes;

use super::{Chroma, VideoFrame};
use lanes::HalfChroma;

/// Factors of V in red, U in blue, U in green and V in green, in 16.16 fixed point for limited range.
struct Factors {
    red_v: i64,
    blue_u: i64,
    green_u: i64,
    green_v: i64,
}

/// From ITU-T H.273 `MatrixCoefficients`; unspecified and unknown ones are taken for BT.601, as swscale does.
fn factors(matrix: u8) -> Factors {
    let [red_v, blue_u, green_u, green_v] = match matrix {
        1 => [117_489, 138_438, 13_975, 34_925],
        4 => [104_448, 132_798, 24_759, 53_109],
        7 => [117_579, 136_230, 16_907, 35_559],
        9 | 10 => [110_013, 140_363, 12_277, 42_626],
        _ => [104_597, 132_201, 25_675, 53_279],
    };
    Factors { red_v, blue_u, green_u, green_v }
}

/// The same, as 3.13 fixed point, with the factor and offset of luma.
struct Fixed {
    luma: i16,
    luma_offset: i16,
    red_v: i16,
    blue_u: i16,
    green_u: i16,
    green_v: i16,
}

impl Fixed {
    fn new(matrix: u8, full_range: bool) -> Self {
        let Factors { red_v, blue_u, green_u, green_v } = factors(matrix);
        let chroma = |factor: i64| if full_range { factor * 224 / 255 } else { factor };
        let luma = if full_range { 1 << 16 } else { (255 << 16) / 219 };
        // 16.16 to 3.13, rounded: no factor is as large as 4.
        let fixed = |factor: i64| ((factor * (1 << 13) + (1 << 15)) >> 16) as i16;
        Self {
            luma: fixed(luma),
            luma_offset: if full_range { 0 } else { 16 << 3 },
            red_v: fixed(chroma(red_v)),
            blue_u: fixed(chroma(blue_u)),
            green_u: fixed(-chroma(green_u)),
            green_v: fixed(-chroma(green_v)),
        }
    }

    fn pixel(&self, y: i32, u: i32, v: i32) -> [u8; 3] {
        let high = |value: i32, factor: i16| (value * i32::from(factor)) >> 16;
        let y = high((y << 3) - i32::from(self.luma_offset), self.luma);
        let (u, v) = ((u << 3) - (128 << 3), (v << 3) - (128 << 3));
        let channel = |chroma: i32| (y + chroma).clamp(0, 255) as u8;
        [
            channel(high(v, self.red_v)),
            channel(high(u, self.green_u) + high(v, self.green_v)),
            channel(high(u, self.blue_u)),
        ]
    }
}

/// When somebody reads the pixels of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// While they are in the caches.
    Soon,
    /// When they would not be there any more: they are written past them, which spares memory half of the work.
    Later,
}

/// Writes the pixels of a frame with chroma, three bytes each, to `pixels`, which has their size.
pub(super) fn write_rgb(frame: &VideoFrame, readers: Readers, pixels: &mut [u8]) {
    let fixed = Fixed::new(frame.matrix, frame.full_range);
    let shared_rows = match frame.chroma {
        Chroma::Yuv420 => 2,
        Chroma::Yuv422 => 1,
        Chroma::Yuv444 if frame.matrix == 0 && frame.bit_depth == 8 => return write_planes(frame, pixels),
        Chroma::None | Chroma::Yuv444 => return write_each(frame, &fixed, pixels),
    };
    match frame.planes.as_slice() {
        [luma, u, v] if frame.bit_depth == 8 && frame.width > 0 => {
            let planes = HalfChroma { luma, u, v, width: frame.width as usize, shared_rows };
            lanes::convert(&planes, &fixed, readers, pixels);
        }
        _ => write_each(frame, &fixed, pixels),
    }
}

/// The same of planes of green, blue and red.
fn write_planes(frame: &VideoFrame, pixels: &mut [u8]) {
    let [green, blue, red] = frame.planes.as_slice() else { return };
    let values = red.iter().zip(green).zip(blue);
    for (pixel, ((red, green), blue)) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(values) {
        *pixel = [*red, *green, *blue];
    }
}

/// The same, pixel by pixel.
fn write_each(frame: &VideoFrame, fixed: &Fixed, pixels: &mut [u8]) {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let chroma_width = frame.chroma.plane_size(frame.width, frame.height).0 as usize;
    let (shift_x, shift_y) = match frame.chroma {
        Chroma::Yuv420 => (1, 1),
        Chroma::Yuv422 => (1, 0),
        Chroma::None | Chroma::Yuv444 => (0, 0),
    };
    let planes = &frame.planes;
    let mut pixels = pixels.as_chunks_mut::<3>().0.iter_mut();
    for row in 0..height {
        let luma_row = row * width;
        let chroma_row = (row >> shift_y) * chroma_width;
        for (column, pixel) in (0..width).zip(&mut pixels) {
            let chroma = chroma_row + (column >> shift_x);
            let y = value(&planes[0], luma_row + column, frame.bit_depth);
            let u = value(&planes[1], chroma, frame.bit_depth);
            let v = value(&planes[2], chroma, frame.bit_depth);
            // Matrix 0: the planes are G, B and R themselves.
            *pixel = if frame.matrix == 0 && frame.chroma == Chroma::Yuv444 {
                [v as u8, y as u8, u as u8]
            } else {
                fixed.pixel(y, u, v)
            };
        }
    }
}

/// A value of a plane, brought to 8 bits.
fn value(plane: &[u8], idx: usize, bit_depth: u8) -> i32 {
    if bit_depth == 8 {
        return i32::from(plane[idx]);
    }
    let value = i32::from(u16::from_le_bytes([plane[2 * idx], plane[2 * idx + 1]]));
    let shift = bit_depth - 8;
    ((value + (1 << (shift - 1))) >> shift).min(255)
}

#[cfg(test)]
mod tests;
