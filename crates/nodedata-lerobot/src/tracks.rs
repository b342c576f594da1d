//! The video files of a dataset: opened for the plan one after the other, and again when their frames are read.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use nodedata_core::{Error, ErrorKind, Files, Locus, ReadAt, Result};
use nodedata_media::mp4::{Mp4Limits, VideoTrack};

use crate::findings::RESTORE_HINT;

/// An opened video file.
pub(crate) struct OpenVideo {
    pub(crate) track: VideoTrack,
    pub(crate) file: Arc<dyn ReadAt>,
}

/// Opens a video and reads its tables, no frame.
///
/// # Errors
/// `Io`, `Corrupt`, `Unsupported`, `Limit`, with the file as the place.
pub(crate) fn open(files: &dyn Files, path: &Path) -> Result<OpenVideo> {
    let at = |err: Error| err.at(Locus::path(path));
    let file = files.open(path).map_err(at)?;
    if file.n_bytes() == 0 {
        return Err(Error::new(ErrorKind::Corrupt, "the video file is empty")
            .at(Locus::path(path))
            .with_hint(RESTORE_HINT));
    }
    let track = VideoTrack::read(file.as_ref(), &Mp4Limits::default()).map_err(at)?;
    Ok(OpenVideo { track, file })
}

/// Videos opened last. Neighbouring partitions read the same files; tables of long videos are too large to
/// keep for all of them.
pub(crate) struct VideoCache {
    open: Mutex<Vec<(PathBuf, Arc<OpenVideo>)>>,
}

/// Videos kept open: a few cameras for each of a few threads.
const KEPT: usize = 16;

impl VideoCache {
    pub(crate) fn new() -> Self {
        Self { open: Mutex::new(Vec::new()) }
    }

    /// The video at `path`, opened where it is not open.
    ///
    /// # Errors
    /// As [`open`].
    pub(crate) fn get(&self, files: &dyn Files, path: &Path) -> Result<Arc<OpenVideo>> {
        let lock = || self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut kept = lock();
        if let Some(idx) = kept.iter().position(|(it, _)| it == path) {
            let found = kept.remove(idx);
            let video = Arc::clone(&found.1);
            kept.push(found);
            return Ok(video);
        }
        // Not under the lock: another thread may read another video meanwhile.
        drop(kept);
        let video = Arc::new(open(files, path)?);
        let mut kept = lock();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((path.to_owned(), Arc::clone(&video)));
        Ok(video)
    }
}
