//! Memory that was handed out and let go of, kept for what is decoded next.
//!
//! The system clears each page that it hands out, and of large arrays that takes as long as decoding a small picture into them. Whoever
//! reads on gets the memory of what was read before, which lies there already.

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes from which on a piece of memory is worth keeping: less is handed out by the allocator as fast.
pub const SPARE_BYTES_MIN: usize = 256 << 10;
/// So much is kept, or one piece that is larger.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// From here on memory is mapped for itself, and gets longer or shorter where its pages are: nothing is copied.
const MAPPED_BYTES: usize = 64 << 20;

/// Pieces that were let go of, the first one first.
///
/// Nobody waits for it: in a process that was forked somebody may have it for ever, who is not there. Without it memory is new.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static N_USERS: AtomicUsize = AtomicUsize::new(0);

/// As long as there is one of these memory is kept, for whoever reads in this process.
#[derive(Debug)]
pub struct KeepsSpare(());

impl KeepsSpare {
    /// Memory is kept from now on.
    #[expect(clippy::new_without_default, reason = "it is made for what it does")]
    pub fn new() -> Self {
        N_USERS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for KeepsSpare {
    fn drop(&mut self) {
        if N_USERS.fetch_sub(1, Ordering::SeqCst) == 1
            && let Some(mut kept) = kept()
        {
            kept.clear();
        }
    }
}

/// Gives back memory that nobody needs any more, whatever it holds. What is smaller than [`SPARE_BYTES_MIN`] goes back to the allocator, as does
/// everything while nobody has a [`KeepsSpare`].
pub fn give_back(memory: Vec<u8>) {
    if memory.capacity() < SPARE_BYTES_MIN || N_USERS.load(Ordering::SeqCst) == 0 {
        return;
    }
    let Some(mut kept) = kept() else { return };
    keep(&mut kept, memory);
    // The last user has gone meanwhile, and found it taken.
    if N_USERS.load(Ordering::SeqCst) == 0 {
        kept.clear();
    }
}

/// So many bytes, holding anything, of what was given back.
pub(crate) fn take(n_bytes: usize) -> Option<Vec<u8>> {
    if n_bytes < SPARE_BYTES_MIN {
        return None;
    }
    let mut memory = fitting(&mut *kept()?, n_bytes)?;
    if memory.capacity() < n_bytes {
        memory.try_reserve_exact(n_bytes - memory.len()).ok()?;
    }
    memory.resize(n_bytes, 0);
    if is_roomy(memory.capacity(), n_bytes) {
        memory.shrink_to_fit();
    }
    Some(memory)
}

fn kept() -> Option<MutexGuard<'static, Vec<Vec<u8>>>> {
    KEPT.try_lock().ok()
}

fn keep(kept: &mut Vec<Vec<u8>>, memory: Vec<u8>) {
    kept.push(memory);
    let mut n_bytes: usize = kept.iter().map(Vec::capacity).sum();
    let n_dropped = kept.iter().take(kept.len() - 1).take_while(|it| {
        let is_too_much = n_bytes > KEPT_BYTES_MAX;
        n_bytes -= if is_too_much { it.capacity() } else { 0 };
        is_too_much
    });
    let n_dropped = n_dropped.count();
    kept.drain(..n_dropped);
}

/// The piece that needs to change least, if one is near enough.
fn fitting(kept: &mut Vec<Vec<u8>>, n_bytes: usize) -> Option<Vec<u8>> {
    let is_near = |capacity: usize| {
        (n_bytes <= capacity && !is_roomy(capacity, n_bytes)) || n_bytes.min(capacity) >= MAPPED_BYTES
    };
    let near = kept.iter().enumerate().filter(|(_, it)| is_near(it.capacity()));
    let (place, _) = near.min_by_key(|(_, it)| it.capacity().abs_diff(n_bytes))?;
    Some(kept.remove(place))
}

/// Whether a quarter of it or more would be left over.
fn is_roomy(capacity: usize, n_bytes: usize) -> bool {
    capacity - capacity / 4 >= n_bytes
}

#[cfg(test)]
mod tests {
    use std::sync::PoisonError;

    use super::*;

    /// What is kept is the process', and tests may run side by side in one.
    static ALONE: Mutex<()> = Mutex::new(());

    fn alone() -> MutexGuard<'static, ()> {
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const MIB: usize = 1 << 20;

    fn capacities(kept: &[Vec<u8>]) -> Vec<usize> {
        kept.iter().map(|it| it.capacity() / MIB).collect()
    }

    #[test]
    fn what_is_let_go_of_is_used_again_as_long_as_somebody_reads() {
        let _alone = alone();
        give_back(vec![1; MIB]);
        assert_eq!(take(MIB), None, "nobody reads");
        let reads = [KeepsSpare::new(), KeepsSpare::new()];
        let memory = vec![7; MIB];
        let address = memory.as_ptr();
        give_back(memory);
        give_back(vec![1; SPARE_BYTES_MIN - 1]);
        assert!(take(MIB + 1).is_none() && take(MIB / 2).is_none() && take(100).is_none());
        let again = take(MIB - 5).unwrap();
        assert_eq!((again.len(), again.as_ptr(), again[0]), (MIB - 5, address, 7));
        assert_eq!(take(MIB - 5), None, "it is taken");
        give_back(again);
        let [first, last] = reads;
        drop(first);
        // The end of it was never written to.
        let again = take(MIB).unwrap();
        assert_eq!((again.as_ptr(), again[MIB - 1]), (address, 0));
        give_back(again);
        drop(last);
        let _again = KeepsSpare::new();
        assert_eq!(take(MIB), None, "nobody read for a while");
    }

    #[test]
    fn large_memory_gets_longer_and_shorter() {
        let (_alone, _reads) = (alone(), KeepsSpare::new());
        give_back(vec![3; 90 * MIB]);
        let longer = take(100 * MIB).unwrap();
        assert!(longer.len() == 100 * MIB && longer[90 * MIB - 1] == 3 && longer[90 * MIB] == 0);
        give_back(longer);
        let shorter = take(70 * MIB).unwrap();
        assert!(shorter.len() == 70 * MIB && shorter.capacity() < 80 * MIB && shorter[0] == 3);
        give_back(shorter);
        assert_eq!(take(60 * MIB).map(|it| it.len()), Some(60 * MIB), "that is near enough");
    }

    #[test]
    fn so_much_is_kept_or_one_piece() {
        let mut kept = Vec::new();
        for n_mib in [60, 120, 80, 40] {
            keep(&mut kept, Vec::with_capacity(n_mib * MIB));
        }
        assert_eq!(capacities(&kept), [120, 80, 40]);
        assert_eq!(fitting(&mut kept, 62 * MIB).map(|it| it.capacity() / MIB), Some(80));
        keep(&mut kept, Vec::with_capacity(400 * MIB));
        assert_eq!(capacities(&kept), [400]);
        keep(&mut kept, Vec::with_capacity(MIB));
        assert_eq!(capacities(&kept), [1]);
    }

    #[test]
    fn nobody_waits_for_it() {
        let (_alone, _reads) = (alone(), KeepsSpare::new());
        give_back(vec![1; MIB]);
        let taken = KEPT.lock().unwrap();
        assert_eq!(take(MIB), None);
        give_back(vec![1; MIB]);
        drop(KeepsSpare::new());
        drop(taken);
        assert!(take(MIB).is_some());
    }
}
