use super::{AudioCodec, AudioHeader};

/// What every file begins with.
pub(super) const MAGIC: &[u8] = b"fLaC";

/// Bytes of the block that has to be the first.
const STREAM_INFO_BYTES: usize = 34;

/// Bytes up to the end of that block, which has a header of four.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + 4 + STREAM_INFO_BYTES;

/// What the first byte of the last metadata block has, beside the kind of the block.
pub(super) const IS_LAST: u8 = 0x80;

/// The STREAMINFO block of a file.
pub(super) fn header(bytes: &[u8]) -> Option<AudioHeader> {
    stream_info(bytes.strip_prefix(MAGIC)?, AudioCodec::Flac)
}

/// The frames of a file, behind all of its metadata blocks; `None` where these are cut, or none that there can be.
pub(super) fn frames(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    loop {
        let (head, behind) = rest.split_first_chunk::<4>()?;
        let n_bytes = usize::try_from(u32::from_be_bytes([0, head[1], head[2], head[3]])).ok()?;
        // That one would be a frame.
        if head[0] | IS_LAST == 0xff {
            return None;
        }
        rest = behind.get(n_bytes..)?;
        if head[0] & IS_LAST != 0 {
            return Some(rest);
        }
    }
}

/// A metadata block with its own header, which has to be STREAMINFO.
pub(super) fn stream_info(block: &[u8], codec: AudioCodec) -> Option<AudioHeader> {
    let (head, info) = block.split_first_chunk::<4>()?;
    let n_bytes = u32::from_be_bytes([0, head[1], head[2], head[3]]);
    if head[0] | IS_LAST != IS_LAST || usize::try_from(n_bytes) != Ok(STREAM_INFO_BYTES) {
        return None;
    }
    let info = info.first_chunk::<STREAM_INFO_BYTES>()?;
    // 20 bits of rate, 3 of channels, 5 of bits, 36 of samples.
    let packed = u64::from_be_bytes(*info[10..].first_chunk()?);
    let n_samples = packed & 0xf_ffff_ffff;
    Some(AudioHeader {
        codec,
        rate_hz: (packed >> 44) as u32,
        channels: (packed >> 41 & 7) as u32 + 1,
        bits: Some((packed >> 36 & 31) as u32 + 1),
        // Encoders that cannot seek back write none.
        n_samples: (n_samples != 0).then_some(n_samples),
    })
}
