use std::time::Duration;

use nodedata_reader::{Place, VideoCacheStats};

use crate::engine::queue::Done;

/// What a stream has done so far, in all its passes in this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Samples that were delivered.
    pub n_samples: u64,
    /// Samples that were left out because they are damaged.
    pub n_skipped: u64,
    /// The first of these, with their addresses.
    pub skipped: Vec<Skipped>,
    /// Bytes of the samples that were delivered.
    pub decoded_bytes: u64,
    /// Coded bytes that were read for them, from the registry or from the cache on the disk, with what they are verified with; none are
    /// where sources are mapped.
    pub fetched_bytes: u64,
    /// Rounds in which they were, those included that were asked for once more because they were slow.
    pub n_fetches: u64,
    /// Decoded rows of single fields that were found in the cache on the disk, by all streams of the plan.
    pub n_found: u64,
    /// Frames of video that were decoded, and that were there already.
    pub frames: VideoCacheStats,
    /// How long the stream has kept its reader waiting.
    pub waited: Duration,
    /// How long threads have decoded, all of them together.
    pub decoding: Duration,
    /// Coded bytes that are in memory, or on their way.
    pub prefetched_bytes: u64,
    /// Samples that wait to be taken.
    pub n_ready: u64,
    /// The part of `ready_bytes` that is in use: by samples that wait, and by those that are decoded now.
    pub ready_bytes: u64,
    /// Threads that decode; 0 where none run.
    pub n_threads: u64,
    /// What whoever reads should know: [`crate::StreamPlan::warnings`].
    pub warnings: Vec<String>,
}

impl StreamStats {
    /// Adds what a run has done.
    pub(super) fn add(&mut self, done: &Done) {
        self.n_fetches += done.n_fetches;
        self.fetched_bytes += done.fetched_bytes;
        self.decoding += done.decoding;
        self.frames.hits += done.frames.hits;
        self.frames.decoded += done.frames.decoded;
        // What is kept now, if anything is.
        self.frames.n_bytes = done.frames.n_bytes;
    }
}

/// A sample that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which source it is of.
    pub source: usize,
    /// In which of that one's epochs.
    pub epoch: u64,
    /// Its episode, as the row of the split's table of episodes.
    pub episode: usize,
    /// Its first step.
    pub step: u64,
    /// Its place in the pass, counted over all ranks.
    pub place: u64,
    /// What is wrong, with its causes.
    pub message: String,
    /// Where in the dataset that is.
    pub address: Place,
}

/// Samples that were left out whose addresses are kept.
pub(super) const SKIPPED_MAX: usize = 1000;
