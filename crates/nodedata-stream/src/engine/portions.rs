use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::engine::{feed::Portion, queue::JobId};

/// A block of a source: the samples that are fetched together, and kept until the last of them is decoded.
pub(super) type BlockId = (usize, u64);

/// What was fetched and is in memory, or is on its way.
#[derive(Debug)]
pub(super) struct Portions {
    all: BTreeMap<u64, Held>,
    /// The blocks among them.
    blocks: BTreeMap<BlockId, u64>,
    /// Those that are here and that nobody needs now, each by when it was needed last.
    idle: BTreeSet<(u64, u64)>,
    held_bytes: u64,
    bytes_max: u64,
    next_id: u64,
    /// Counts uses, so that of blocks that nobody needs now the one goes that was needed longest ago.
    clock: u64,
}

#[derive(Debug)]
struct Held {
    /// `None` while it is on its way.
    portion: Option<Arc<dyn Portion>>,
    n_bytes: u64,
    /// Jobs that still need it.
    n_users: usize,
    /// Those of them that wait for it.
    waiting: Vec<JobId>,
    block: Option<BlockId>,
    last_used: u64,
}

impl Portions {
    /// None, with room for so many bytes.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            all: BTreeMap::new(),
            blocks: BTreeMap::new(),
            idle: BTreeSet::new(),
            held_bytes: 0,
            bytes_max,
            next_id: 0,
            clock: 0,
        }
    }

    /// Bytes in memory or on their way.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Whether there is room for so many bytes. Blocks that nobody needs now give way.
    pub(super) fn make_room(&mut self, n_bytes: u64) -> bool {
        loop {
            if self.held_bytes.saturating_add(n_bytes) <= self.bytes_max {
                return true;
            }
            let Some((_, id)) = self.idle.first().copied() else { return false };
            self.forget(id);
        }
    }

    /// A block that is here or on its way.
    pub(super) fn block(&self, block: BlockId) -> Option<u64> {
        self.blocks.get(&block).copied()
    }

    /// Notes that a portion of about so many bytes is on its way, for whom.
    pub(super) fn open(&mut self, n_bytes: u64, block: Option<BlockId>, waiting: Vec<JobId>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.held_bytes += n_bytes;
        if let Some(block) = block {
            self.blocks.insert(block, id);
        }
        let n_users = waiting.len();
        self.all.insert(id, Held { portion: None, n_bytes, n_users, waiting, block, last_used: 0 });
        id
    }

    /// One more that needs it. `true` where it is here; otherwise whoever needs it is told once it is.
    pub(super) fn add_user(&mut self, id: u64, job: JobId) -> bool {
        let Some(held) = self.all.get_mut(&id) else { return false };
        self.idle.remove(&(held.last_used, id));
        held.n_users += 1;
        if held.portion.is_none() {
            held.waiting.push(job);
        }
        held.portion.is_some()
    }

    /// A portion is here, for these.
    pub(super) fn arrived(&mut self, id: u64, portion: Arc<dyn Portion>) -> Vec<JobId> {
        let Some(held) = self.all.get_mut(&id) else { return Vec::new() };
        let n_bytes = portion.n_bytes();
        self.held_bytes = self.held_bytes - held.n_bytes + n_bytes;
        held.n_bytes = n_bytes;
        held.portion = Some(portion);
        if held.n_users == 0 {
            self.idle.insert((held.last_used, id));
        }
        std::mem::take(&mut held.waiting)
    }

    /// A portion does not come, for none of these.
    pub(super) fn failed(&mut self, id: u64) -> Vec<JobId> {
        let waiting = self.all.get_mut(&id).map(|it| std::mem::take(&mut it.waiting));
        self.forget(id);
        waiting.unwrap_or_default()
    }

    /// A portion that is here.
    pub(super) fn get(&self, id: u64) -> Option<&Arc<dyn Portion>> {
        self.all.get(&id)?.portion.as_ref()
    }

    /// One needs it no more. What is no block goes with the last.
    pub(super) fn release(&mut self, id: u64) {
        self.clock += 1;
        let Some(held) = self.all.get_mut(&id) else { return };
        self.idle.remove(&(held.last_used, id));
        held.n_users = held.n_users.saturating_sub(1);
        held.last_used = self.clock;
        if held.n_users > 0 {
            return;
        }
        if held.block.is_none() {
            self.forget(id);
        } else if held.portion.is_some() {
            self.idle.insert((self.clock, id));
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(held) = self.all.remove(&id) else { return };
        self.idle.remove(&(held.last_used, id));
        self.held_bytes -= held.n_bytes;
        if let Some(block) = held.block {
            self.blocks.remove(&block);
        }
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::Result;
    use nodedata_reader::{Rooms, Rows, VideoCache};

    use super::*;
    use crate::engine::feed::Wanted;

    #[derive(Debug)]
    struct Sized(u64);

    impl Portion for Sized {
        fn n_bytes(&self) -> u64 {
            self.0
        }

        fn decode(&self, _: &Wanted, _: &Rooms, _: &VideoCache) -> Result<Rows> {
            Ok(Rows::default())
        }
    }

    fn job(nth: u64) -> JobId {
        JobId { nth, piece: 0 }
    }

    #[test]
    fn what_nobody_needs_goes_and_blocks_stay_while_there_is_room() {
        let mut portions = Portions::new(100);
        let one = portions.open(30, Some((0, 7)), vec![job(0)]);
        let other = portions.open(30, None, vec![job(1), job(2)]);
        assert!(!portions.add_user(one, job(3)));
        assert_eq!(portions.arrived(one, Arc::new(Sized(50))), [job(0), job(3)]);
        assert_eq!(portions.held_bytes(), 80);
        assert_eq!(portions.arrived(other, Arc::new(Sized(20))), [job(1), job(2)]);
        portions.release(other);
        assert_eq!(portions.held_bytes(), 70);
        portions.release(other);
        assert_eq!(portions.held_bytes(), 50);
        // Somebody needs the block.
        portions.release(one);
        assert!(!portions.make_room(60));
        assert_eq!(portions.block((0, 7)), Some(one));
        // It is here, for whoever comes.
        assert!(portions.add_user(one, job(4)));
        portions.release(one);
        portions.release(one);
        assert!(portions.make_room(50) && portions.block((0, 7)).is_some());
        assert!(portions.make_room(60) && portions.block((0, 7)).is_none());
        assert_eq!(portions.held_bytes(), 0);
    }

    #[test]
    fn of_idle_blocks_the_one_goes_that_was_needed_longest_ago() {
        let mut portions = Portions::new(90);
        let ids = [0, 1, 2].map(|block| portions.open(30, Some((0, block)), vec![job(block)]));
        for id in ids {
            portions.arrived(id, Arc::new(Sized(30)));
        }
        for id in [ids[1], ids[0], ids[2]] {
            portions.release(id);
        }
        assert!(portions.make_room(1));
        assert_eq!([0, 1, 2].map(|it| portions.block((0, it)).is_some()), [true, false, true]);
    }

    #[test]
    fn what_does_not_come_is_forgotten() {
        let mut portions = Portions::new(90);
        let id = portions.open(30, Some((1, 0)), vec![job(5)]);
        portions.add_user(id, job(6));
        assert_eq!(portions.failed(id), [job(5), job(6)]);
        assert_eq!((portions.held_bytes(), portions.block((1, 0))), (0, None));
        assert!(portions.get(id).is_none());
    }
}
