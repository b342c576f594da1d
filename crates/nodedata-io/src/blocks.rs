use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use nodedata_core::{ReadAt, Result};

use crate::memory::past_the_end;

/// Reads below this size go through the blocks; larger ones are one request of their own.
const SMALL_READ_BYTES: u64 = 256 << 10;
/// What one request for a block fetches: record headers and summaries come in runs.
const BLOCK_BYTES: u64 = 1 << 20;
/// The same around bytes that are alone, see [`ReadAt::peek_at`]: a small part of the large record behind them.
const PEEK_BYTES: u64 = 4 << 10;
/// Blocks kept per file, of either size.
const BLOCKS_MAX: usize = 8;

/// A file that is far away: small reads are answered from blocks of 1 MiB, peeks from those of 4 KiB. Of either the eight
/// used last are kept.
///
/// Threads that want different blocks fetch them at the same time. Those that want the same one wait for the first
/// of them; only a block that eight others have pushed out while it was under way is fetched again.
#[derive(Debug)]
pub struct Blocks<R> {
    file: R,
    blocks: Kept,
    peeks: Kept,
}

/// Blocks of one size. Most recently used last. Locked to look up, never to fetch.
#[derive(Debug)]
struct Kept {
    block_bytes: u64,
    /// Whether what comes behind a block is likely to be asked for next.
    goes_on: bool,
    blocks: Mutex<VecDeque<(u64, Arc<Block>)>>,
}

/// Locked while it is fetched, by whoever came first. Empty until then, and again after a failure, which the first
/// one reports: the next one tries for itself.
type Block = Mutex<Option<Bytes>>;

impl<R: ReadAt> Blocks<R> {
    /// Reads `file` through blocks.
    pub fn over(file: R) -> Self {
        Self { file, blocks: Kept::of(BLOCK_BYTES, true), peeks: Kept::of(PEEK_BYTES, false) }
    }

    /// The bytes of `range` from the block that they lie in, or by a request of their own.
    fn read_through(&self, kept: &Kept, range: Range<u64>) -> Result<Bytes> {
        if range.end < range.start || range.end > self.n_bytes() {
            return Err(past_the_end(&range, self.n_bytes()));
        }
        let n_bytes = range.end - range.start;
        if n_bytes == 0 {
            return Ok(Bytes::new());
        }
        let (first, last) = (range.start / kept.block_bytes, (range.end - 1) / kept.block_bytes);
        if n_bytes <= SMALL_READ_BYTES && first + 1 == last && kept.goes_on && kept.has(first) {
            // Whoever reads on from one block into the next wants more of that.
            let border = last * kept.block_bytes;
            let [front, back] = [range.start..border, border..range.end];
            let parts = [self.read_through(kept, front)?, self.read_through(kept, back)?];
            return Ok(parts.concat().into());
        }
        if n_bytes > SMALL_READ_BYTES || first != last {
            return self.file.read_at(range);
        }
        let within = range.start - first * kept.block_bytes;
        let block = kept.block(&self.file, first)?;
        // Both ends lie in one block, so they fit memory.
        Ok(block.slice(within as usize..(within + n_bytes) as usize))
    }
}

impl Kept {
    fn of(block_bytes: u64, goes_on: bool) -> Self {
        Self { block_bytes, goes_on, blocks: Mutex::default() }
    }

    /// Whether a block is there, or on its way.
    fn has(&self, idx: u64) -> bool {
        lock(&self.blocks).iter().any(|it| it.0 == idx)
    }

    fn block(&self, file: &impl ReadAt, idx: u64) -> Result<Bytes> {
        let slot = self.slot(idx);
        let mut block = lock(&slot);
        if let Some(bytes) = &*block {
            return Ok(bytes.clone());
        }
        let start = idx * self.block_bytes;
        let bytes = file.read_at(start..(start + self.block_bytes).min(file.n_bytes()))?;
        Ok(block.insert(bytes).clone())
    }

    /// The place of a block, now the one used last.
    fn slot(&self, idx: u64) -> Arc<Block> {
        let mut blocks = lock(&self.blocks);
        let known = blocks.iter().position(|(it, _)| *it == idx).and_then(|at| blocks.remove(at));
        let (_, slot) = known.unwrap_or_default();
        if blocks.len() == BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back((idx, Arc::clone(&slot)));
        slot
    }
}

impl<R: ReadAt> ReadAt for Blocks<R> {
    fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.read_through(&self.blocks, range)
    }

    fn peek_at(&self, range: Range<u64>) -> Result<Bytes> {
        self.read_through(&self.peeks, range)
    }
}

/// Nothing is half done when a reader panics: a block is there or it is not.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicU64, Ordering},
        },
        thread,
    };

    use nodedata_core::{Error, ErrorKind};

    use super::*;

    /// A file of blocks whose bytes are their number, which does what a test wants before it answers.
    struct Far<F> {
        n_blocks: u64,
        n_reads: AtomicU64,
        before: F,
    }

    fn far<F: Fn(u64) -> Result<()> + Send + Sync>(n_blocks: u64, before: F) -> Blocks<Far<F>> {
        Blocks::over(Far { n_blocks, n_reads: AtomicU64::new(0), before })
    }

    impl<F: Fn(u64) -> Result<()> + Send + Sync> ReadAt for Far<F> {
        fn n_bytes(&self) -> u64 {
            self.n_blocks * BLOCK_BYTES
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            self.n_reads.fetch_add(1, Ordering::SeqCst);
            (self.before)(range.start / BLOCK_BYTES)?;
            Ok(range.map(|it| (it / BLOCK_BYTES) as u8).collect())
        }
    }

    impl<F> Blocks<Far<F>> {
        fn n_reads(&self) -> u64 {
            self.file.n_reads.load(Ordering::SeqCst)
        }
    }

    fn byte_of<R: ReadAt>(file: &Blocks<R>, block: u64) -> Result<Bytes> {
        let at = block * BLOCK_BYTES + 7;
        file.read_at(at..at + 1)
    }

    #[test]
    fn different_blocks_are_under_way_at_once() {
        // No fetch ends before all have begun: one after the other, they would wait for ever.
        let all = Barrier::new(4);
        let file = far(4, |_| {
            all.wait();
            Ok(())
        });
        thread::scope(|scope| {
            let file = &file;
            for block in 0..4 {
                scope.spawn(move || assert_eq!(byte_of(file, block).unwrap()[..], [block as u8]));
            }
        });
        assert_eq!(file.n_reads(), 4);
    }

    #[test]
    fn readers_of_one_block_share_one_fetch() {
        // The fetch is answered once every reader is about to ask.
        let all = Barrier::new(5);
        let file = far(1, |_| {
            all.wait();
            Ok(())
        });
        thread::scope(|scope| {
            let (file, all) = (&file, &all);
            scope.spawn(move || byte_of(file, 0).unwrap());
            for _ in 0..4 {
                scope.spawn(move || {
                    all.wait();
                    assert_eq!(byte_of(file, 0).unwrap()[..], [0]);
                });
            }
        });
        assert_eq!(file.n_reads(), 1);
    }

    #[test]
    fn a_failure_is_told_and_not_kept() {
        let n_failures = AtomicU64::new(0);
        let file = far(1, |_| match n_failures.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Error::new(ErrorKind::Io, "the line is cut")),
            _ => Ok(()),
        });
        assert_eq!(byte_of(&file, 0).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(byte_of(&file, 0).unwrap()[..], [0]);
        assert_eq!(file.n_reads(), 2);
    }

    #[test]
    fn the_blocks_used_last_are_kept_and_no_more() {
        let file = far(20, |_| Ok(()));
        for block in (0..20).chain([0]) {
            byte_of(&file, block).unwrap();
        }
        assert_eq!(lock(&file.blocks.blocks).len(), BLOCKS_MAX);
        let n_reads = file.n_reads();
        for block in (13..20).chain([0]) {
            byte_of(&file, block).unwrap();
        }
        assert_eq!(file.n_reads(), n_reads, "kept");
        byte_of(&file, 12).unwrap();
        assert_eq!(file.n_reads(), n_reads + 1, "let go of");
    }

    /// A run of records, each smaller than a block, some of them across two.
    #[test]
    fn what_is_read_on_across_a_border_is_fetched_once() {
        let file = far(3, |_| Ok(()));
        let n = 100_000;
        for start in (0..file.n_bytes()).step_by(n) {
            let range = start..(start + n as u64).min(file.n_bytes());
            let expected: Vec<u8> = range.clone().map(|it| (it / BLOCK_BYTES) as u8).collect();
            assert_eq!(file.read_at(range).unwrap(), expected);
        }
        assert_eq!(file.n_reads(), 3);
    }

    #[test]
    fn a_peek_fetches_little_and_what_is_read_next_to_it_is_kept() {
        let n_fetched = AtomicU64::new(0);
        struct Counted<'a>(&'a AtomicU64);
        impl ReadAt for Counted<'_> {
            fn n_bytes(&self) -> u64 {
                20 << 20
            }

            fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
                self.0.fetch_add(range.end - range.start, Ordering::SeqCst);
                Ok(vec![0; (range.end - range.start) as usize].into())
            }
        }
        let file = Blocks::over(Counted(&n_fetched));
        for at in [0, 12, 5 << 20, (5 << 20) + 12, 19 << 20] {
            assert_eq!(file.peek_at(at..at + 12).unwrap().len(), 12);
        }
        assert_eq!(n_fetched.load(Ordering::SeqCst), 3 * PEEK_BYTES);
        let border = PEEK_BYTES - 4..PEEK_BYTES + 8;
        assert_eq!(file.peek_at(border).unwrap().len(), 12);
        assert_eq!(n_fetched.load(Ordering::SeqCst), 3 * PEEK_BYTES + 12);
    }

    #[test]
    fn ranges_of_every_size_are_read() {
        let file = far(3, |_| Ok(()));
        let border = BLOCK_BYTES - 4..BLOCK_BYTES + 4;
        assert_eq!(file.read_at(border).unwrap()[..], [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(file.read_at(0..file.n_bytes()).unwrap().len() as u64, 3 * BLOCK_BYTES);
        assert_eq!(file.read_at(5..5).unwrap().len(), 0);
        for outside in [3 * BLOCK_BYTES - 1..3 * BLOCK_BYTES + 1, Range { start: 9, end: 8 }] {
            assert_eq!(file.read_at(outside).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
