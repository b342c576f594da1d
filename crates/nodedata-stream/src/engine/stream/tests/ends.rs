//! How streams end, and who has their threads.

use std::{
    sync::atomic::Ordering::SeqCst,
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::engine::{
    lines::{Held, Lines},
    queue::{Errand, Queue},
};

fn engine() -> EngineOptions {
    EngineOptions { threads: Some(4), ready_bytes: 20_000, prefetch_bytes: 2000, ..EngineOptions::default() }
}

/// Whether nobody but the test knows of the source any more: each thread of a stream has its plan.
fn is_let_go(watch: &Arc<Watch>) -> bool {
    Arc::strong_count(watch) == 1
}

#[test]
fn a_stream_that_is_dropped_leaves_no_thread() {
    for is_mapped in [true, false] {
        for n_read in [0, 1, 30, 100] {
            let memory = Memory::new(&[100]).mapped(is_mapped);
            let watch = Arc::clone(&memory.watch);
            let mut stream = Stream::new(plan(memory, all_places(), engine()));
            assert_eq!(delivered(&mut stream).take(n_read).count(), n_read);
            drop(stream);
            assert!(is_let_go(&watch));
        }
    }
}

#[test]
fn a_stream_that_is_stopped_goes_on_where_it_was() {
    let memory = Memory::new(&[100]);
    let watch = Arc::clone(&memory.watch);
    let plan = plan(memory, all_places(), engine());
    let mut stream = Stream::new(Arc::clone(&plan));
    let mut found: Vec<Told> = delivered(&mut stream).take(33).collect();
    let n_idle = Arc::strong_count(&watch);
    stream.stop();
    assert_eq!(stream.stats().n_threads, 0);
    assert!(Arc::strong_count(&watch) <= n_idle);
    found.extend(delivered(&mut stream));
    assert_eq!(found, expected(&plan, &plan.order().start(), &all_places()));
    // At the end all threads are gone, although the stream is there.
    assert_eq!(stream.stats().n_threads, 0);
}

#[test]
fn nobody_waits_for_a_store_that_does_not_answer() {
    let memory = Memory::new(&[100]);
    let watch = Arc::clone(&memory.watch);
    let mut stream = Stream::new(plan(memory, all_places(), engine()));
    assert!(stream.next().unwrap().is_ok());
    watch.close();
    // What is on its way comes; then nothing does.
    while !matches!(stream.next_within(Duration::from_millis(50)), Polled::Waiting) {}
    let (started, state) = (Instant::now(), stream.state());
    assert!(matches!(stream.next_within(Duration::ZERO), Polled::Waiting));
    assert_eq!(stream.state(), state);
    drop(stream);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    watch.open();
    // And its threads end once it does.
    while !is_let_go(&watch) {
        assert!(started.elapsed() < Duration::from_secs(60));
        thread::yield_now();
    }
}

#[test]
fn what_is_left_behind_keeps_nothing() {
    let memory = Memory::new(&[100]);
    let watch = Arc::clone(&memory.watch);
    let plan = plan(memory, all_places(), engine());
    let mut queue = Queue::new(Arc::clone(&plan), &plan.order().start(), 0, (0, 0));
    let now = Instant::now();
    let (lines, held) = (Lines::default(), Held::default());
    let fetch = |it: &Errand| plan.sources()[0].feed.fetch(&it.wanted, lines.of(&held));
    let (one, late) = (queue.next_errand(now).unwrap().0, queue.next_errand(now).unwrap().0);
    queue.fetched(&one, fetch(&one), now);
    assert_ne!(watch.held.load(SeqCst), 0);
    queue.let_go();
    assert_eq!(watch.held.load(SeqCst), 0);
    // What comes after that is for nobody.
    queue.fetched(&late, fetch(&late), now);
    assert_eq!((watch.held.load(SeqCst), queue.filled()), (0, (0, 0, 0)));
    assert!(queue.next_work().is_none() && queue.next_errand(now).is_none());
}

#[test]
fn what_is_slow_is_asked_for_once_more() {
    // Little room, so that each of many fetches is for a few steps; and so much that one fetch takes all lines.
    for (prefetch_bytes, n_steps) in [(500, 400), (5000, 4000)] {
        let memory = Memory::new(&[n_steps]).with_fault(0, n_steps - 100, memory::Fault::Hanging);
        let watch = Arc::clone(&memory.watch);
        watch.close();
        let plan = plan(memory, all_places(), EngineOptions { prefetch_bytes, ..engine() });
        let mut stream = Stream::new(Arc::clone(&plan));
        let found: Vec<Told> = delivered(&mut stream).collect();
        assert_eq!(found, expected(&plan, &plan.order().start(), &all_places()));
        assert_eq!(watch.n_hanging.load(SeqCst), 2);
        watch.open();
    }
}

/// Processes are told apart by their number alone, so that another number stands for a child here.
#[test]
fn a_child_goes_on_with_threads_of_its_own() {
    for is_mapped in [true, false] {
        let memory = Memory::new(&[100]).mapped(is_mapped);
        let watch = Arc::clone(&memory.watch);
        let plan = plan(memory, all_places(), engine());
        let mut stream = Stream::new(Arc::clone(&plan));
        let mut found: Vec<Told> = delivered(&mut stream).take(20).collect();
        let run = stream.run.as_mut().unwrap();
        run.pid = run.pid.wrapping_add(1);
        // Nothing of the parent's is asked, whose locks may be taken for ever.
        assert_eq!((stream.stats().n_threads, stream.stats().n_samples), (0, 20));
        found.extend(delivered(&mut stream));
        assert_eq!(found, expected(&plan, &plan.order().start(), &all_places()));
        drop((stream, plan));
        assert!(!is_let_go(&watch), "the threads of the parent are its own");
        assert!(watch.n_begun.load(SeqCst) >= 100);
    }
}

#[test]
fn nothing_is_over_at_once() {
    let plan = plan(Memory::new(&[]), all_places(), engine());
    let mut stream = Stream::new(plan);
    assert!(matches!(stream.next_within(Duration::ZERO), Polled::Done));
    assert!(stream.next().is_none());
    stream.next_pass().unwrap();
    assert!(stream.next().is_none());
}

#[test]
fn a_state_of_another_stream_is_refused() {
    let one = plan(Memory::new(&[30]), all_places(), engine());
    let other = plan(Memory::new(&[30]).shuffled(Shuffle::On, 1), all_places(), engine());
    let err = Stream::from_state(other, &Stream::new(one).state()).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::StateMismatch);
}

#[test]
fn several_sources_are_mixed_or_refused() {
    let sources = || vec![Memory::new(&[3]).prepared(), Memory::new(&[4]).prepared()];
    let err = StreamPlan::of(sources(), None, all_places(), engine()).unwrap_err();
    assert_eq!(err.to_string(), "there are 2 sources, and nothing says how they are mixed");
}
