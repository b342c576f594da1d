//! Lanes against the conversion pixel by pixel.

use super::*;

const MATRICES: [u8; 7] = [0, 1, 2, 4, 7, 9, 10];

/// Bytes of xorshift64.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, n_bytes: usize) -> Vec<u8> {
        (0..n_bytes)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                (self.0 >> 24) as u8
            })
            .collect()
    }

    fn frame(&mut self, [width, height]: [u32; 2], chroma: Chroma, bit_depth: u8) -> VideoFrame {
        let (chroma_width, chroma_height) = chroma.plane_size(width, height);
        let value_bytes = if bit_depth > 8 { 2 } else { 1 };
        let plane =
            |it: &mut Self, width: u32, height: u32| it.bytes((width * height) as usize * value_bytes);
        let planes = vec![
            plane(self, width, height),
            plane(self, chroma_width, chroma_height),
            plane(self, chroma_width, chroma_height),
        ];
        VideoFrame { order: 0, width, height, chroma, bit_depth, full_range: false, matrix: 2, planes }
    }
}

fn both(frame: &VideoFrame) -> [Vec<u8>; 2] {
    let n_bytes = 3 * frame.width as usize * frame.height as usize;
    // Nothing may be left of what was there.
    let mut both = [vec![0x5a; n_bytes], vec![0xa5; n_bytes]];
    write_rgb(frame, Readers::Soon, &mut both[0]);
    // From any address on.
    for start in [0, 1, 16] {
        let mut later = vec![0x69; start + n_bytes];
        write_rgb(frame, Readers::Later, &mut later[start..]);
        assert!(later[start..] == both[0], "{:?} {} × {}", frame.chroma, frame.width, frame.height);
    }
    let fixed = Fixed::new(frame.matrix, frame.full_range);
    write_each(frame, &fixed, &mut both[1]);
    let shared_rows = if frame.chroma == Chroma::Yuv420 { 2 } else { 1 };
    if let (8, Chroma::Yuv420 | Chroma::Yuv422, [luma, u, v]) =
        (frame.bit_depth, frame.chroma, &*frame.planes)
    {
        // As on a processor without wider instructions.
        let planes = HalfChroma { luma, u, v, width: frame.width as usize, shared_rows };
        let mut lanes = vec![0x3c; n_bytes];
        lanes::convert_from(0, &planes, &fixed, &mut lanes);
        assert!(lanes == both[1], "{:?} {} × {}", frame.chroma, frame.width, frame.height);
    }
    both
}

#[test]
fn rows_of_every_length_are_those_of_single_pixels() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for chroma in [Chroma::Yuv420, Chroma::Yuv422] {
        for width in (1..=200).chain([255, 256, 257, 640]) {
            for height in 1..=4 {
                let frame = noise.frame([width, height], chroma, 8);
                let [lanes, single] = both(&frame);
                assert!(lanes == single, "{chroma:?} {width} × {height}");
            }
        }
    }
}

#[test]
fn every_chroma_with_every_luma_is_that_of_single_pixels() {
    let mut noise = Noise(0xd1b5_4a32_d192_ed03);
    for matrix in MATRICES {
        for full_range in [false, true] {
            // All pairs of U and V, each with two of luma; and all of luma, in every row another pair beside it.
            let mut frame = noise.frame([512, 256], Chroma::Yuv422, 8);
            frame.matrix = matrix;
            frame.full_range = full_range;
            for row in 0..=255_u8 {
                for column in 0..=255_u8 {
                    let at = usize::from(row) * 256 + usize::from(column);
                    frame.planes[1][at] = column;
                    frame.planes[2][at] = row;
                    frame.planes[0][2 * at] = column.wrapping_add(row.wrapping_mul(37));
                }
            }
            let [lanes, single] = both(&frame);
            assert!(lanes == single, "matrix {matrix}, full range {full_range}");
        }
    }
}

#[test]
fn factors_fit_sixteen_bits() {
    for matrix in MATRICES {
        for full_range in [false, true] {
            let Factors { red_v, blue_u, green_u, green_v } = factors(matrix);
            let found = Fixed::new(matrix, full_range);
            let exact = |factor: i64| {
                let scale = if full_range { 224.0 / 255.0 } else { 1.0 };
                factor as f64 * scale / 8.0
            };
            for (found, factor) in [
                (found.red_v, red_v),
                (found.blue_u, blue_u),
                (found.green_u, -green_u),
                (found.green_v, -green_v),
            ] {
                assert!((f64::from(found) - exact(factor)).abs() < 1.0, "matrix {matrix}: {found}");
            }
        }
    }
}

#[test]
fn gray_is_gray_and_the_ends_of_its_range_are_black_and_white() {
    for (full_range, black, white) in [(false, 16, 235), (true, 0, 255)] {
        for (luma, expected) in [(black, 0), (white, 255)] {
            let frame = VideoFrame {
                order: 0,
                width: 70,
                height: 3,
                chroma: Chroma::Yuv420,
                bit_depth: 8,
                full_range,
                matrix: 1,
                planes: vec![vec![luma; 70 * 3], vec![128; 35 * 2], vec![128; 35 * 2]],
            };
            let [lanes, _] = both(&frame);
            assert!(lanes.iter().all(|it| *it == expected), "full range {full_range}: {}", lanes[0]);
        }
    }
}

#[test]
fn what_lanes_do_not_take_goes_pixel_by_pixel() {
    let mut noise = Noise(0xa076_1d64_78bd_642f);
    for (chroma, bit_depth) in [(Chroma::Yuv444, 8), (Chroma::Yuv420, 10), (Chroma::Yuv444, 12)] {
        let [all, single] = both(&noise.frame([37, 5], chroma, bit_depth));
        assert_eq!(all, single, "{chroma:?} of {bit_depth} bits");
    }
    // Planes that are colours themselves: green, blue, red.
    let mut frame = noise.frame([1, 1], Chroma::Yuv444, 8);
    frame.matrix = 0;
    frame.planes = vec![vec![1], vec![2], vec![3]];
    assert_eq!(both(&frame)[0], [3, 1, 2]);
}
