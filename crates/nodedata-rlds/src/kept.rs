//! Copies of large records that are far away or compressed, kept from when they are looked through until their pieces are read.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nodedata_core::{OpenOptions, ReadAt};
use nodedata_io::Scratch;

/// What copies take on the disk, all together. Records beyond that are fetched, or unpacked, once to be cut, and once more in pieces.
const KEPT_BYTES_MAX: u64 = 4 << 30;

/// Room for copies.
pub(crate) struct Room {
    folder: PathBuf,
    left: Arc<AtomicU64>,
}

/// Room that is taken, and given back with this.
pub(crate) struct Lease {
    n_bytes: u64,
    left: Arc<AtomicU64>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.left.fetch_add(self.n_bytes, Ordering::Relaxed);
    }
}

impl Room {
    /// None without a folder for such files: only who reads all records has one, and who merely looks shall not copy them.
    pub(crate) fn new(options: &OpenOptions) -> Self {
        let folder = Scratch::folder(options.scratch.as_deref());
        let left = if options.scratch.is_some() { KEPT_BYTES_MAX } else { 0 };
        Self { folder, left: Arc::new(AtomicU64::new(left)) }
    }

    /// Where files lie that nobody else sees, whether or not there is room to keep any.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Room for so many bytes; `None` where there is none.
    pub(crate) fn take(&self, n_bytes: u64) -> Option<Lease> {
        let less = |left: u64| left.checked_sub(n_bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        Some(Lease { n_bytes, left: Arc::clone(&self.left) })
    }

    /// A file for the copy of a record; `None` where there is no room.
    pub(crate) fn file(&self, n_bytes: u64) -> Option<(Scratch, Lease)> {
        let lease = self.take(n_bytes)?;
        Some((Scratch::within(&self.folder).ok()?, lease))
    }
}

/// A copy of a record, which goes when each of its pieces has been read. Whoever reads one once more has to have the record again.
pub(crate) struct Kept(Mutex<Option<Awaited>>);

struct Awaited {
    copy: Arc<dyn ReadAt>,
    /// By piece, whether it is still to be read.
    is_open: Vec<bool>,
    _lease: Lease,
}

impl Kept {
    pub(crate) fn new(copy: Arc<dyn ReadAt>, lease: Lease, n_pieces: usize) -> Self {
        Self(Mutex::new(Some(Awaited { copy, is_open: vec![true; n_pieces], _lease: lease })))
    }

    /// The copy, where it is still there.
    pub(crate) fn get(&self) -> Option<Arc<dyn ReadAt>> {
        self.lock().as_ref().map(|it| Arc::clone(&it.copy))
    }

    /// Says that a piece has been read.
    pub(crate) fn had(&self, piece: usize) {
        let mut kept = self.lock();
        if let Some(awaited) = &mut *kept
            && let Some(is_open) = awaited.is_open.get_mut(piece)
        {
            *is_open = false;
            if !awaited.is_open.contains(&true) {
                *kept = None;
            }
        }
    }

    /// A copy is there or it is not, also when a thread panicked.
    fn lock(&self) -> MutexGuard<'_, Option<Awaited>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        let scratch = Some(std::env::temp_dir());
        Room::new(&OpenOptions { scratch, ..OpenOptions::default() })
    }

    #[test]
    fn copies_take_no_more_than_they_may_and_give_it_back() {
        let room = room();
        assert!(Room::new(&OpenOptions::default()).take(1).is_none());
        let most = room.file(KEPT_BYTES_MAX - 10);
        assert!(most.is_some() && room.take(11).is_none());
        let rest = room.take(10);
        assert!(rest.is_some() && room.take(1).is_none());
        drop(most);
        assert!(room.take(KEPT_BYTES_MAX - 9).is_none());
        let again = room.take(KEPT_BYTES_MAX - 10);
        assert!(again.is_some() && room.take(1).is_none());
        drop((rest, again));
        assert!(room.take(KEPT_BYTES_MAX).is_some());
    }

    #[test]
    fn a_copy_goes_with_its_last_piece() {
        let room = room();
        let (mut scratch, lease) = room.file(5).unwrap();
        scratch.push(b"hello").unwrap();
        let kept = Kept::new(scratch.into_file().unwrap(), lease, 3);
        for piece in [0, 2, 0, 7] {
            kept.had(piece);
            assert_eq!(kept.get().unwrap().read_at(1..3).unwrap(), &b"el"[..]);
        }
        assert!(room.take(KEPT_BYTES_MAX).is_none());
        let reader = kept.get().unwrap();
        kept.had(1);
        assert!(kept.get().is_none() && room.take(KEPT_BYTES_MAX).is_some());
        // Whoever reads it goes on.
        assert_eq!(reader.n_bytes(), 5);
    }
}
