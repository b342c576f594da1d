//! Whether the frames of an episode can be cut out of their video.

use nodedata_media::mp4::VideoTrack;

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
    /// At which of them decoding can start, counted from the first; of what is passed through.
    pub(crate) keyframes: Vec<u32>,
    /// The first that is shown more than half a frame from its place on the grid, and when it is shown, in
    /// seconds from the first.
    pub(crate) off_grid: Option<(u64, f64)>,
}

/// Checks the frames of one episode. What is going to be decoded need not start at a key frame.
pub(crate) fn check(track: &VideoTrack, wanted: &Wanted, fps: f64, decodes: bool) -> Checked {
    let Wanted { first_frame, n_frames, .. } = *wanted;
    Checked {
        n_bytes: cut_out(track, first_frame, n_frames, decodes),
        keyframes: if decodes { Vec::new() } else { keyframes(track, first_frame, n_frames) },
        off_grid: off_grid(track, first_frame, n_frames, fps),
    }
}

/// Checks that the frames can be decoded on their own; returns their coded bytes.
fn cut_out(track: &VideoTrack, first: u64, n_frames: u64, decodes: bool) -> Result<u64, String> {
    let wanted = &track.presentation[first as usize..(first + n_frames) as usize];
    let n_bytes = wanted.iter().map(|it| u64::from(track.samples[*it as usize].n_bytes)).sum();
    if decodes {
        return Ok(n_bytes);
    }
    let (Some(start), Some(end)) = (wanted.iter().min(), wanted.iter().max()) else { return Ok(0) };
    if !track.samples[*start as usize].keyframe {
        return Err(
            "the episode's first frame is no key frame: its samples alone cannot be decoded".to_owned()
        );
    }
    if u64::from(end - start) + 1 != n_frames {
        return Err("frames of other episodes lie among the episode's in decode order".to_owned());
    }
    Ok(n_bytes)
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
