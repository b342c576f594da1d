use std::{fmt, ops::Range, sync::Arc};

use nodedata_core::{Locus, Result};
use nodedata_reader::{Rooms, Rows, VideoCache};

use crate::engine::lines::Line;

/// Steps of an episode, of the fields of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Which part.
    pub(crate) part: usize,
    /// The episode, as the row of the split's table of episodes.
    pub(crate) episode: usize,
    /// Which of its steps, at least one.
    pub(crate) steps: Range<u64>,
}

/// Where rows come from: a split, and something that can be watched in tests.
pub(crate) trait Feed: fmt::Debug + Send + Sync {
    /// All rows, where nothing need be fetched because the source is mapped.
    fn at_hand(&self) -> Option<Arc<dyn Portion>>;

    /// Brings what these steps need. Ranges of the store are asked for through `line`.
    ///
    /// # Errors
    /// Those of the store and of what it brings, for any of the steps.
    fn fetch(&self, wanted: &[Wanted], line: Line<'_>) -> Result<Arc<dyn Portion>>;

    /// The same once more, because the first answer takes long: nothing is waited for that others fetch.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    fn fetch_again(&self, wanted: &[Wanted], line: Line<'_>) -> Result<Arc<dyn Portion>> {
        self.fetch(wanted, line)
    }

    /// Brings what these steps need to the disk, as far as it is not there, so that fetching them brings it from there.
    ///
    /// # Errors
    /// Those of the store. What is damaged is told by the steps themselves.
    fn keep(&self, wanted: &[Wanted], line: Line<'_>) -> Result<()>;

    /// Coded bytes that the disk has room for; 0 where nothing is kept there.
    fn disk_bytes(&self) -> u64;

    /// Steps of an episode, rising, before which the fields of a part are best cut, because frames of video are decoded from there on.
    /// Nothing is read for it.
    fn cuts(&self, part: usize, episode: usize) -> Vec<u64> {
        let _none = (part, episode);
        Vec::new()
    }

    /// What whoever reads should know of how it is read.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Decoded rows that were found in a cache so far.
    fn n_found(&self) -> u64 {
        0
    }

    /// Where a step is, for errors that do not know.
    fn locus(&self, episode: usize, step: u64) -> Locus;
}

/// What was brought.
pub(crate) trait Portion: fmt::Debug + Send + Sync {
    /// Coded bytes that it keeps in memory.
    fn n_bytes(&self) -> u64;

    /// Rows of steps that were asked for when it was brought. Those of pictures and frames are in `rooms`, where they fit.
    ///
    /// # Errors
    /// Those of the coded bytes.
    fn decode(&self, wanted: &Wanted, rooms: &Rooms, video: &VideoCache) -> Result<Rows>;
}
