use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use crate::{digest::B3, tree::Tree};

/// Bytes of the trees that are kept: those of half a TiB of blobs.
const BYTES_MAX: u64 = 64 << 20;

/// The trees of the blobs that were opened last, for all readers that share it. A clone is the same cache.
///
/// A tree folds to the digest of its blob, so whichever registry it came from, it is the one. Who finds the cache in
/// somebody's hands does without it: nobody waits, not even for a thread that a fork has left behind.
#[derive(Debug, Clone, Default)]
pub struct TreeCache(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    by_blob: BTreeMap<B3, Arc<Tree>>,
    /// The oldest first.
    order: VecDeque<B3>,
    n_bytes: u64,
}

impl TreeCache {
    /// The tree of a blob, where it is kept.
    pub(crate) fn find(&self, b3: &B3, n_bytes: u64) -> Option<Arc<Tree>> {
        let kept = self.0.try_lock().ok()?;
        kept.by_blob.get(b3).filter(|it| it.n_bytes() == n_bytes).cloned()
    }

    /// Keeps a tree, and lets the oldest go for it.
    pub(crate) fn keep(&self, tree: &Arc<Tree>) {
        if let Ok(mut kept) = self.0.try_lock() {
            kept.keep(tree, BYTES_MAX);
        }
    }
}

impl Kept {
    fn keep(&mut self, tree: &Arc<Tree>, bytes_max: u64) {
        let n_bytes = tree.tree_bytes();
        if n_bytes > bytes_max || self.by_blob.contains_key(tree.b3()) {
            return;
        }
        while self.n_bytes + n_bytes > bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.n_bytes -= self.by_blob.remove(&oldest).map_or(0, |it| it.tree_bytes());
        }
        self.n_bytes += n_bytes;
        self.order.push_back(*tree.b3());
        self.by_blob.insert(*tree.b3(), Arc::clone(tree));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{GRAIN_BYTES, grain_cvs, tree_bytes};

    /// The tree of two grains, 64 bytes.
    fn tree(seed: u8) -> Arc<Tree> {
        let bytes = vec![seed; GRAIN_BYTES as usize + 1];
        let b3 = B3::of(&bytes);
        Arc::new(Tree::parse(&b3, bytes.len() as u64, &tree_bytes(&grain_cvs(0, &bytes))).unwrap())
    }

    #[test]
    fn the_oldest_go_and_a_held_cache_stops_nobody() {
        let all: Vec<Arc<Tree>> = (0..4).map(tree).collect();
        let mut kept = Kept::default();
        for it in [&all[0], &all[1], &all[1], &all[2], &all[3]] {
            kept.keep(it, 3 * 64);
        }
        assert_eq!((kept.n_bytes, kept.order.len()), (3 * 64, 3));
        let is_kept = all.iter().map(|it| kept.by_blob.contains_key(it.b3()));
        assert_eq!(is_kept.collect::<Vec<_>>(), [false, true, true, true]);
        kept.keep(&tree(9), 63);
        assert_eq!(kept.order.len(), 3, "what is too large is not kept, and nothing goes for it");

        let cache = TreeCache::default();
        let shared = cache.clone();
        shared.keep(&all[0]);
        let find = |cache: &TreeCache| cache.find(all[0].b3(), GRAIN_BYTES + 1);
        assert_eq!(find(&cache), Some(Arc::clone(&all[0])));
        assert_eq!(cache.find(all[0].b3(), GRAIN_BYTES + 2), None, "of a blob of another length");
        let held = cache.0.lock().unwrap();
        assert_eq!(find(&cache), None);
        cache.keep(&all[1]);
        drop(held);
        assert_eq!((find(&cache).is_some(), cache.find(all[1].b3(), GRAIN_BYTES + 1)), (true, None));
    }
}
