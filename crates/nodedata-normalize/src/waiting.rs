use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use nodedata_core::Result;

/// Bytes of decoded partitions that wait for the neighbours who need them, too. Beyond that they are decoded
/// again: slower, but bounded.
const WAITING_BYTES_MAX: usize = 40 << 20;

/// A decoded partition.
pub(crate) trait Decoded {
    /// Bytes in memory.
    fn n_bytes(&self) -> usize;

    /// Whether others may have it as well: damage belongs to one reader, who must be the one to meet it.
    fn may_wait(&self) -> bool;
}

/// What becomes of a partition that is to wait where there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// It does not: those that wait are asked for soon.
    DecodeAgain,
    /// Those that have waited longest make room: who would have asked for them may not come.
    ForgetOldest,
}

/// Decoded partitions that wait for those who will ask for them, too.
pub(crate) struct Waiting<D> {
    slots: Vec<Mutex<Slot<D>>>,
    n_bytes: AtomicUsize,
    full: Full,
    /// The slots that were filled, the oldest first.
    filled: Mutex<VecDeque<usize>>,
}

struct Slot<D> {
    decoded: Option<Arc<D>>,
    /// How many more will ask.
    n_uses: usize,
}

impl<D: Decoded> Waiting<D> {
    /// Room for `n` partitions, for which nobody will ask yet.
    pub(crate) fn new(n: usize, full: Full) -> Self {
        let slots = (0..n).map(|_| Mutex::new(Slot { decoded: None, n_uses: 0 })).collect();
        Self { slots, n_bytes: AtomicUsize::new(0), full, filled: Mutex::default() }
    }

    /// A partition for one of those who were to ask for it. Two that ask at once share one decoding.
    pub(crate) fn take(&self, partition: usize, decode: impl FnOnce() -> Result<D>) -> Result<Arc<D>> {
        let mut slot = self.slot(partition);
        slot.n_uses = slot.n_uses.saturating_sub(1);
        self.get(partition, slot, decode)
    }

    /// A partition while planning; it stays for those who will ask.
    pub(crate) fn look_at(&self, partition: usize, decode: impl FnOnce() -> Result<D>) -> Result<Arc<D>> {
        let mut slot = self.slot(partition);
        slot.n_uses = usize::MAX;
        self.get(partition, slot, decode)
    }

    /// A partition where it waits.
    pub(crate) fn waits(&self, partition: usize) -> Option<Arc<D>> {
        self.slot(partition).decoded.clone()
    }

    /// Puts another form of a partition in the place of one that waits.
    pub(crate) fn renew(&self, partition: usize, other: impl FnOnce(&D) -> Option<D>) {
        let mut slot = self.slot(partition);
        let Some(old) = &slot.decoded else { return };
        if let Some(new) = other(old) {
            self.n_bytes.fetch_add(new.n_bytes(), Ordering::Relaxed);
            self.n_bytes.fetch_sub(old.n_bytes(), Ordering::Relaxed);
            slot.decoded = Some(Arc::new(new));
        }
    }

    /// Says how many will ask for a partition.
    pub(crate) fn plan_uses(&self, partition: usize, n_uses: usize) {
        let mut slot = self.slot(partition);
        slot.n_uses = n_uses;
        if n_uses == 0 {
            self.let_go(&mut slot);
        }
    }

    fn get(
        &self,
        partition: usize,
        mut slot: MutexGuard<'_, Slot<D>>,
        decode: impl FnOnce() -> Result<D>,
    ) -> Result<Arc<D>> {
        if let Some(decoded) = &slot.decoded {
            let decoded = Arc::clone(decoded);
            if slot.n_uses == 0 {
                self.let_go(&mut slot);
            }
            return Ok(decoded);
        }
        let decoded = Arc::new(decode()?);
        let has_room = self.n_bytes.load(Ordering::Relaxed) + decoded.n_bytes() <= WAITING_BYTES_MAX;
        if slot.n_uses != 0 && decoded.may_wait() && (has_room || self.full == Full::ForgetOldest) {
            self.n_bytes.fetch_add(decoded.n_bytes(), Ordering::Relaxed);
            slot.decoded = Some(Arc::clone(&decoded));
            // Only one slot is held at a time.
            drop(slot);
            self.make_room(partition);
        }
        Ok(decoded)
    }

    /// Lets go of those that have waited longest, where there are to be none that do.
    fn make_room(&self, filled: usize) {
        if self.full == Full::DecodeAgain {
            return;
        }
        self.filled().push_back(filled);
        while WAITING_BYTES_MAX < self.n_bytes.load(Ordering::Relaxed) {
            let Some(oldest) = self.filled().pop_front() else { return };
            self.let_go(&mut self.slot(oldest));
        }
    }

    fn let_go(&self, slot: &mut Slot<D>) {
        if let Some(decoded) = slot.decoded.take() {
            self.n_bytes.fetch_sub(decoded.n_bytes(), Ordering::Relaxed);
        }
    }

    fn slot(&self, partition: usize) -> MutexGuard<'_, Slot<D>> {
        // A slot is whole whatever happened while it was locked: at worst it is empty.
        self.slots[partition].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filled(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Bytes(usize);

    impl Decoded for Bytes {
        fn n_bytes(&self) -> usize {
            self.0
        }

        fn may_wait(&self) -> bool {
            true
        }
    }

    /// Asks for a partition of `n_bytes`; tells whether it was decoded for that.
    fn decodes(waiting: &Waiting<Bytes>, partition: usize, n_bytes: usize) -> bool {
        let decoded = Cell::new(false);
        let decode = || {
            decoded.set(true);
            Ok(Bytes(n_bytes))
        };
        waiting.take(partition, decode).unwrap();
        decoded.get()
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_goes_first_where_it_is_to_go() {
        let half = WAITING_BYTES_MAX / 2;
        for (full, first_waits) in [(Full::DecodeAgain, true), (Full::ForgetOldest, false)] {
            let waiting = Waiting::new(3, full);
            (0..3).for_each(|it| waiting.plan_uses(it, usize::MAX));
            assert!((0..3).all(|it| decodes(&waiting, it, half)), "{full:?}");
            assert_eq!(waiting.waits(0).is_some(), first_waits, "{full:?}");
            assert_eq!(waiting.waits(2).is_some(), !first_waits, "{full:?}");
            assert!(waiting.n_bytes.load(Ordering::Relaxed) <= WAITING_BYTES_MAX, "{full:?}");
            assert!(!decodes(&waiting, 1, half), "{full:?}");
        }
    }

    #[test]
    fn who_comes_last_leaves_nothing_behind() {
        let waiting = Waiting::new(1, Full::DecodeAgain);
        waiting.plan_uses(0, 2);
        assert!(decodes(&waiting, 0, 8) && !decodes(&waiting, 0, 8));
        assert!(waiting.waits(0).is_none() && decodes(&waiting, 0, 8));
    }
}
