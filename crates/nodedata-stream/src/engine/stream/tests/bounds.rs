//! How far threads work ahead, and how much they keep.

use std::{
    sync::atomic::Ordering::SeqCst,
    thread,
    time::{Duration, Instant},
};

use nodedata_reader::{SPARE_BYTES_MIN, give_back};

use super::{
    memory::{CODED, FRESH},
    *,
};
use crate::engine::feed::Wanted;

/// Waits until something holds, which is a matter of moments.
pub(super) fn wait_until(holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never comes to hold");
        thread::yield_now();
    }
}

/// Samples that are decoded or being decoded, and not taken, at most: of so many bytes each, under these options. Threads are let work
/// until they can go no further, after each sample that is taken.
fn decoded_ahead(load: usize, engine: EngineOptions, expected: usize) {
    for is_mapped in [true, false] {
        let mut memory = Memory::new(&[30]).mapped(is_mapped);
        memory.load = load;
        let watch = Arc::clone(&memory.watch);
        let mut stream = Stream::new(plan(memory, all_places(), engine));
        let mut n_taken = 0;
        while let Some(sample) = stream.next() {
            sample.unwrap();
            n_taken += 1;
            let begun = (n_taken + expected).min(30);
            wait_until(|| watch.n_begun.load(SeqCst) >= begun);
            // Nothing is taken, so nothing more may be begun; those that were begun are ready soon.
            let n_ready = (begun - n_taken) as u64;
            wait_until(|| stream.stats().n_ready >= n_ready);
            assert_eq!(watch.n_begun.load(SeqCst), begun, "{n_taken} were taken");
            let stats = stream.stats();
            assert_eq!(stats.n_ready, n_ready);
            let most = engine.ready_bytes.max(load as u64 + 16 + 1024);
            assert!(stats.ready_bytes <= most, "{stats:?}");
        }
        assert_eq!(n_taken, 30);
    }
}

#[test]
fn samples_wait_as_long_as_they_fit() {
    for threads in [1, 4] {
        let engine =
            EngineOptions { threads: Some(threads), ready_bytes: 55_200, ..EngineOptions::default() };
        decoded_ahead(10_000, engine, 5);
        // At least two of what is no larger than half.
        decoded_ahead(26_000, engine, 2);
    }
}

#[test]
fn a_large_sample_is_alone() {
    let engine = EngineOptions { threads: Some(4), ready_bytes: 55_200, ..EngineOptions::default() };
    decoded_ahead(27_000, engine, 1);
    decoded_ahead(200_000, engine, 1);
    decoded_ahead(0, EngineOptions { ready_bytes: 0, ..engine }, 1);
}

#[test]
fn what_is_larger_than_was_told_is_counted_as_it_is() {
    let engine = EngineOptions { threads: Some(2), ready_bytes: 40_000, ..EngineOptions::default() };
    let mut memory = Memory::new(&[50]).mapped(true);
    (memory.load, memory.told_bytes, memory.varies) = (10_000, Some(16), true);
    let watch = Arc::clone(&memory.watch);
    let mut stream = Stream::new(plan(memory, all_places(), engine));
    // The first ones were thought to be small. Once one is known the others are expected to be like it.
    stream.next().unwrap().unwrap();
    for nth in 1..50 {
        stream.next().unwrap().unwrap();
        let ahead = || watch.n_begun.load(SeqCst) - nth - 1;
        if nth >= 40 {
            assert!(ahead() <= 3, "{}", ahead());
        }
    }
    assert!(stream.next().is_none());
}

#[test]
fn coded_bytes_are_fetched_as_far_ahead_as_there_is_room() {
    for (prefetch_bytes, most) in [(10 * CODED, 10 * CODED), (0, CODED), (1 << 20, 1 << 20)] {
        let engine = EngineOptions { threads: Some(2), prefetch_bytes, ..EngineOptions::default() };
        // In the order of steps, which joins them, and all over the place.
        for shuffle in [Shuffle::Off, Shuffle::Uniform] {
            let memory = Memory::new(&[200, 300]).shuffled(shuffle, 1);
            let watch = Arc::clone(&memory.watch);
            let mut stream = Stream::new(plan(memory, all_places(), engine));
            assert_eq!(delivered(&mut stream).count(), 500);
            assert!(watch.held_max.load(SeqCst) <= most, "{}", watch.held_max.load(SeqCst));
            assert_eq!(stream.stats().fetched_bytes, 500 * CODED);
            assert!(watch.n_fetched().values().all(|it| *it == 1));
            drop(stream);
            assert_eq!(watch.held.load(SeqCst), 0);
        }
    }
}

#[test]
fn a_block_is_fetched_once() {
    let lanes = Lanes { lanes: 4, window: 100 };
    let mut memory = Memory::new(&[1024, 704, 64, 64]).lanes(64, lanes);
    memory.windows = vec![None, Some(Window::of_steps([0, 1]).unwrap())];
    let watch = Arc::clone(&memory.watch);
    let n_blocks = 16 + 11 + 1 + 1;
    // All blocks that are needed at a time fit: of four lanes two windows each, and what these cut.
    let prefetch_bytes = 4 * 2 * (100 + 64) * CODED;
    let engine = EngineOptions { threads: Some(3), prefetch_bytes, ..EngineOptions::default() };
    let mut stream = Stream::new(plan(memory.clone(), all_places(), engine));
    assert_eq!(delivered(&mut stream).count(), 1856);
    let n_fetches = watch.fetched.lock().unwrap().len();
    assert!(n_fetches >= n_blocks && n_fetches <= n_blocks + 3, "{n_fetches}: blocks are cut by three lanes");
    // Where they do not fit, each sample is fetched for itself, together with others that come next.
    let small = EngineOptions { prefetch_bytes: prefetch_bytes - 1, ..engine };
    memory.watch = Arc::default();
    let watch = Arc::clone(&memory.watch);
    let mut stream = Stream::new(plan(memory, all_places(), small));
    assert_eq!(delivered(&mut stream).count(), 1856);
    assert!(watch.n_fetched().iter().filter(|((part, ..), _)| *part == 0).all(|(_, n)| *n == 1));
    let n_joined = watch.fetched.lock().unwrap().iter().filter(|it| it.len() > 3).count();
    assert!(n_joined > 10, "{n_joined}");
}

/// Where blocks do not fit memory, each is brought to the disk once, as a whole; and where they fit nowhere, that is told.
#[test]
fn blocks_that_memory_has_no_room_for_are_brought_to_the_disk() {
    let all = 1856 * CODED;
    let block = 64 * CODED;
    // The disk has room or has not; memory has room for some blocks, or for none.
    for (disk_bytes, prefetch_bytes) in [(all, 4 * block), (all, block - 1), (all - 1, 4 * block)] {
        let mut memory = Memory::new(&[1024, 704, 64, 64]).lanes(64, Lanes { lanes: 1, window: 1856 });
        memory.disk_bytes = disk_bytes;
        let watch = Arc::clone(&memory.watch);
        let engine = EngineOptions { threads: Some(3), prefetch_bytes, ..EngineOptions::default() };
        let mut stream = Stream::new(plan(memory, all_places(), engine));
        assert_eq!(delivered(&mut stream).count(), 1856);
        let mut kept = watch.kept.lock().unwrap().clone();
        kept.sort_by_key(|it| (it.episode, it.steps.start));
        let whole = [(0, 16), (1, 11), (2, 1), (3, 1)].into_iter().flat_map(|(episode, n)| {
            (0..n).map(move |it| Wanted { part: 0, episode, steps: it * 64..it * 64 + 64 })
        });
        let is_by_block = disk_bytes == all && prefetch_bytes >= block;
        let expected: Vec<Wanted> = if is_by_block { whole.collect() } else { Vec::new() };
        assert_eq!(kept, expected);
        assert!(watch.n_fetched().values().all(|it| *it == 1));
        let warnings = stream.stats().warnings;
        assert_eq!(warnings.len(), usize::from(disk_bytes < all), "{warnings:?}");
        assert!(warnings.iter().all(|it| it.contains("prefetch_bytes") && it.contains("window")));
    }
}

#[test]
fn ranks_of_a_mixture_need_the_blocks_of_all_lanes() {
    let source = || Memory::new(&[1024, 704, 64, 64]).lanes(64, Lanes { lanes: 4, window: 100 });
    // What two of four lanes need at a time fits. What all of them need does not.
    let engine = EngineOptions { prefetch_bytes: 2 * 2 * (100 + 64) * CODED, ..EngineOptions::default() };
    let share = Share::new(1, 2, 1, Tail::Drop).unwrap();
    let alone = StreamPlan::of(vec![source().prepared()], None, share, engine).unwrap();
    assert!(alone.sources()[0].block_of(0).is_some());
    let mix = MixOptions { weights: vec![1.0], seed: 1, stop: Stop::Longest };
    let mixed = StreamPlan::of(vec![source().prepared()], Some(&mix), share, engine).unwrap();
    assert!(mixed.sources()[0].block_of(0).is_none());
}

#[test]
fn a_mapped_source_is_not_fetched() {
    let memory = Memory::new(&[20]).mapped(true);
    let watch = Arc::clone(&memory.watch);
    let mut stream = Stream::new(plan(memory, all_places(), EngineOptions::default()));
    assert_eq!(delivered(&mut stream).count(), 20);
    assert_eq!((stream.stats().n_fetches, watch.fetched.lock().unwrap().len()), (0, 0));
}

#[test]
fn what_was_done_is_counted() {
    let mut memory = Memory::new(&[20]);
    memory.load = 84;
    let engine = EngineOptions { threads: Some(2), ..EngineOptions::default() };
    let mut stream = Stream::new(plan(memory, all_places(), engine));
    assert_eq!(stream.stats(), StreamStats::default());
    assert_eq!(delivered(&mut stream).take(5).count(), 5);
    let stats = stream.stats();
    assert_eq!((stats.n_samples, stats.decoded_bytes, stats.n_threads), (5, 500, 2));
    assert!(stats.decoding > Duration::ZERO && stats.waited > Duration::ZERO);
    assert_eq!(delivered(&mut stream).count(), 15);
    // Nothing runs any more, and nothing is kept.
    let stats = stream.stats();
    assert_eq!((stats.n_samples, stats.fetched_bytes, stats.n_threads), (20, 20 * CODED, 0));
    assert_eq!((stats.n_ready, stats.ready_bytes, stats.prefetched_bytes), (0, 0, 0));
}

/// Room of the second column of samples that come.
fn capacities(stream: &mut Stream, n_samples: usize) -> Vec<usize> {
    let samples = stream.take(n_samples).map(|sample| {
        let Data::Tensor(tensor) = sample.unwrap().fields.remove(1).column.data else { panic!("no tensor") };
        tensor.bytes.into_vec().capacity()
    });
    samples.collect()
}

#[test]
fn memory_that_was_let_go_of_is_used_until_the_stream_is_stopped() {
    let mut memory = Memory::new(&[4; 40]).mapped(true).of_unit(Unit::Episode);
    memory.load = SPARE_BYTES_MIN;
    let (n_bytes, marked) = (4 * memory.load, 4 * memory.load + 1000);
    let let_go = || {
        let mut memory = Vec::with_capacity(marked);
        memory.resize(n_bytes, FRESH);
        give_back(memory);
    };
    let engine = EngineOptions { threads: Some(2), ready_bytes: 3 << 20, ..EngineOptions::default() };
    let mut stream = Stream::new(plan(memory, all_places(), engine));
    let_go();
    assert_eq!(capacities(&mut stream, 5), [n_bytes; 5], "nobody read yet");
    let_go();
    assert!(capacities(&mut stream, 10).contains(&marked));
    stream.stop();
    let_go();
    assert_eq!(capacities(&mut stream, 10), [n_bytes; 10], "nobody read then");
}
