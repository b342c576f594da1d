/// A sample of an mp4 file as a message holds it: units after start codes, and, where decoding can start there, behind the parameter
/// sets of `config`, the payload of `avcC`, or of `hvcC` where it `is_h265`. Units stand after lengths of four bytes.
///
/// # Panics
/// When the configuration or a length does not fit.
pub fn annex_b(config: &[u8], is_h265: bool, sample: &[u8], is_key: bool) -> Vec<u8> {
    let mut units = match (is_key, is_h265) {
        (false, _) => Vec::new(),
        (true, false) => avc_sets(config),
        (true, true) => hevc_sets(config),
    };
    let mut rest = sample;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        units.extend([&[0, 0, 0, 1], unit].concat());
        rest = after;
    }
    units
}

/// Sequence parameter sets, then picture parameter sets.
fn avc_sets(config: &[u8]) -> Vec<u8> {
    let mut sets = Vec::new();
    let mut rest = &config[5..];
    for mask in [0x1f, 0xff] {
        let n = rest[0] & mask;
        rest = &rest[1..];
        (0..n).for_each(|_| rest = take_set(rest, &mut sets));
    }
    sets
}

fn hevc_sets(config: &[u8]) -> Vec<u8> {
    let mut sets = Vec::new();
    let mut rest = &config[23..];
    for _ in 0..config[22] {
        let n = u16::from_be_bytes([rest[1], rest[2]]);
        rest = &rest[3..];
        (0..n).for_each(|_| rest = take_set(rest, &mut sets));
    }
    sets
}

/// Appends one parameter set after its start code; what follows it.
fn take_set<'a>(rest: &'a [u8], sets: &mut Vec<u8>) -> &'a [u8] {
    let (set, after) = rest[2..].split_at(usize::from(u16::from_be_bytes([rest[0], rest[1]])));
    sets.extend([&[0, 0, 0, 1], set].concat());
    after
}
