//! Frames of one camera, decoded one after the other, and stored while those behind them are decoded.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_array::builder::BinaryBuilder;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_media::{
    Encoding, VideoCodec, image_header,
    video::{CodedSample, DecodeOptions, FrameDecoder, FrameStream, VideoFrame, decoder},
};
use rayon::prelude::*;

use crate::{
    cameras::EpisodeVideo,
    decoded::{FrameColumn, FrameFormat, Stored},
    tracks::OpenVideo,
};

/// Frames that are decoded while as many before them are stored.
const AHEAD: u64 = 8;

/// Decoders that wait for the next piece of their episode.
const PARKED: usize = 8;

type Samples = Box<dyn Iterator<Item = Result<CodedSample>> + Send>;

/// The column of the frames of one camera, in one piece of an episode.
pub(crate) struct Decoding {
    pub(crate) camera: usize,
    format: FrameFormat,
    /// The step behind the piece.
    end: u64,
    player: Option<Player>,
}

/// A decoder on its way through a video.
struct Player {
    frames: FrameStream<Box<dyn FrameDecoder>, Samples>,
    video: Arc<OpenVideo>,
    /// The frame that comes next, in presentation order.
    next: u64,
    /// The frame up to which it was opened.
    end: u64,
}

/// Decoders at the ends of pieces that end inside a group of frames: where the next piece goes on, nothing is decoded twice.
#[derive(Default)]
pub(crate) struct Parked(Mutex<Vec<Player>>);

impl Decoding {
    pub(crate) fn new(camera: usize, format: FrameFormat, end: u64) -> Self {
        Self { camera, format, end, player: None }
    }

    /// The decoded frames of some steps.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `Limit` when the video cannot be decoded; `Io`.
    pub(crate) fn column(
        &mut self,
        episode: &EpisodeVideo,
        steps: &Range<u64>,
        parked: &Parked,
    ) -> Result<FrameColumn> {
        if episode.video.track.codec == VideoCodec::Mjpeg && self.format.is_jpeg() {
            return pictures(episode, steps, &self.format);
        }
        let first = episode.first_frame + steps.start;
        let here = self.player.take().filter(|it| it.next == first);
        let player = here.or_else(|| parked.take(&episode.video, first));
        // What it was is lost with an error: the next steps start from the key frame before them.
        let mut player = match player {
            Some(player) => player,
            None => Player::open(episode, steps.start..self.end)?,
        };
        let mut left = steps.end - steps.start;
        let mut stored: Vec<Stored> = Vec::with_capacity(usize::try_from(left).unwrap_or(0));
        let mut ready = Vec::new();
        while left > 0 || !ready.is_empty() {
            // One that another piece left ends with the group of frames that that piece ended in, and this piece may go on.
            if 0 < left && player.next == player.end {
                player = Player::open(episode, steps.end - left..self.end)?;
            }
            let n = left.min(AHEAD).min(player.end - player.next);
            left -= n;
            let (of_ready, next) = rayon::join(|| self.format.stored_all(&ready), || player.take(n));
            stored.extend(of_ready?);
            ready = next?;
        }
        if player.next < player.end {
            match steps.end < self.end {
                true => self.player = Some(player),
                false => parked.put(player),
            }
        }
        Ok(self.format.column(&stored))
    }
}

/// Samples of MJPEG are JPEG pictures: what is asked for, and nothing is lost by decoding them. They tell themselves what they are.
fn pictures(episode: &EpisodeVideo, steps: &Range<u64>, format: &FrameFormat) -> Result<FrameColumn> {
    let mut stored = BinaryBuilder::new();
    for sample in episode.each(steps) {
        let picture = episode.video.file.read_at(sample.byte_range())?;
        if image_header(&picture).is_none_or(|it| it.encoding != Encoding::Jpeg) {
            return Err(Error::new(ErrorKind::Corrupt, "a sample of MJPEG video is no JPEG picture"));
        }
        stored.append_value(picture);
    }
    Ok(FrameColumn { array: format.array(stored.finish()), shape: None })
}

impl Player {
    /// One that starts with a step of an episode, and goes on to the end of the group of frames that `steps` end in.
    fn open(episode: &EpisodeVideo, steps: Range<u64>) -> Result<Self> {
        let video = Arc::clone(&episode.video);
        let track = &video.track;
        let end_of_episode = episode.first_frame + episode.n_frames;
        let is_key = |frame: &u64| track.shown(*frame).is_none_or(|it| it.keyframe);
        let end = (episode.first_frame + steps.end..end_of_episode).find(is_key).unwrap_or(end_of_episode);
        let next = episode.first_frame + steps.start;
        let fed = track.samples_for(next..end)?;
        let decoder = decoder(track.codec, &track.codec_config, &DecodeOptions::default())?;
        let of_samples = Arc::clone(&video);
        let samples: Samples = Box::new(fed.map(move |idx| {
            let sample = &of_samples.track.samples[idx];
            Ok(CodedSample { order: sample.pts, data: of_samples.file.read_at(sample.byte_range())? })
        }));
        Ok(Self { frames: FrameStream::new(decoder, samples), video, next, end })
    }

    /// The next frames.
    fn take(&mut self, n: u64) -> Result<Vec<VideoFrame>> {
        let mut found = Vec::new();
        while (found.len() as u64) < n {
            let wanted = self.video.track.shown(self.next).map(|it| it.pts);
            match (self.frames.next_frame()?, wanted) {
                // Frames from the key frame on, which are decoded for what they are made into.
                (Some(frame), Some(wanted)) if frame.order < wanted => {}
                (Some(frame), Some(wanted)) if frame.order == wanted => {
                    self.next += 1;
                    found.push(frame);
                }
                _ => {
                    let message = format!("the decoder made no frame {} of the video", self.next);
                    return Err(Error::new(ErrorKind::Corrupt, message));
                }
            }
        }
        if self.next == self.end {
            // Whether all went well is known at the end.
            while self.frames.next_frame()?.is_some() {}
        }
        Ok(found)
    }
}

impl Parked {
    fn take(&self, video: &Arc<OpenVideo>, frame: u64) -> Option<Player> {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = parked.iter().position(|it| it.next == frame && Arc::ptr_eq(&it.video, video))?;
        Some(parked.remove(at))
    }

    fn put(&self, player: Player) {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = (PARKED <= parked.len()).then(|| parked.remove(0));
        parked.push(player);
        // Not under the lock: a decoder may be a program, whose end is waited for.
        drop(parked);
        drop(oldest);
    }
}

impl FrameFormat {
    /// Stores frames side by side.
    fn stored_all(&self, frames: &[VideoFrame]) -> Result<Vec<Stored>> {
        frames.par_iter().map(|it| self.stored(it)).collect()
    }
}
