use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{Selection, Unit};

/// The order as the reference makes it: all blocks in a list.
fn naive(lengths: &[u64], block: u64, seed: u64, epoch: u64, lanes: Lanes) -> Vec<u64> {
    let (mut blocks, mut n) = (Vec::new(), 0);
    for length in lengths {
        for start in (0..*length).step_by(block as usize) {
            let size = block.min(length - start);
            blocks.push(n..n + size);
            n += size;
        }
    }
    let keys = Keys::of(&[seed, epoch, purpose::BLOCKS]);
    let n_blocks = blocks.len() as u64;
    let line: Vec<u64> =
        (0..n_blocks).flat_map(|it| blocks[keys.permute(n_blocks, it) as usize].clone()).collect();
    let mut starts = vec![0];
    for lane in 0..lanes.lanes {
        starts.push(starts[lane as usize] + n / lanes.lanes + u64::from(lane < n % lanes.lanes));
    }
    let at = |place: u64| {
        let (lane, place) = (place % lanes.lanes, place / lanes.lanes);
        let of_lane = &line[starts[lane as usize] as usize..starts[lane as usize + 1] as usize];
        let window = place / lanes.window;
        let of_window = of_lane.chunks(lanes.window as usize).nth(window as usize).unwrap();
        let keys = Keys::of(&[seed, epoch, purpose::WINDOW, lane, window]);
        of_window[keys.permute(of_window.len() as u64, place % lanes.window) as usize]
    };
    (0..n).map(at).collect()
}

fn blocks(lengths: &[u64], unit: Unit, block: u64) -> Arc<Blocks> {
    let samples = Samples::new(lengths, &Selection { unit, ..Selection::default() }).unwrap();
    Arc::new(Blocks::new(Arc::new(samples), block).unwrap())
}

fn places(order: &Order) -> Vec<u64> {
    (0..order.len()).map(|it| order.sample(it).unwrap()).collect()
}

#[test]
fn blocks_end_with_their_episode() {
    let blocks = blocks(&[5, 0, 4, 1], Unit::Step, 2);
    let ranges: Vec<_> = (0..blocks.len()).map(|it| blocks.range(it).unwrap()).collect();
    assert_eq!(ranges, [0..2, 2..4, 4..5, 5..7, 7..9, 9..10]);
    assert_eq!(blocks.range(6), None);
    assert_eq!(blocks.short().collect::<Vec<_>>(), [(2, 1), (5, 1)]);
}

#[test]
fn a_block_of_one_sample_needs_no_table() {
    for blocks in [blocks(&[3, 2], Unit::Step, 1), blocks(&[7, 1, 9, 0, 3, 8], Unit::Episode, 64)] {
        let ranges: Vec<_> = (0..blocks.len()).map(|it| blocks.range(it).unwrap()).collect();
        assert_eq!(ranges, [0..1, 1..2, 2..3, 3..4, 4..5]);
        assert_eq!((blocks.range(5), blocks.short().count()), (None, 0));
    }
}

#[test]
fn each_sample_is_in_its_block() {
    let lengths = [5, 0, 4, 1];
    for blocks in
        [blocks(&lengths, Unit::Step, 2), blocks(&lengths, Unit::Step, 1), blocks(&lengths, Unit::Episode, 1)]
    {
        let n_samples = blocks.samples().len();
        for block in 0..blocks.len() {
            let range = blocks.range(block).unwrap();
            for sample in range.clone() {
                assert_eq!(blocks.block_of(sample), Some((block, range.clone())));
            }
        }
        assert_eq!((blocks.block_of(n_samples), blocks.block_of(u64::MAX)), (None, None));
    }
}

#[test]
fn blocks_longer_than_any_episode_are_episodes() {
    let lanes = Lanes { lanes: 2, window: 3 };
    let made = |block| places(&Order::shuffled(blocks(&[4, 9, 2], Unit::Step, block), 1, 2, lanes).unwrap());
    assert_eq!(made(u64::MAX), made(9));
    assert_ne!(made(9), made(8));
}

#[test]
fn nothing_has_an_order_without_places() {
    let lanes = Lanes { lanes: 1, window: 1 };
    for lengths in [&[][..], &[0, 0]] {
        let order = Order::shuffled(blocks(lengths, Unit::Step, 64), 0, 0, lanes).unwrap();
        assert_eq!((order.len(), order.sample(0)), (0, None));
    }
}

#[test]
fn mistakes_are_named() {
    let told = |lanes, window| {
        let err = Order::shuffled(blocks(&[5], Unit::Step, 2), 0, 0, Lanes { lanes, window }).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config);
        err.to_string()
    };
    assert_eq!(told(0, 1), "`lanes` is 0");
    assert_eq!(told(6, 1), "`lanes` is 6, and there are 5 samples");
    assert_eq!(told(5, 0), "the window of a lane is 0 samples");
    let samples = Samples::new(&[5], &Selection::default()).unwrap();
    assert_eq!(Blocks::new(Arc::new(samples), 0).unwrap_err().to_string(), "`block` is 0 samples");
}

#[test]
fn more_blocks_than_can_be_counted_are_refused() {
    // One long episode makes whole blocks long, and each of the short ones lacks nearly all of one.
    let mut lengths = vec![1; 9];
    lengths.push(1 << 61);
    let samples = Samples::new(&lengths, &Selection::default()).unwrap();
    let err = Blocks::new(Arc::new(samples), u64::MAX).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Limit);
}

#[test]
fn a_hundred_million_samples_are_opened_by_their_episodes() {
    // Each one of 333,334 episodes ends with a short block: the table is of these, not of the million and a half blocks.
    let lengths: Vec<u64> = (0..333_334).map(|it| 200 + it % 201).collect();
    let blocks = blocks(&lengths, Unit::Step, 64);
    let n = blocks.samples().len();
    assert!(n > 99_000_000);
    let order = Order::shuffled(blocks, 7, 3, Lanes { lanes: 64, window: 512 }).unwrap();
    // One batch in the middle: samples of 64 lanes that lie in 64 windows, each once.
    let middle = n / 2 / 64 * 64;
    let batch: BTreeSet<u64> = (middle..middle + 4096).map(|it| order.sample(it).unwrap()).collect();
    assert_eq!(batch.len(), 4096);
    // A place of a lane and its neighbours in the window come from few blocks, of all those there are.
    let window = order.len() / 64 / 512 / 2;
    let lane: BTreeSet<u64> =
        (window * 512..(window + 1) * 512).map(|it| order.sample(it * 64).unwrap() / 64).collect();
    assert!(lane.len() <= 24, "{}", lane.len());
}

proptest! {
    #[test]
    fn it_is_the_order_of_the_reference(
        lengths in prop::collection::vec(0_u64..90, 1..30),
        block in 1_u64..100,
        seed: u64,
        epoch: u64,
        n_lanes in 1_u64..40,
        window in 1_u64..200,
    ) {
        let blocks = blocks(&lengths, Unit::Step, block);
        let n = blocks.samples().len();
        let lanes = Lanes { lanes: n_lanes.min(n.max(1)), window };
        let order = places(&Order::shuffled(blocks, seed, epoch, lanes).unwrap());
        prop_assert_eq!(&order, &naive(&lengths, block, seed, epoch, lanes));
        let mut sorted = order;
        sorted.sort_unstable();
        prop_assert!(sorted.into_iter().eq(0..n));
    }

    #[test]
    fn whole_episodes_stand_once_each(n_episodes in 1_u64..200, seed: u64, window in 1_u64..300) {
        let lengths: Vec<u64> = (1..=n_episodes).collect();
        let lanes = Lanes { lanes: 1 + seed % n_episodes, window };
        let mut order = places(&Order::shuffled(blocks(&lengths, Unit::Episode, 1), seed, 0, lanes).unwrap());
        order.sort_unstable();
        prop_assert!(order.into_iter().eq(0..n_episodes));
    }
}
