use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_dataset::Dataset;
use nodedata_io::PerProcess;

use crate::{
    lru::Lru,
    shard::{Shard, ShardPlaces},
};

/// Bytes of what is known of shards that are kept open: a large dataset has more of them than fit memory.
const OPEN_BYTES: u64 = 64 << 20;
/// Shards that are opened at once.
const OPENED_AT_ONCE: usize = 16;

/// The shards of a dataset, opened when they are needed.
pub(crate) struct Shards {
    dataset: Dataset,
    places: ShardPlaces,
    /// Of this process: a child must not wait for a thread that it does not have.
    open: PerProcess<Mutex<Open>>,
}

struct Open {
    kept: Lru<usize, Arc<Shard>>,
    /// Those that somebody is opening; others wait for him.
    opening: BTreeMap<usize, Arc<Mutex<()>>>,
}

impl Shards {
    pub(crate) fn new(dataset: Dataset, places: ShardPlaces) -> Self {
        Self { dataset, places, open: PerProcess::new() }
    }

    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The shard at a position of the manifest.
    ///
    /// # Errors
    /// `Corrupt`, also when there is no such shard; `Io`, `Denied`.
    pub(crate) fn get(&self, idx: usize) -> Result<Arc<Shard>> {
        let gate = {
            let mut open = self.lock();
            if let Some(shard) = open.kept.get(&idx) {
                return Ok(shard);
            }
            Arc::clone(open.opening.entry(idx).or_default())
        };
        let _passed = pass(&gate);
        if let Some(shard) = self.lock().kept.get(&idx) {
            return Ok(shard);
        }
        let entry = self.dataset.manifest.shards.get(idx).ok_or_else(|| {
            let message = format!("the index names shard {idx}, which the manifest has not");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        let shard = Shard::open(&self.dataset, idx, entry, &self.places).map(Arc::new);
        let mut open = self.lock();
        open.opening.remove(&idx);
        let shard = shard?;
        // One that alone is too large is kept all the same, alone: who reads it would open it for each step.
        open.kept.put(idx, Arc::clone(&shard), shard.held_bytes().min(OPEN_BYTES));
        Ok(shard)
    }

    /// Several shards, those that are not open yet side by side.
    ///
    /// # Errors
    /// As [`Self::get`], for the first that fails.
    pub(crate) fn get_all(&self, wanted: &[usize]) -> Result<Vec<Arc<Shard>>> {
        let missing: Vec<usize> = {
            let open = self.lock();
            wanted.iter().copied().filter(|it| !open.kept.has(it)).collect()
        };
        if missing.len() < 2 {
            return wanted.iter().map(|it| self.get(*it)).collect();
        }
        let next = AtomicUsize::new(0);
        let opened: Mutex<BTreeMap<usize, Result<Arc<Shard>>>> = Mutex::default();
        let work = || {
            while let Some(idx) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let shard = self.get(*idx);
                opened.lock().unwrap_or_else(PoisonError::into_inner).insert(*idx, shard);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..missing.len().min(OPENED_AT_ONCE) {
                // Where the system has no more threads, this one does what is left.
                if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        let mut opened = opened.into_inner().unwrap_or_else(PoisonError::into_inner);
        wanted.iter().map(|it| opened.remove(it).unwrap_or_else(|| self.get(*it))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        let new = || Mutex::new(Open { kept: Lru::new(OPEN_BYTES), opening: BTreeMap::new() });
        // Nothing is half done when somebody panics: a shard is kept or it is not.
        self.open.get(new).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for whoever opens a shard. Not on a thread of a pool, which opens it as well: he may wait for the pool, to verify what he
/// reads, and while a thread of a pool waits for the others it does work of theirs, such as reading the shard that it opens itself.
fn pass(gate: &Mutex<()>) -> Option<MutexGuard<'_, ()>> {
    match rayon::current_thread_index() {
        None => Some(gate.lock().unwrap_or_else(PoisonError::into_inner)),
        Some(_) => gate.try_lock().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_thread_of_a_pool_waits_for_somebody_who_opens_a_shard() {
        let gate = Mutex::new(());
        let held = pass(&gate);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert!(held.is_some() && pool.install(|| pass(&gate).is_none()));
        drop(held);
        assert!(pool.install(|| pass(&gate).is_some()));
    }
}
