//! Clips of sound: FLAC as samples.

use nodedata_core::{DType, Error, ErrorKind, Result};
use nodedata_media::{AudioCodec, AudioSamples, audio_header, flac_to_samples};

use super::{
    Decoding,
    media::{MediaRow, valid_of},
};
use crate::{
    fields::Field,
    rows::{Data, Ragged, Tensor, item_bytes, room},
};

/// Samples of a clip, of all channels together: an hour and a half of 48 kHz in stereo.
const VALUES_MAX: usize = 1 << 29;

impl Decoding<'_> {
    /// The samples of all rows: a tensor of samples and channels where all clips have as many, else one of channels for each sample.
    pub(super) fn sound(
        &self,
        field: &Field,
        [n_samples, n_channels]: [Option<usize>; 2],
    ) -> Result<(Data, Option<Vec<bool>>)> {
        let rows = self.media(field)?;
        let dtype = field.info.dtype;
        let (mut bytes, mut offsets) = (Vec::new(), vec![0u64]);
        let mut channels = n_channels;
        for row in &rows {
            let clip = self.clip(row, dtype, n_samples, channels);
            let clip = clip.map_err(|err| self.placed_at_row(err, Some(row), field))?;
            let before = offsets.last().copied().unwrap_or(0);
            let n_new = match &clip {
                Some(clip) => {
                    if channels.is_none() {
                        // Those before it are silent, and now it is known in how many channels.
                        let n_silent = offsets.len() - 1;
                        channels = Some(clip.channels as usize);
                        silence(n_silent, [n_samples, channels], dtype, &mut bytes)
                            .map_err(|err| self.placed_at_row(err, Some(row), field))?;
                    }
                    put(clip, dtype, &mut bytes);
                    clip.n_samples()
                }
                None => {
                    silence(1, [n_samples, channels], dtype, &mut bytes)
                        .map_err(|err| self.placed_at_row(err, Some(row), field))?;
                    n_samples.unwrap_or(0)
                }
            };
            offsets.push(before + n_new as u64);
        }
        if channels.is_none() {
            silence(rows.len(), [n_samples, Some(1)], dtype, &mut bytes)
                .map_err(|err| self.placed_at_row(err, rows.first(), field))?;
        }
        let channels = channels.unwrap_or(1);
        let valid = valid_of(&rows);
        Ok(match n_samples {
            Some(n_samples) => {
                let shape = vec![n_samples, channels];
                (Data::Tensor(Tensor { dtype, shape, bytes: bytes.into() }), valid)
            }
            None => {
                let values = Tensor { dtype, shape: vec![channels], bytes: bytes.into() };
                (Data::Ragged(Ragged { values, offsets }), valid)
            }
        })
    }

    fn clip(
        &self,
        row: &MediaRow,
        dtype: DType,
        n_samples: Option<usize>,
        channels: Option<usize>,
    ) -> Result<Option<AudioSamples>> {
        let Some(bytes) = row.items.first().and_then(Option::as_ref) else { return Ok(None) };
        if let Some(header) = audio_header(bytes)
            && header.codec != AudioCodec::Flac
        {
            let message = format!("the clip is {}, and only FLAC is decoded here", header.encoding());
            return Err(
                Error::new(ErrorKind::Unsupported, message).with_hint("read this feature as coded bytes")
            );
        }
        let clip = flac_to_samples(bytes, VALUES_MAX)?;
        let found = match clip.bits {
            0..=8 => DType::Int8,
            9..=16 => DType::Int16,
            _ => DType::Int32,
        };
        let is_like = |expected: Option<usize>, found: usize| expected.is_none_or(|it| it == found);
        if found != dtype
            || !is_like(n_samples, clip.n_samples())
            || !is_like(channels, clip.channels as usize)
        {
            let told = |it: Option<usize>| it.map_or_else(|| "any".to_owned(), |it| it.to_string());
            let message = format!(
                "the clip has {} samples of {} channels of {found}, and the schema says {} of {} of {dtype}",
                clip.n_samples(),
                clip.channels,
                told(n_samples),
                told(channels)
            );
            return Err(Error::new(ErrorKind::SchemaMismatch, message)
                .with_hint("read this feature as coded bytes, or leave the episodes out"));
        }
        Ok(Some(clip))
    }
}

/// So many clips of silence, where all clips have as many samples; nothing as long as nobody knows how many channels they have.
///
/// # Errors
/// `Limit` when there is no room for them.
fn silence(n_clips: usize, sizes: [Option<usize>; 2], dtype: DType, bytes: &mut Vec<u8>) -> Result<()> {
    let [Some(n_samples), Some(n_channels)] = sizes else { return Ok(()) };
    let one = item_bytes(dtype, &[n_samples, n_channels]);
    let n_bytes = one.and_then(|it| it.checked_mul(n_clips)).and_then(|it| it.checked_add(bytes.len()));
    if bytes.is_empty() {
        *bytes = room(n_bytes)?;
    } else {
        drop(room(n_bytes)?);
    }
    bytes.resize(n_bytes.unwrap_or(0), 0);
    Ok(())
}

/// Samples in their own width.
fn put(clip: &AudioSamples, dtype: DType, bytes: &mut Vec<u8>) {
    let values = clip.values.iter();
    // Each fits the bits that the header tells.
    match dtype {
        DType::Int8 => bytes.extend(values.map(|it| *it as u8)),
        DType::Int16 => bytes.extend(values.flat_map(|it| (*it as i16).to_le_bytes())),
        _ => bytes.extend(values.flat_map(|it| it.to_le_bytes())),
    }
}
