//! What the head of a VP9 key frame says about color (VP9 bitstream specification, 6.2).

use super::stream_color::Color;

/// Where the name of each color space stands in ITU-T H.273; 2 is unspecified.
const MATRICES: [u8; 8] = [2, 6, 1, 6, 7, 9, 2, 0];

/// The number of RGB among the color spaces.
const RGB: usize = 7;

/// The color of a key frame; `None` of any other sample.
pub(super) fn color(sample: &[u8]) -> Option<Color> {
    let mut bits = Bits { bytes: sample, at: 0 };
    if bits.read(2)? != 2 {
        return None;
    }
    let profile = bits.read(1)? | bits.read(1)? << 1;
    if profile == 3 {
        bits.read(1)?;
    }
    // A frame shown again, or one that is no key frame.
    if bits.read(1)? == 1 || bits.read(1)? == 1 {
        return None;
    }
    bits.read(2)?;
    if bits.read(24)? != 0x49_83_42 {
        return None;
    }
    if profile >= 2 {
        bits.read(1)?;
    }
    let space = bits.read(3)?;
    let is_rgb = space == RGB;
    let full_range = is_rgb || bits.read(1)? == 1;
    Some(Color { full_range, matrix: *MATRICES.get(space)?, is_rgb, ..Color::default() })
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, n_bits: usize) -> Option<usize> {
        let mut value = 0;
        for _ in 0..n_bits {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | usize::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a frame: `bits` in order, padded.
    fn head(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(|it| *it != b' ').map(|it| it - b'0').collect();
        bits.chunks(8).map(|it| (0..8).fold(0, |byte, idx| byte << 1 | it.get(idx).unwrap_or(&0))).collect()
    }

    #[test]
    fn key_frames_tell_their_color() {
        let sync = "01001001 10000011 01000010";
        let found = |bits: &str| color(&head(bits)).map(|it| (it.matrix, it.full_range, it.is_rgb));
        // Marker, profile, shown again, kind, shown, resilient, then the color space and the range.
        assert_eq!(found(&format!("10 00 0 0 10 {sync} 010 0")), Some((1, false, false)));
        assert_eq!(found(&format!("10 00 0 0 10 {sync} 000 1")), Some((2, true, false)));
        assert_eq!(found(&format!("10 10 0 0 10 {sync} 111")), Some((0, true, true)));
        assert_eq!(found(&format!("10 01 0 0 10 {sync} 1 101 0")), Some((9, false, false)), "10 or 12 bits");
        assert_eq!(found("10 00 0 1 10 0000000000000000000000000000000"), None);
        assert_eq!(found(&format!("10 00 1 {sync}")), None);
        assert_eq!((found("10 00"), color(&[])), (None, None));
    }
}
