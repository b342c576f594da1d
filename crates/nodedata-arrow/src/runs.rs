//! The encoding of levels and of places in a dictionary: runs of one value, and values packed side by side.

/// Some values of one kind.
pub(crate) enum Run<'a> {
    /// One value, so many times.
    Same { n: u64, value: u64 },
    /// So many values side by side, of which the last ones may be cut.
    Packed { n: u64, values: &'a [u8] },
}

/// The next run of values of at most 32 bits. `None` where it is cut, or where the Parquet reader reads none: a header of zero, which some
/// writers fill pages up with.
pub(crate) fn next_run<'a>(rest: &mut &'a [u8], bits: u32) -> Option<Run<'a>> {
    let header = number(rest).filter(|it| *it != 0)?;
    if header & 1 == 0 {
        let (value, behind) = rest.split_at_checked(bits.div_ceil(8) as usize)?;
        *rest = behind;
        // All of its bytes, as the reader takes them.
        let value = value.iter().rev().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
        return Some(Run::Same { n: header >> 1, value });
    }
    // Groups of eight values.
    let n_bytes = usize::try_from((header >> 1).checked_mul(u64::from(bits))?).ok()?;
    let (values, behind) = rest.split_at(n_bytes.min(rest.len()));
    *rest = behind;
    Some(Run::Packed { n: (header >> 1) * 8, values })
}

/// A value of at most 32 bits among others that are packed.
pub(crate) fn packed(values: &[u8], bits: u32, idx: u64) -> u64 {
    let at = idx * u64::from(bits);
    let first = (at / 8) as usize;
    let byte = |n: usize| u64::from(values.get(first + n).copied().unwrap_or(0));
    let word = (0..5).fold(0, |word, n| word | (byte(n) << (8 * n)));
    (word >> (at % 8)) & ((1 << bits) - 1)
}

/// A number of seven bits a byte.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}
