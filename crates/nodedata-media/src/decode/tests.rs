use super::*;
use crate::{ImageHeader, encode_jpeg, encode_png, image_header};

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

/// What the header says, as a schema has it.
fn told(bytes: &[u8]) -> ImageShape {
    let ImageHeader { width, height, channels, dtype, .. } = image_header(bytes).unwrap();
    ImageShape { height, width, channels, dtype }
}

fn decoded_into(bytes: &[u8], shape: &ImageShape) -> Result<Vec<u8>> {
    // Whatever was there before must be gone.
    let mut pixels = vec![0xa5; shape.n_bytes().unwrap()];
    decode_image_into(bytes, shape, &mut pixels).map(|()| pixels)
}

fn smooth(channels: u32) -> Decoded {
    let (height, width) = (19, 21);
    let pixels = (0..height * width * channels).map(|it| (it % 97 + it / 97 * 5 % 120) as u8).collect();
    Decoded { height, width, channels, dtype: DType::UInt8, pixels }
}

#[test]
fn a_buffer_gets_what_a_new_vector_would() {
    let sixteen =
        Decoded { height: 3, width: 2, channels: 3, dtype: DType::UInt16, pixels: (0..36).collect() };
    let mut images: Vec<Vec<u8>> = (1..=4).map(|it| encode_png(&smooth(it)).unwrap()).collect();
    images.push(encode_png(&sixteen).unwrap());
    images.push(encode_jpeg(&smooth(3), 90).unwrap());
    images.push(png(9, 1, png::BitDepth::One, &[0b1010_0001, 0b1000_0000]));
    for image in images {
        let frame = decode_image(&image).unwrap();
        assert_eq!(frame.shape(), told(&image));
        assert_eq!(decoded_into(&image, &told(&image)).unwrap(), frame.pixels);
    }
}

#[test]
fn a_gray_jpeg_is_one_channel_as_its_header_says() {
    let image = encode_jpeg(&smooth(1), 95).unwrap();
    let shape = told(&image);
    assert_eq!(shape.channels, 1);
    // The other way makes three equal channels of it.
    let first: Vec<u8> = decode_image(&image).unwrap().pixels.into_iter().step_by(3).collect();
    assert_eq!(decoded_into(&image, &shape).unwrap(), first);
    let err = decoded_into(&image, &ImageShape { channels: 3, ..shape }).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::SchemaMismatch);
    assert_eq!(
        err.to_string(),
        "the JPEG frame is 19 × 21 × 1 of uint8, and the schema says 19 × 21 × 3 of uint8"
    );
}

#[test]
fn a_frame_of_another_shape_or_a_buffer_of_another_size_is_refused() {
    for image in [encode_jpeg(&smooth(3), 90).unwrap(), encode_png(&smooth(3)).unwrap()] {
        let shape = told(&image);
        for other in [
            // As many bytes.
            ImageShape { height: shape.width, width: shape.height, ..shape },
            ImageShape { height: 18, ..shape },
            ImageShape { channels: 1, ..shape },
            ImageShape { dtype: DType::UInt16, ..shape },
        ] {
            assert_eq!(
                decoded_into(&image, &other).unwrap_err().kind(),
                ErrorKind::SchemaMismatch,
                "{other}"
            );
        }
        for n_bytes in [0, shape.n_bytes().unwrap() - 1, shape.n_bytes().unwrap() + 1] {
            let err = decode_image_into(&image, &shape, &mut vec![0; n_bytes]).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::SchemaMismatch, "{n_bytes}");
        }
    }
}

#[test]
fn a_jpeg_may_have_red_green_and_blue_themselves() {
    // A mark of Adobe's in front says that colours were not transformed.
    let ycbcr = encode_jpeg(&smooth(3), 95).unwrap();
    let mark = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00";
    let image = [&ycbcr[..2], mark, &ycbcr[2..]].concat();
    let pixels = decoded_into(&image, &told(&image)).unwrap();
    assert_eq!(pixels, decode_image(&image).unwrap().pixels);
    assert_ne!(pixels, decode_image(&ycbcr).unwrap().pixels);
}

#[test]
fn the_colours_of_a_printer_are_refused() {
    let mut image = Vec::new();
    jpeg_encoder::Encoder::new(&mut image, 90)
        .encode(&[90; 8 * 8 * 4], 8, 8, jpeg_encoder::ColorType::Cmyk)
        .unwrap();
    for channels in [3, 4] {
        let shape = ImageShape { channels, ..told(&image) };
        assert_eq!(decoded_into(&image, &shape).unwrap_err().kind(), ErrorKind::SchemaMismatch);
    }
}

#[test]
fn transparency_beside_the_colours_is_left_out() {
    let write =
        |color: png::ColorType, prepare: &dyn Fn(&mut png::Encoder<'_, &mut Vec<u8>>), data: &[u8]| {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 3, 1);
            encoder.set_color(color);
            prepare(&mut encoder);
            encoder.write_header().unwrap().write_image_data(data).unwrap();
            bytes
        };
    let palette = write(
        png::ColorType::Indexed,
        &|it| {
            it.set_palette(vec![1, 2, 3, 40, 50, 60, 255, 0, 9]);
            it.set_trns(vec![0, 128]);
        },
        &[2, 0, 1],
    );
    assert_eq!(decode_image(&palette).unwrap().channels, 4);
    assert_eq!(decoded_into(&palette, &told(&palette)).unwrap(), [255, 0, 9, 1, 2, 3, 40, 50, 60]);
    let gray = write(png::ColorType::Grayscale, &|it| it.set_trns(vec![0, 7]), &[7, 8, 9]);
    assert_eq!(decoded_into(&gray, &told(&gray)).unwrap(), [7, 8, 9]);
}

#[test]
fn damage_is_an_error_in_a_buffer_as_well() {
    for image in [encode_jpeg(&smooth(3), 90).unwrap(), encode_png(&smooth(3)).unwrap()] {
        let shape = told(&image);
        let err = decoded_into(&image[..image.len() / 2], &shape).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Corrupt);
    }
    let any = ImageShape { height: 1, width: 1, channels: 1, dtype: DType::UInt8 };
    assert_eq!(decoded_into(b"plain text", &any).unwrap_err().kind(), ErrorKind::Unsupported);
}
