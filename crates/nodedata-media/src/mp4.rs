//! Where the samples of an mp4 file's video lie, which of them are shown, and when.
//!
//! Only the box headers and the `moov` (or `moof`) boxes are read, and of key frames of H.264 and H.265 the heads of their NAL
//! units, which say whether they are any. Samples stay as they are in the file: length-prefixed NAL units for H.264 and H.265,
//! OBUs for AV1, JPEG pictures for MJPEG.

mod boxes;
mod edit_list;
pub(crate) mod esds;
mod fragments;
mod moov;
mod random_access;
mod sample_entry;
mod sample_table;

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

use crate::VideoCodec;

/// Bounds on what a file may claim about itself.
#[derive(Debug, Clone)]
pub struct Mp4Limits {
    /// Bytes of the `moov` box and of each `moof` box. Default 256 MiB.
    pub moov_bytes_max: u64,
    /// Samples of the track, each of which takes 44 bytes of memory. Default 4 million.
    pub samples_max: u32,
}

impl Default for Mp4Limits {
    fn default() -> Self {
        Self { moov_bytes_max: 256 << 20, samples_max: 4_000_000 }
    }
}

/// The first video track of an mp4 file. Other tracks are named in `ignored_tracks` and not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    /// How the samples are coded.
    pub codec: VideoCodec,
    /// What a decoder needs before the first sample: the payload of `avcC`, `hvcC`, `av1C`, `vpcC` or `esds`;
    /// empty for MJPEG without one.
    pub codec_config: Bytes,
    /// Pixels in a row, as the sample entry says.
    pub width: u32,
    /// Rows, as the sample entry says.
    pub height: u32,
    /// Ticks per second, which `dts`, `pts` and `duration` of samples count.
    pub timescale: u32,
    /// Every sample, in decode order.
    pub samples: Vec<Sample>,
    /// Positions in `samples` of those that are shown, in the order they are shown.
    pub presentation: Vec<u32>,
    /// What the other tracks hold, such as `soun` for audio, by handler type.
    pub ignored_tracks: Vec<String>,
}

/// One coded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Where it starts in the file.
    pub offset: u64,
    /// How long it is.
    pub n_bytes: u32,
    /// Whether decoding can start here: a sync sample of the tables; of H.264 and H.265 an IDR or IRAP picture.
    pub keyframe: bool,
    /// Whether the edit list shows it. What it does not show may still be needed to decode what it shows.
    pub shown: bool,
    /// When to decode it, in ticks on the same clock as `pts`. Negative in front of reordered frames.
    pub dts: i64,
    /// When to show it, in ticks, after the edit list: the first shown frame is usually at 0.
    pub pts: i64,
    /// Ticks to the next sample in decode order.
    pub duration: u32,
}

impl Sample {
    /// Its place in the file.
    pub fn byte_range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.n_bytes)
    }
}

impl VideoTrack {
    /// Reads the sample tables of the first video track.
    ///
    /// # Errors
    /// `Corrupt` for a file that is empty, cut off, without `moov` or contradicts itself, with the byte where
    /// that shows; `Unsupported` for a file without video, an unknown codec, or edits that repeat, reorder or
    /// change the speed of the video; `Limit`; `Io`.
    pub fn read(file: &dyn ReadAt, limits: &Mp4Limits) -> Result<Self> {
        let parts = boxes::top_level(file, limits)?;
        let moov = moov::Moov::parse(&parts.moov)?;
        let mut table = sample_table::Table::of_moov(&moov, file.n_bytes(), limits)?;
        if moov.fragmented {
            fragments::append(&mut table, &moov, file, &parts.moofs, limits)?;
        }
        check_inside_file(&table.samples, file.n_bytes())?;
        random_access::settle(&mut table.samples, &moov.entry, file)?;
        let presentation = edit_list::apply(&mut table, &moov)?;
        Ok(Self {
            codec: moov.entry.codec,
            // A copy: a view would keep all of the file mapped for as long as the track is known.
            codec_config: Bytes::copy_from_slice(&moov.entry.codec_config),
            width: moov.entry.width,
            height: moov.entry.height,
            timescale: moov.timescale,
            samples: table.samples,
            presentation,
            ignored_tracks: moov.ignored_tracks,
        })
    }

    /// Ticks as nanoseconds, rounded to the nearest.
    pub fn nanos(&self, ticks: i64) -> i64 {
        let scale = i128::from(self.timescale);
        let nanos = (i128::from(ticks) * 1_000_000_000 + scale / 2).div_euclid(scale);
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    /// The sample shown as the `frame`-th.
    pub fn shown(&self, frame: u64) -> Option<&Sample> {
        let idx = *self.presentation.get(usize::try_from(frame).ok()?)?;
        self.samples.get(idx as usize)
    }

    /// Frames that are shown.
    pub fn n_frames(&self) -> u64 {
        self.presentation.len() as u64
    }

    /// Whether frames are shown in another order than they are decoded (B-frames).
    pub fn is_reordered(&self) -> bool {
        self.presentation.windows(2).any(|it| it[0] > it[1])
    }

    /// Frames per second: one over the most frequent distance between shown frames. `None` with fewer than
    /// two frames.
    pub fn fps(&self) -> Option<f64> {
        let pts = |idx: &u32| self.samples[*idx as usize].pts;
        let mut steps: Vec<i64> = self.presentation.windows(2).map(|it| pts(&it[1]) - pts(&it[0])).collect();
        steps.sort_unstable();
        let most_frequent =
            steps.chunk_by(|a, b| a == b).max_by_key(|run| run.len()).and_then(|run| run.first().copied())?;
        (most_frequent > 0).then(|| f64::from(self.timescale) / most_frequent as f64)
    }

    /// The samples to feed a decoder, in decode order, so that all of `frames` come out: from the last key
    /// frame that is neither decoded nor shown after any of them, to the last of them. Empty when `frames` is.
    ///
    /// # Errors
    /// `Corrupt` when `frames` ends past the last frame, or no key frame comes before them.
    pub fn samples_for(&self, frames: Range<u64>) -> Result<Range<usize>> {
        let n_frames = self.n_frames();
        if frames.end > n_frames {
            let message = format!("frames {frames:?} are asked for, but the video has {n_frames}");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        if frames.is_empty() {
            return Ok(0..0);
        }
        let wanted = &self.presentation[frames.start as usize..frames.end as usize];
        // Neither is empty, as checked above.
        let first = wanted.iter().min().map_or(0, |it| *it as usize);
        let last = wanted.iter().max().map_or(0, |it| *it as usize);
        let first_pts = self.samples[wanted[0] as usize].pts;
        // A key frame shown later than the first wanted frame may start an open group, whose leading frames
        // need the group before.
        let start = self.samples[..=first]
            .iter()
            .rposition(|it| it.keyframe && it.pts <= first_pts)
            .ok_or_else(|| {
                let offset = self.samples[first].offset;
                let message = format!("no key frame comes before frame {}", frames.start);
                Error::new(ErrorKind::Corrupt, message).at(Locus::byte(offset))
            })?;
        Ok(start..last + 1)
    }
}

fn check_inside_file(samples: &[Sample], file_bytes: u64) -> Result<()> {
    let Some(idx) = samples
        .iter()
        .position(|it| it.offset.checked_add(u64::from(it.n_bytes)).is_none_or(|end| end > file_bytes))
    else {
        return Ok(());
    };
    let sample = &samples[idx];
    let message = format!(
        "the file has {file_bytes} bytes, but sample {idx} of {} needs {} from byte {}",
        samples.len(),
        sample.n_bytes,
        sample.offset
    );
    Err(Error::new(ErrorKind::Corrupt, message)
        .at(Locus::byte(sample.offset))
        .with_hint("the video was cut off; copy it again from where it was recorded"))
}
