use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodedata_core::{Error, ErrorKind, Result};

/// Which of `n_parts` parts are there: a bit each, the lowest of the first byte for part 0, in base64.
pub fn bitmap_of(parts: &[u32], n_parts: u32) -> String {
    let mut bits = vec![0u8; n_parts.div_ceil(8) as usize];
    for part in parts.iter().filter(|it| **it < n_parts) {
        bits[*part as usize / 8] |= 1 << (part % 8);
    }
    STANDARD.encode(bits)
}

/// The parts of a bitmap, in order.
///
/// # Errors
/// `Corrupt` when it is none of `n_parts` parts.
pub fn parts_in(bitmap: &str, n_parts: u32) -> Result<Vec<u32>> {
    let wrong = || Error::new(ErrorKind::Corrupt, format!("this is no bitmap of {n_parts} parts"));
    let bits = STANDARD.decode(bitmap).map_err(|err| wrong().with_source(err))?;
    if bits.len() != n_parts.div_ceil(8) as usize {
        return Err(wrong());
    }
    Ok((0..n_parts).filter(|it| bits[*it as usize / 8] & (1 << (it % 8)) != 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_read_back() {
        for (parts, n_parts) in [(vec![], 1), (vec![0], 1), (vec![0, 7, 8, 15], 16), (vec![2, 16], 17)] {
            assert_eq!(parts_in(&bitmap_of(&parts, n_parts), n_parts).unwrap(), parts);
        }
        assert!(parts_in("", 1).is_err() && parts_in("AAAA", 8).is_err() && parts_in("?", 1).is_err());
    }
}
