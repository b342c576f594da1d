use std::{ops::Range, path::PathBuf};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::{
    digest::B3,
    name::DatasetName,
    purge::Removal,
    record::{BlobRef, CommitRecord},
    state::Anchor,
};

/// Ranges of one blob that are under way at once, see [`Remote::read_ranges`].
pub const RANGES_AT_ONCE: usize = 16;

/// What push, pull and the commands speak to: a directory, a bucket and a server are interchangeable.
///
/// All calls block, may come from several threads at once, and may be repeated: doing something twice is
/// doing it once.
pub trait Remote: Send + Sync {
    /// Where it is, for people; without secrets.
    fn label(&self) -> String;

    /// Why a dataset that is there might not be seen by whoever asks, and what to do; `None` where nothing is hidden.
    fn why_hidden(&self) -> Option<String> {
        None
    }

    /// Every dataset that may be seen, in order of name.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    fn datasets(&self) -> Result<Vec<DatasetName>>;

    /// Announces a push, and asks which blobs must be sent. Writes the lease that protects them.
    ///
    /// # Errors
    /// `Io`, `Denied`; `Config` when the store must not be written to (see `node-data store check`).
    fn negotiate(&self, request: &PushRequest) -> Result<Negotiated>;

    /// Sends part `part` of a blob (see [`crate::tree::part_range`]): any order, any thread, any number of
    /// times. When it returns, a later push need not send this part again.
    ///
    /// # Errors
    /// `Io` when a later try may succeed, `Denied`; `Corrupt` when the part has another length.
    fn upload_part(&self, blob: &BlobRef, part: u32, bytes: Bytes) -> Result<()>;

    /// Sends whole blobs of one part each together: as many small ones, they need not each cost a question. When it returns, all of
    /// them are there; when it fails, any of them may be.
    ///
    /// # Errors
    /// As [`Self::upload_part`]; `Corrupt` when one of them is another blob, or has several parts.
    fn upload_blobs(&self, blobs: &[(BlobRef, Bytes)]) -> Result<()> {
        blobs.iter().try_for_each(|(blob, bytes)| self.upload_part(blob, 0, bytes.clone()))
    }

    /// Ends the upload of a blob: checks that the parts are the blob, and gives it its name. One of a single part has it with that
    /// part.
    ///
    /// # Errors
    /// `Corrupt` when they are not: the parts concerned are forgotten and must be sent again. `Io`, `Denied`.
    fn seal(&self, blob: &BlobRef) -> Result<()>;

    /// Takes the lease of a push away.
    ///
    /// # Errors
    /// `Io`. Nothing is lost when it fails: a lease ends by itself.
    fn end_push(&self, push: &str) -> Result<()>;

    /// Adds a record to the log of `dataset` if its number is still free. When the answer of the store is
    /// ambiguous, reads the slot before it says anything.
    ///
    /// # Errors
    /// `Io` when neither the write nor the reading of the slot was answered, `Denied`, and `Conflict` or
    /// `Config` when a server refuses what the record does.
    fn append(&self, dataset: &DatasetName, record: &CommitRecord) -> Result<Appended>;

    /// The records of a log from `from_seq` on, in order, without a gap. Empty for a dataset that is not
    /// there (or whose log is shorter).
    ///
    /// # Errors
    /// `Io`, `Denied`; `Corrupt` when the chain of records is broken.
    fn log(&self, dataset: &DatasetName, from_seq: u64) -> Result<Vec<LogEntry>>;

    /// Length of a blob; `None` when it is not there.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    fn blob_bytes(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<u64>>;

    /// A range of a blob of `dataset`, as the store has it: [`crate::BlobReader`] verifies it.
    ///
    /// # Errors
    /// `Io` (also when it is not there), `Denied`.
    fn read_blob(&self, dataset: &DatasetName, b3: &B3, range: Range<u64>) -> Result<Bytes>;

    /// Several ranges of a blob, as the store has them, in the order they are asked for. A bucket and a server are asked
    /// for up to [`RANGES_AT_ONCE`] of them side by side, so that many small ranges take the time of few.
    ///
    /// # Errors
    /// As [`Self::read_blob`], for the first that fails.
    fn read_ranges(&self, dataset: &DatasetName, b3: &B3, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().map(|it| self.read_blob(dataset, b3, it.clone())).collect()
    }

    /// The file that a blob is, or would be, where the registry is a folder that this process may read itself:
    /// [`crate::BlobReader::mapped`] maps it.
    fn local_path(&self, b3: &B3) -> Option<PathBuf> {
        let _elsewhere = b3;
        None
    }

    /// The blob's `.tree` file; `None` when it has none.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    fn read_tree(&self, dataset: &DatasetName, b3: &B3) -> Result<Option<Bytes>>;

    /// What was noted of the last record of a log beside it; `None` where nothing is, or it is damaged. It may be of an
    /// earlier record. A server notes its own, and tells none.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    fn read_anchor(&self, dataset: &DatasetName) -> Result<Option<Anchor>> {
        let _none = dataset;
        Ok(None)
    }

    /// Removes the blobs that the log of `dataset` says are purged, as far as nothing else needs them.
    ///
    /// # Errors
    /// `Conflict` when a collection is under way; `Unsupported` where nothing can be removed; `Io`, `Denied`.
    fn remove_purged(&self, dataset: &DatasetName) -> Result<Removal> {
        let message = format!("{} removes nothing, also not of {dataset}", self.label());
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// The snapshot of the dataset's state that some writer left, to save reading the whole log. Only a
    /// hint: it may be old or missing.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    fn read_hint(&self, dataset: &DatasetName) -> Result<Option<Bytes>>;

    /// Leaves a snapshot. May do nothing.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    fn write_hint(&self, dataset: &DatasetName, bytes: Bytes) -> Result<()>;
}

/// What a push announces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// Chosen by the pusher; the same for a push that is tried again.
    pub push: String,
    /// Where it will publish.
    pub dataset: DatasetName,
    /// Every blob the revision will name.
    pub blobs: Vec<BlobRef>,
}

/// What must be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiated {
    /// The blobs that are not there, in the order of the request.
    pub need: Vec<Needed>,
}

/// A blob that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// Which.
    pub blob: BlobRef,
    /// Parts of it that are there already, in order.
    pub have: Vec<u32>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one answer per record, looked at and dropped")]
pub enum Appended {
    /// It is in the log: now, or since an earlier try.
    Done {
        /// Digest of its bytes.
        digest: B3,
    },
    /// Another record has that number.
    Taken(LogEntry),
}

/// A record of a log and the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Digest of the record's bytes: what the next record names as `prev`.
    pub digest: B3,
    /// The record.
    pub record: CommitRecord,
}
