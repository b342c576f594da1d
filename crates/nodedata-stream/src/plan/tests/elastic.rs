//! Every sample once, whoever reads it, and however often the readers change.

use super::*;
use crate::Place;

/// All places that all workers of all ranks read from a place on, in batches of the whole world, in their order.
fn read(n_places: u64, from: u64, world: u64, n_workers: u64, batch: u64, tail: Tail) -> Vec<Vec<Place>> {
    let mut batches: Vec<Vec<Place>> = Vec::new();
    for rank in 0..world {
        let share = Share::new(rank, world, batch, tail).unwrap();
        let mut of_rank = Vec::new();
        for worker in 0..n_workers.max(1) {
            let share = share.of_worker(worker, n_workers).unwrap();
            let n_own = share.n_own_batches(n_places, from);
            for nth in 0..n_own {
                let places: Vec<Place> = share.batch(n_places, from, nth).unwrap().collect();
                assert_eq!(places.len() as u64, batch);
                of_rank.push((nth * n_workers.max(1) + worker, places));
            }
            assert!(share.batch(n_places, from, n_own).is_none());
        }
        of_rank.sort_by_key(|(number, _)| *number);
        assert!(of_rank.iter().map(|it| it.0).eq(0..share.n_batches(n_places, from)));
        for (number, places) in of_rank {
            let number = number as usize;
            if batches.len() == number {
                batches.push(Vec::new());
            }
            batches[number].extend(places);
        }
    }
    batches
}

/// The places of a batch of the world, each of which is read once.
fn sorted(batch: &[Place]) -> Vec<u64> {
    let mut places: Vec<u64> = batch.iter().map(|it| it.place).collect();
    places.sort_unstable();
    places
}

proptest! {
    #[test]
    fn every_place_is_read_once(
        n_places in 0_u64..3000,
        from in 0_u64..3000,
        world in 1_u64..=16,
        n_workers in 0_u64..=4,
        batch in 1_u64..=67,
        pads: bool,
    ) {
        let from = from.min(n_places);
        let tail = if pads { Tail::Pad } else { Tail::Drop };
        let batches = read(n_places, from, world, n_workers, batch, tail);
        let stride = world * batch;
        let n_left = n_places - from;
        let n_batches = if pads { n_left.div_ceil(stride) } else { n_left / stride };
        prop_assert_eq!(batches.len() as u64, n_batches);
        for (number, batch) in batches.iter().enumerate() {
            // A batch of the world is the next places of the one order, whatever the world is.
            let start = from + number as u64 * stride;
            let own: Vec<Place> = batch.iter().filter(|it| !it.is_repeat).copied().collect();
            prop_assert_eq!(sorted(&own), (start..(start + stride).min(n_places)).collect::<Vec<_>>());
            prop_assert_eq!(batch.len() as u64, stride);
            prop_assert!(own.len() == batch.len() || number + 1 == batches.len());
            let again = batch.iter().filter(|it| it.is_repeat).map(|it| it.place);
            prop_assert!(again.into_iter().all(|it| it < n_places));
        }
        let share = Share::new(0, world, batch, tail).unwrap();
        let cursor = share.cursor_after(n_places, from, n_batches);
        prop_assert_eq!(cursor, if pads { n_places } else { from + n_batches * stride });
    }

    #[test]
    fn a_world_may_change_at_any_batch(
        lengths in prop::collection::vec(0_u64..200, 1..20),
        batch in 1_u64..=8,
        n_read in prop::collection::vec(0_u64..6, 4),
        seed: u64,
    ) {
        let plan = |shuffle| {
            let mut request = request(&lengths);
            request.order = OrderOptions { shuffle, seed, epoch: 2, ..OrderOptions::default() };
            Arc::new(Plan::of_source(&request).unwrap())
        };
        let first = plan(Shuffle::On);
        let expected = all(&first, &first.start());
        let mut text = first.state(&first.start()).to_json().unwrap();
        let mut drawn = Vec::new();
        for (stage, world) in [8, 6, 1, 16].into_iter().enumerate() {
            // Another process: a plan of its own, and nothing but the text of the state.
            let plan = plan(Shuffle::On);
            let position = plan.resume(&State::from_json(&text).unwrap()).unwrap();
            let (n_places, from) = (plan.n_places(), position.cursor());
            let batches = read(n_places, from, world, 2, batch, Tail::Drop);
            let n_read = n_read[stage].min(batches.len() as u64);
            for batch in &batches[..n_read as usize] {
                drawn.extend(draws(&plan, &position, sorted(batch)));
            }
            let share = Share::new(0, world, batch, Tail::Drop).unwrap();
            let cursor = share.cursor_after(n_places, from, n_read);
            text = plan.state(&plan.with_cursor(&position, cursor).unwrap()).to_json().unwrap();
        }
        // What is left is read by one.
        let position = first.resume(&State::from_json(&text).unwrap()).unwrap();
        prop_assert_eq!(position.cursor() as usize, drawn.len());
        drawn.extend(draws(&first, &position, position.cursor()..first.n_places()));
        prop_assert_eq!(drawn, expected);
    }
}
