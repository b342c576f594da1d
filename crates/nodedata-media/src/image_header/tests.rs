use super::*;

#[track_caller]
fn check(bytes: &[u8], encoding: Encoding, size: (u32, u32, u32), dtype: DType) {
    let (width, height, channels) = size;
    assert_eq!(image_header(bytes), Some(ImageHeader { encoding, width, height, channels, dtype }));
    for n_bytes in 0..bytes.len() {
        image_header(&bytes[..n_bytes]);
    }
}

fn png_bytes(depth: u8, colour: u8) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend_from_slice(&[0, 0, 2, 0x80, 0, 0, 1, 0xe0, depth, colour, 0, 0, 0]);
    bytes
}

#[test]
fn jpeg_size_is_found_behind_other_segments() {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2];
    // A fill byte, then a quantisation table whose content looks like a frame header.
    bytes.extend_from_slice(&[0xff, 0xff, 0xdb, 0, 6, 0xff, 0xc0, 0, 9]);
    bytes.extend_from_slice(&[0xff, 0xc2, 0, 17, 8, 1, 0xe0, 2, 0x80, 3]);
    check(&bytes, Encoding::Jpeg, (640, 480, 3), DType::UInt8);
    let grey = [0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 4, 0, 5, 1];
    check(&grey, Encoding::Jpeg, (5, 4, 1), DType::UInt8);
    let twelve_bits = [0xff, 0xd8, 0xff, 0xc1, 0, 11, 12, 0, 4, 0, 5, 1];
    check(&twelve_bits, Encoding::Jpeg, (5, 4, 1), DType::UInt16);
}

#[test]
fn jpeg_without_a_frame_header_has_no_size() {
    assert_eq!(image_header(&[0xff, 0xd8, 0xff, 0xda, 0, 2]), None);
    assert_eq!(image_header(&[0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff]), None);
    assert_eq!(image_header(&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xd9]), None);
    let only_fill = [vec![0xff, 0xd8], vec![0xff; 4000]].concat();
    assert_eq!(image_header(&only_fill), None);
}

#[test]
fn png_depth_and_colour_type_give_the_tensor() {
    check(&png_bytes(8, 2), Encoding::Png, (640, 480, 3), DType::UInt8);
    check(&png_bytes(16, 0), Encoding::Png, (640, 480, 1), DType::UInt16);
    check(&png_bytes(1, 0), Encoding::Png, (640, 480, 1), DType::UInt8);
    check(&png_bytes(4, 3), Encoding::Png, (640, 480, 3), DType::UInt8);
    check(&png_bytes(8, 4), Encoding::Png, (640, 480, 2), DType::UInt8);
    check(&png_bytes(16, 6), Encoding::Png, (640, 480, 4), DType::UInt16);
    assert_eq!(image_header(&png_bytes(3, 2)), None);
    let depth = [vec![0; 12], png_bytes(16, 0)].concat();
    check(&depth, Encoding::CompressedDepthPng, (640, 480, 1), DType::UInt16);
}

#[test]
fn rvl_depth_tells_columns_and_rows() {
    let mut bytes = vec![0; 12];
    bytes.extend_from_slice(&[64, 0, 0, 0, 48, 0, 0, 0, 1, 2, 3, 4]);
    check(&bytes, Encoding::CompressedDepthRvl, (64, 48, 1), DType::UInt16);
}

#[test]
fn webp_has_three_kinds_of_header() {
    let lossy = b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\x30\x01\0\x9d\x01\x2a\x80\x02\xe0\x01";
    check(lossy, Encoding::Webp, (640, 480, 3), DType::UInt8);
    // 14 bits of width - 1, 14 bits of height - 1, one alpha bit.
    let bits: u32 = 639 | (479 << 14) | (1 << 28);
    let lossless = [b"RIFF\0\0\0\0WEBPVP8L\x05\0\0\0\x2f".as_slice(), &bits.to_le_bytes()].concat();
    check(&lossless, Encoding::Webp, (640, 480, 4), DType::UInt8);
    let extended = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0";
    check(extended, Encoding::Webp, (640, 480, 3), DType::UInt8);
}

#[test]
fn gif_and_bmp_sizes_are_little_endian() {
    check(b"GIF89a\x80\x02\xe0\x01", Encoding::Gif, (640, 480, 3), DType::UInt8);
    let mut bmp = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x80\x02\0\0".to_vec();
    bmp.extend_from_slice(&(-480i32).to_le_bytes());
    bmp.extend_from_slice(&[1, 0, 24, 0]);
    check(&bmp, Encoding::Bmp, (640, 480, 3), DType::UInt8);
}

#[test]
fn tiff_directories_are_read_in_both_byte_orders() {
    fn entry(tag: u16, value: u16) -> Vec<u8> {
        [&tag.to_be_bytes()[..], &[0, 3, 0, 0, 0, 1], &value.to_be_bytes(), &[0, 0]].concat()
    }
    let mut bytes = b"MM\0*\0\0\0\x08\0\x05".to_vec();
    for (tag, value) in [(256, 640), (257, 480), (258, 32), (277, 1), (339, 3)] {
        bytes.extend(entry(tag, value));
    }
    check(&bytes, Encoding::Tiff, (640, 480, 1), DType::Float32);
    let mut little = b"II*\0\x08\0\0\0\x03\0".to_vec();
    for (tag, value) in [(256u16, 7u32), (257, 5), (258, 8)] {
        little.extend_from_slice(&tag.to_le_bytes());
        little.extend_from_slice(&[4, 0, 1, 0, 0, 0]);
        little.extend_from_slice(&value.to_le_bytes());
    }
    check(&little, Encoding::Tiff, (7, 5, 1), DType::UInt8);
    let far = b"II*\0\xff\xff\xff\xff";
    assert_eq!(image_header(far), None);
}
