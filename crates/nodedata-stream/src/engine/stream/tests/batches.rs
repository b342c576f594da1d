//! Batches are the samples of the stream, in its order, whatever goes wrong meanwhile.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use super::{
    bounds::wait_until,
    memory::{Fault, load_of},
    *,
};
use crate::{Batch, Pad, PolledBatch, SampleField};

/// The next batch, or what is wrong with the next sample.
fn next(stream: &mut Stream) -> Option<Result<Batch>> {
    loop {
        match stream.next_batch_within(Duration::from_secs(60)) {
            PolledBatch::Ready(batch) => return Some(batch),
            PolledBatch::Waiting => {}
            PolledBatch::Done => return None,
        }
    }
}

fn all(stream: &mut Stream) -> Vec<Batch> {
    std::iter::from_fn(|| next(stream)).map(Result::unwrap).collect()
}

/// Holds a batch against its samples as they come one by one.
#[track_caller]
fn check(batch: &Batch, samples: &[Sample]) {
    assert_eq!(
        batch.samples.iter().map(told).collect::<Vec<_>>(),
        samples.iter().map(told).collect::<Vec<_>>()
    );
    for whole in &batch.whole {
        let fields: Vec<&SampleField> = samples.iter().map(|it| it.field(&whole.name).unwrap()).collect();
        let bytes: Vec<u8> = fields.iter().flat_map(|it| tensor(it).bytes.iter().copied()).collect();
        assert_eq!(whole.values.bytes, bytes, "{}", whole.name);
        assert!(fields.iter().all(|it| {
            let found = tensor(it);
            it.n_rows == whole.n_rows
                && (found.dtype, &found.shape) == (whole.values.dtype, &whole.values.shape)
        }));
    }
    for (made, sample) in batch.samples.iter().zip(samples) {
        assert_eq!(made.fields.len(), sample.fields.len());
        for (made, field) in made.fields.iter().zip(&sample.fields) {
            assert_eq!((&made.pad, &made.column.valid), (&field.pad, &field.column.valid));
            if batch.whole.iter().all(|it| it.name != made.column.name) {
                assert_eq!(made, field);
            }
        }
    }
}

fn tensor(field: &SampleField) -> &nodedata_reader::Tensor {
    let Data::Tensor(tensor) = &field.column.data else { panic!("{field:?}") };
    tensor
}

/// Steps of the batches.
fn steps(batches: &[Batch]) -> Vec<Vec<u64>> {
    batches.iter().map(|it| it.samples.iter().map(|it| it.steps.start).collect()).collect()
}

fn share(batch: u64, tail: Tail) -> Share {
    Share::new(0, 1, batch, tail).unwrap()
}

/// Steps of one episode, each with a picture of so many bytes.
fn pictures(n_steps: u64, load: usize) -> Memory {
    Memory { load, ..Memory::new(&[n_steps]).mapped(true) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_are_the_samples_of_the_stream(
        lengths in prop::collection::vec(1_u64..40, 1..8),
        world in 1_u64..=3,
        batch in 1_u64..=67,
        threads in 1_usize..=8,
        load in 0_usize..600,
        windows in prop::collection::vec(
            prop::option::of(prop::collection::vec(-4_i64..5, 1..5)), 1..3
        ),
        rise: bool,
        pad in prop::sample::select(vec![Pad::Edge, Pad::Zero]),
        of_episodes: bool,
        seed: u64,
        is_mapped: bool,
        ready_bytes in prop::sample::select(vec![0_u64, 5000, 128 << 20]),
        pads: bool,
    ) {
        let tail = if pads { Tail::Pad } else { Tail::Drop };
        let unit = if of_episodes { Unit::Episode } else { Unit::Step };
        let mut memory = Memory::new(&lengths).of_unit(unit).shuffled(Shuffle::On, seed).mapped(is_mapped);
        (memory.load, memory.pad) = (load, pad);
        if !of_episodes {
            let window = |mut offsets: Vec<i64>| {
                if rise {
                    offsets.sort_unstable();
                    offsets.dedup();
                }
                Window::of_steps(offsets).unwrap()
            };
            memory.windows = windows.into_iter().map(|it| it.map(window)).collect();
        }
        let engine = EngineOptions { threads: Some(threads), ready_bytes, ..EngineOptions::default() };
        let share = Share::new(seed % world, world, batch, tail).unwrap();
        let plan = plan(memory, share, engine);
        let samples: Vec<Sample> = Stream::new(Arc::clone(&plan)).map(Result::unwrap).collect();
        let mut stream = Stream::new(Arc::clone(&plan));
        let expected: Vec<&[Sample]> = samples.chunks(batch as usize).collect();
        for (nth, samples) in expected.iter().enumerate() {
            prop_assert_eq!(stream.places_left(), (expected.len() - nth) as u64 * batch);
            let found = next(&mut stream).unwrap().unwrap();
            check(&found, samples);
            prop_assert_eq!(found.whole.is_empty(), of_episodes);
        }
        prop_assert!(next(&mut stream).is_none());
        prop_assert_eq!(stream.stats().n_samples, samples.len() as u64);
    }

    #[test]
    fn batches_go_on_from_any_place(
        n_steps in 10_u64..200,
        batch in 1_u64..=9,
        other in 1_u64..=9,
        n_read in 0_usize..30,
    ) {
        let memory = pictures(n_steps, 40);
        let plan = plan(memory, share(batch, Tail::Pad), EngineOptions::default());
        let mut stream = Stream::new(Arc::clone(&plan));
        let mut found = Vec::new();
        for _ in 0..n_read.min(n_steps as usize / batch as usize) {
            found.extend(next(&mut stream).unwrap().unwrap().samples.iter().map(told));
        }
        let state = stream.state();
        drop(stream);
        let mut again = Stream::from_state(plan.with_share(share(other, Tail::Pad)), &state).unwrap();
        found.extend(all(&mut again).iter().flat_map(|it| it.samples.iter().map(told)));
        found.retain(|it| !it.5);
        let everything = expected(&plan, &plan.order().start(), &all_places());
        prop_assert_eq!(found, everything);
    }
}

#[test]
fn pictures_are_put_to_their_places() {
    for is_mapped in [true, false] {
        let mut memory = pictures(64, 1000).mapped(is_mapped);
        memory.windows = vec![None, Some(Window::of_steps([-1, 0, 2]).unwrap())];
        let watch = Arc::clone(&memory.watch);
        let mut stream = Stream::new(plan(memory, share(16, Tail::Drop), EngineOptions::default()));
        let batches = all(&mut stream);
        assert_eq!(batches.len(), 4);
        for batch in &batches {
            let names: Vec<&str> = batch.whole.iter().map(|it| &*it.name).collect();
            assert_eq!(names, ["at0", "load0", "at1", "load1"]);
            let alone = &batch.whole[1].values.bytes;
            assert_eq!(alone.len(), 16 * 1000);
            for (row, sample) in alone.chunks(1000).zip(&batch.samples) {
                assert!(row.iter().all(|it| *it == load_of(0, sample.steps.start)));
            }
        }
        // One for each step, and two for each window, of which some end where the episode does: there the rows of one or two of them lie
        // elsewhere than they are read.
        let n_placed = watch.n_placed.load(SeqCst);
        assert!((64 + 2 * 60..=64 + 2 * 64).contains(&n_placed), "{n_placed}");
    }
}

#[test]
fn a_batch_keeps_its_size_where_samples_are_left_out() {
    for tail in [Tail::Drop, Tail::Pad] {
        for batch in [1, 4, 7] {
            let fault = Fault::Decoding(ErrorKind::Corrupt);
            let broken = [0, 9, 10, 11, 30, 39];
            let memory = broken.iter().fold(pictures(40, 300), |it, step| it.with_fault(0, *step, fault));
            let engine =
                EngineOptions { threads: Some(3), on_error: OnError::Skip, ..EngineOptions::default() };
            let plan = plan(memory, share(batch, tail), engine);
            let samples: Vec<Sample> = Stream::new(Arc::clone(&plan)).map(Result::unwrap).collect();
            let mut stream = Stream::new(plan);
            let found = all(&mut stream);
            let whole =
                samples.chunks(batch as usize).filter(|it| tail == Tail::Pad || it.len() as u64 == batch);
            let whole: Vec<&[Sample]> = whole.collect();
            assert_eq!(found.len(), whole.len());
            found.iter().zip(whole).for_each(|(batch, samples)| check(batch, samples));
            assert_eq!(stream.places_left(), 0);
            assert!(stream.stats().n_skipped >= 5);
        }
    }
}

#[test]
fn an_error_comes_at_once_and_what_is_before_it_waits() {
    let memory = pictures(20, 100).with_fault(0, 6, Fault::Decoding(ErrorKind::Corrupt));
    let plan = plan(memory, share(4, Tail::Drop), EngineOptions::default());
    let mut stream = Stream::new(Arc::clone(&plan));
    assert_eq!(steps(&[next(&mut stream).unwrap().unwrap()]), [[0, 1, 2, 3]]);
    let before = stream.state();
    assert_eq!(next(&mut stream).unwrap().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!((stream.state(), stream.places_left()), (before, 16), "4 and 5 were not handed out");
    // Also when its threads are ended meanwhile.
    stream.stop();
    assert_eq!(steps(&all(&mut stream)), [[4, 5, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]);
    assert_eq!(stream.places_left(), 0);
    // And whoever goes on sample by sample has them first.
    let mut stream = Stream::from_state(plan, &stream.state()).unwrap();
    stream.next_pass().unwrap();
    next(&mut stream).unwrap().unwrap();
    next(&mut stream).unwrap().unwrap_err();
    let rest: Vec<u64> = stream.by_ref().map(|it| it.unwrap().steps.start).collect();
    assert_eq!(rest, [4, 5].into_iter().chain(7..20).collect::<Vec<_>>());
}

#[test]
fn a_mixture_makes_batches_of_all_its_sources() {
    let sources = |load| vec![pictures(50, 64).prepared(), pictures(30, load).prepared()];
    let mix = MixOptions { weights: vec![0.6, 0.4], seed: 3, stop: Stop::Places(300) };
    for load in [64, 65] {
        let share = share(16, Tail::Drop);
        let plan = StreamPlan::of(sources(load), Some(&mix), share, EngineOptions::default()).unwrap();
        let samples: Vec<Sample> = Stream::new(Arc::clone(&plan)).map(Result::unwrap).collect();
        let found = all(&mut Stream::new(plan));
        assert_eq!(found.len(), 18);
        for (batch, samples) in found.iter().zip(samples.chunks(16)) {
            check(batch, samples);
            let has_both = [0, 1].iter().all(|source| samples.iter().any(|it| it.source == *source));
            let is_whole = batch.whole.iter().any(|it| &*it.name == "load0");
            assert_eq!(is_whole, load == 64 || !has_both);
        }
    }
}

/// Batches of four that are made and not taken, at most, under these options.
fn made_ahead(ready_bytes: u64, expected: usize) {
    let memory = pictures(40, 10_000);
    let watch = Arc::clone(&memory.watch);
    let engine = EngineOptions { threads: Some(3), ready_bytes, ..EngineOptions::default() };
    let mut stream = Stream::new(plan(memory, share(4, Tail::Drop), engine));
    for n_taken in 1..=10 {
        assert_eq!(next(&mut stream).unwrap().unwrap().samples.len(), 4);
        let begun = ((n_taken + expected) * 4).min(40);
        wait_until(|| watch.n_begun.load(SeqCst) >= begun);
        wait_until(|| stream.stats().n_ready >= (begun - n_taken * 4) as u64);
        assert_eq!(watch.n_begun.load(SeqCst), begun, "{n_taken} were taken");
        assert!(stream.stats().ready_bytes <= ready_bytes.max(4 * 11_040 + 1024));
    }
}

#[test]
fn a_batch_counts_as_a_whole() {
    // Four samples of 10,016 bytes, with what each costs beside its values.
    made_ahead(100_000, 2);
    made_ahead(4 * (4 * 11_040 + 1024), 4);
    // What is more than half is alone, also where it is more than all.
    made_ahead(80_000, 1);
    made_ahead(20_000, 1);
    made_ahead(0, 1);
}

#[test]
fn what_was_handed_out_outlives_the_stream() {
    let mut stream = Stream::new(plan(pictures(100, 5000), share(8, Tail::Drop), EngineOptions::default()));
    let first = next(&mut stream).unwrap().unwrap();
    // In the middle of the next one, or where it is ready.
    drop(stream.next_batch_within(Duration::ZERO));
    stream.stop();
    assert_eq!((stream.stats().ready_bytes, stream.stats().n_threads), (0, 0));
    drop(stream);
    let loads = first.whole.into_iter().find(|it| &*it.name == "load0").unwrap().values.bytes.into_vec();
    let expected = (0..8).flat_map(|step| vec![load_of(0, step); 5000]);
    assert!(loads.into_iter().eq(expected));
}
