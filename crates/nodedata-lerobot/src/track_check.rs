//! Whether the frames of an episode can be cut out of their video.

use std::{collections::BTreeSet, sync::Arc};

use nodedata_core::{PrerollSample, human};
use nodedata_media::mp4::VideoTrack;

/// Coded bytes that an episode may bring beside its own: they stand in one row of the table of video, and in memory together.
const PREROLL_BYTES_MAX: u64 = 256 << 20;

/// Frames of one episode.
pub(crate) struct Wanted {
    /// Position of the episode.
    pub(crate) idx: usize,
    /// In presentation order.
    pub(crate) first_frame: u64,
    pub(crate) n_frames: u64,
}

/// What the tables of the video say of them.
pub(crate) struct Checked {
    /// Their coded bytes, or why they cannot be cut out.
    pub(crate) n_bytes: Result<u64, String>,
    /// Samples that decoding them takes beside their own; of what is passed through.
    pub(crate) preroll: Arc<[PrerollSample]>,
    /// At which of them decoding can start, counted from the first.
    pub(crate) keyframes: Vec<u32>,
    /// The first that is shown more than half a frame from its place on the grid, and when it is shown, in
    /// seconds from the first.
    pub(crate) off_grid: Option<(u64, f64)>,
}

/// Checks the frames of one episode. What is going to be decoded need not start at a key frame.
pub(crate) fn check(track: &VideoTrack, wanted: &Wanted, fps: f64, decodes: bool) -> Checked {
    let Wanted { first_frame, n_frames, .. } = *wanted;
    let frames = &track.presentation[first_frame as usize..(first_frame + n_frames) as usize];
    let (n_bytes, preroll) = if decodes {
        (Ok(n_bytes_of(track, frames)), Vec::new())
    } else {
        match preroll(track, first_frame, frames) {
            Ok(preroll) => (Ok(n_bytes_of(track, frames)), preroll),
            Err(why) => (Err(why), Vec::new()),
        }
    };
    Checked {
        n_bytes,
        preroll: preroll.into(),
        keyframes: keyframes(track, first_frame, n_frames),
        off_grid: off_grid(track, first_frame, n_frames, fps),
    }
}

fn n_bytes_of(track: &VideoTrack, frames: &[u32]) -> u64 {
    frames.iter().map(|it| u64::from(track.samples[*it as usize].n_bytes)).sum()
}

/// The samples that decoding some frames takes beside their own, in decode order: from the key frame before them on, and those
/// that lie among them. They are shown before all of the frames or behind them.
fn preroll(track: &VideoTrack, first_frame: u64, frames: &[u32]) -> Result<Vec<PrerollSample>, String> {
    let Some(first) = frames.iter().min().copied() else { return Ok(Vec::new()) };
    let needed = track
        .samples_for(first_frame..first_frame + frames.len() as u64)
        .map_err(|_| "no key frame comes before the episode's first frame".to_owned())?;
    if needed.len() == frames.len() {
        return Ok(Vec::new());
    }
    let n_fed: u64 = track.samples[needed.clone()].iter().map(|it| u64::from(it.n_bytes)).sum();
    let n_beside = n_fed.saturating_sub(n_bytes_of(track, frames));
    if PREROLL_BYTES_MAX < n_beside {
        let (told, most) = (human::bytes(n_beside), human::bytes(PREROLL_BYTES_MAX));
        return Err(format!(
            "decoding the episode takes {told} of frames that are not its own, more than {most}"
        ));
    }
    let own: BTreeSet<usize> = frames.iter().map(|it| *it as usize).collect();
    let pts = |idx: usize| track.samples[idx].pts;
    let mut shown: Vec<usize> = needed.filter(|it| !own.contains(it)).collect();
    shown.sort_by_key(|it| (pts(*it), *it));
    let (start, end) = (pts(frames[0] as usize), pts(frames[frames.len() - 1] as usize));
    let n_before = shown.partition_point(|it| pts(*it) < start);
    if shown.get(n_before).is_some_and(|it| pts(*it) <= end) {
        return Err("frames that the edit list hides lie among the episode's".to_owned());
    }
    let step_of = |rank: usize| if rank < n_before { rank as i64 } else { (rank + frames.len()) as i64 };
    let far = |_| "the episode is too long, or starts too far behind its key frame".to_owned();
    let sample = |(rank, idx): (usize, usize)| {
        Ok(PrerollSample {
            decode_index: i32::try_from(idx as i64 - i64::from(first)).map_err(far)?,
            step: i32::try_from(step_of(rank) - n_before as i64).map_err(far)?,
            byte_range: track.samples[idx].byte_range(),
        })
    };
    let mut samples = shown.into_iter().enumerate().map(sample).collect::<Result<Vec<_>, String>>()?;
    samples.sort_by_key(|it| it.decode_index);
    Ok(samples)
}

fn keyframes(track: &VideoTrack, first: u64, n_frames: u64) -> Vec<u32> {
    let wanted = &track.presentation[first as usize..(first + n_frames) as usize];
    (0..).zip(wanted).filter(|(_, it)| track.samples[**it as usize].keyframe).map(|(step, _)| step).collect()
}

/// The first frame that is shown more than half a frame from its place on the grid.
fn off_grid(track: &VideoTrack, first: u64, n_frames: u64, fps: f64) -> Option<(u64, f64)> {
    let scale = f64::from(track.timescale.max(1));
    let zero = track.shown(first)?.pts;
    (0..n_frames).find_map(|idx| {
        let seconds = (track.shown(first + idx)?.pts - zero) as f64 / scale;
        ((seconds * fps - idx as f64).abs() > 0.5).then_some((idx, seconds))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nodedata_media::{VideoCodec, mp4::Sample};

    use super::*;

    /// A video whose samples are shown at these times; the first is its only key frame.
    fn track(times: &[i64], n_bytes: u32) -> VideoTrack {
        let sample = |(idx, pts): (usize, &i64)| Sample {
            offset: 0,
            n_bytes,
            keyframe: idx == 0,
            shown: true,
            dts: idx as i64,
            pts: *pts,
            duration: 1,
        };
        let samples: Vec<Sample> = times.iter().enumerate().map(sample).collect();
        let mut presentation: Vec<u32> = (0..samples.len() as u32).collect();
        presentation.sort_by_key(|it| samples[*it as usize].pts);
        VideoTrack {
            codec: VideoCodec::H264,
            codec_config: Bytes::new(),
            width: 16,
            height: 16,
            timescale: 10,
            samples,
            presentation,
            ignored_tracks: Vec::new(),
        }
    }

    fn checked(track: &VideoTrack, frames: std::ops::Range<u64>, decodes: bool) -> Checked {
        let wanted = Wanted { idx: 0, first_frame: frames.start, n_frames: frames.end - frames.start };
        check(track, &wanted, 10.0, decodes)
    }

    #[test]
    fn what_is_decoded_beside_the_frames_keeps_its_places() {
        let track = track(&[0, 3, 1, 2, 6, 4, 5], 7);
        let found = checked(&track, 2..5, false);
        let places: Vec<(i32, i32)> = found.preroll.iter().map(|it| (it.decode_index, it.step)).collect();
        assert_eq!((found.n_bytes, places), (Ok(21), vec![(-1, -2), (1, -1), (3, 3)]));
        assert_eq!(checked(&track, 0..7, false).preroll.len(), 0);
        assert_eq!(checked(&track, 2..5, true).preroll.len(), 0);
    }

    #[test]
    fn an_episode_far_behind_its_key_frame_is_refused() {
        let track = track(&[0, 1, 2, 3], 200 << 20);
        assert_eq!(checked(&track, 1..4, false).preroll.len(), 1);
        let refused = checked(&track, 2..4, false);
        assert!(refused.n_bytes.unwrap_err().contains("400.0 MiB"));
        assert_eq!(refused.preroll.len(), 0);
        assert_eq!(checked(&track, 2..4, true).n_bytes, Ok(400 << 20));
    }
}
