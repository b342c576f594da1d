//! NAL units in samples and in the configuration of H.264 and H.265.

use nodedata_core::{Error, ErrorKind, Result};

use crate::VideoCodec;

/// How NAL units stand in a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each after its length, of this many bytes.
    Length(usize),
    /// Each after a start code.
    AnnexB,
}

/// What `avcC` or `hvcC` says.
#[derive(Debug)]
pub(super) struct Config<'a> {
    pub(super) framing: Framing,
    /// Parameter sets, in the order to feed them.
    pub(super) parameter_sets: Vec<&'a [u8]>,
}

impl<'a> Config<'a> {
    /// An empty `config` stands for samples in Annex B form.
    pub(super) fn parse(codec: VideoCodec, config: &'a [u8]) -> Result<Self> {
        if config.is_empty() {
            return Ok(Self { framing: Framing::AnnexB, parameter_sets: Vec::new() });
        }
        let parsed = match codec {
            VideoCodec::H265 => parse_hvcc(config),
            _ => parse_avcc(config),
        };
        parsed.filter(|it| it.framing != Framing::Length(3)).ok_or_else(|| {
            let message = format!("the decoder configuration of the {} video is damaged", codec.name());
            Error::new(ErrorKind::Corrupt, message)
        })
    }
}

fn parse_avcc(config: &[u8]) -> Option<Config<'_>> {
    let (head, mut rest) = config.split_at_checked(5)?;
    if head[0] != 1 {
        return None;
    }
    let mut parameter_sets = Vec::new();
    // Sequence parameter sets, then picture parameter sets.
    for count_mask in [0x1f, 0xff] {
        let (count, after) = rest.split_first()?;
        rest = after;
        for _ in 0..count & count_mask {
            parameter_sets.push(take_u16_prefixed(&mut rest)?);
        }
    }
    Some(Config { framing: Framing::Length(usize::from(head[4] & 3) + 1), parameter_sets })
}

fn parse_hvcc(config: &[u8]) -> Option<Config<'_>> {
    let (head, mut rest) = config.split_at_checked(23)?;
    let mut parameter_sets = Vec::new();
    for _ in 0..head[22] {
        let (array, after) = rest.split_at_checked(3)?;
        rest = after;
        for _ in 0..u16::from_be_bytes([array[1], array[2]]) {
            parameter_sets.push(take_u16_prefixed(&mut rest)?);
        }
    }
    Some(Config { framing: Framing::Length(usize::from(head[21] & 3) + 1), parameter_sets })
}

fn take_u16_prefixed<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = after;
    Some(unit)
}

/// The NAL units of a sample.
///
/// # Errors
/// `Corrupt` when a length does not fit.
pub(super) fn units(sample: &[u8], framing: Framing) -> Result<Vec<&[u8]>> {
    let prefix_bytes = match framing {
        Framing::AnnexB => return Ok(annex_b_units(sample)),
        Framing::Length(n_bytes) => n_bytes,
    };
    let mut units = Vec::new();
    let mut rest = sample;
    while !rest.is_empty() {
        let unit = rest.split_at_checked(prefix_bytes).and_then(|(prefix, after)| {
            let length = prefix.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
            after.split_at_checked(length)
        });
        let Some((unit, after)) = unit else {
            let at = sample.len() - rest.len();
            let message = format!("a NAL unit at byte {at} of a sample of {} does not fit it", sample.len());
            return Err(Error::new(ErrorKind::Corrupt, message));
        };
        if !unit.is_empty() {
            units.push(unit);
        }
        rest = after;
    }
    Ok(units)
}

fn annex_b_units(sample: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < sample.len() {
        if sample[at..].starts_with(&[0, 0, 1]) {
            if let Some(start) = start {
                units.push(trim_zeros(&sample[start..at]));
            }
            at += 3;
            start = Some(at);
        } else {
            at += 1;
        }
    }
    if let Some(start) = start {
        units.push(trim_zeros(&sample[start..]));
    }
    units.retain(|it| !it.is_empty());
    units
}

/// Zeros in front of a start code belong to it: a NAL unit never ends with one.
fn trim_zeros(unit: &[u8]) -> &[u8] {
    let n_bytes = unit.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1);
    &unit[..n_bytes]
}
