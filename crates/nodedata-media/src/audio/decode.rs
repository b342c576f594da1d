use std::{
    io::Read as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use claxon::{Block, FlacReader, FlacReaderOptions, metadata::StreamInfo};
use nodedata_core::{Error, ErrorKind, Result};

use super::{AudioCodec, flac, mpeg, riff};

/// Bytes of the tag that some files end with.
const TAG_BYTES: usize = 128;

/// Decodes all of a FLAC or WAV file, and holds what is there against what its header says. `false` for other codings, which
/// nothing here decodes.
///
/// # Errors
/// `Corrupt` where the file is damaged, or its header says what is not so; `Unsupported` for the parts of FLAC that are not decoded
/// here.
pub fn check_audio(bytes: &[u8]) -> Result<bool> {
    let behind = mpeg::behind_tags(bytes).unwrap_or(bytes);
    if behind.starts_with(flac::MAGIC) {
        return check_flac(behind).map(|()| true);
    }
    match crate::sniff_clip(bytes) {
        Some("wav") => check_wav(bytes),
        _ => Ok(false),
    }
}

fn check_flac(bytes: &[u8]) -> Result<()> {
    let mut n_samples = 0;
    let info = decode_flac(without_tag(bytes), |block| {
        n_samples += u64::from(block.duration());
        Ok(())
    })?;
    match info.samples {
        Some(told) if told != n_samples => {
            let message = format!(
                "the header says that each channel of the FLAC file has {told} samples, and {n_samples} are there"
            );
            Err(Error::new(ErrorKind::Corrupt, message))
        }
        _ => Ok(()),
    }
}

/// Hands on the blocks of a FLAC file, each with all of its channels, and what its header says.
///
/// # Errors
/// As [`check_audio`]; what `each` reports.
pub(super) fn decode_flac(bytes: &[u8], mut each: impl FnMut(&Block) -> Result<()>) -> Result<StreamInfo> {
    let cut = || Error::new(ErrorKind::Corrupt, "the FLAC file is cut in front of its samples");
    // Tags, pictures and tables are none of the decoder's business: what is odd about them is no damage of the samples, and it
    // would believe their lengths.
    let first = bytes.get(flac::MAGIC.len()..flac::HEADER_BYTES).and_then(<[u8]>::split_first);
    let (kind, block) = first.ok_or_else(cut)?;
    let frames = flac::frames(bytes).ok_or_else(cut)?;
    let header = [flac::MAGIC, &[kind | flac::IS_LAST], block].concat();
    let decode = || {
        let only = header.as_slice().chain(frames);
        let options = FlacReaderOptions { metadata_only: false, read_vorbis_comment: false };
        let mut reader = FlacReader::new_ext(only, options).map_err(|err| damaged(err, 0))?;
        let info = reader.streaminfo();
        let mut blocks = reader.blocks();
        let (mut buffer, mut n_samples) = (Vec::new(), 0);
        while let Some(block) = blocks.read_next_or_eof(buffer).map_err(|err| damaged(err, n_samples))? {
            if block.channels() != info.channels {
                let message = format!(
                    "the header says that the FLAC file has {} channels, and behind sample {n_samples} there are {}",
                    info.channels,
                    block.channels()
                );
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            each(&block)?;
            n_samples += u64::from(block.duration());
            buffer = block.into_buffer();
        }
        Ok(info)
    };
    let crashed = |_| Err(Error::new(ErrorKind::Corrupt, "the FLAC decoder gave up on a damaged file"));
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(crashed)
}

/// `n_samples` of each channel were decoded before.
fn damaged(err: claxon::Error, n_samples: u64) -> Error {
    match err {
        claxon::Error::Unsupported(what) => {
            Error::new(ErrorKind::Unsupported, format!("the FLAC file cannot be decoded here: {what}"))
        }
        err => Error::new(ErrorKind::Corrupt, format!("the FLAC file is damaged behind sample {n_samples}"))
            .with_source(err),
    }
}

/// A file without the tag that makers of MP3 files put at the end.
fn without_tag(bytes: &[u8]) -> &[u8] {
    match bytes.split_at_checked(bytes.len().saturating_sub(TAG_BYTES)) {
        Some((before, tag)) if tag.starts_with(b"TAG") => before,
        _ => bytes,
    }
}

fn check_wav(bytes: &[u8]) -> Result<bool> {
    let wav = sound_wav(bytes)?;
    Ok(!matches!(wav.format.codec(), AudioCodec::OtherWav(_)))
}

/// A WAV file whose samples are all there.
///
/// # Errors
/// `Corrupt` where they are not, or nothing tells.
pub(super) fn sound_wav(bytes: &[u8]) -> Result<riff::Wav<'_>> {
    let corrupt = |message: String| Err(Error::new(ErrorKind::Corrupt, message));
    let Some(wav) = riff::wav(bytes) else {
        return corrupt("the header of the WAV file is cut, or contradicts itself".to_owned());
    };
    let riff::Format { channels, rate_hz, block_bytes, .. } = wav.format;
    if channels == 0 || rate_hz == 0 || block_bytes == 0 {
        return corrupt(format!("the WAV file has {channels} channels of {rate_hz} samples a second"));
    }
    let n_there = wav.data.len();
    if let Some(told) = wav.claimed.filter(|_| wav.is_cut()) {
        let message =
            format!("the header says that the WAV file has {told} bytes of samples, and {n_there} are there");
        return corrupt(message);
    }
    let n_over = n_there % usize::from(block_bytes);
    if n_over != 0 && !matches!(wav.format.codec(), AudioCodec::OtherWav(_)) {
        return corrupt(format!("the WAV file ends inside of a sample: {n_over} bytes are over"));
    }
    Ok(wav)
}
