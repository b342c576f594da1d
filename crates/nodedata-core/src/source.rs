use std::collections::BTreeSet;

use crate::{Batch, EpisodeFacts, Fate, Finding, InputRange, Result, SourcePlan, StreamId};

/// An opened dataset: a plan, and a way to read what it names. Shared by all worker threads.
///
/// A source over a source clones the plan, edits it, and reads through the one below: it has nothing else to hand on.
pub trait Source: Send + Sync {
    /// Everything known before a row is read. It never changes.
    fn plan(&self) -> &SourcePlan;

    /// Starts reading the partition at a position of [`SourcePlan::partitions`].
    ///
    /// # Errors
    /// `Io` or `Corrupt` when the partition cannot be opened; `Config` when there is none at that position.
    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>>;

    /// What to open the source with ([`crate::OpenOptions::learned`]) so that these streams have columns for records that do
    /// not fit theirs, which reading reported as [`crate::ErrorKind::Misfit`]. `None` from a source that reports none.
    fn learn_misfits(&self, streams: &BTreeSet<StreamId>) -> Option<String> {
        let _ = streams;
        None
    }
}

/// A cursor over one partition: the rows of one or more streams of one episode, or a part of it.
pub trait EpisodeStream: Send {
    /// The next batch, or `None` at the end. Never empty.
    ///
    /// Damage is an `Err` in place with its [`crate::Loss`]; the stream stays usable and the next
    /// call moves past the damage. A stream never returns the same damage twice.
    ///
    /// # Errors
    /// `Corrupt` with the byte offset of what could not be read; `Limit`; `Io`.
    fn next_batch(&mut self) -> Result<Option<Batch>>;

    /// Records walked so far per stream, counted by framing, before any of them is decoded. At the
    /// end of the stream it must equal rows returned plus records named in losses.
    fn records_read(&self) -> &[(StreamId, u64)];

    /// The stream whose batches this one changes. Whatever a stream does not say itself, the one below says.
    fn below(&self) -> Option<&dyn EpisodeStream> {
        None
    }

    /// What became of the records that rows of another stream are made of; known at the end of the stream.
    fn fates(&self) -> &[Fate] {
        self.below().map_or(&[], |it| it.fates())
    }

    /// What only reading tells of the partition's episode; known at the end of the stream. `None` where the plan
    /// says all there is.
    fn facts(&self) -> Option<&EpisodeFacts> {
        self.below()?.facts()
    }

    /// What reading found that leaves out nothing and that the user should know, known at the end of the stream: findings
    /// of the kind [`crate::FindingKind::Warning`], and of the kind [`crate::FindingKind::Repair`] for rows that hold their
    /// record as it came, which `records` counts.
    fn warnings(&self) -> &[Finding] {
        self.below().map_or(&[], |it| it.warnings())
    }

    /// Bytes outside of [`crate::Partition::reads`] that turned out to decide rows, such as those of the last
    /// message before a gap; known at the end of the stream. They depend on the source alone.
    fn looked_at(&self) -> &[InputRange] {
        self.below().map_or(&[], |it| it.looked_at())
    }
}

/// What one reader of a partition wants, and the bounds on what it may hold in memory.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Upper bound on the decoded bytes of one batch; a batch ends after the row that passes it.
    pub batch_bytes_max: usize,
    /// The streams whose rows are wanted; `None` for all. A source that can skip the others does so and counts no
    /// record of them; one that cannot hands them out, too.
    pub streams: Option<Vec<StreamId>>,
}

impl ReadOptions {
    /// Whether rows of a stream are wanted.
    pub fn wants(&self, stream: StreamId) -> bool {
        self.streams.as_ref().is_none_or(|it| it.contains(&stream))
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { batch_bytes_max: 64 << 20, streams: None }
    }
}
