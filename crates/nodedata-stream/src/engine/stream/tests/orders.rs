//! Every sample once and in the order of the plan, whoever reads it and however it is made ready.

use super::*;

/// Options under which threads have little room, or plenty.
fn engine(threads: usize, is_tight: bool) -> EngineOptions {
    let engine = EngineOptions { threads: Some(threads), ..EngineOptions::default() };
    match is_tight {
        true => EngineOptions { prefetch_bytes: 700, ready_bytes: 5000, ..engine },
        false => engine,
    }
}

fn memory(lengths: &[u64], unit: Unit, shuffle: Shuffle, seed: u64, is_mapped: bool) -> Memory {
    Memory::new(lengths).of_unit(unit).shuffled(shuffle, seed).mapped(is_mapped)
}

const SHUFFLES: [Shuffle; 3] = [Shuffle::Off, Shuffle::On, Shuffle::Uniform];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_rank_has_its_places_in_their_order(
        mut lengths in prop::collection::vec(0_u64..40, 1..12),
        world in 1_u64..=16,
        n_workers in 0_u64..=4,
        batch in 1_u64..=67,
        threads in 1_usize..=8,
        of_episodes: bool,
        shuffle in prop::sample::select(SHUFFLES.to_vec()),
        seed: u64,
        is_mapped: bool,
        is_tight: bool,
        pads: bool,
    ) {
        lengths.push(3);
        let unit = if of_episodes { Unit::Episode } else { Unit::Step };
        let tail = if pads { Tail::Pad } else { Tail::Drop };
        let memory = memory(&lengths, unit, shuffle, seed, is_mapped);
        let share = |rank| Share::new(rank, world, batch, tail).unwrap();
        let whole = plan(memory, share(0), engine(threads, is_tight));
        let mut n_read = BTreeMap::<u64, usize>::new();
        for rank in 0..world {
            for worker in 0..n_workers.max(1) {
                let share = share(rank).of_worker(worker, n_workers).unwrap();
                let plan = whole.with_share(share);
                let mut stream = Stream::new(Arc::clone(&plan));
                let found: Vec<Told> = delivered(&mut stream).collect();
                prop_assert_eq!(&found, &expected(&plan, &plan.order().start(), &share));
                prop_assert_eq!(stream.places_left(), 0);
                for (.., place, is_repeat) in found {
                    *n_read.entry(place).or_default() += usize::from(!is_repeat);
                }
            }
        }
        let n_whole = share(0).n_batches(whole.n_places(), 0) * world * batch;
        let n_expected = n_whole.min(whole.n_places());
        prop_assert_eq!(n_read.len() as u64, n_expected);
        prop_assert!(n_read.values().all(|it| *it == 1));
    }

    #[test]
    fn a_stream_goes_on_from_any_place(
        mut lengths in prop::collection::vec(0_u64..40, 1..12),
        threads in 1_usize..=8,
        shuffle in prop::sample::select(SHUFFLES.to_vec()),
        seed: u64,
        is_mapped: bool,
        n_read: u64,
        world in 1_u64..=5,
    ) {
        lengths.push(3);
        let share = Share::new(seed % world, world, 1, Tail::Pad).unwrap();
        let memory = memory(&lengths, Unit::Step, shuffle, seed, is_mapped);
        let plan = plan(memory, share, engine(threads, false));
        let mut stream = Stream::new(Arc::clone(&plan));
        let n_read = n_read % (stream.places_left() + 1);
        let mut found: Vec<Told> = delivered(&mut stream).take(n_read as usize).collect();
        let text = stream.state().to_json().unwrap();
        // What threads have made ahead goes with the process.
        drop(stream);
        let mut again = Stream::from_state(Arc::clone(&plan), &State::from_json(&text).unwrap()).unwrap();
        found.extend(delivered(&mut again));
        prop_assert_eq!(found, expected(&plan, &plan.order().start(), &share));
    }

    #[test]
    fn a_world_may_change_within_an_epoch(
        mut lengths in prop::collection::vec(0_u64..60, 1..12),
        n_read in prop::collection::vec(0_u64..9, 3),
        seed: u64,
        is_mapped: bool,
    ) {
        lengths.push(17);
        let memory = memory(&lengths, Unit::Step, Shuffle::On, seed, is_mapped);
        let first = plan(memory, all_places(), engine(2, false));
        let everything = expected(&first, &first.order().start(), &all_places());
        let mut text = Stream::new(Arc::clone(&first)).state().to_json().unwrap();
        let mut found = Vec::new();
        for (stage, world) in [8, 6, 1, 16].into_iter().enumerate() {
            let state = State::from_json(&text).unwrap();
            let mut texts = Vec::new();
            for rank in 0..world {
                let share = Share::new(rank, world, 1, Tail::Drop).unwrap();
                let mut stream = Stream::from_state(first.with_share(share), &state).unwrap();
                let n_read = n_read.get(stage).copied().unwrap_or(u64::MAX).min(stream.places_left());
                found.extend(delivered(&mut stream).take(n_read as usize));
                texts.push(stream.state().to_json().unwrap());
            }
            // Every rank says the same.
            prop_assert!(texts.iter().all(|it| *it == texts[0]));
            text = texts.swap_remove(0);
        }
        // What does not fill a step of the last world is read by one.
        let state = State::from_json(&text).unwrap();
        found.extend(delivered(&mut Stream::from_state(Arc::clone(&first), &state).unwrap()));
        found.sort_by_key(|it| it.4);
        prop_assert_eq!(found, everything);
    }
}

#[test]
fn sources_that_are_mixed_come_as_planned() {
    let mapped = memory(&[40, 30], Unit::Step, Shuffle::On, 1, true);
    let far = memory(&[9, 50], Unit::Step, Shuffle::On, 2, false);
    let watch = Arc::clone(&far.watch);
    let mix = MixOptions { weights: vec![0.7, 0.3], seed: 5, stop: Stop::Places(1500) };
    let sources = || vec![mapped.clone().prepared(), far.clone().prepared()];
    let plan = |prefetch_bytes| {
        let engine = EngineOptions { threads: Some(3), prefetch_bytes, ..EngineOptions::default() };
        StreamPlan::of(sources(), Some(&mix), all_places(), engine).unwrap()
    };
    for prefetch_bytes in [300, 1 << 20] {
        let plan = plan(prefetch_bytes);
        let mut stream = Stream::new(Arc::clone(&plan));
        let found: Vec<Told> = delivered(&mut stream).collect();
        assert_eq!(found, expected(&plan, &plan.order().start(), &all_places()));
        // And goes on behind it.
        stream.next_pass().unwrap();
        let next = plan.order().next_pass(&plan.order().start()).unwrap();
        let some: Vec<Told> = delivered(&mut stream).take(700).collect();
        assert_eq!(some, expected(&plan, &next, &all_places())[..700]);
        let state = stream.state();
        let mut again = Stream::from_state(Arc::clone(&plan), &state).unwrap();
        assert_eq!(again.places_left(), 800);
        assert_eq!(delivered(&mut again).next(), delivered(&mut stream).next());
    }
    assert!(!watch.fetched.lock().unwrap().is_empty());
}

#[test]
fn each_epoch_has_an_order_of_its_own() {
    let plan = plan(memory(&[40, 30], Unit::Step, Shuffle::On, 1, false), all_places(), engine(2, false));
    let mut stream = Stream::new(Arc::clone(&plan));
    let first: Vec<Told> = delivered(&mut stream).collect();
    assert!(stream.next().is_none() && stream.next().is_none());
    // At its end it is at its end, for whoever goes on from there as well.
    let mut again = Stream::from_state(Arc::clone(&plan), &stream.state()).unwrap();
    assert!(again.next().is_none());
    again.next_pass().unwrap();
    stream.next_pass().unwrap();
    let second: Vec<Told> = delivered(&mut stream).collect();
    assert!(second.iter().all(|it| it.1 == 1));
    assert_ne!(
        first.iter().map(|it| &it.3).collect::<Vec<_>>(),
        second.iter().map(|it| &it.3).collect::<Vec<_>>()
    );
    assert_eq!(delivered(&mut again).collect::<Vec<_>>(), second);
    assert_eq!(stream.stats().n_samples, 140);
}

#[test]
fn a_long_episode_is_whole_whatever_order_its_pieces_come_in() {
    for is_mapped in [false, true] {
        let mut memory = memory(&[1000, 3, 500], Unit::Episode, Shuffle::Off, 0, is_mapped);
        // Told to be a mebibyte a row, it is cut into pieces of 8.
        memory.told_bytes = Some(1 << 20);
        let watch = Arc::clone(&memory.watch);
        let plan = plan(memory, all_places(), engine(8, true));
        let found: Vec<Told> = delivered(&mut Stream::new(Arc::clone(&plan))).collect();
        assert_eq!(found, expected(&plan, &plan.order().start(), &all_places()));
        assert_eq!(watch.n_begun.load(std::sync::atomic::Ordering::SeqCst), 125 + 1 + 63);
        let n_fetched = watch.n_fetched();
        assert_eq!(n_fetched.len(), if is_mapped { 0 } else { 1503 });
        assert!(n_fetched.values().all(|it| *it == 1));
    }
}

#[test]
fn windows_hold_the_steps_around_their_sample() {
    let offsets = [-1, 0, 3];
    let mut memory = memory(&[20, 6], Unit::Step, Shuffle::On, 3, false);
    memory.windows = vec![None, Some(Window::of_steps(offsets).unwrap())];
    let plan = plan(memory, all_places(), engine(3, false));
    let mut n_samples = 0;
    for sample in Stream::new(plan) {
        let sample = sample.unwrap();
        let (episode, step) = (sample.episode as u64, sample.step.unwrap());
        let last = [19, 5][sample.episode];
        let clamped = offsets.map(|it| step.saturating_add_signed(it).min(last));
        let is_pad = offsets.map(|it| !(0..=last as i64).contains(&(step as i64 + it)));
        let [at, _, windowed, load] = sample.fields.as_slice() else { panic!("{sample:?}") };
        assert_eq!((at.n_rows, &at.pad), (1, &None));
        assert_eq!((load.n_rows, load.pad.as_deref()), (3, Some(&is_pad[..])));
        let Data::Tensor(tensor) = &windowed.column.data else { panic!("{windowed:?}") };
        let expected = clamped.iter().flat_map(|step| [episode, *step]).flat_map(u64::to_le_bytes);
        assert_eq!(tensor.bytes, expected.collect::<Vec<_>>());
        n_samples += 1;
    }
    assert_eq!(n_samples, 26);
}
