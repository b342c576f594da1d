use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use nodedata_core::{Result, Source};

use crate::{
    far::Near,
    loaded::{Loaded, load},
    mapping::Mapping,
    pictures::{Looked, Parked},
    pose::Trees,
    waiting::{Decoded, Full, Waiting},
};

/// The source and its decoded partitions, shared by all who read pieces.
pub(crate) struct Store {
    pub(crate) source: Box<dyn Source>,
    pub(crate) mapping: Mapping,
    waiting: Waiting<Loaded>,
    pub(crate) trees: Trees,
    /// Decoders of video on their way.
    pub(crate) parked: Parked,
    /// What the first pictures of topics of video tell.
    pub(crate) looked: Looked,
    /// By episode of the source, once it was surveyed, and by mapped stream: how far stamps may be from log time.
    near: Vec<OnceLock<Vec<Option<Near>>>>,
}

/// Partitions that a piece holds, by their number in the source.
pub(crate) type Held = BTreeMap<usize, Arc<Loaded>>;

impl Store {
    pub(crate) fn new(source: Box<dyn Source>, mapping: Mapping) -> Self {
        let waiting = Waiting::new(source.plan().partitions.len(), Full::DecodeAgain);
        let near = source.plan().episodes.iter().map(|_| OnceLock::new()).collect();
        let (trees, parked, looked) = Default::default();
        Self { source, mapping, waiting, trees, parked, looked, near }
    }

    /// From now on messages of an episode of the source that are farther from log time are left out: of `decoded`, where
    /// they wait, as well. Said once.
    pub(crate) fn leave_out_far(&self, episode: usize, near: Vec<Option<Near>>, decoded: &[usize]) {
        let Some(slot) = self.near.get(episode) else { return };
        let near = slot.get_or_init(|| near);
        decoded.iter().for_each(|it| self.waiting.renew(*it, |loaded| loaded.without_far(near)));
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
        let mut loaded = load(self.source.as_ref(), &self.mapping, partition, only)?;
        let episode = self.source.plan().partitions.get(partition).map(|it| it.episode);
        if let Some(near) = episode.and_then(|it| self.near.get(it)?.get()) {
            loaded.leave_out_far(near);
        }
        Ok(loaded)
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
