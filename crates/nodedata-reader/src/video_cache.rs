use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nodedata_core::Result;
use nodedata_io::PerProcess;
use nodedata_media::{
    VideoCodec,
    video::{self, DecodeOptions, FrameDecoder, VideoFrame, decoder},
};

use crate::lru::Lru;

/// The version of the libavcodec that decodes H.264 and H.265 in this process; `None` where there is none, or none is wanted.
///
/// # Errors
/// `Config` when `NODEDATA_LIBAVCODEC` names one that cannot be used.
pub fn libavcodec_version() -> Result<Option<String>> {
    video::libavcodec_version(&DecodeOptions::default().libavcodec)
}

/// Decoders that are kept for the next group of their video.
const DECODERS_MAX: usize = 8;

/// Frames of video that were decoded last, and decoders that wait for the next group: who reads a step reads its neighbours soon, and a
/// frame is decoded from the last key frame on. Threads share one; a clone is the same.
#[derive(Clone)]
pub struct VideoCache(Arc<Inner>);

struct Inner {
    max_bytes: u64,
    is_of_episodes: bool,
    kept: PerProcess<Mutex<Kept>>,
    hits: AtomicU64,
    decoded: AtomicU64,
}

struct Kept {
    frames: Lru<FrameKey, Arc<VideoFrame>>,
    /// Most recently used last.
    decoders: VecDeque<(DecoderKey, Box<dyn FrameDecoder>)>,
}

/// How much of it was of use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VideoCacheStats {
    /// Frames that were there.
    pub hits: u64,
    /// Frames that were decoded, those that nobody wanted but that others are made from among them.
    pub decoded: u64,
    /// Bytes of the frames that are kept now.
    pub n_bytes: u64,
}

/// Which frame: split, episode, feature and step.
pub(crate) type FrameKey = (u64, usize, Arc<str>, u64);

/// What a decoder was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecoderKey {
    pub(crate) codec: VideoCodec,
    pub(crate) config: Arc<[u8]>,
    pub(crate) size: [u32; 2],
}

impl VideoCache {
    /// One that keeps frames of so many bytes.
    pub fn new(max_bytes: u64) -> Self {
        Self::keeping(max_bytes, false)
    }

    /// The same for whoever wants each frame of an episode once: of groups that are wanted as a whole nothing is kept.
    pub fn of_episodes(max_bytes: u64) -> Self {
        Self::keeping(max_bytes, true)
    }

    fn keeping(max_bytes: u64, is_of_episodes: bool) -> Self {
        Self(Arc::new(Inner {
            max_bytes,
            is_of_episodes,
            kept: PerProcess::new(),
            hits: AtomicU64::new(0),
            decoded: AtomicU64::new(0),
        }))
    }

    /// How much of it was of use, in this process and in the one that it was forked from.
    pub fn stats(&self) -> VideoCacheStats {
        VideoCacheStats {
            hits: self.0.hits.load(Ordering::Relaxed),
            decoded: self.0.decoded.load(Ordering::Relaxed),
            n_bytes: self.kept(|it| it.frames.n_bytes()),
        }
    }

    /// A frame that is kept.
    pub(crate) fn get(&self, key: &FrameKey) -> Option<Arc<VideoFrame>> {
        let frame = self.kept(|it| it.frames.get(key));
        self.0.hits.fetch_add(u64::from(frame.is_some()), Ordering::Relaxed);
        frame
    }

    /// Whether a frame is kept.
    pub(crate) fn has(&self, key: &FrameKey) -> bool {
        self.kept(|it| it.frames.has(key))
    }

    /// Bytes that it may have.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.0.max_bytes
    }

    /// Whether nobody comes back for groups that are wanted as a whole.
    pub(crate) fn is_of_episodes(&self) -> bool {
        self.0.is_of_episodes
    }

    /// Counts a frame that was decoded, and keeps it where it has a key.
    pub(crate) fn decoded(&self, key: Option<FrameKey>, frame: VideoFrame) {
        self.0.decoded.fetch_add(1, Ordering::Relaxed);
        let Some(key) = key.filter(|_| self.0.max_bytes > 0) else { return };
        let n_bytes = frame.planes.iter().map(|it| it.len() as u64).sum();
        self.kept(|it| it.frames.put(key, Arc::new(frame), n_bytes));
    }

    /// A decoder that is ready for a key frame.
    ///
    /// # Errors
    /// `Unsupported`, `Corrupt`, `Limit`, `Io` when there is none for such video.
    pub(crate) fn decoder(&self, key: &DecoderKey) -> Result<Box<dyn FrameDecoder>> {
        let kept = self.kept(|it| {
            let at = it.decoders.iter().position(|(it, _)| it == key)?;
            it.decoders.remove(at)
        });
        match kept {
            Some((_, decoder)) => Ok(decoder),
            None => decoder(key.codec, &key.config, &DecodeOptions::default()),
        }
    }

    /// Keeps a decoder for the next group, where it can go on.
    pub(crate) fn give_back(&self, key: DecoderKey, mut decoder: Box<dyn FrameDecoder>) {
        if decoder.reset().is_err() {
            return;
        }
        let _oldest = self.kept(|it| {
            it.decoders.push_back((key, decoder));
            if DECODERS_MAX < it.decoders.len() { it.decoders.pop_front() } else { None }
        });
    }

    fn kept<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        let new = || Mutex::new(Kept { frames: Lru::new(self.0.max_bytes), decoders: VecDeque::new() });
        // Nothing is half done when somebody panics: a frame is kept or it is not.
        work(&mut self.0.kept.get(new).lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for VideoCache {
    /// One of 256 MiB.
    fn default() -> Self {
        Self::new(256 << 20)
    }
}

impl std::fmt::Debug for VideoCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoCache").field("max_bytes", &self.0.max_bytes).finish_non_exhaustive()
    }
}
