//! Where decoding can start in codecs without NAL units.

/// OBUs in front of the frame; a temporal unit with more is not looked at further.
const OBUS_MAX: usize = 64;
const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// Whether a temporal unit of AV1 (low-overhead format) has a sequence header and its first frame is a key frame; `None` where it
/// holds no frame or is damaged.
pub(crate) fn of_av1(sample: &[u8]) -> Option<bool> {
    let mut rest = sample;
    // Whether all frames are key frames, as a sequence header that was met says it.
    let mut sequence: Option<bool> = None;
    for _ in 0..OBUS_MAX {
        let (header, after) = rest.split_first()?;
        let (has_extension, has_size) = (header & 4 != 0, header & 2 != 0);
        let after = after.get(usize::from(has_extension)..)?;
        let (payload, next) = match has_size {
            true => {
                let (size, after) = leb128(after)?;
                after.split_at_checked(size)?
            }
            false => (after, &[][..]),
        };
        rest = next;
        match header >> 3 & 0xf {
            SEQUENCE_HEADER => sequence = Some(payload.first()? & 8 != 0),
            FRAME_HEADER | FRAME => {
                let Some(all_are_key) = sequence else { return Some(false) };
                let first = payload.first()?;
                // Neither a frame shown again, nor one of another type.
                return Some(all_are_key || first & 0xe0 == 0);
            }
            _ => {}
        }
    }
    None
}

/// A number of at most 32 bits, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (idx, byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7f) << (7 * idx);
        if byte & 0x80 == 0 {
            let value = usize::try_from(value).ok().filter(|_| value <= u64::from(u32::MAX))?;
            return Some((value, &bytes[idx + 1..]));
        }
    }
    None
}

/// Whether a frame of VP9 is a key frame; `None` where it is none of VP9.
pub(crate) fn of_vp9(sample: &[u8]) -> Option<bool> {
    let first = *sample.first()?;
    if first >> 6 != 2 {
        return None;
    }
    // Profile 3 has a bit more in front of what is asked for.
    let shift = if first & 0x30 == 0x30 { 1 } else { 0 };
    let shown_again = first << shift & 8 != 0;
    Some(!shown_again && first << shift & 4 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_of_av1_has_its_sequence_header() {
        let delimiter = [0x12, 0];
        let sequence = [0x0a, 2, 0x00, 0x55];
        let key = [0x32, 3, 0x10, 1, 2];
        let inter = [0x32, 3, 0x30, 1, 2];
        let unit = |obus: &[&[u8]]| of_av1(&obus.concat());
        assert_eq!(unit(&[&delimiter, &sequence, &key]), Some(true));
        assert_eq!(unit(&[&delimiter, &sequence, &inter]), Some(false));
        assert_eq!(unit(&[&delimiter, &key]), Some(false), "nothing says what its numbers mean");
        assert_eq!(unit(&[&delimiter, &sequence, &[0x1a, 1, 0x90]]), Some(false), "shown again");
        assert_eq!(unit(&[&delimiter, &[0x0a, 1, 0x18], &[0x30, 0x70]]), Some(true), "a still picture");
        assert_eq!(unit(&[&delimiter, &sequence]), None);
        assert_eq!(unit(&[&[0x0a, 9, 0]]), None, "a length behind the end");
        assert_eq!((of_av1(&[]), of_av1(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff])), (None, None));
    }

    #[test]
    fn a_key_frame_of_vp9_says_so_in_its_first_byte() {
        assert_eq!(of_vp9(&[0b1000_0010]), Some(true));
        assert_eq!(of_vp9(&[0b1000_0110]), Some(false));
        assert_eq!(of_vp9(&[0b1000_1000]), Some(false), "shown again");
        assert_eq!(of_vp9(&[0b1011_0000]), Some(true), "profile 3");
        assert_eq!(of_vp9(&[0b1011_0010]), Some(false), "profile 3");
        assert_eq!((of_vp9(&[0b0100_0000]), of_vp9(&[])), (None, None));
    }
}
