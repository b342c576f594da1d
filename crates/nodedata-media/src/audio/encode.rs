use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

use flacenc::{
    bitsink::ByteSink,
    component::{BitRepr as _, Stream, StreamInfo},
    config, encode_fixed_size_frame,
    error::{Verified, Verify as _},
    source::{Context, Fill as _, FrameBuf},
};
use nodedata_core::{Error, ErrorKind, Result};

use super::{
    AudioCodec,
    decode::{decode_flac, sound_wav},
    riff::Wav,
};

/// Samples of each channel in a block: what the reference encoder takes.
const BLOCK: usize = 4096;

/// Bounds of the encoder.
const CHANNELS_MAX: u16 = 8;
const RATE_HZ_MAX: u32 = 96_000;
const SAMPLE_BYTES_MAX: usize = 3;

/// More than a frame has beside its samples: its header, one byte for each channel, and a checksum.
const FRAME_BYTES: usize = 64;

/// Codes a WAV file of whole numbers as FLAC. The samples come back as they were, which is looked at; chunks beside them, such as
/// tags, are left out. The same file gives the same bytes.
///
/// # Errors
/// `Corrupt` where samples are missing or nothing tells what they are; `Unsupported` for other files, other samples than whole numbers
/// of 8, 16 or 24 bits, more than 8 channels, and rates above 96,000.
pub fn wav_to_flac(bytes: &[u8]) -> Result<Vec<u8>> {
    if crate::sniff_clip(bytes) != Some("wav") {
        let message = "the clip is no WAV file, so there is nothing to code without loss";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let wav = sound_wav(bytes)?;
    check_samples(&wav)?;
    let crashed = |_| Err(failed("the encoder gave up"));
    let flac = catch_unwind(AssertUnwindSafe(|| encode(&wav))).unwrap_or_else(crashed)?;
    compare(&wav, &flac)?;
    Ok(flac)
}

/// Whether FLAC, as it is written here, holds such samples.
fn check_samples(wav: &Wav<'_>) -> Result<()> {
    let format = wav.format;
    let (what, hint) = match format.codec() {
        AudioCodec::Pcm if SAMPLE_BYTES_MAX < format.sample_bytes() => (
            format!("whole numbers of {} bits", format.bits),
            "FLAC is written with 24 bits at most: `ffmpeg -i IN.wav -c:a pcm_s24le OUT.wav` rounds them",
        ),
        AudioCodec::Pcm if CHANNELS_MAX < format.channels => {
            (format!("{} channels", format.channels), "FLAC has 8 channels at most")
        }
        AudioCodec::Pcm if RATE_HZ_MAX < format.rate_hz => (
            format!("{} samples a second", format.rate_hz),
            "FLAC is written with 96,000 samples a second at most: leave the clips as they are",
        ),
        AudioCodec::Pcm => return Ok(()),
        AudioCodec::Float => (
            format!("floating point numbers of {} bits", format.bits),
            "FLAC holds whole numbers alone: `ffmpeg -i IN.wav -c:a pcm_s24le OUT.wav` rounds to such",
        ),
        _ => (
            format.padding().unwrap_or_else(|| "coded samples".to_owned()),
            "only bare whole numbers are coded without loss: leave the clips as they are",
        ),
    };
    Err(Error::new(ErrorKind::Unsupported, format!("the WAV file has {what}")).with_hint(hint))
}

/// Block by block, so that no more than one is held beside what comes of them.
fn encode(wav: &Wav<'_>) -> Result<Vec<u8>> {
    let format = wav.format;
    let (channels, bits) = (usize::from(format.channels), 8 * format.sample_bytes());
    let (predicted, verbatim) = (config(true)?, config(false)?);
    let mut info = StreamInfo::new(format.rate_hz as usize, channels, bits).map_err(failed)?;
    let mut frame_samples = FrameBuf::with_size(channels, BLOCK).map_err(failed)?;
    let mut all = Context::new(bits, channels);
    let mut frames = ByteSink::new();
    let mut block = Vec::with_capacity(BLOCK * channels);
    for (number, data) in wav.data.chunks(BLOCK * usize::from(format.block_bytes)).enumerate() {
        block.clear();
        block.extend(samples(data, format.sample_bytes()));
        frame_samples.fill_interleaved(&block).map_err(failed)?;
        all.fill_interleaved(&block).map_err(failed)?;
        let mut frame = encode_fixed_size_frame(&predicted, &frame_samples, number, &info).map_err(failed)?;
        // What the encoder expects of its codes wraps around for loud noise: a frame may then have 2^28 bits and more. Counted,
        // before it is written, it does not.
        if 8 * (data.len() + FRAME_BYTES) < frame.count_bits() {
            frame = encode_fixed_size_frame(&verbatim, &frame_samples, number, &info).map_err(failed)?;
        }
        info.update_frame_info(&frame);
        frame.write(&mut frames).map_err(failed)?;
    }
    // The last block does not count: it may be shorter than any other may be.
    info.set_block_sizes(BLOCK, BLOCK).map_err(failed)?;
    if wav.data.is_empty() {
        // Of no frames nothing is known.
        info.set_frame_sizes(0, 0).map_err(failed)?;
    }
    info.set_total_samples(all.total_samples());
    info.set_md5_digest(&all.md5_digest());
    let mut header = ByteSink::new();
    Stream::with_stream_info(info).write(&mut header).map_err(failed)?;
    let mut bytes = header.into_inner();
    bytes.extend_from_slice(frames.as_slice());
    Ok(bytes)
}

/// Fixed predictors, chosen by counting bits, or none: whole numbers decide alone, so that no machine's rounding changes a byte.
fn config(predicts: bool) -> Result<Verified<config::Encoder>> {
    let mut config = config::Encoder::default();
    config.block_size = BLOCK;
    config.multithread = false;
    config.subframe_coding.use_lpc = false;
    config.subframe_coding.use_fixed = predicts;
    config.subframe_coding.fixed.order_sel = config::OrderSel::BitCount;
    config.into_verified().map_err(|(_, err)| failed(err))
}

/// Holds what comes back against what went in.
fn compare(wav: &Wav<'_>, flac: &[u8]) -> Result<()> {
    let format = wav.format;
    let differs = || failed("its samples do not come back as they were");
    let mut expected = samples(wav.data, format.sample_bytes());
    let info = decode_flac(flac, |block| {
        for at in 0..block.duration() {
            for channel in 0..block.channels() {
                if expected.next() != Some(block.sample(channel, at)) {
                    return Err(differs());
                }
            }
        }
        Ok(())
    })?;
    let found = (info.sample_rate, info.channels, info.bits_per_sample as usize);
    let same = found == (format.rate_hz, u32::from(format.channels), 8 * format.sample_bytes());
    if same && expected.next().is_none() { Ok(()) } else { Err(differs()) }
}

/// Samples of `n_bytes` each, channel by channel, as FLAC counts them: those of eight bits have a sign there.
fn samples(data: &[u8], n_bytes: usize) -> impl Iterator<Item = i32> + '_ {
    let unused = 32 - 8 * n_bytes as u32;
    data.chunks_exact(n_bytes).map(move |it| {
        let value = it.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        match n_bytes {
            1 => value as i32 - 128,
            _ => (value << unused) as i32 >> unused,
        }
    })
}

fn failed(why: impl Display) -> Error {
    Error::new(ErrorKind::Unsupported, "the clip cannot be written as FLAC")
        .with_source(std::io::Error::other(why.to_string()))
        .with_hint("leave the clip as it is, and please report it")
}
