use std::{
    io::Read as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use claxon::{Block, FlacReader, FlacReaderOptions, metadata::StreamInfo};
use md5::{Digest as _, Md5};
use nodedata_core::{Error, ErrorKind, Result};

use super::{AudioCodec, flac, mpeg, riff};

/// Bytes of the tag that some files end with.
const TAG_BYTES: usize = 128;

/// Decodes all of a FLAC or WAV file, and holds what is there against what its header says, of FLAC the MD5 of the samples as well.
/// `false` for other codings, which nothing here decodes.
///
/// # Errors
/// `Corrupt` where the file is damaged, or its header says what is not so; `Unsupported` for the parts of FLAC that are not decoded
/// here, and for WAV whose samples readers understand differently.
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
    decode_checked(without_tag(bytes), |_| Ok(())).map(drop)
}

/// Hands on the blocks of a FLAC file as [`decode_flac`] does, and holds all of them against what the header says: how many samples
/// each channel has, and their MD5 where it tells one.
///
/// # Errors
/// As [`check_audio`]; what `each` reports.
pub(super) fn decode_checked(bytes: &[u8], mut each: impl FnMut(&Block) -> Result<()>) -> Result<StreamInfo> {
    let mut n_samples = 0;
    let mut hash = flac::header(bytes).and_then(|it| it.bits).map(SamplesHash::new);
    let info = decode_flac(bytes, |block| {
        n_samples += u64::from(block.duration());
        if let Some(hash) = &mut hash {
            hash.update(block);
        }
        each(block)
    })?;
    let corrupt = |message: String| Err(Error::new(ErrorKind::Corrupt, message));
    if let Some(told) = info.samples.filter(|it| *it != n_samples) {
        return corrupt(format!(
            "the header says that each channel of the FLAC file has {told} samples, and {n_samples} are there"
        ));
    }
    let found = hash.map_or(info.md5sum, SamplesHash::finish);
    // Encoders that cannot seek back write none.
    if info.md5sum != [0; 16] && info.md5sum != found {
        let [told, found] = [info.md5sum, found].map(|it| format!("{:032x}", u128::from_be_bytes(it)));
        return corrupt(format!(
            "the header says that the samples of the FLAC file have the MD5 {told}, and those that are there have {found}"
        ));
    }
    Ok(info)
}

/// MD5 as FLAC has it: over whole samples of little-endian bytes, those of one moment side by side.
struct SamplesHash {
    hasher: Md5,
    sample_bytes: usize,
    /// The block that is hashed.
    bytes: Vec<u8>,
}

impl SamplesHash {
    fn new(bits: u32) -> Self {
        Self { hasher: Md5::new(), sample_bytes: bits.div_ceil(8) as usize, bytes: Vec::new() }
    }

    fn update(&mut self, block: &Block) {
        self.bytes.clear();
        for at in 0..block.duration() {
            for channel in 0..block.channels() {
                let sample = block.sample(channel, at).to_le_bytes();
                self.bytes.extend(sample.iter().take(self.sample_bytes));
            }
        }
        self.hasher.update(&self.bytes);
    }

    fn finish(self) -> [u8; 16] {
        self.hasher.finalize().into()
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
pub(super) fn without_tag(bytes: &[u8]) -> &[u8] {
    match bytes.split_at_checked(bytes.len().saturating_sub(TAG_BYTES)) {
        Some((before, tag)) if tag.starts_with(b"TAG") => before,
        _ => bytes,
    }
}

fn check_wav(bytes: &[u8]) -> Result<bool> {
    let wav = sound_wav(bytes)?;
    if let Some(what) = wav.format.padding() {
        let message = format!("the WAV file has {what}, which readers understand differently");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
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
