//! Streams of a dataset that was published: what comes is what was written, wherever it lies.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod published;

use std::{fs, sync::Arc, time::Duration};

use nodedata_core::{ErrorKind, Silent};
use nodedata_reader::{As, Data, FieldsRequest, FrameAxes, Place, Reader, Tensor};
use nodedata_registry::{DatasetState, Revision, pull};
use nodedata_stream::{
    Batch, DecodedCache, EngineOptions, OnError, OrderOptions, Pad, PolledBatch, Sample, Selection, Share,
    Shuffle, Stream, StreamOptions, StreamPlan, Tail, Unit, Window,
};
use published::{Published, SHARDS, all_steps, check};

fn engine() -> EngineOptions {
    EngineOptions { threads: Some(3), ..EngineOptions::default() }
}

fn shuffled() -> StreamOptions {
    let order = OrderOptions { shuffle: Shuffle::On, seed: 3, ..OrderOptions::default() };
    StreamOptions { order, ..StreamOptions::default() }
}

fn plan_with(published: &Published, options: StreamOptions, engine: EngineOptions) -> Arc<StreamPlan> {
    let share = Share::new(0, 1, 1, Tail::Drop).unwrap();
    StreamPlan::new(vec![(published.split(), options)], None, share, engine).unwrap()
}

fn plan(published: &Published, options: StreamOptions) -> Arc<StreamPlan> {
    plan_with(published, options, engine())
}

/// Reads one pass of steps, each of which is what was written.
fn read_steps(stream: &mut Stream) {
    let mut found = Vec::new();
    for sample in stream.by_ref() {
        let sample = sample.unwrap();
        let step = sample.step.unwrap();
        check(&sample, &[step]);
        found.push((sample.episode, step));
    }
    found.sort_unstable();
    assert_eq!(found, all_steps());
}

#[test]
fn every_step_is_what_was_written() {
    for published in [Published::near(), Published::far()] {
        for options in [StreamOptions::default(), shuffled()] {
            // Blocks are kept; little more than a row is; nothing waits.
            for (prefetch_bytes, ready_bytes) in [(1 << 20, 1 << 20), (2000, 5000), (0, 0)] {
                let engine = EngineOptions { prefetch_bytes, ready_bytes, ..engine() };
                read_steps(&mut Stream::new(plan_with(&published, options.clone(), engine)));
            }
        }
    }
}

#[test]
fn every_episode_is_what_was_written() {
    for published in [Published::near(), Published::far()] {
        let mut options = shuffled();
        options.selection = Selection { unit: Unit::Episode, drop_first: 1, ..Selection::default() };
        let lengths = SHARDS.concat();
        let mut n_episodes = 0;
        for sample in Stream::new(plan(&published, options)) {
            let sample = sample.unwrap();
            let steps: Vec<u64> = (1..lengths[sample.episode]).collect();
            assert_eq!((sample.step, sample.steps.clone()), (None, 1..lengths[sample.episode]));
            check(&sample, &steps);
            n_episodes += 1;
        }
        assert_eq!(n_episodes, 4, "one has a single step, which is left out");
    }
}

#[test]
fn windows_are_of_their_episode() {
    let window = |offsets: &[i64]| Window::of_steps(offsets.iter().copied()).unwrap();
    for published in [Published::near(), Published::far()] {
        let windows =
            vec![("rgb".to_owned(), window(&[-1, 0])), ("action".to_owned(), window(&[0, 1, 2, 9]))];
        let options = StreamOptions { windows, ..shuffled() };
        for sample in Stream::new(plan(&published, options)) {
            let mut sample = sample.unwrap();
            let (step, last) = (sample.step.unwrap(), SHARDS.concat()[sample.episode] - 1);
            let fields = std::mem::take(&mut sample.fields);
            for field in fields {
                let steps: Vec<u64> = match &*field.column.name {
                    "rgb" => vec![step.saturating_sub(1), step],
                    "action" => [0, 1, 2, 9].map(|it| last.min(step + it)).to_vec(),
                    _ => vec![step],
                };
                let is_pad = match &*field.column.name {
                    "rgb" => Some(vec![step == 0, false]),
                    "action" => Some([0, 1, 2, 9].map(|it| step + it > last).to_vec()),
                    _ => None,
                };
                assert_eq!(field.pad, is_pad);
                sample.fields = vec![field];
                check(&sample, &steps);
            }
        }
    }
}

#[test]
fn blocks_are_fetched_once_where_they_fit() {
    let published = Published::far();
    let mut stream = Stream::new(plan(&published, shuffled()));
    read_steps(&mut stream);
    // Each episode is a block.
    assert_eq!(stream.stats().n_fetches, 5);
    let fetched_bytes = stream.stats().fetched_bytes;
    stream.next_pass().unwrap();
    read_steps(&mut stream);
    assert!(stream.stats().n_fetches == 10 && fetched_bytes > 0);
    // However many windows there are: what all of them need comes in one round, and none of it twice.
    let window = |name: &str, offsets: [i64; 2]| (name.to_owned(), Window::of_steps(offsets).unwrap());
    let windows = vec![window("rgb", [-1, 0]), window("action", [0, 1])];
    let mut windowed = Stream::new(plan(&published, StreamOptions { windows, ..shuffled() }));
    assert_eq!(windowed.by_ref().filter(Result::is_ok).count(), all_steps().len());
    let stats = windowed.stats();
    assert_eq!((stats.n_fetches, stats.fetched_bytes), (5, fetched_bytes));
    // Mapped: nothing is.
    let published = Published::near();
    let mut near = Stream::new(plan(&published, shuffled()));
    read_steps(&mut near);
    assert_eq!((near.stats().n_fetches, near.stats().fetched_bytes), (0, 0));
}

#[test]
fn decoded_rows_are_found_again() {
    for published in [Published::near(), Published::far()] {
        let cache = tempfile::tempdir().unwrap();
        let folder = Some(cache.path().join("decoded"));
        let n_steps = all_steps().len() as u64;
        let options = |max_bytes| {
            let decoded_cache = Some(DecodedCache { folder: folder.clone(), max_bytes });
            StreamOptions { decoded_cache, ..shuffled() }
        };
        let mut stream = Stream::new(plan(&published, options(1 << 20)));
        read_steps(&mut stream);
        assert_eq!(stream.stats().n_found, 0);
        stream.next_pass().unwrap();
        read_steps(&mut stream);
        assert_eq!(stream.stats().n_found, n_steps);
        // For other processes as well, and for whole episodes and windows.
        let mut whole = options(1 << 20);
        whole.selection.unit = Unit::Episode;
        let mut stream = Stream::new(plan(&published, whole));
        let lengths = SHARDS.concat();
        for sample in stream.by_ref() {
            let sample = sample.unwrap();
            check(&sample, &(0..lengths[sample.episode]).collect::<Vec<_>>());
        }
        assert_eq!(stream.stats().n_found, n_steps);
        // Pictures of another size are others.
        let mut small = options(1 << 20);
        small.fields = FieldsRequest { resize: vec![("rgb".to_owned(), [3, 4])], ..FieldsRequest::default() };
        let mut stream = Stream::new(plan(&published, small));
        assert!(stream.by_ref().all(|it| {
            let sample = it.unwrap();
            matches!(&sample.field("rgb").unwrap().column.data, Data::Tensor(it) if it.shape == [3, 4, 3])
        }));
        assert_eq!(stream.stats().n_found, 0);
    }
}

/// Steps, windows, whole episodes and rows that are kept on the disk, which are the same for either order.
#[test]
fn channels_come_first_where_they_are_asked_for() {
    let all = |published: &Published, options: StreamOptions| -> Vec<Sample> {
        Stream::new(plan(published, options)).map(Result::unwrap).collect()
    };
    for published in [Published::near(), Published::far()] {
        let cache = tempfile::tempdir().unwrap();
        let decoded_cache = Some(DecodedCache { folder: Some(cache.path().to_owned()), max_bytes: 1 << 20 });
        let kept = StreamOptions { decoded_cache, ..shuffled() };
        let windows = vec![("rgb".to_owned(), Window::of_steps([-1, 0, -1]).unwrap())];
        let windowed = StreamOptions { windows, ..shuffled() };
        let mut whole = shuffled();
        whole.selection.unit = Unit::Episode;
        for options in [shuffled(), windowed, whole, kept.clone(), kept] {
            let first = StreamOptions { axes: FrameAxes::ChannelsFirst, ..options.clone() };
            let (last, mut first) = (all(&published, options), all(&published, first));
            assert!(!last.is_empty());
            for sample in &mut first {
                let field = sample.fields.iter_mut().find(|it| &*it.column.name == "rgb").unwrap();
                let Data::Tensor(tensor) = &mut field.column.data else { panic!("{field:?}") };
                assert_eq!(tensor.shape, [3, 6, 8]);
                *tensor = back(tensor);
            }
            assert!(first == last, "pixels, and everything beside them");
        }
    }
    // It is no part of what a state is held against.
    let published = Published::near();
    let mut stream = Stream::new(plan(&published, shuffled()));
    let begun = stream.by_ref().take(10).count();
    let first = StreamOptions { axes: FrameAxes::ChannelsFirst, ..shuffled() };
    let rest = Stream::from_state(plan(&published, first), &stream.state()).unwrap().count();
    assert_eq!(begun + rest, all_steps().len());
}

/// Whether pictures are decoded, resized, turned, or found on the disk, and whatever windows read of them.
#[test]
fn batches_hold_what_samples_hold() {
    for published in [Published::near(), Published::far()] {
        let cache = tempfile::tempdir().unwrap();
        let decoded_cache = Some(DecodedCache { folder: Some(cache.path().to_owned()), max_bytes: 1 << 20 });
        let windows = vec![("rgb".to_owned(), Window::of_steps([-1, 0, 2]).unwrap())];
        let fields = FieldsRequest { resize: vec![("rgb".to_owned(), [3, 4])], ..FieldsRequest::default() };
        let windowed = StreamOptions { windows, ..shuffled() };
        let all = [
            shuffled(),
            windowed.clone(),
            StreamOptions { fields, axes: FrameAxes::ChannelsFirst, ..windowed.clone() },
            StreamOptions { decoded_cache: decoded_cache.clone(), ..shuffled() },
            StreamOptions { decoded_cache, ..windowed },
        ];
        for options in all {
            let share = Share::new(0, 1, 7, Tail::Drop).unwrap();
            let plan = StreamPlan::new(vec![(published.split(), options)], None, share, engine()).unwrap();
            // Batches before samples, and behind them: of rows that are kept none is there yet, or all are.
            let before = batches(&plan);
            let samples: Vec<Sample> = Stream::new(Arc::clone(&plan)).map(Result::unwrap).collect();
            assert_eq!((samples.len(), before.len()), (91, 13));
            for found in [before, batches(&plan)] {
                found.iter().zip(samples.chunks(7)).for_each(|(batch, samples)| check_batch(batch, samples));
            }
        }
    }
}

fn batches(plan: &Arc<StreamPlan>) -> Vec<Batch> {
    let mut stream = Stream::new(Arc::clone(plan));
    let mut found = Vec::new();
    loop {
        match stream.next_batch_within(Duration::from_secs(60)) {
            PolledBatch::Ready(batch) => found.push(batch.unwrap()),
            PolledBatch::Waiting => {}
            PolledBatch::Done => return found,
        }
    }
}

fn check_batch(batch: &Batch, samples: &[Sample]) {
    let names: Vec<&str> = batch.whole.iter().map(|it| &*it.name).collect();
    assert!(names.contains(&"rgb") && names.contains(&"action") && !names.contains(&"points"), "{names:?}");
    for whole in &batch.whole {
        let mut bytes = Vec::new();
        for sample in samples {
            let field = sample.field(&whole.name).unwrap();
            let Data::Tensor(tensor) = &field.column.data else { panic!("{field:?}") };
            assert_eq!((&tensor.shape, field.n_rows), (&whole.values.shape, whole.n_rows));
            bytes.extend_from_slice(&tensor.bytes);
        }
        assert!(whole.values.bytes == bytes, "{}", whole.name);
    }
    for (made, sample) in batch.samples.iter().zip(samples) {
        assert_eq!((made.episode, made.step), (sample.episode, sample.step));
        assert_eq!(made.field("points"), sample.field("points"));
        assert_eq!(made.field("task"), sample.field("task"));
    }
}

/// Planes of 6 × 8 as pixels of three channels.
fn back(planes: &Tensor) -> Tensor {
    let frames = planes.bytes.chunks_exact(3 * 48);
    let pixels = frames.flat_map(|it| (0..48).flat_map(move |at| [it[at], it[48 + at], it[96 + at]]));
    Tensor { dtype: planes.dtype, shape: vec![6, 8, 3], bytes: pixels.collect() }
}

#[test]
fn a_cache_that_is_too_small_keeps_a_part() {
    let published = Published::near();
    let cache = tempfile::tempdir().unwrap();
    let folder = Some(cache.path().to_owned());
    // Its head, and ten pictures with their marks.
    let max_bytes = 4096 + 10 * (6 * 8 * 3 + 16);
    let options = StreamOptions { decoded_cache: Some(DecodedCache { folder, max_bytes }), ..shuffled() };
    let mut stream = Stream::new(plan(&published, options));
    for n_found in [0, 10, 20] {
        read_steps(&mut stream);
        assert_eq!(stream.stats().n_found, n_found);
        stream.next_pass().unwrap();
    }
    let files = fs::read_dir(cache.path()).unwrap().map(|it| it.unwrap().metadata().unwrap().len());
    assert!(files.sum::<u64>() <= max_bytes);
    // What is damaged there is decoded anew.
    for entry in fs::read_dir(cache.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes.iter_mut().skip(4096).for_each(|it| *it ^= 1);
        fs::write(&path, bytes).unwrap();
    }
    read_steps(&mut stream);
    assert_eq!(stream.stats().n_found, 20);
}

/// Such as of two splits that are read in turn, run after run.
#[cfg(unix)]
#[test]
fn a_cache_that_is_in_use_is_not_given_away() {
    let published = Published::near();
    let cache = tempfile::tempdir().unwrap();
    let n_steps = all_steps().len() as u64;
    // Its head, and all pictures with their marks.
    let max_bytes = 4096 + n_steps * (6 * 8 * 3 + 16);
    let options = |resize: Vec<(String, [u32; 2])>| {
        let decoded_cache = Some(DecodedCache { folder: Some(cache.path().to_owned()), max_bytes });
        let fields = FieldsRequest { resize, ..FieldsRequest::default() };
        StreamOptions { decoded_cache, fields, ..shuffled() }
    };
    let mut first = Stream::new(plan(&published, options(Vec::new())));
    read_steps(&mut first);
    // There is no room for anything else.
    let small = vec![("rgb".to_owned(), [3, 4])];
    let mut other = Stream::new(plan(&published, options(small)));
    for _ in 0..2 {
        assert!(other.by_ref().all(|it| it.is_ok()));
        other.next_pass().unwrap();
    }
    assert_eq!(other.stats().n_found, 0);
    let mut later = Stream::new(plan(&published, options(Vec::new())));
    read_steps(&mut later);
    assert_eq!(later.stats().n_found, n_steps);
}

#[test]
fn what_a_folder_holds_is_kept_for_the_folder_alone() {
    let published = Published::near();
    let dataset = "acme/places".parse().unwrap();
    let state = DatasetState::open(&*published.remote, &dataset).unwrap();
    let revision = Revision::open(&published.remote, &dataset, state.head().unwrap()).unwrap();
    let out = published.folder.path().join("pulled");
    pull(&revision, &out, false, &Silent).unwrap();
    let pulled = Reader::of_folder(&out).unwrap().split("train", "steps").unwrap();
    assert_eq!(pulled.reader().manifest_digest(), published.split().reader().manifest_digest());
    let cache = tempfile::tempdir().unwrap();
    let options = || {
        let decoded_cache = DecodedCache { folder: Some(cache.path().to_owned()), max_bytes: 1 << 20 };
        StreamOptions { decoded_cache: Some(decoded_cache), ..shuffled() }
    };
    let share = Share::new(0, 1, 1, Tail::Drop).unwrap();
    let of_folder = StreamPlan::new(vec![(pulled, options())], None, share, engine()).unwrap();
    let mut stream = Stream::new(of_folder);
    read_steps(&mut stream);
    stream.next_pass().unwrap();
    read_steps(&mut stream);
    assert_eq!(stream.stats().n_found, all_steps().len() as u64);
    // Nobody has held the folder against what was published.
    let mut stream = Stream::new(plan(&published, options()));
    read_steps(&mut stream);
    assert_eq!(stream.stats().n_found, 0);
}

#[test]
fn damage_is_told_with_its_address_and_spoils_no_other_shard() {
    let published = Published::near();
    let plan_of = |on_error| plan_with(&published, shuffled(), EngineOptions { on_error, ..engine() });
    let (raising, skipping) = (plan_of(OnError::Raise), plan_of(OnError::Skip));
    damage(&published, "train-1.parquet");
    let broken = |episode: usize| [2, 3].contains(&episode);
    let mut n_broken = 0;
    for sample in Stream::new(raising) {
        match sample {
            Ok(sample) => {
                assert!(!broken(sample.episode));
                check(&sample, &[sample.step.unwrap()]);
            }
            Err(err) => {
                n_broken += 1;
                assert_eq!(err.kind(), ErrorKind::Corrupt, "{}", err.chain());
                let place = Place::of(&err).unwrap();
                assert_eq!(
                    (place.dataset.as_deref(), place.revision.as_deref()),
                    (Some("acme/places"), Some("1.0.0"))
                );
                assert!(place.shard.is_some(), "{place:?}");
                assert!(err.locus().episode_idx.is_some_and(|it| broken(it as usize)), "{err:?}");
            }
        }
    }
    assert!(n_broken > 0);
    let mut stream = Stream::new(skipping);
    assert!(stream.by_ref().all(|it| !broken(it.unwrap().episode)));
    let stats = stream.stats();
    assert_eq!((stats.n_skipped, stats.skipped.len()), (n_broken, n_broken as usize));
    assert!(stats.skipped.iter().all(|it| broken(it.episode) && it.address.shard.is_some()));
}

/// Flips bytes of the pictures of a shard, where the registry keeps it.
fn damage(published: &Published, shard: &str) {
    let original = fs::read(published.folder.path().join("shards").join(shard)).unwrap();
    let mut folders = vec![published.folder.path().join("store")];
    let mut n_damaged = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap() == original {
                let mut bytes = original.clone();
                // The data of each PNG.
                let starts: Vec<usize> =
                    (0..bytes.len() - 4).filter(|it| &bytes[*it..*it + 4] == b"IDAT").collect();
                starts.iter().for_each(|it| bytes[*it + 8] ^= 0x55);
                fs::remove_file(&path).unwrap();
                fs::write(&path, bytes).unwrap();
                n_damaged += starts.len();
            }
        }
    }
    // Those of its pictures, and of pictures that its statistics name.
    assert!(n_damaged >= 18);
}

#[test]
fn bytes_may_be_had_as_they_are() {
    for published in [Published::near(), Published::far()] {
        let fields = Some(vec![("rgb".to_owned(), As::Bytes), ("task".to_owned(), As::Decoded)]);
        let fields = FieldsRequest { fields, resize: Vec::new() };
        let mut stream = Stream::new(plan(&published, StreamOptions { fields, ..StreamOptions::default() }));
        let mut n_samples = 0;
        for sample in stream.by_ref() {
            let sample = sample.unwrap();
            let Data::Bytes(bytes) = &sample.fields[0].column.data else { panic!("{sample:?}") };
            assert!(bytes[0].starts_with(b"\x89PNG"));
            assert_eq!(sample.fields.len(), 2);
            n_samples += 1;
        }
        assert_eq!(n_samples, all_steps().len());
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let published = Published::near();
    let window = |name: &str| (name.to_owned(), Window::of_steps([0, 1]).unwrap());
    let told = |options: StreamOptions, engine: EngineOptions| {
        let share = Share::new(0, 1, 1, Tail::Drop).unwrap();
        let err = StreamPlan::new(vec![(published.split(), options)], None, share, engine).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config);
        err.to_string()
    };
    let windows = vec![window("actoin"), window("rgb"), window("action"), window("action")];
    let options = StreamOptions { windows, pad: Pad::Nan, ..shuffled() };
    let text = told(options, EngineOptions { threads: Some(0), ..engine() });
    let expected = [
        "`threads` is 0",
        "there is a window of `actoin`, which is not read: did you mean `action`?",
        "`pad` is \"nan\", and values are uint8",
        "`action` has two windows",
    ];
    for line in expected {
        assert!(text.contains(line), "{text}");
    }
    let whole = Selection { unit: Unit::Episode, ..Selection::default() };
    let options = StreamOptions { windows: vec![window("rgb")], selection: whole, ..shuffled() };
    assert_eq!(told(options, engine()), "`window` has no effect where samples are episodes");
    let options = StreamOptions { pad: Pad::Zero, ..shuffled() };
    assert_eq!(told(options, engine()), "`pad` has no effect where there are no windows");
    let options = StreamOptions { fields: FieldsRequest::named(["rbg"]), ..shuffled() };
    assert!(told(options, engine()).contains("rbg"));
    let options = StreamOptions { fields: FieldsRequest::named([""; 0]), ..shuffled() };
    assert_eq!(told(options, engine()), "samples have no fields");
}

#[test]
fn streams_that_deliver_other_values_have_other_states() {
    let published = Published::near();
    let state = |options: StreamOptions| Stream::new(plan(&published, options)).state();
    let window =
        |name: &str, offsets: &[i64]| (name.to_owned(), Window::of_steps(offsets.iter().copied()).unwrap());
    let windowed = |windows: Vec<(String, Window)>| StreamOptions { windows, ..shuffled() };
    let (a, b) = (window("action", &[0, 1]), window("rgb", &[-1, 0]));
    let one = state(windowed(vec![a.clone(), b.clone()]));
    assert_eq!(one, state(windowed(vec![b.clone(), a.clone()])), "their order decides nothing");
    let others = [
        shuffled(),
        windowed(vec![a.clone()]),
        windowed(vec![a.clone(), window("rgb", &[0, -1])]),
        StreamOptions { pad: Pad::Zero, ..windowed(vec![a, b]) },
        StreamOptions { fields: FieldsRequest::named(["rgb"]), ..shuffled() },
        StreamOptions {
            fields: FieldsRequest { resize: vec![("rgb".to_owned(), [3, 4])], ..FieldsRequest::default() },
            ..shuffled()
        },
    ];
    let mut states: Vec<String> = others.into_iter().map(|it| state(it).to_json().unwrap()).collect();
    states.push(one.to_json().unwrap());
    let n_states = states.len();
    states.sort();
    states.dedup();
    assert_eq!(states.len(), n_states);
}
