use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use nodedata_core::{Result, Source};

use crate::{
    loaded::{Loaded, load},
    mapping::Mapping,
};

/// Bytes of decoded partitions that wait for the neighbours who need them, too. Beyond that they are decoded
/// again: slower, but bounded.
const WAITING_BYTES_MAX: usize = 40 << 20;

/// The source and its decoded partitions, shared by all who read pieces.
pub(crate) struct Store {
    pub(crate) source: Box<dyn Source>,
    pub(crate) mapping: Mapping,
    slots: Vec<Mutex<Slot>>,
    waiting_bytes: AtomicUsize,
}

#[derive(Default)]
struct Slot {
    loaded: Option<Arc<Loaded>>,
    /// How many more will ask.
    n_uses: usize,
}

/// Partitions that a piece holds, by their number in the source.
pub(crate) type Held = BTreeMap<usize, Arc<Loaded>>;

impl Store {
    pub(crate) fn new(source: Box<dyn Source>, mapping: Mapping) -> Self {
        let slots = source.plan().partitions.iter().map(|_| Mutex::default()).collect();
        Self { source, mapping, slots, waiting_bytes: AtomicUsize::new(0) }
    }

    /// A partition for one of the pieces it was planned for. Two that ask at once share one decoding.
    pub(crate) fn take(&self, partition: usize) -> Result<Arc<Loaded>> {
        let mut slot = self.slot(partition);
        slot.n_uses = slot.n_uses.saturating_sub(1);
        self.get(partition, slot)
    }

    /// A partition while planning; it stays for those who will ask.
    pub(crate) fn look_at(&self, partition: usize) -> Result<Arc<Loaded>> {
        let mut slot = self.slot(partition);
        slot.n_uses = usize::MAX;
        self.get(partition, slot)
    }

    /// The rows of one stream of a partition: of what is held or waits, else decoded for this alone.
    pub(crate) fn stream_of(&self, partition: usize, stream: usize, held: &Held) -> Result<Arc<Loaded>> {
        if let Some(loaded) = held.get(&partition) {
            return Ok(Arc::clone(loaded));
        }
        if let Some(loaded) = &self.slot(partition).loaded {
            return Ok(Arc::clone(loaded));
        }
        self.load(partition, Some(stream)).map(Arc::new)
    }

    /// Says how many pieces will ask for a partition.
    pub(crate) fn plan_uses(&self, partition: usize, n_uses: usize) {
        let mut slot = self.slot(partition);
        slot.n_uses = n_uses;
        if n_uses == 0 {
            self.let_go(&mut slot);
        }
    }

    fn get(&self, partition: usize, mut slot: MutexGuard<'_, Slot>) -> Result<Arc<Loaded>> {
        if let Some(loaded) = &slot.loaded {
            let loaded = Arc::clone(loaded);
            if slot.n_uses == 0 {
                self.let_go(&mut slot);
            }
            return Ok(loaded);
        }
        let loaded = Arc::new(self.load(partition, None)?);
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        // Damage belongs to one reader, who must be the one to meet it.
        if slot.n_uses != 0 && loaded.damage.is_empty() && waiting + loaded.n_bytes <= WAITING_BYTES_MAX {
            self.waiting_bytes.fetch_add(loaded.n_bytes, Ordering::Relaxed);
            slot.loaded = Some(Arc::clone(&loaded));
        }
        Ok(loaded)
    }

    fn let_go(&self, slot: &mut Slot) {
        if let Some(loaded) = slot.loaded.take() {
            self.waiting_bytes.fetch_sub(loaded.n_bytes, Ordering::Relaxed);
        }
    }

    fn load(&self, partition: usize, only: Option<usize>) -> Result<Loaded> {
        load(self.source.as_ref(), &self.mapping, partition, only)
    }

    fn slot(&self, partition: usize) -> MutexGuard<'_, Slot> {
        // A slot is whole whatever happened while it was locked: at worst it is empty.
        self.slots[partition].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
