use std::sync::Arc;

use crate::engine::{
    batch_memory::{BatchMemory, Seat},
    layout::Layout,
};

/// Deals places in the memory of batches to samples, in their order.
///
/// Which sample is going to be which of its batch follows from their order, but for those that are left out: where one is, those behind it
/// that have their places already come to lie across two batches, and are copied. From the next batch on that begins then all is well
/// again.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// Samples of a batch; 0 where nobody takes batches.
    size: usize,
    /// Which of its batch the next sample is going to be, as far as is known.
    next: usize,
    /// The memory of the batch that is being filled, and how many have places there.
    open: Option<(Arc<BatchMemory>, usize)>,
}

impl Seats {
    /// Those of batches of so many samples, of the first of which so many are there already.
    pub(super) fn new(size: usize, n_there: usize) -> Self {
        Self { size, next: n_there.checked_rem(size).unwrap_or(0), open: None }
    }

    /// Samples of a batch; 0 where nobody takes batches.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether a batch begins with the next sample.
    pub(super) fn begins(&self) -> bool {
        self.next == 0
    }

    /// The place of the next sample; `None` where it has to be copied.
    pub(super) fn deal(&mut self, layout: &Layout) -> Option<Seat> {
        let at = self.next;
        self.next = (at + 1).checked_rem(self.size)?;
        if at == 0 {
            let fields = layout.placed();
            let memory = || (Arc::new(BatchMemory::new(fields, self.size)), 0);
            self.open = (layout.placed_bytes() > 0).then(memory);
        }
        let (memory, n_dealt) = self.open.as_mut().filter(|(_, n_dealt)| *n_dealt == at)?;
        let seat = Seat::new(memory, at);
        *n_dealt += 1;
        if *n_dealt == self.size {
            self.open = None;
        }
        Some(seat)
    }

    /// One that was dealt a place is left out.
    pub(super) fn left_out(&mut self) {
        self.open = None;
        self.next =
            (self.next + self.size).checked_sub(1).and_then(|it| it.checked_rem(self.size)).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Pad, Unit,
        engine::layout::{Part, PlacedField},
    };

    fn layout(row_bytes: usize) -> Layout {
        let placed = vec![PlacedField { name: "rgb".into(), row_bytes }];
        let part = Part { window: None, fields: vec![0], fixed_bytes: 6, varies: false, placed };
        Layout {
            lengths: Arc::new([10]),
            unit: Unit::Step,
            parts: vec![part],
            pad: Pad::Edge,
            coded_bytes: 1,
        }
    }

    /// Whether each of so many samples has a place.
    fn dealt(seats: &mut Seats, n: usize) -> Vec<bool> {
        let layout = layout(6);
        (0..n).map(|_| seats.deal(&layout).is_some_and(|it| it.take("rgb", 6).is_some())).collect()
    }

    #[test]
    fn every_sample_has_a_place_until_one_is_left_out() {
        let mut seats = Seats::new(4, 0);
        assert_eq!(dealt(&mut seats, 6), [true; 6]);
        seats.left_out();
        // What is left of that batch is copied: one more than before, because one is missing.
        assert_eq!(dealt(&mut seats, 3), [false; 3]);
        assert!(seats.begins());
        assert_eq!(dealt(&mut seats, 5), [true; 5]);
        let mut seats = Seats::new(3, 0);
        assert_eq!(dealt(&mut seats, 3), [true; 3]);
        seats.left_out();
        assert_eq!(dealt(&mut seats, 4), [false, true, true, true]);
    }

    #[test]
    fn what_is_there_already_is_of_the_first_batch() {
        let mut seats = Seats::new(3, 2);
        assert_eq!(dealt(&mut seats, 3), [false, true, true]);
    }

    #[test]
    fn nobody_has_a_place_where_there_are_no_batches_or_nothing_to_place() {
        let mut none = Seats::default();
        assert_eq!(dealt(&mut none, 2), [false; 2]);
        none.left_out();
        assert_eq!((none.size(), none.begins()), (0, true));
        let mut seats = Seats::new(2, 0);
        assert!(seats.deal(&layout(0)).is_none() && !seats.begins());
    }
}
