//! What stands before the values of a Parquet data page of version 1: its header in Thrift's compact protocol
//! (parquet-format, `PageHeader`), and its levels (`RLE`, with their length in front).

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

/// The header of an uncompressed plain page.
pub(crate) fn data_page_header(n_bytes: i32, n_values: i32) -> Vec<u8> {
    let mut header = Vec::with_capacity(32);
    let put = |field: u8, value: i32, header: &mut Vec<u8>| {
        header.push(field);
        // Zigzag, because the numbers are signed.
        put_varint(((value << 1) ^ (value >> 31)) as u32, header);
    };
    put(NEXT_I32, DATA_PAGE, &mut header);
    put(NEXT_I32, n_bytes, &mut header);
    put(NEXT_I32, n_bytes, &mut header);
    header.push(DATA_PAGE_HEADER);
    for value in [n_values, PLAIN, RLE, RLE] {
        put(NEXT_I32, value, &mut header);
    }
    header.extend([STOP, STOP]);
    header
}

fn put_varint(mut value: u32, target: &mut Vec<u8>) {
    while value >= 0x80 {
        target.push(value as u8 | 0x80);
        value >>= 7;
    }
    target.push(value as u8);
}

/// Levels of one group of a packed run.
const GROUP: usize = 8;
/// Groups of one packed run, so that its header is one byte.
const GROUPS_MAX: usize = 63;

/// Levels of one kind: runs of one level, and where levels change, groups of eight packed into bits.
pub(crate) fn put_levels(levels: &[usize], max_level: usize, target: &mut Vec<u8>) {
    let width = (usize::BITS - max_level.leading_zeros()) as usize;
    let mut encoded = Vec::with_capacity(8);
    let mut left = levels;
    let mut packed: Vec<&[usize]> = Vec::new();
    while let Some(first) = left.first() {
        let n_same = left.iter().take_while(|it| *it == first).count();
        if n_same >= GROUP || (n_same == left.len() && packed.is_empty()) {
            put_packed(&mut packed, width, &mut encoded);
            put_varint((n_same as u32) << 1, &mut encoded);
            encoded.push(*first as u8);
            left = &left[n_same..];
        } else {
            let (group, rest) = left.split_at(GROUP.min(left.len()));
            packed.push(group);
            if packed.len() == GROUPS_MAX {
                put_packed(&mut packed, width, &mut encoded);
            }
            left = rest;
        }
    }
    put_packed(&mut packed, width, &mut encoded);
    target.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
    target.extend_from_slice(&encoded);
}

/// Ends a packed run. The levels that fill up its last group are zeros that no reader looks at.
fn put_packed(groups: &mut Vec<&[usize]>, width: usize, target: &mut Vec<u8>) {
    if groups.is_empty() {
        return;
    }
    put_varint((groups.len() as u32) << 1 | 1, target);
    for group in groups.drain(..) {
        let bits = group.iter().rev().fold(0u64, |bits, level| bits << width | *level as u64);
        target.extend_from_slice(&bits.to_le_bytes()[..width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_thrift() {
        let header = data_page_header(300, 8);
        let expected =
            [0x15, 0, 0x15, 0xd8, 4, 0x15, 0xd8, 4, 0x2c, 0x15, 16, 0x15, 0, 0x15, 6, 0x15, 6, STOP, STOP];
        assert_eq!(header, expected);
    }

    #[test]
    fn levels_are_runs_or_bits() {
        let mut target = Vec::new();
        put_levels(&[1; 8], 1, &mut target);
        put_levels(&[1, 0, 1], 1, &mut target);
        put_levels(&[2, 0, 1, 2, 2, 2, 2, 2, 1], 2, &mut target);
        put_levels(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 1, &mut target);
        let expected = [
            &[2, 0, 0, 0, 16, 1][..],
            &[2, 0, 0, 0, 3, 0b101],
            &[5, 0, 0, 0, 5, 0b1001_0010, 0b1010_1010, 0b01, 0],
            &[4, 0, 0, 0, 18, 1, 2, 0],
        ];
        assert_eq!(target, expected.concat());
    }

    #[test]
    fn long_runs_of_bits_are_cut_where_their_header_is_full() {
        let mut target = Vec::new();
        put_levels(&[0, 1].repeat(4 * 64), 1, &mut target);
        let expected = [&[66, 0, 0, 0, 63 << 1 | 1][..], &[0b1010_1010; 63], &[3, 0b1010_1010]];
        assert_eq!(target, expected.concat());
    }
}
