//! Threads of streams, counted as the system names them: alone in a process, so that no other test has any.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]
#![cfg(target_os = "linux")]

mod published;

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nodedata_stream::{EngineOptions, Share, Stream, StreamOptions, StreamPlan, Tail};
use published::{Published, all_steps, check};

/// How many threads of each of our names there are.
fn threads() -> BTreeMap<String, usize> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task").unwrap() {
        // One that has ended meanwhile has no name.
        let Ok(name) = fs::read_to_string(entry.unwrap().path().join("comm")) else { continue };
        if name.starts_with("nd-") {
            *threads.entry(name.trim().to_owned()).or_default() += 1;
        }
    }
    threads
}

/// A thread names itself when it begins, and is gone a moment after it has ended.
#[track_caller]
fn comes_to(expected: &BTreeMap<String, usize>) {
    let started = Instant::now();
    while threads() != *expected {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?} are there, not {expected:?}", threads());
        thread::yield_now();
    }
}

fn named(names: &[(&str, usize)]) -> BTreeMap<String, usize> {
    names.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

#[test]
fn threads_are_there_while_a_stream_is_read() {
    let none = named(&[]);
    for (published, expected) in [
        (Published::near(), named(&[("nd-decode", 3)])),
        (Published::far(), named(&[("nd-decode", 3), ("nd-fetch", 8)])),
    ] {
        let engine = EngineOptions { threads: Some(3), ready_bytes: 10_000, ..EngineOptions::default() };
        let share = Share::new(0, 1, 1, Tail::Drop).unwrap();
        let sources = vec![(published.split(), StreamOptions::default())];
        let plan = StreamPlan::new(sources, None, share, engine).unwrap();
        let mut stream = Stream::new(Arc::clone(&plan));
        assert_eq!(threads(), none, "nobody has asked for a sample");
        let first = stream.next().unwrap().unwrap();
        check(&first, &[0]);
        comes_to(&expected);
        stream.stop();
        comes_to(&none);
        assert_eq!(stream.by_ref().take(10).filter(|it| it.is_ok()).count(), 10);
        comes_to(&expected);
        drop(stream);
        comes_to(&none);
        let mut stream = Stream::new(plan);
        assert_eq!(stream.by_ref().count(), all_steps().len());
        comes_to(&none);
        published.folder.close().unwrap();
    }
}
