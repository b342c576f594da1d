//! How much memory the program had on the heap at most.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::atomic::{AtomicIsize, Ordering},
};

use crate::aligned::Aligned;

/// The allocator, counting. Every thread counts for itself and tells the others now and then, because
/// numbers that all of them change at every allocation cost a few percent of a conversion (docs/performance.md).
pub(crate) struct Heap {
    now: AtomicIsize,
    peak: AtomicIsize,
}

/// Bytes that a thread takes or gives back before it tells: the peak is true to this many for each thread.
const UNTOLD_BYTES: isize = 64 << 10;

thread_local! {
    // Without a destructor, so that it is there for as long as the thread allocates. What a thread has not told
    // when it ends is forgotten.
    static UNTOLD: Cell<isize> = const { Cell::new(0) };
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self { now: AtomicIsize::new(0), peak: AtomicIsize::new(0) }
    }

    /// The most bytes that were on the heap at one time.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed).unsigned_abs() as u64
    }

    /// Counts memory that was asked for, unless there was none: `n_bytes` more than before, none of which
    /// overflows, because a layout has at most `isize::MAX` bytes.
    fn given(&self, at: *mut u8, n_bytes: isize) -> *mut u8 {
        if !at.is_null() {
            self.count(n_bytes);
        }
        at
    }

    fn count(&self, n_bytes: isize) {
        let untold = UNTOLD.get() + n_bytes;
        if untold.abs() < UNTOLD_BYTES {
            return UNTOLD.set(untold);
        }
        UNTOLD.set(0);
        let now = self.now.fetch_add(untold, Ordering::Relaxed) + untold;
        if untold > 0 {
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
    }
}

#[expect(unsafe_code, reason = "an allocator cannot be put together without")]
// SAFETY: every call is handed on as it came, and counting does not allocate.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`.
        self.given(unsafe { Aligned.alloc(layout) }, layout.size() as isize)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        self.given(unsafe { Aligned.alloc_zeroed(layout) }, layout.size() as isize)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        self.count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { Aligned.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, n_bytes: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `realloc`.
        self.given(unsafe { Aligned.realloc(at, layout, n_bytes) }, n_bytes as isize - layout.size() as isize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_all_threads() {
        let heap = Heap::new();
        let mib = |n: isize| n << 20;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..mib(1)).step_by(1000).for_each(|_| heap.count(1000)));
            }
        });
        let counted = |n: isize| n.unsigned_abs() as u64;
        assert!(heap.peak() > counted(mib(4) - 4 * UNTOLD_BYTES), "{}", heap.peak());
        heap.count(-mib(3));
        heap.count(mib(2));
        assert!(heap.peak() < counted(mib(4) + 4 * UNTOLD_BYTES), "{}", heap.peak());
        heap.count(mib(9));
        assert!(heap.peak() > counted(mib(11)), "{}", heap.peak());
    }

    #[test]
    fn what_cannot_be_had_is_not_counted() {
        // More than any machine has, on the heap of the program itself.
        let n_bytes = isize::MAX as usize / 2;
        let mut bytes: Vec<u8> = vec![1];
        assert!(bytes.try_reserve_exact(n_bytes).is_err());
        assert!(Vec::<u8>::new().try_reserve_exact(n_bytes).is_err());
        assert!(crate::peak_heap() < 1 << 40, "{}", crate::peak_heap());
    }
}
