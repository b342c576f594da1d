//! What stands before the values of a Parquet data page of version 1: its header in Thrift's compact protocol
//! (parquet-format, `PageHeader`), and its levels (`RLE`, with their length in front).

use crate::rle::{bit_width, put_numbers, put_varint};

/// Field header: the id is one more than that of the field before, and the type is `i32`.
const NEXT_I32: u8 = 0x15;
/// Field header: the id is two more than that of the field before, because the checksum is left out, and the
/// type is a struct.
const DATA_PAGE_HEADER: u8 = 0x2c;
const STOP: u8 = 0;
/// Of `PageType`.
const DATA_PAGE: i32 = 0;
/// Of `Encoding`.
const PLAIN: i32 = 0;
const RLE: i32 = 3;

/// The header of a plain page: bytes of its levels and values, and as what they are stored.
pub(crate) fn data_page_header(n_bytes: i32, n_stored: i32, n_values: i32) -> Vec<u8> {
    let mut header = Vec::with_capacity(32);
    let put = |field: u8, value: i32, header: &mut Vec<u8>| {
        header.push(field);
        // Zigzag, because the numbers are signed.
        put_varint(((value << 1) ^ (value >> 31)) as u32 as usize, header);
    };
    put(NEXT_I32, DATA_PAGE, &mut header);
    put(NEXT_I32, n_bytes, &mut header);
    put(NEXT_I32, n_stored, &mut header);
    header.push(DATA_PAGE_HEADER);
    for value in [n_values, PLAIN, RLE, RLE] {
        put(NEXT_I32, value, &mut header);
    }
    header.extend([STOP, STOP]);
    header
}

/// Levels of one kind, with the length of what they are encoded to in front.
pub(crate) fn put_levels(levels: &[u16], max_level: usize, target: &mut Vec<u8>) {
    let mut encoded = Vec::with_capacity(8);
    put_numbers(levels, bit_width(max_level), &mut encoded);
    target.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
    target.extend_from_slice(&encoded);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_thrift() {
        let header = data_page_header(300, 172, 8);
        let expected =
            [0x15, 0, 0x15, 0xd8, 4, 0x15, 0xd8, 2, 0x2c, 0x15, 16, 0x15, 0, 0x15, 6, 0x15, 6, STOP, STOP];
        assert_eq!(header, expected);
    }

    #[test]
    fn levels_have_their_length_in_front() {
        let mut target = Vec::new();
        put_levels(&[1; 8], 1, &mut target);
        put_levels(&[2, 0, 1, 2, 2, 2, 2, 2, 1], 2, &mut target);
        let expected = [&[2, 0, 0, 0, 16, 1][..], &[5, 0, 0, 0, 5, 0b1001_0010, 0b1010_1010, 0b01, 0]];
        assert_eq!(target, expected.concat());
    }
}
