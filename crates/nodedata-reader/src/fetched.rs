use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use nodedata_core::Result;
use nodedata_registry::pieces::Pieces;

use crate::{
    blob::Others,
    needs::{Needs, ShardNeeds},
    shard::Shard,
    split::Split,
};

/// Shards of which ranges are fetched at once; of each, up to 16 ranges are under way.
const SHARDS_AT_ONCE: usize = 4;

/// Bytes that were fetched and verified. What is decoded without them is fetched then, one range at a time. Cheap to clone.
#[derive(Clone, Default)]
pub struct Fetched(Arc<BTreeMap<usize, (Arc<Shard>, Pieces)>>);

impl Fetched {
    /// Bytes in memory.
    pub fn n_bytes(&self) -> u64 {
        self.0.values().map(|(_, pieces)| pieces.n_bytes()).sum()
    }

    /// Whether nothing was fetched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The shard, where ranges of it were fetched.
    pub(crate) fn shard(&self, idx: usize) -> Option<Arc<Shard>> {
        self.0.get(&idx).map(|(shard, _)| Arc::clone(shard))
    }

    /// The bytes of a range.
    pub(crate) fn read(&self, shard: &Shard, range: Range<u64>) -> Result<Bytes> {
        let at_hand = self.0.get(&shard.idx).and_then(|(_, pieces)| pieces.get(&range));
        at_hand.map_or_else(|| shard.read(range), Ok)
    }

    /// Whether reading a range waits for nothing.
    pub(crate) fn has(&self, shard: &Shard, range: &Range<u64>) -> bool {
        !shard.is_far() || self.0.get(&shard.idx).is_some_and(|(_, pieces)| pieces.has(range))
    }
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched").field("n_bytes", &self.n_bytes()).finish()
    }
}

impl Split {
    /// Fetches what is needed, in one round: ranges of a shard side by side, and shards as well.
    ///
    /// What somebody else fetches just now is waited for, and not fetched as well: another thread of this process, or another process of
    /// this machine that has the same cache on the disk. What another thread has in memory is taken from there.
    ///
    /// # Errors
    /// `Corrupt` when bytes are not those that were published; `Io`, `Denied`.
    pub fn fetch(&self, needs: &Needs) -> Result<Fetched> {
        self.fetch_beside(needs, Others::Awaited)
    }

    /// The same without a look at what others fetch, where waiting for them has taken too long.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_anyway(&self, needs: &Needs) -> Result<Fetched> {
        self.fetch_beside(needs, Others::Ignored)
    }

    /// Brings what is needed to the cache on the disk, as far as it is not there. Nothing of it stays in memory.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn keep(&self, needs: &Needs) -> Result<()> {
        let keep = |it: &ShardNeeds| it.shard.keep(&it.ranges).map_err(|err| self.placed_at(err, &it.shard));
        needs.shards.iter().try_for_each(keep)
    }

    /// Bytes that the cache on the disk has room for, of all datasets together; 0 where nothing is kept there.
    pub fn disk_bytes(&self) -> u64 {
        self.reader().disk_bytes()
    }

    fn fetch_beside(&self, needs: &Needs, others: Others) -> Result<Fetched> {
        let fetch = |it: &ShardNeeds| {
            let pieces = it.shard.fetch(&it.ranges, others);
            let pieces = pieces.map_err(|err| self.placed_at(err, &it.shard))?;
            Ok((it.shard.idx, (Arc::clone(&it.shard), pieces)))
        };
        if needs.shards.len() < 2 {
            return Ok(Fetched(Arc::new(needs.shards.iter().map(fetch).collect::<Result<_>>()?)));
        }
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(needs.shards.len())));
        let work = || {
            while let Some(it) = needs.shards.get(next.fetch_add(1, Ordering::Relaxed)) {
                let fetched = fetch(it);
                done.lock().unwrap_or_else(PoisonError::into_inner).push(fetched);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..needs.shards.len().min(SHARDS_AT_ONCE) {
                // Where the system has no more threads, this one does what is left.
                if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Fetched(Arc::new(done.into_iter().collect::<Result<_>>()?)))
    }
}
