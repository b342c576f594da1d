//! Copies of large records that are far away, kept from when they are looked through until their pieces are read.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use nodedata_core::OpenOptions;
use nodedata_io::Scratch;

/// What copies take on the disk, all together. Records beyond that are fetched once to be cut, and once more in pieces.
const KEPT_BYTES_MAX: u64 = 4 << 30;

/// Room for copies.
pub(crate) struct Room {
    folder: PathBuf,
    left: AtomicU64,
}

impl Room {
    /// None without a folder for such files: only who reads all records has one, and who merely looks shall not copy them.
    pub(crate) fn new(options: &OpenOptions) -> Self {
        let folder = Scratch::folder(options.scratch.as_deref());
        let left = if options.scratch.is_some() { KEPT_BYTES_MAX } else { 0 };
        Self { folder, left: AtomicU64::new(left) }
    }

    /// A file for the copy of a record; `None` where there is no room. What is taken stays so: copies live as long as the plan.
    pub(crate) fn take(&self, n_bytes: u64) -> Option<Scratch> {
        let less = |left: u64| left.checked_sub(n_bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        Scratch::within(&self.folder).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_take_no_more_than_they_may() {
        let scratch = Some(std::env::temp_dir());
        let room = Room::new(&OpenOptions { scratch, ..OpenOptions::default() });
        assert!(Room::new(&OpenOptions::default()).take(1).is_none());
        assert!(room.take(KEPT_BYTES_MAX - 10).is_some());
        assert!(room.take(11).is_none());
        assert!(room.take(10).is_some() && room.take(1).is_none());
    }
}
