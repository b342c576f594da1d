//! What clips of sound say of themselves, and how the samples of some are decoded, held against that, and coded without loss.
//!
//! Headers are read without decoding and without trust: no length is believed that the bytes at hand do not cover. Of MP3 the
//! headers of all frames are read, because the first may tell more of them than there are.

mod decode;
mod encode;
mod flac;
mod mpeg;
mod ogg;
mod riff;
mod samples;

use nodedata_core::DType;

pub use decode::check_audio;
pub use encode::wav_to_flac;
pub(crate) use ogg::is_opus;
pub use samples::{AudioSamples, flac_to_samples};

/// How the samples of a clip are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// FLAC, in a file of its own.
    Flac,
    /// Whole numbers in a WAV file.
    Pcm,
    /// Floating point numbers in a WAV file.
    Float,
    /// G.711 in a WAV file, either law.
    Companded,
    /// Anything else in a WAV file, by its format tag, which is also that of bare numbers where nothing tells how they lie in more
    /// bytes than they need.
    OtherWav(u16),
    /// MPEG audio, layer III.
    Mp3,
    /// Vorbis in Ogg.
    Vorbis,
    /// Opus in Ogg.
    Opus,
    /// FLAC in Ogg.
    OggFlac,
}

/// What the header of a clip says of the samples it decodes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioHeader {
    /// Told from the bytes, never from a label.
    pub codec: AudioCodec,
    /// Samples a second of each channel. Opus always decodes to 48,000.
    pub rate_hz: u32,
    /// Channels, one at least.
    pub channels: u32,
    /// Bits of a stored sample; `None` for codings that lose some, which have no such number.
    pub bits: Option<u32>,
    /// Samples of each channel. `None` where only decoding tells, and where the header claims more than there is. Of FLAC only
    /// decoding shows that it does: see [`check_audio`].
    pub n_samples: Option<u64>,
}

impl AudioHeader {
    /// What the file is called, as [`crate::sniff_clip`] does.
    pub fn encoding(&self) -> &'static str {
        match self.codec {
            AudioCodec::Flac => "flac",
            AudioCodec::Pcm | AudioCodec::Float | AudioCodec::Companded | AudioCodec::OtherWav(_) => "wav",
            AudioCodec::Mp3 => "mp3",
            AudioCodec::Vorbis | AudioCodec::OggFlac => "ogg",
            AudioCodec::Opus => "opus",
        }
    }

    /// Type of one decoded sample. Codings that lose some decode to fractions of full scale; `None` for those that nobody
    /// knows here.
    pub fn dtype(&self) -> Option<DType> {
        Some(match (self.codec, self.bits) {
            // Samples of eight bits are without sign there, and nowhere else.
            (AudioCodec::Pcm, Some(..=8)) => DType::UInt8,
            (AudioCodec::Flac | AudioCodec::OggFlac, Some(..=8)) => DType::Int8,
            (AudioCodec::Flac | AudioCodec::OggFlac | AudioCodec::Pcm, Some(..=16)) => DType::Int16,
            (AudioCodec::Flac | AudioCodec::OggFlac | AudioCodec::Pcm, Some(..=32)) => DType::Int32,
            (AudioCodec::Flac | AudioCodec::OggFlac | AudioCodec::Pcm, _) => DType::Int64,
            (AudioCodec::Float, Some(64)) => DType::Float64,
            (AudioCodec::Float | AudioCodec::Mp3 | AudioCodec::Vorbis | AudioCodec::Opus, _) => {
                DType::Float32
            }
            (AudioCodec::Companded, _) => DType::Int16,
            (AudioCodec::OtherWav(_), _) => return None,
        })
    }

    /// Samples and channels of what it decodes to; `None` where the header does not tell both.
    pub fn shape(&self) -> Option<[u32; 2]> {
        let n_samples = u32::try_from(self.n_samples?).ok()?;
        Some([n_samples, self.channels])
    }
}

/// Reads the header of a clip without decoding it: FLAC, WAV (RIFF, RF64 and BW64), MP3, and Vorbis, Opus and FLAC in Ogg. `None` when
/// the bytes are none of these, are cut inside the header, or say what cannot be, such as no channels.
pub fn audio_header(bytes: &[u8]) -> Option<AudioHeader> {
    match crate::sniff_clip(bytes)? {
        "wav" => riff::header(bytes),
        "ogg" | "opus" => ogg::header(bytes),
        "flac" | "mp3" => {
            let behind = mpeg::behind_tags(bytes)?;
            if behind.starts_with(flac::MAGIC) { flac::header(behind) } else { mpeg::header(behind) }
        }
        _ => None,
    }
    .filter(|it| it.rate_hz != 0 && it.channels != 0)
}

/// Whether a file is FLAC behind the tags of MP3 files.
pub(crate) fn is_tagged_flac(bytes: &[u8]) -> bool {
    mpeg::behind_tags(bytes).is_some_and(|it| it.starts_with(flac::MAGIC))
}

#[cfg(test)]
mod tests;
