use std::{collections::BTreeMap, sync::Arc};

use nodedata_core::{Result, Source};

use crate::{
    loaded::{Loaded, load},
    mapping::Mapping,
    waiting::{Decoded, Full, Waiting},
};

/// The source and its decoded partitions, shared by all who read pieces.
pub(crate) struct Store {
    pub(crate) source: Box<dyn Source>,
    pub(crate) mapping: Mapping,
    waiting: Waiting<Loaded>,
}

/// Partitions that a piece holds, by their number in the source.
pub(crate) type Held = BTreeMap<usize, Arc<Loaded>>;

impl Store {
    pub(crate) fn new(source: Box<dyn Source>, mapping: Mapping) -> Self {
        let waiting = Waiting::new(source.plan().partitions.len(), Full::DecodeAgain);
        Self { source, mapping, waiting }
    }

    /// A partition for one of the pieces it was planned for. Two that ask at once share one decoding.
    pub(crate) fn take(&self, partition: usize) -> Result<Arc<Loaded>> {
        self.waiting.take(partition, || self.load(partition, None))
    }

    /// A partition while planning; it stays for those who will ask.
    pub(crate) fn look_at(&self, partition: usize) -> Result<Arc<Loaded>> {
        self.waiting.look_at(partition, || self.load(partition, None))
    }

    /// The rows of one stream of a partition: of what is held or waits, else decoded for this alone.
    pub(crate) fn stream_of(&self, partition: usize, stream: usize, held: &Held) -> Result<Arc<Loaded>> {
        if let Some(loaded) = held.get(&partition) {
            return Ok(Arc::clone(loaded));
        }
        if let Some(loaded) = self.waiting.waits(partition) {
            return Ok(loaded);
        }
        self.load(partition, Some(stream)).map(Arc::new)
    }

    /// Says how many pieces will ask for a partition.
    pub(crate) fn plan_uses(&self, partition: usize, n_uses: usize) {
        self.waiting.plan_uses(partition, n_uses);
    }

    fn load(&self, partition: usize, only: Option<usize>) -> Result<Loaded> {
        load(self.source.as_ref(), &self.mapping, partition, only)
    }
}

impl Decoded for Loaded {
    fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    fn may_wait(&self) -> bool {
        self.damage.is_empty()
    }
}
