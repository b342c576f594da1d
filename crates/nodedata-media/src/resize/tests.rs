//! Against exact arithmetic, and against values of Pillow.

use proptest::prelude::*;

use super::*;

/// Bytes of xorshift64.
fn noise(n_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..n_bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

fn shape(height: u32, width: u32, channels: u32, dtype: DType) -> ImageShape {
    ImageShape { height, width, channels, dtype }
}

/// A frame of noise. Half of 16-bit values lie near the ends.
fn frame(shape: &ImageShape) -> Vec<u8> {
    let mut bytes = noise(shape.n_bytes().unwrap());
    if shape.dtype == DType::UInt16 {
        bytes.chunks_exact_mut(4).for_each(|it| it[1] = if it[3] > 127 { 255 } else { 0 });
    }
    bytes
}

fn resized(from: ImageShape, size: [u32; 2], resampling: Resampling, pixels: &[u8]) -> Vec<u8> {
    let mut resize = Resize::new(from, size, resampling).unwrap();
    let mut resized = vec![0xa5; resize.shape().n_bytes().unwrap()];
    resize.resize(pixels, &mut resized).unwrap();
    resized
}

fn values(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        DType::UInt16 => {
            bytes.chunks_exact(2).map(|it| f64::from(u16::from_le_bytes([it[0], it[1]]))).collect()
        }
        _ => bytes.iter().map(|it| f64::from(*it)).collect(),
    }
}

/// For each pixel of a new row the old pixels that it is made of, and their weights.
fn weights(n_from: u32, n_to: u32) -> Vec<Vec<(usize, f64)>> {
    let scale = f64::from(n_from) / f64::from(n_to);
    let of = |x: u32| {
        let middle = (f64::from(x) + 0.5) * scale;
        let weight = |it: u32| 1.0 - (f64::from(it) + 0.5 - middle).abs() / scale.max(1.0);
        let all: Vec<(usize, f64)> =
            (0..n_from).map(|it| (it as usize, weight(it))).filter(|it| it.1 > 0.0).collect();
        let sum: f64 = all.iter().map(|it| it.1).sum();
        all.into_iter().map(|(at, weight)| (at, weight / sum)).collect()
    };
    (0..n_to).map(of).collect()
}

/// The rule as it is written down, without any rounding.
fn exact(from: &ImageShape, [height, width]: [u32; 2], pixels: &[f64]) -> Vec<f64> {
    let (rows, columns) = (weights(from.height, height), weights(from.width, width));
    let channels = from.channels as usize;
    let at = |y: usize, x: usize, channel: usize| pixels[(y * from.width as usize + x) * channels + channel];
    let mut means = Vec::new();
    for row in &rows {
        for column in &columns {
            for channel in 0..channels {
                let of_row =
                    |y: usize| column.iter().map(|(x, weight)| weight * at(y, *x, channel)).sum::<f64>();
                means.push(row.iter().map(|(y, weight)| weight * of_row(*y)).sum());
            }
        }
    }
    means
}

/// How far values are from the rule, before the last rounding.
fn farthest(from: ImageShape, size: [u32; 2]) -> f64 {
    let pixels = frame(&from);
    let found = values(from.dtype, &resized(from, size, Resampling::Triangle, &pixels));
    let expected = exact(&from, size, &values(from.dtype, &pixels));
    assert_eq!(found.len(), expected.len());
    found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max)
}

#[test]
fn means_are_those_of_the_rule() {
    for channels in 1..=4 {
        for dtype in [DType::UInt8, DType::UInt16] {
            for (height, width, size) in [
                (5, 7, [2, 3]),
                (4, 3, [7, 5]),
                (48, 64, [22, 30]),
                (48, 64, [24, 32]),
                (30, 40, [30, 17]),
                (30, 40, [13, 40]),
                (9, 200, [40, 21]),
                (1, 1, [3, 4]),
                (64, 64, [1, 1]),
            ] {
                let from = shape(height, width, channels, dtype);
                // Half for each of the two roundings, and a little for weights of few bits.
                let far = farthest(from, size);
                assert!(far < 1.05, "{from} to {size:?}: {far}");
            }
        }
    }
}

#[test]
fn a_camera_becomes_what_models_take() {
    let far = farthest(shape(480, 640, 3, DType::UInt8), [224, 224]);
    assert!(far < 1.05, "{far}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_size_is_that_of_the_rule(
        height in 1u32..50,
        width in 1u32..50,
        to_height in 1u32..50,
        to_width in 1u32..50,
        channels in 1u32..=4,
        is_wide in any::<bool>(),
    ) {
        let dtype = if is_wide { DType::UInt16 } else { DType::UInt8 };
        let far = farthest(shape(height, width, channels, dtype), [to_height, to_width]);
        prop_assert!(far < 1.05, "{}", far);
    }

    #[test]
    fn one_colour_stays_as_it_is(
        height in 1u32..60,
        width in 1u32..60,
        to_height in 1u32..60,
        to_width in 1u32..60,
        value in any::<u8>(),
    ) {
        for dtype in [DType::UInt8, DType::UInt16] {
            let from = shape(height, width, 3, dtype);
            // As a 16-bit value its two bytes are equal.
            let pixels = vec![value; from.n_bytes().unwrap()];
            let found = resized(from, [to_height, to_width], Resampling::Triangle, &pixels);
            prop_assert!(found.iter().all(|it| *it == value), "{}: {:?}", from, found);
        }
    }
}

/// Pillow 13, `Image.resize((width, height), Image.BILINEAR)`, of the same noise.
#[test]
fn pillow_has_the_same_but_for_its_rounding() {
    let smaller = [131, 143, 153, 129, 125, 127, 110, 145, 100, 109, 175, 146, 137, 149, 149, 91, 125, 131];
    let larger = [
        11, 2, 229, 28, 66, 169, 54, 161, 78, 150, 80, 137, 214, 26, 176, 33, 67, 178, 58, 112, 136, 97, 180,
        73, 175, 109, 115, 228, 61, 143, 69, 171, 96, 107, 187, 84, 165, 210, 64, 215, 155, 80, 249, 118, 91,
        90, 192, 98, 120, 189, 97, 164, 185, 97, 212, 170, 126, 245, 159, 145, 107, 193, 112, 125, 175, 119,
        151, 149, 129, 198, 176, 174, 229, 194, 204, 106, 139, 137, 113, 119, 131, 124, 89, 124, 149, 157,
        167, 166, 203, 197, 105, 105, 152, 106, 84, 139, 108, 52, 120, 119, 146, 163, 127, 208, 192,
    ];
    for (from, size, expected) in [
        (shape(5, 7, 3, DType::UInt8), [2, 3], smaller.as_slice()),
        (shape(4, 3, 3, DType::UInt8), [7, 5], larger.as_slice()),
    ] {
        let found = resized(from, size, Resampling::Triangle, &frame(&from));
        assert_eq!(found.len(), expected.len());
        let far = found.iter().zip(expected).map(|(found, it)| i32::from(*found).abs_diff(*it)).max();
        assert!(far <= Some(1), "{from}: {found:?}");
    }
}

#[test]
fn the_nearest_pixel_is_the_one_with_the_middle() {
    let gray = shape(1, 4, 1, DType::UInt8);
    assert_eq!(resized(gray, [1, 2], Resampling::Nearest, &[10, 11, 12, 13]), [11, 13]);
    assert_eq!(resized(gray, [1, 3], Resampling::Nearest, &[10, 11, 12, 13]), [10, 12, 13]);
    assert_eq!(
        resized(gray, [2, 6], Resampling::Nearest, &[10, 11, 12, 13]),
        [10, 11, 11, 12, 13, 13, 10, 11, 11, 12, 13, 13]
    );
    let column = shape(3, 1, 1, DType::UInt8);
    assert_eq!(resized(column, [2, 1], Resampling::Nearest, &[1, 2, 3]), [1, 3]);
}

#[test]
fn distances_are_taken_as_they_are() {
    for (dtype, channels) in [(DType::UInt16, 1), (DType::UInt16, 3), (DType::UInt8, 7)] {
        let from = shape(31, 17, channels, dtype);
        let pixels = frame(&from);
        let pixel_bytes = channels as usize * dtype.byte_width().unwrap();
        let found = resized(from, [12, 40], Resampling::Nearest, &pixels);
        for (idx, pixel) in found.chunks_exact(pixel_bytes).enumerate() {
            let (y, x) = (idx / 40, idx % 40);
            let at = ((2 * y + 1) * 31 / 24) * 17 + (2 * x + 1) * 17 / 80;
            assert_eq!(pixel, &pixels[at * pixel_bytes..][..pixel_bytes], "{from}, {y}, {x}");
        }
    }
}

#[test]
fn the_same_size_changes_nothing() {
    for resampling in [Resampling::Triangle, Resampling::Nearest] {
        for dtype in [DType::UInt8, DType::UInt16] {
            let from = shape(12, 9, 3, dtype);
            assert_eq!(resized(from, [12, 9], resampling, &frame(&from)), frame(&from), "{resampling:?}");
        }
    }
}

#[test]
fn frames_before_leave_nothing_behind() {
    let from = shape(20, 30, 3, DType::UInt8);
    let mut resize = Resize::new(from, [9, 8], Resampling::Triangle).unwrap();
    assert_eq!(*resize.shape(), shape(9, 8, 3, DType::UInt8));
    let (mut first, mut second) = ([0; 9 * 8 * 3], [0; 9 * 8 * 3]);
    resize.resize(&frame(&from), &mut first).unwrap();
    resize.resize(&[255; 20 * 30 * 3], &mut second).unwrap();
    assert!(second.iter().all(|it| *it == 255));
    resize.resize(&frame(&from), &mut second).unwrap();
    assert_eq!(first, second);
}

#[test]
fn what_cannot_be_resized_is_refused() {
    let kind = |from, size, resampling| Resize::new(from, size, resampling).unwrap_err().kind();
    let rgb = shape(4, 4, 3, DType::UInt8);
    for size in [[0, 4], [4, 0]] {
        assert_eq!(kind(rgb, size, Resampling::Triangle), ErrorKind::Config);
    }
    assert_eq!(kind(ImageShape { channels: 0, ..rgb }, [2, 2], Resampling::Nearest), ErrorKind::Config);
    assert_eq!(kind(ImageShape { channels: 5, ..rgb }, [2, 2], Resampling::Triangle), ErrorKind::Unsupported);
    let floats = ImageShape { dtype: DType::Float32, ..rgb };
    assert_eq!(kind(floats, [2, 2], Resampling::Nearest), ErrorKind::Unsupported);
    assert_eq!(kind(rgb, [u32::MAX, u32::MAX], Resampling::Triangle), ErrorKind::Limit);

    let mut resize = Resize::new(rgb, [2, 2], Resampling::Triangle).unwrap();
    for (n_pixels, n_resized) in [(47, 12), (49, 12), (48, 11), (48, 13)] {
        let err = resize.resize(&vec![0; n_pixels], &mut vec![0; n_resized]).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::SchemaMismatch, "{n_pixels}, {n_resized}");
    }
}
