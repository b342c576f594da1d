//! Records, and parts of them, as files of their own.

use std::{ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, ReadAt, Result};

use crate::container::{Container, Frame, RecordFiles};

/// The bytes of a record, see [`crate::container::RecordFile::view`].
pub(crate) enum View {
    Part { file: Arc<dyn ReadAt>, start: u64, n_bytes: u64 },
    Whole(Bytes),
}

impl ReadAt for View {
    fn n_bytes(&self) -> u64 {
        match self {
            Self::Part { n_bytes, .. } => *n_bytes,
            Self::Whole(bytes) => bytes.len() as u64,
        }
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        check(&range, self.n_bytes())?;
        match self {
            Self::Part { file, start, .. } => file.read_at(start + range.start..start + range.end),
            Self::Whole(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
        }
    }

    fn peek_at(&self, range: Range<u64>) -> Result<Bytes> {
        match self {
            Self::Part { file, start, n_bytes } if range.start <= range.end && range.end <= *n_bytes => {
                file.peek_at(start + range.start..start + range.end)
            }
            Self::Part { .. } | Self::Whole(_) => self.read_at(range),
        }
    }

    fn in_memory(&self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes.clone()),
            Self::Part { file, start, n_bytes } => {
                let file = file.in_memory()?;
                let start = usize::try_from(*start).ok()?;
                let end = start.checked_add(usize::try_from(*n_bytes).ok()?)?;
                (end <= file.len()).then(|| file.slice(start..end))
            }
        }
    }
}

/// A part of a record that does not lie in its file as it is. The record is had again when the part is read.
pub(crate) struct PartOfRecord {
    pub(crate) files: Arc<RecordFiles>,
    pub(crate) path: PathBuf,
    pub(crate) container: Container,
    pub(crate) frame: Frame,
    /// In the record.
    pub(crate) place: Range<usize>,
}

impl ReadAt for PartOfRecord {
    fn n_bytes(&self) -> u64 {
        self.place.len() as u64
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        check(&range, self.n_bytes())?;
        let record = self.files.open(&self.path, self.container)?.payload(&self.frame)?;
        if record.len() < self.place.end {
            let message = format!("the record has {} bytes and had more before", record.len());
            return Err(Error::new(ErrorKind::Corrupt, message).at(Locus::path(&self.path)));
        }
        let part = record.slice(self.place.clone());
        Ok(part.slice(range.start as usize..range.end as usize))
    }
}

/// # Errors
/// `Corrupt` for a range that is not in `n_bytes`.
fn check(range: &Range<u64>, n_bytes: u64) -> Result<()> {
    if range.start <= range.end && range.end <= n_bytes {
        return Ok(());
    }
    let message = format!("bytes {range:?} were asked of {n_bytes}");
    Err(Error::new(ErrorKind::Corrupt, message))
}
