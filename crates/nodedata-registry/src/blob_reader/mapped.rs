use std::{
    ops::Range,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use nodedata_core::{Files as _, Result};
use nodedata_io::LocalFiles;

use crate::tree::GRAIN_BYTES;

/// A blob as a view of the page cache, and which of its grains were verified.
pub(super) struct Mapped {
    bytes: Bytes,
    /// A bit for each grain. Blobs never change once they are there, so one look at each is enough.
    verified: Vec<AtomicU64>,
}

impl Mapped {
    /// Maps a file. `None` where that cannot be, or where it has another length: whoever reads it by system calls finds
    /// out why.
    pub(super) fn open(path: &Path, n_bytes: u64) -> Option<Self> {
        let file = LocalFiles::file(path).open(Path::new(path.file_name()?)).ok()?;
        let bytes = file.in_memory().filter(|it| it.len() as u64 == n_bytes)?;
        let n_words = n_bytes.div_ceil(GRAIN_BYTES).div_ceil(64);
        Some(Self { bytes, verified: (0..n_words).map(|_| AtomicU64::new(0)).collect() })
    }

    /// The bytes of `range`, once each grain of `aligned` around it was verified, by `verify`, which is given where
    /// the bytes begin.
    pub(super) fn read(
        &self,
        range: Range<u64>,
        aligned: Range<u64>,
        verify: &dyn Fn(u64, &[u8]) -> Result<()>,
    ) -> Result<Bytes> {
        let mut grain = aligned.start / GRAIN_BYTES;
        let end = aligned.end.div_ceil(GRAIN_BYTES);
        while grain < end {
            let run = (grain..end).take_while(|it| !self.is_verified(*it)).count() as u64;
            if run > 0 {
                let some = grain * GRAIN_BYTES..((grain + run) * GRAIN_BYTES).min(self.bytes.len() as u64);
                verify(some.start, &self.slice(&some))?;
                (grain..grain + run).for_each(|it| self.set_verified(it));
            }
            grain += run.max(1);
        }
        Ok(self.slice(&range))
    }

    /// Of a range inside the file, so that both ends fit memory.
    fn slice(&self, range: &Range<u64>) -> Bytes {
        self.bytes.slice(range.start as usize..range.end as usize)
    }

    fn is_verified(&self, grain: u64) -> bool {
        let word = self.verified.get((grain / 64) as usize);
        word.is_some_and(|it| it.load(Ordering::Relaxed) & (1 << (grain % 64)) != 0)
    }

    fn set_verified(&self, grain: u64) {
        if let Some(word) = self.verified.get((grain / 64) as usize) {
            word.fetch_or(1 << (grain % 64), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use nodedata_core::{Error, ErrorKind};

    use super::*;

    #[test]
    fn each_grain_is_verified_once_and_again_after_a_failure() {
        const G: u64 = GRAIN_BYTES;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        let n_bytes = 70 * G + 5;
        let all: Vec<u8> = (0..n_bytes).map(|it| (it / G) as u8).collect();
        std::fs::write(&path, &all).unwrap();
        assert!(Mapped::open(&path, n_bytes + 1).is_none() && Mapped::open(folder.path(), 5).is_none());
        let mapped = Mapped::open(&path, n_bytes).unwrap();
        let seen = RefCell::new(Vec::new());
        let verify = |offset: u64, bytes: &[u8]| {
            seen.borrow_mut().push((offset / G, bytes.len() as u64));
            Ok(())
        };
        let read = |range: Range<u64>| {
            let aligned = range.start / G * G..(range.end.div_ceil(G) * G).min(n_bytes);
            let found = mapped.read(range.clone(), aligned, &verify).unwrap();
            assert_eq!(found, all[range.start as usize..range.end as usize]);
            seen.take()
        };
        let refused = mapped.read(0..1, 0..G, &|_, _| Err(Error::new(ErrorKind::Corrupt, "other bytes")));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(read(G + 1..G + 9), [(1, G)]);
        assert_eq!(read(G + 1..G + 9), []);
        assert_eq!(read(0..4 * G), [(0, G), (2, 2 * G)]);
        assert_eq!(read(63 * G..n_bytes), [(63, 7 * G + 5)]);
        assert_eq!(read(0..n_bytes), [(4, 59 * G)]);
        assert_eq!(read(0..n_bytes), []);
    }
}
