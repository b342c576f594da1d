//! Where decoding can start, by what the samples themselves are.
//!
//! Writers mark recovery points of H.264 and H.265 as sync samples, where a picture becomes whole over the frames that follow
//! (intra refresh), or leans on frames before (open groups of H.264). Nothing can be decoded from there alone: only an IDR
//! picture (H.264) or an IRAP picture (H.265) is where decoding starts.

use bytes::Bytes;
use nodedata_core::{ReadAt, Result};

use super::{Sample, sample_entry::SampleEntry};
use crate::{
    VideoCodec,
    annexb::{NAL_UNITS_MAX, is_starting_slice},
};

/// Of a sample, what is read at once: most have their first slice there.
const HEAD_BYTES: u64 = 64;

/// Takes the mark of a key frame from samples at which decoding cannot start, where one before them is a true one. In front of
/// the first true one the tables' word is all there is, and it stands.
///
/// # Errors
/// `Io`.
pub(super) fn settle(samples: &mut [Sample], entry: &SampleEntry, file: &dyn ReadAt) -> Result<()> {
    let Some(prefix_bytes) = prefix_bytes(entry) else { return Ok(()) };
    let mut has_start = false;
    for sample in samples.iter_mut().filter(|it| it.keyframe) {
        match starts(entry.codec, prefix_bytes, sample, file)? {
            Some(true) => has_start = true,
            Some(false) => sample.keyframe = !has_start,
            // What it is nobody can say: a decoder will.
            None => {}
        }
    }
    Ok(())
}

/// Bytes of the length in front of each NAL unit; `None` where samples have none.
fn prefix_bytes(entry: &SampleEntry) -> Option<u64> {
    let at = match entry.codec {
        VideoCodec::H264 => 4,
        VideoCodec::H265 => 21,
        _ => return None,
    };
    entry.codec_config.get(at).map(|it| u64::from(it & 3) + 1)
}

/// Whether decoding can start at the first slice of a sample; `None` where there is none.
fn starts(codec: VideoCodec, prefix_bytes: u64, sample: &Sample, file: &dyn ReadAt) -> Result<Option<bool>> {
    let range = sample.byte_range();
    let mut head = Head { bytes: Bytes::new(), at: range.start };
    let mut at = range.start;
    for _ in 0..NAL_UNITS_MAX {
        if range.end.saturating_sub(at) <= prefix_bytes {
            return Ok(None);
        }
        let wanted = at..at + prefix_bytes + 1;
        if head.get(&wanted).is_none() {
            let end = range.end.min(at + HEAD_BYTES);
            head = Head { bytes: file.peek_at(at..end)?, at };
        }
        let Some((header, prefix)) = head.get(&wanted).and_then(<[u8]>::split_last) else { return Ok(None) };
        if let Some(starts) = is_starting_slice(codec, *header) {
            return Ok(Some(starts));
        }
        let length = prefix.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        at += prefix_bytes + length;
    }
    Ok(None)
}

/// Bytes of a file that were read.
struct Head {
    bytes: Bytes,
    at: u64,
}

impl Head {
    fn get(&self, range: &std::ops::Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start.checked_sub(self.at)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(self.at)?).ok()?;
        self.bytes.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nodedata_core::Files;
    use nodedata_io::MemoryFiles;

    use super::*;

    const IDR: &[u8] = &[0x65, 0x88];
    const SLICE: &[u8] = &[0x41, 0x9a];
    /// A message of an encoder, longer than what is read at once.
    const SEI: &[u8] = &[6; 200];

    /// Which samples stay key frames, of samples that are all marked as such.
    fn settled(codec: VideoCodec, all: &[&[&[u8]]]) -> Vec<bool> {
        let mut bytes = vec![0; 32];
        let mut samples = Vec::new();
        for units in all {
            let offset = bytes.len() as u64;
            for unit in *units {
                bytes.extend((unit.len() as u32).to_be_bytes());
                bytes.extend(*unit);
            }
            let n_bytes = (bytes.len() as u64 - offset) as u32;
            samples.push(Sample {
                offset,
                n_bytes,
                keyframe: true,
                shown: true,
                dts: 0,
                pts: 0,
                duration: 1,
            });
        }
        let files = MemoryFiles::default().with("v", Bytes::from(bytes));
        let file = files.open(Path::new("v")).unwrap();
        let entry = SampleEntry { codec, codec_config: Bytes::from(vec![3; 32]), width: 16, height: 16 };
        settle(&mut samples, &entry, file.as_ref()).unwrap();
        samples.iter().map(|it| it.keyframe).collect()
    }

    #[test]
    fn recovery_points_are_no_key_frames_behind_one() {
        let h264 = |all: &[&[&[u8]]]| settled(VideoCodec::H264, all);
        assert_eq!(h264(&[&[&[0x67, 1], &[0x68, 1], SEI, IDR], &[SEI, SLICE], &[IDR]]), [true, false, true]);
        assert_eq!(h264(&[&[SLICE], &[SEI, SLICE], &[IDR], &[SLICE]]), [true, true, true, false]);
        // Without a slice, or damaged: as the tables say.
        assert_eq!(h264(&[&[IDR], &[SEI], &[], &[SLICE]]), [true, true, true, false]);
        let (irap, trail) = (&[0x26, 1][..], &[0x02, 1][..]);
        let (cra, prefix) = (&[0x2a, 1][..], &[0x4e, 1][..]);
        let all: &[&[&[u8]]] = &[&[prefix, irap], &[cra], &[prefix, trail], &[irap]];
        assert_eq!(settled(VideoCodec::H265, all), [true, true, false, true]);
        assert_eq!(settled(VideoCodec::Av1, &[&[SLICE], &[IDR], &[SLICE]]), [true; 3]);
    }

    #[test]
    fn lengths_that_do_not_fit_end_the_look() {
        let mut bytes = 9u32.to_be_bytes().to_vec();
        bytes.extend([6, 5]);
        let n_bytes = bytes.len() as u32;
        let sample = Sample { offset: 0, n_bytes, keyframe: true, shown: true, dts: 0, pts: 0, duration: 1 };
        let files = MemoryFiles::default().with("v", Bytes::from(bytes));
        let file = files.open(Path::new("v")).unwrap();
        assert_eq!(starts(VideoCodec::H264, 4, &sample, file.as_ref()).unwrap(), None);
    }
}
