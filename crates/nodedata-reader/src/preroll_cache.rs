use std::sync::{Arc, Mutex, PoisonError};

use nodedata_dataset::PrerollEntry;
use nodedata_io::PerProcess;

use crate::{lru::Lru, split::VideoId};

/// Bytes of samples that are kept.
const MAX_BYTES: u64 = 64 << 20;

/// Samples of video that no row holds, of the episodes that were read last.
#[derive(Default)]
pub(crate) struct PrerollCache(PerProcess<Mutex<Lru<VideoId, Preroll>>>);

/// The samples of one episode, in decode order.
pub(crate) type Preroll = Arc<[PrerollEntry]>;

impl PrerollCache {
    pub(crate) fn get(&self, id: &VideoId) -> Option<Preroll> {
        self.kept(|it| it.get(id))
    }

    pub(crate) fn put(&self, id: VideoId, preroll: &Preroll) {
        let n_bytes = preroll.iter().map(|it| it.sample.len() as u64).sum();
        self.kept(|it| it.put(id, Arc::clone(preroll), n_bytes));
    }

    fn kept<T>(&self, work: impl FnOnce(&mut Lru<VideoId, Preroll>) -> T) -> T {
        let kept = self.0.get(|| Mutex::new(Lru::new(MAX_BYTES)));
        // Nothing is half done when somebody panics: samples are kept or they are not.
        work(&mut kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
