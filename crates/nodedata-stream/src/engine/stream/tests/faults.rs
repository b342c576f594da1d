//! What is wrong with a sample comes in its place, and spoils no other.

use super::*;

/// What comes: a sample's step, or the step and kind of an error.
fn outcomes(stream: &mut Stream) -> Vec<Result<u64, (u64, ErrorKind)>> {
    let told = stream.map(|sample| match sample {
        Ok(sample) => Ok(sample.steps.start),
        Err(err) => {
            assert!(err.locus().episode_idx.is_some(), "{err:?}");
            Err((err.locus().step_idx.unwrap(), err.kind()))
        }
    });
    told.collect()
}

const BROKEN: [(u64, Fault, ErrorKind); 5] = [
    (0, Fault::Decoding(ErrorKind::Corrupt), ErrorKind::Corrupt),
    (17, Fault::Fetching(ErrorKind::Io), ErrorKind::Io),
    (18, Fault::Fetching(ErrorKind::Corrupt), ErrorKind::Corrupt),
    (33, Fault::Panicking, ErrorKind::Corrupt),
    (99, Fault::Decoding(ErrorKind::Unsupported), ErrorKind::Unsupported),
];

fn broken(memory: Memory) -> Memory {
    BROKEN.iter().fold(memory, |memory, (step, fault, _)| memory.with_fault(0, *step, *fault))
}

#[test]
fn an_error_comes_in_its_place() {
    let kinds: BTreeMap<u64, ErrorKind> = BROKEN.iter().map(|(step, _, kind)| (*step, *kind)).collect();
    let memories = [
        Memory::new(&[100]),
        Memory::new(&[100]).shuffled(Shuffle::Uniform, 3),
        Memory::new(&[100]).lanes(16, Lanes { lanes: 3, window: 20 }),
    ];
    for memory in memories {
        // Blocks are kept, or each sample is fetched with those that come next; with much room and with little.
        for prefetch_bytes in [1 << 20, 500, 0] {
            let engine = EngineOptions { threads: Some(4), prefetch_bytes, ..EngineOptions::default() };
            let plan = plan(broken(memory.clone()), all_places(), engine);
            let told = expected(&plan, &plan.order().start(), &all_places());
            let outcome = |step: u64| kinds.get(&step).map_or(Ok(step), |it| Err((step, *it)));
            let expected: Vec<_> = told.into_iter().map(|it| outcome(it.3.start)).collect();
            assert_eq!(outcomes(&mut Stream::new(plan)), expected);
        }
    }
}

#[test]
fn what_is_broken_in_one_source_keeps_none_of_another_waiting() {
    let fault = Fault::Fetching(ErrorKind::Corrupt);
    let source = || (0..60).step_by(3).fold(Memory::new(&[60]), |it, step| it.with_fault(0, step, fault));
    let mix = MixOptions { weights: vec![0.5, 0.5], seed: 1, stop: Stop::Longest };
    for prefetch_bytes in [0, 200, 700] {
        for ready_bytes in [0, 5000] {
            let engine =
                EngineOptions { threads: Some(2), prefetch_bytes, ready_bytes, ..EngineOptions::default() };
            let sources = vec![source().prepared(), source().shuffled(Shuffle::On, 1).prepared()];
            let plan = StreamPlan::of(sources, Some(&mix), all_places(), engine).unwrap();
            let told = expected(&plan, &plan.order().start(), &all_places()).into_iter().map(|it| it.3.start);
            let outcome = |step: u64| match step % 3 {
                0 => Err((step, ErrorKind::Corrupt)),
                _ => Ok(step),
            };
            assert_eq!(outcomes(&mut Stream::new(plan)), told.map(outcome).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_first_of_several_pieces_says_what_is_wrong() {
    for is_mapped in [true, false] {
        for fault in [Fault::Decoding(ErrorKind::Corrupt), Fault::Fetching(ErrorKind::Corrupt)] {
            if is_mapped && fault != Fault::Decoding(ErrorKind::Corrupt) {
                continue;
            }
            let mut memory = Memory::new(&[900, 10]).of_unit(Unit::Episode).mapped(is_mapped);
            memory.told_bytes = Some(1 << 20);
            let memory = [700, 40, 33, 90].iter().fold(memory, |it, step| it.with_fault(0, *step, fault));
            let engine = EngineOptions { threads: Some(8), ..EngineOptions::default() };
            let mut stream = Stream::new(plan(memory, all_places(), engine));
            let err = stream.next().unwrap().unwrap_err();
            assert!(err.to_string().starts_with("step 33 "), "{err}");
            assert_eq!(delivered(&mut stream).count(), 1, "the next episode is sound");
        }
    }
}

#[test]
fn damage_is_left_out_where_that_is_asked_for() {
    let engine = EngineOptions { threads: Some(3), on_error: OnError::Skip, ..EngineOptions::default() };
    let plan = plan(broken(Memory::new(&[100])), all_places(), engine);
    let mut stream = Stream::new(Arc::clone(&plan));
    let found = outcomes(&mut stream);
    // A store that does not answer is no damage.
    let left_out = [0, 18, 33, 99];
    let expected: Vec<_> = (0..100)
        .filter(|it| !left_out.contains(it))
        .map(|step| if step == 17 { Err((17, ErrorKind::Io)) } else { Ok(step) })
        .collect();
    assert_eq!(found, expected);
    let stats = stream.stats();
    assert_eq!((stats.n_samples, stats.n_skipped), (95, 4));
    assert_eq!(
        stats.skipped.iter().map(|it| (it.episode, it.step, it.place)).collect::<Vec<_>>(),
        left_out.map(|it| (0, it, it))
    );
    assert_eq!(stats.skipped[1].message, "step 18 does not come");
    assert_eq!(stream.places_left(), 0);
}

#[test]
fn what_is_left_out_keeps_nobody_longer_than_he_waits() {
    let fault = Fault::Decoding(ErrorKind::Corrupt);
    let memory = (0..20).fold(Memory::new(&[20]).mapped(true), |it, step| it.with_fault(0, step, fault));
    let engine = EngineOptions { threads: Some(2), on_error: OnError::Skip, ..EngineOptions::default() };
    let mut stream = Stream::new(plan(memory, all_places(), engine));
    let mut n_skipped = 0;
    loop {
        match stream.next_within(std::time::Duration::ZERO) {
            Polled::Waiting => std::thread::yield_now(),
            Polled::Done => break,
            Polled::Ready(sample) => panic!("{sample:?}"),
        }
        let n_before = std::mem::replace(&mut n_skipped, stream.stats().n_skipped);
        assert!(n_skipped <= n_before + 1, "one at a time");
    }
    assert_eq!(n_skipped, 20);
}

#[test]
fn a_state_counts_what_was_left_out() {
    let engine = EngineOptions { threads: Some(3), on_error: OnError::Skip, ..EngineOptions::default() };
    let fault = Fault::Decoding(ErrorKind::Corrupt);
    let memory = [0, 1, 5].iter().fold(Memory::new(&[20]), |it, step| it.with_fault(0, *step, fault));
    let plan = plan(memory, all_places(), engine);
    let whole = outcomes(&mut Stream::new(Arc::clone(&plan)));
    assert_eq!(whole.len(), 17);
    for n_read in 0..=17 {
        let mut stream = Stream::new(Arc::clone(&plan));
        let mut found = outcomes_of(&mut stream, n_read);
        let mut again = Stream::from_state(Arc::clone(&plan), &stream.state()).unwrap();
        assert_eq!(again.places_left(), stream.places_left());
        found.extend(outcomes(&mut again));
        assert_eq!(found, whole);
    }
}

fn outcomes_of(stream: &mut Stream, n_samples: usize) -> Vec<Result<u64, (u64, ErrorKind)>> {
    (0..n_samples).map(|_| Ok(stream.next().unwrap().unwrap().steps.start)).collect()
}

#[test]
fn a_sample_that_is_too_large_says_what_to_do() {
    // What it has is known beforehand, or only once it is there.
    for told_bytes in [None, Some(16)] {
        for unit in [Unit::Episode, Unit::Step] {
            let mut memory = Memory::new(&[10, 100, 20]).of_unit(unit).mapped(true);
            (memory.load, memory.told_bytes, memory.varies) = (84, told_bytes, told_bytes.is_some());
            let max_sample_bytes = if unit == Unit::Episode { 2000 } else { 99 };
            let engine = EngineOptions { threads: Some(2), max_sample_bytes, ..EngineOptions::default() };
            let found: Vec<Result<Sample>> = Stream::new(plan(memory, all_places(), engine)).collect();
            let errors: Vec<_> = found.iter().filter_map(|it| it.as_ref().err()).collect();
            match unit {
                Unit::Episode => assert_eq!((found.len(), errors.len(), found[1].is_err()), (3, 1, true)),
                Unit::Step => assert_eq!((found.len(), errors.len()), (130, 130)),
            }
            assert_eq!(errors[0].kind(), ErrorKind::Limit);
            let hint = errors[0].hint().unwrap();
            assert!(hint.contains("fields=") && hint.contains("resize="), "{hint}");
            assert_eq!(hint.contains("unit=\"step\""), unit == Unit::Episode, "{hint}");
        }
    }
}
