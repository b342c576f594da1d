use nodedata_core::{Error, ErrorKind, Result};

use super::{
    decode::{decode_checked, without_tag},
    flac, mpeg,
};

/// What a clip decodes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioSamples {
    /// Samples a second of each channel.
    pub rate_hz: u32,
    /// Channels, one at least.
    pub channels: u32,
    /// Bits of one sample, which say what full scale is: samples lie in -2^(bits - 1)..2^(bits - 1).
    pub bits: u32,
    /// Samples in their order; those of one moment lie together, the first channel first.
    pub values: Vec<i32>,
}

impl AudioSamples {
    /// Samples of each channel.
    pub fn n_samples(&self) -> usize {
        self.values.len().checked_div(self.channels as usize).unwrap_or(0)
    }
}

/// Decodes a FLAC file, also one behind the tags of MP3 files. Its checksums are looked at, and its header is held against what is
/// there.
///
/// A few bytes may stand for millions of equal samples: `n_values_max` says how many, of all channels together, are taken.
///
/// # Errors
/// `Corrupt` where the file is damaged, or its header says what is not so; `Limit` where it has more samples; `Unsupported` for other
/// files, and for the parts of FLAC that are not decoded here.
pub fn flac_to_samples(bytes: &[u8], n_values_max: usize) -> Result<AudioSamples> {
    let bytes = mpeg::behind_tags(bytes).unwrap_or(bytes);
    if !bytes.starts_with(flac::MAGIC) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the clip is no FLAC file, and only those become samples here",
        ));
    }
    let mut values = Vec::new();
    let info = decode_checked(without_tag(bytes), |block| {
        let n_values = block.duration() as usize * block.channels() as usize;
        if n_values_max.saturating_sub(values.len()) < n_values {
            let message = format!("the FLAC file has more than {n_values_max} samples");
            return Err(Error::new(ErrorKind::Limit, message)
                .with_hint("read this feature as coded bytes, or allow more samples"));
        }
        values.reserve(n_values);
        let moments = 0..block.duration();
        values.extend(
            moments.flat_map(|at| (0..block.channels()).map(move |channel| block.sample(channel, at))),
        );
        Ok(())
    })?;
    Ok(AudioSamples {
        rate_hz: info.sample_rate,
        channels: info.channels,
        bits: info.bits_per_sample,
        values,
    })
}

#[cfg(test)]
mod tests;
