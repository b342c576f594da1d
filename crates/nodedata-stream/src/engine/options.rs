use std::{num::NonZeroUsize, path::PathBuf, str::FromStr};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_reader::{FieldsRequest, FrameAxes};

use crate::{OrderOptions, Pad, Selection, Window, named::named};

/// What is read of one source, and in which order.
#[derive(Debug, Clone, Default)]
pub struct StreamOptions {
    /// Which samples there are.
    pub selection: Selection,
    /// The order in which they come.
    pub order: OrderOptions,
    /// The fields that a sample has, and what is done to them.
    pub fields: FieldsRequest,
    /// Fields that hold values of other steps beside those of the sample. Only steps have any.
    pub windows: Vec<(String, Window)>,
    /// What stands where a window leaves the episode.
    pub pad: Pad,
    /// In which order the dimensions of pictures and frames come. A state goes on with another one.
    pub axes: FrameAxes,
    /// Where pictures are kept as they are once they are decoded and resized; `None` for nowhere.
    pub decoded_cache: Option<DecodedCache>,
}

/// Where decoded pictures, frames of video and clips of sound are kept on this machine, for later epochs and for all of its processes.
///
/// Of a set that has more of them than there may be, the first steps of the split are kept, and found in every epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedCache {
    /// The folder; `None` for `nodedata/decoded` of the user's cache folder. It is made where it is not there.
    pub folder: Option<PathBuf>,
    /// Bytes of all files in it, about. What was opened longest ago goes for what comes; but what a stream of this machine has open
    /// stays, and what comes has the rest.
    pub max_bytes: u64,
}

/// How samples are made ready. None of it changes which there are, their order, or what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Threads that decode; `None` for one of each core that this process may use.
    pub threads: Option<usize>,
    /// Coded bytes that are fetched ahead and kept in memory, of sources that are not mapped. 256 MiB unless
    /// somebody says otherwise. What the next sample needs is fetched however much it is.
    pub prefetch_bytes: u64,
    /// Bytes of decoded samples that wait to be taken; 128 MiB unless somebody says otherwise. A sample of more than
    /// half of it is alone in memory: the next one is decoded once it has been taken. Where batches are taken, each counts as a whole from
    /// its first sample on until it is handed over, and what is said of samples holds for batches.
    pub ready_bytes: u64,
    /// Bytes of a decoded sample, at most; 2 GiB unless somebody says otherwise.
    pub max_sample_bytes: u64,
    /// Bytes of decoded frames of video that are kept for samples beside theirs; 256 MiB unless somebody says
    /// otherwise. Of whole episodes only frames of groups that are decoded in parts are kept.
    pub video_cache_bytes: u64,
    /// What becomes of samples that are damaged.
    pub on_error: OnError,
}

/// What becomes of a sample that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// Its error comes in its place.
    #[default]
    Raise,
    /// It is left out and counted, and the next one comes in its place. This is for damage alone: where the store does
    /// not answer, or refuses, the error comes all the same.
    Skip,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            threads: None,
            prefetch_bytes: 256 << 20,
            ready_bytes: 128 << 20,
            max_sample_bytes: 2 << 30,
            video_cache_bytes: 256 << 20,
            on_error: OnError::Raise,
        }
    }
}

impl FromStr for OnError {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named("on_error", text, &[("raise", Self::Raise), ("skip", Self::Skip)])
    }
}

impl OnError {
    /// Whether a sample with this error is left out.
    pub(super) fn skips(self, err: &Error) -> bool {
        // Of the rest the store is the cause, or whoever asks it: the next sample would fare no better.
        let is_damage = matches!(
            err.kind(),
            ErrorKind::Corrupt
                | ErrorKind::Misfit
                | ErrorKind::Unsupported
                | ErrorKind::SchemaMismatch
                | ErrorKind::Limit
        );
        self == Self::Skip && is_damage
    }
}

impl EngineOptions {
    /// What cannot be, all of it.
    pub(super) fn mistakes(&self) -> Vec<Error> {
        let no_threads = self.threads == Some(0);
        let mistake = || {
            Error::new(ErrorKind::Config, "`threads` is 0")
                .with_hint("give at least 1, or leave it out for one of each core")
        };
        no_threads.then(mistake).into_iter().collect()
    }

    /// Threads that decode.
    pub(super) fn n_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.unwrap_or_else(cores).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_damage_is_skipped() {
        let skips = |kind| OnError::Skip.skips(&Error::new(kind, "x"));
        assert!(skips(ErrorKind::Corrupt) && skips(ErrorKind::Limit) && skips(ErrorKind::SchemaMismatch));
        assert!(!skips(ErrorKind::Io) && !skips(ErrorKind::Denied) && !skips(ErrorKind::Interrupted));
        assert!(!OnError::Raise.skips(&Error::new(ErrorKind::Corrupt, "x")));
        assert_eq!("skip".parse::<OnError>().unwrap(), OnError::Skip);
        assert_eq!("skips".parse::<OnError>().unwrap_err().hint(), Some("did you mean `skip`?"));
    }

    #[test]
    fn no_threads_are_a_mistake() {
        let of = |threads| EngineOptions { threads, ..EngineOptions::default() };
        assert_eq!(of(Some(0)).mistakes().len(), 1);
        assert!(of(Some(1)).mistakes().is_empty() && of(None).mistakes().is_empty());
        assert!(of(None).n_threads() >= 1);
    }
}
