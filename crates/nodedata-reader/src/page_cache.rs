use std::sync::{Arc, Mutex, PoisonError};

use nodedata_io::PerProcess;

use crate::{assemble::Block, lru::Lru};

/// Bytes of the pages that are kept: those of a million steps of an arm.
const BYTES_MAX: u64 = 64 << 20;
/// A page that has more when it is decoded is not kept, and not decoded as a whole.
pub(crate) const PAGE_BYTES_MAX: u64 = BYTES_MAX / 4;

/// Which page: shard, row group, Parquet column and first row.
pub(crate) type PageKey = (usize, usize, usize, u64);

/// Decoded pages of numbers and text. A page has thousands of steps, and who reads one of them reads others soon.
#[derive(Default)]
pub(crate) struct PageCache(PerProcess<Mutex<Lru<PageKey, Arc<Block>>>>);

impl PageCache {
    pub(crate) fn get(&self, key: &PageKey) -> Option<Arc<Block>> {
        self.kept(|it| it.get(key))
    }

    /// Whether a page is there, so that its bytes need not be fetched.
    pub(crate) fn has(&self, key: &PageKey) -> bool {
        self.kept(|it| it.has(key))
    }

    pub(crate) fn put(&self, key: PageKey, block: &Arc<Block>) {
        let n_bytes = block.n_bytes();
        if n_bytes <= PAGE_BYTES_MAX {
            self.kept(|it| it.put(key, Arc::clone(block), n_bytes));
        }
    }

    fn kept<T>(&self, work: impl FnOnce(&mut Lru<PageKey, Arc<Block>>) -> T) -> T {
        let kept = self.0.get(|| Mutex::new(Lru::new(BYTES_MAX)));
        work(&mut kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
