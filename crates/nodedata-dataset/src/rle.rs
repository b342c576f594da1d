//! Small numbers in bits: runs of one number, and where numbers change, groups of eight packed one behind the other
//! (parquet-format, `Encodings.md`, RLE). Cut as the Parquet crate cuts them.

/// Numbers of one group of a packed run.
const GROUP: usize = 8;
/// Groups of one packed run, so that its header is one byte.
const GROUPS_MAX: usize = 63;
/// The most bits that a number has.
const WIDTH_MAX: usize = 32;

/// Bits of the numbers up to `max`.
pub(crate) fn bit_width(max: usize) -> usize {
    (usize::BITS - max.leading_zeros()) as usize
}

/// Encodes numbers of `width` bits, 32 at most.
pub(crate) fn put_numbers<T: Copy + PartialEq + Into<u64>>(
    numbers: &[T],
    width: usize,
    target: &mut Vec<u8>,
) {
    // Where the packed run at hand begins.
    let mut start = 0;
    let mut at = 0;
    while at < numbers.len() {
        let left = &numbers[at..];
        let n_same = left.iter().take_while(|it| **it == left[0]).count();
        if n_same >= GROUP || (n_same == left.len() && start == at) {
            put_packed(&numbers[start..at], width, target);
            put_varint(n_same << 1, target);
            target.extend_from_slice(&left[0].into().to_le_bytes()[..width.div_ceil(8)]);
            at += n_same;
            start = at;
        } else {
            at += GROUP.min(left.len());
            if at - start == GROUPS_MAX * GROUP {
                put_packed(&numbers[start..at], width, target);
                start = at;
            }
        }
    }
    put_packed(&numbers[start..], width, target);
}

/// Ends a packed run. The numbers that fill up its last group are zeros that no reader looks at.
fn put_packed<T: Copy + Into<u64>>(numbers: &[T], width: usize, target: &mut Vec<u8>) {
    if numbers.is_empty() {
        return;
    }
    put_varint(numbers.len().div_ceil(GROUP) << 1 | 1, target);
    for group in numbers.chunks(GROUP) {
        // Nearly all numbers are small: a group of them is one word.
        if width <= 8 {
            let bits = group.iter().rev().fold(0, |bits: u64, number| bits << width | (*number).into());
            target.extend_from_slice(&bits.to_le_bytes()[..width]);
            continue;
        }
        let mut packed = [0; WIDTH_MAX];
        let (mut bits, mut n_bits, mut n_packed) = (0, 0, 0);
        for number in group {
            bits |= (*number).into() << n_bits;
            n_bits += width;
            while n_bits >= 8 {
                packed[n_packed] = bits as u8;
                n_packed += 1;
                bits >>= 8;
                n_bits -= 8;
            }
        }
        // What is left where the group is not full.
        if n_bits > 0 {
            packed[n_packed] = bits as u8;
        }
        target.extend_from_slice(&packed[..width]);
    }
}

pub(crate) fn put_varint(mut value: usize, target: &mut Vec<u8>) {
    while value >= 0x80 {
        target.push(value as u8 | 0x80);
        value >>= 7;
    }
    target.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(numbers: &[u32], width: usize) -> Vec<u8> {
        let mut target = Vec::new();
        put_numbers(numbers, width, &mut target);
        target
    }

    #[test]
    fn numbers_are_runs_or_bits() {
        assert!(encoded(&[], 1).is_empty());
        assert_eq!(encoded(&[1; 8], 1), [16, 1]);
        assert_eq!(encoded(&[1, 0, 1], 1), [3, 0b101]);
        assert_eq!(encoded(&[2, 0, 1, 2, 2, 2, 2, 2, 1], 2), [5, 0b1001_0010, 0b1010_1010, 0b01, 0]);
        assert_eq!(encoded(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 1), [18, 1, 2, 0]);
    }

    #[test]
    fn a_number_without_bits_is_counted() {
        assert_eq!(encoded(&[0; 300], 0), [0xd8, 4]);
    }

    #[test]
    fn wide_numbers_run_over_bytes() {
        assert_eq!(encoded(&[0x1ff; 9], 9), [18, 0xff, 1]);
        assert_eq!(encoded(&[0x1ff, 0], 9), [3, 0xff, 1, 0, 0, 0, 0, 0, 0, 0]);
        let expected = [vec![3], [0xff; 4].repeat(2), vec![0; 24]].concat();
        assert_eq!(encoded(&[u32::MAX, u32::MAX, 0], 32), expected);
    }

    #[test]
    fn long_runs_of_bits_are_cut_where_their_header_is_full() {
        let expected = [&[63 << 1 | 1][..], &[0b1010_1010; 63], &[3, 0b1010_1010]];
        assert_eq!(encoded(&[0, 1].repeat(4 * 64), 1), expected.concat());
    }
}
