//! The elementary stream descriptor of `mp4v` entries (ISO/IEC 14496-1, 7.2.6).

use crate::VideoCodec;

/// Tags of descriptors.
const ES: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC: u8 = 5;

/// Fields of the decoder's descriptor in front of the descriptors inside it.
const CONFIG_BYTES: usize = 13;

/// What an `esds` box says of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream<'a> {
    /// Which codec: `objectTypeIndication`.
    pub(crate) object_type: u8,
    /// What a decoder needs before the first sample; empty where there is nothing.
    pub(crate) specific: &'a [u8],
}

impl<'a> Stream<'a> {
    /// Of the payload of an `esds` box; `None` for a damaged one.
    pub(crate) fn parse(esds: &'a [u8]) -> Option<Self> {
        // Version and flags.
        let es = descriptor(esds.get(4..)?, ES)?;
        let flags = *es.get(2)?;
        let mut at = 3;
        if flags & 0x80 != 0 {
            at += 2;
        }
        if flags & 0x40 != 0 {
            at += 1 + usize::from(*es.get(at)?);
        }
        if flags & 0x20 != 0 {
            at += 2;
        }
        let config = descriptor(es.get(at..)?, DECODER_CONFIG)?;
        let specific = descriptor(config.get(CONFIG_BYTES..)?, DECODER_SPECIFIC).unwrap_or_default();
        Some(Self { object_type: *config.first()?, specific })
    }

    /// The codec, if it is one of those that are known.
    pub(crate) fn codec(&self) -> Option<VideoCodec> {
        match self.object_type {
            0x20 => Some(VideoCodec::Mpeg4),
            0x60..=0x65 | 0x6a => Some(VideoCodec::Mpeg2),
            0x6c => Some(VideoCodec::Mjpeg),
            _ => None,
        }
    }
}

/// What the first descriptor holds, if it is of this kind and fits.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, mut rest) = bytes.split_first()?;
    let mut length = 0usize;
    // Seven bits a byte, four bytes at most.
    for _ in 0..4 {
        let (byte, after) = rest.split_first()?;
        rest = after;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    rest.get(..length).filter(|_| *found == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `esds` of one codec, with lengths of one byte or of four.
    fn esds(object_type: u8, specific: &[u8], long: bool) -> Vec<u8> {
        let of = |tag: u8, payload: &[u8]| {
            let n = payload.len() as u8;
            let length = if long { vec![0x80, 0x80, 0x80, n] } else { vec![n] };
            [&[tag], length.as_slice(), payload].concat()
        };
        let mut config = [&[object_type][..], &[0; CONFIG_BYTES - 1]].concat();
        if !specific.is_empty() {
            config.extend(of(DECODER_SPECIFIC, specific));
        }
        let es = [&[0, 1, 0][..], &of(DECODER_CONFIG, &config), &of(6, &[2])].concat();
        [&[0; 4][..], &of(ES, &es)].concat()
    }

    #[test]
    fn the_object_type_tells_the_codec() {
        for long in [false, true] {
            for (object_type, codec) in [
                (0x20, Some(VideoCodec::Mpeg4)),
                (0x61, Some(VideoCodec::Mpeg2)),
                (0x6a, Some(VideoCodec::Mpeg2)),
                (0x6c, Some(VideoCodec::Mjpeg)),
                (0x6d, None),
            ] {
                let bytes = esds(object_type, &[0, 0, 1, 0xb0], long);
                let stream = Stream::parse(&bytes).unwrap();
                assert_eq!(
                    (stream.codec(), stream.specific),
                    (codec, &[0, 0, 1, 0xb0][..]),
                    "{object_type:x}"
                );
            }
        }
        let bytes = esds(0x6c, &[], false);
        assert_eq!(Stream::parse(&bytes), Some(Stream { object_type: 0x6c, specific: &[] }));
    }

    #[test]
    fn damaged_descriptors_say_nothing() {
        let whole = esds(0x20, &[1, 2, 3], true);
        for end in 0..whole.len() {
            assert_eq!(Stream::parse(&whole[..end]), None, "{end} bytes");
        }
        let mut other = whole;
        other[4] = DECODER_CONFIG;
        assert_eq!(Stream::parse(&other), None);
    }
}
