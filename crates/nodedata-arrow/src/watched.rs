//! What the Parquet reader does not say in its own errors: which page it had read last, and that it was the file that could not be
//! read, and not what is in it.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind};
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

use crate::{Cursor, Ranges, page_sums::PageSums};

/// What is said of a page whose bytes are not those that its checksum was made of.
pub(crate) const OTHER_CHECKSUM: &str = "the page has another checksum than its header says";

/// A file of which is noted what is read.
#[derive(Clone)]
pub(crate) struct Watched {
    ranges: Ranges,
    seen: Arc<Seen>,
    /// Whether bytes are held against the checksums of their pages.
    verifies: bool,
}

/// What was noted.
#[derive(Default)]
pub(crate) struct Seen {
    /// Where it was read on from last: the header of a page.
    header: AtomicU64,
    /// Where the bytes lie that were read last, those of a page, and where they end.
    last: AtomicU64,
    end: AtomicU64,
    failure: Mutex<Option<Error>>,
    sums: Mutex<PageSums>,
}

impl Watched {
    pub(crate) fn new(ranges: &Ranges, seen: &Arc<Seen>) -> Self {
        Self { ranges: ranges.clone(), seen: Arc::clone(seen), verifies: false }
    }

    /// Whether bytes are to be held against the checksums of their pages.
    pub(crate) fn verifying(self, verifies: bool) -> Self {
        Self { verifies, ..self }
    }
}

impl Seen {
    pub(crate) fn header(&self) -> u64 {
        self.header.load(Ordering::Relaxed)
    }

    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Why the file could not be read, where that is why the reader failed.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn sums(&self) -> MutexGuard<'_, PageSums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what failed where it is the file; returns it in words for the reader.
    fn note(&self, err: Error) -> String {
        let told = err.chain();
        if err.kind() == ErrorKind::Io {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(err);
        }
        told
    }
}

impl Length for Watched {
    fn len(&self) -> u64 {
        self.ranges.len()
    }
}

impl ChunkReader for Watched {
    type T = WatchedCursor;

    fn get_read(&self, start: u64) -> Result<WatchedCursor> {
        self.seen.header.store(start, Ordering::Relaxed);
        let begins = self.verifies.then_some(start);
        let (cursor, seen) = (self.ranges.get_read(start)?, Arc::clone(&self.seen));
        Ok(WatchedCursor { cursor, seen, begins, verifies: self.verifies })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.seen.last.store(start, Ordering::Relaxed);
        self.seen.end.store(start.saturating_add(length as u64), Ordering::Relaxed);
        let bytes = self.ranges.get_bytes(start, length).map_err(|err| match err {
            ParquetError::External(err) => match err.downcast::<Error>() {
                Ok(err) => ParquetError::General(self.seen.note(*err)),
                Err(other) => ParquetError::External(other),
            },
            other => other,
        })?;
        if self.verifies && !self.seen.sums().are_sound(start, &bytes) {
            return Err(ParquetError::General(OTHER_CHECKSUM.to_owned()));
        }
        Ok(bytes)
    }
}

/// As [`Cursor`], noted.
pub(crate) struct WatchedCursor {
    cursor: Cursor,
    seen: Arc<Seen>,
    /// Where it begins, as long as nothing was read of it: a reader that knows a header already asks for it and does not read it.
    begins: Option<u64>,
    verifies: bool,
}

impl io::Read for WatchedCursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.cursor.read(into).map_err(|err| match err.downcast::<Error>() {
            Ok(err) => io::Error::other(self.seen.note(err)),
            Err(other) => other,
        })?;
        if self.verifies {
            let mut sums = self.seen.sums();
            if let Some(start) = self.begins.take() {
                sums.begin(start);
            }
            sums.push(&into[..n_bytes]);
        }
        Ok(n_bytes)
    }
}
