use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt, Result};

/// A file that remembers why it could not be read: the Parquet reader makes words of that, as it does of damage.
pub struct Remembered {
    file: Arc<dyn ReadAt>,
    failure: Mutex<Option<Error>>,
}

impl Remembered {
    /// A file, of which nothing failed yet.
    pub fn of(file: Arc<dyn ReadAt>) -> Arc<Self> {
        Arc::new(Self { file, failure: Mutex::default() })
    }

    /// Why reading it failed: a network that broke off, and whatever else says nothing of what the file holds. Where there was no such
    /// thing, what its reader makes of it.
    pub fn failure_or(&self, damage: impl FnOnce() -> Error) -> Error {
        self.take_failure().unwrap_or_else(damage)
    }

    /// Forgets what failed and did not matter.
    pub fn forget(&self) {
        drop(self.take_failure());
    }

    fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ReadAt for Remembered {
    fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.file.read_at(range).map_err(|err| {
            if err.kind() == ErrorKind::Corrupt {
                return err;
            }
            let told = Error::new(err.kind(), err.to_string());
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(err);
            told
        })
    }
}
