use std::sync::{Arc, Mutex, PoisonError};

use nodedata_reader::Memory;

/// The memory of one batch: of each field of pictures or frames one piece, in which every sample has its place.
///
/// There is none before the first place is taken. Places are written by whoever has them, and joined again when the batch is whole.
#[derive(Debug)]
pub(crate) struct BatchMemory {
    /// Names of the fields, and bytes of each in one sample.
    fields: Vec<(Arc<str>, usize)>,
    n_samples: usize,
    /// The places of each field that nobody has taken yet; none where there was no memory for them.
    places: Mutex<Option<Vec<Vec<Option<Memory>>>>>,
}

/// The place of one sample in the memory of its batch.
#[derive(Debug)]
pub(crate) struct Seat {
    memory: Arc<BatchMemory>,
    at: usize,
}

impl BatchMemory {
    pub(crate) fn new(fields: Vec<(Arc<str>, usize)>, n_samples: usize) -> Self {
        Self { fields, n_samples, places: Mutex::new(None) }
    }

    fn cut_up(&self) -> Vec<Vec<Option<Memory>>> {
        let of_field = |n_bytes: usize| {
            let Some(mut rest) = n_bytes.checked_mul(self.n_samples).and_then(Memory::to_fill) else {
                return Vec::new();
            };
            let cut = |_| {
                let (first, others) = std::mem::take(&mut rest).cut(n_bytes);
                rest = others;
                Some(first)
            };
            (0..self.n_samples).map(cut).collect()
        };
        self.fields.iter().map(|(_, n_bytes)| of_field(*n_bytes)).collect()
    }
}

impl Seat {
    pub(crate) fn new(memory: &Arc<BatchMemory>, at: usize) -> Self {
        Self { memory: Arc::clone(memory), at }
    }

    /// The place for so many bytes of a field. `None` where the batch has none for it: then the sample has memory of its own, and is
    /// copied.
    pub(crate) fn take(&self, field: &str, n_bytes: usize) -> Option<Memory> {
        let is_it = |(name, each): &(Arc<str>, usize)| **name == *field && *each == n_bytes;
        let idx = self.memory.fields.iter().position(is_it)?;
        let mut places = self.memory.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = places.get_or_insert_with(|| self.memory.cut_up());
        places.get_mut(idx)?.get_mut(self.at)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_places_side_by_side() {
        let memory = Arc::new(BatchMemory::new(vec![("rgb".into(), 6), ("depth".into(), 4)], 3));
        let take = |at, field, n_bytes| Seat::new(&memory, at).take(field, n_bytes);
        let parts: Vec<Memory> = [0, 1, 2].map(|at| take(at, "rgb", 6).unwrap()).into();
        let address = parts[0].as_ptr();
        let whole = Memory::joined(parts).unwrap();
        assert_eq!((whole.len(), whole.as_ptr()), (18, address));
        assert!(take(0, "rgb", 6).is_none(), "it is taken");
        assert!(
            take(0, "depth", 5).is_none() && take(0, "wrist", 4).is_none() && take(3, "depth", 4).is_none()
        );
        assert_eq!(take(2, "depth", 4).map(|it| it.len()), Some(4));
    }

    #[test]
    fn where_there_is_no_memory_samples_have_their_own() {
        let memory = Arc::new(BatchMemory::new(vec![("rgb".into(), usize::MAX / 2)], 2));
        assert!(Seat::new(&memory, 0).take("rgb", usize::MAX / 2).is_none());
    }
}
