//! A run that is told to stop keeps what it finished, says so in one line, and goes on later.
#![cfg(unix)]

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{command::Work, generated::log, resume::finished_units, tables::differing, web::Web};

/// A run of which all that it prints is kept.
fn start(work: &Work, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-data"));
    command.args(args).current_dir(work.path("."));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    // It may have ended a moment ago.
    Command::new("kill").args(["-s", name, &pid]).stderr(Stdio::null()).status().unwrap();
}

/// Waits until something can be seen of its work; `false` when it ended before.
fn reaches(child: &mut Child, is_reached: impl Fn() -> bool) -> bool {
    while !is_reached() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Exit code and stderr.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    (child.wait().unwrap().code(), told)
}

/// Runs until so many units are there and stops it by a signal; what it said. A run that was faster than the signal is
/// run again.
fn stopped(work: &Work, args: &[&str], name: &str, n_units: usize) -> (Option<i32>, String) {
    for _ in 0..20 {
        let mut child = start(work, args);
        let is_running = reaches(&mut child, || finished_units(work, "out") >= n_units);
        signal(&child, name);
        let (code, told) = ended(child);
        if is_running && code != Some(0) {
            return (code, told);
        }
        assert_eq!(code, Some(0), "{told}");
        std::fs::remove_dir_all(work.path("out")).unwrap();
    }
    panic!("every run was faster than the signal");
}

/// The number in `3 of 8 units are kept`.
fn kept(told: &str) -> usize {
    let n = told.strip_prefix("interrupted: ").and_then(|it| it.split_once(" of "));
    n.unwrap_or_else(|| panic!("{told}")).0.parse().unwrap()
}

#[test]
fn what_was_finished_is_kept_and_the_same_command_goes_on() {
    let work = Work::new();
    work.write("log.mcap", log(1, 40));
    let args = ["convert", "log.mcap", "--shard-mb", "1", "--out"];
    let args_to = |out: &'static str| -> Vec<&str> { args.iter().copied().chain([out]).collect() };
    work.run(args_to("calm")).exits(0);
    let mut before = 0;
    for (name, expected) in [("INT", 130), ("TERM", 143)] {
        let (code, told) = stopped(&work, &args_to("out"), name, before + 2);
        assert_eq!(code, Some(expected), "{told}");
        assert!(told.ends_with(" units are kept; the same command goes on from there\n"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        before = kept(&told);
        assert_eq!(before, finished_units(&work, "out"), "{told}");
        let left = std::fs::read_dir(work.path(".out.partial/units")).unwrap();
        assert_eq!(left.count(), before, "nothing unfinished is left");
    }
    let ran = work.run(args_to("out")).exits(0);
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"]);
    assert_eq!(work.names(), ["calm", "log.mcap", "out"]);
    // What was taken over is told, and is no part of the speed.
    let report = work.json("out/report.json");
    let units = report["units"].as_u64().unwrap();
    assert_eq!(report["units_reused"].as_u64().unwrap(), before as u64);
    let made = report["made_bytes"].as_u64().unwrap();
    assert!(0 < made && made < report["input_bytes"].as_u64().unwrap(), "{made} bytes");
    let line = format!("{before} of {units} units taken over; the rest made from ");
    assert_eq!(ran.stdout.matches(&line).count(), 1, "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("/s)").count(), 1, "{}", ran.stdout);
    let calm = work.json("calm/report.json");
    assert!(calm.get("made_bytes").is_none(), "a run that made all of it has nothing to tell apart");
}

#[test]
fn where_nothing_was_finished_nothing_is_left() {
    let work = Work::new();
    work.write("log.mcap", log(2, 60));
    let args = ["convert", "log.mcap", "--out", "out", "--format", "json"];
    let units = work.path(".out.partial/units");
    let is_begun = || std::fs::read_dir(&units).is_ok_and(|mut it| it.next().is_some());
    let mut n_runs = 0;
    loop {
        n_runs += 1;
        assert!(n_runs <= 50, "no run was stopped");
        let mut child = start(&work, &args);
        let is_running = reaches(&mut child, is_begun);
        signal(&child, "INT");
        let (code, told) = ended(child);
        let is_early = told.contains("none of 1 units was finished");
        if is_running && code == Some(130) && is_early {
            let error: serde_json::Value = serde_json::from_str(&told).unwrap();
            assert_eq!(error["error"]["kind"], "Interrupted");
            break;
        }
        // It was faster than the signal: all of it was finished.
        assert!(code == Some(0) || told.contains("1 of 1 units are kept"), "{code:?}: {told}");
        for left in ["out", ".out.partial"] {
            drop(std::fs::remove_dir_all(work.path(left)));
        }
    }
    assert_eq!(work.names(), ["log.mcap"]);
    work.run(args).exits(0);
}

#[test]
fn workers_stop_as_well() {
    let work = Work::new();
    work.write("log.mcap", log(3, 40));
    work.run(["plan", "log.mcap", "--shard-mb", "1", "--out", "out", "--plan", "p.json"]).exits(0);
    let args = ["work", "--plan", "p.json", "--index", "0", "--of", "1"];
    // Of runs that may be faster than the signal, one is not.
    let is_stopped = (0..20).any(|_| {
        drop(std::fs::remove_dir_all(work.path(".out.partial/units")));
        let mut child = start(&work, &args);
        assert!(reaches(&mut child, || finished_units(&work, "out") >= 2));
        signal(&child, "INT");
        let (code, told) = ended(child);
        if code != Some(0) {
            assert_eq!((code, kept(&told)), (Some(130), finished_units(&work, "out")), "{told}");
        }
        code != Some(0)
    });
    assert!(is_stopped, "no signal stopped a worker");
    work.run(args).exits(0);
    work.run(["finish", "--plan", "p.json"]).exits(0);
}

/// A server that says nothing any more holds up the piece of work at hand: once more ends at once.
#[test]
fn the_second_signal_ends_at_once() {
    let work = Work::new();
    let web = Web::new([("log.mcap", log(4, 60))]);
    let url = web.at("files", "log.mcap");
    let mut child = start(&work, &["convert", &url, "--shard-mb", "1", "--out", "out"]);
    assert!(reaches(&mut child, || finished_units(&work, "out") >= 1));
    web.hang();
    let n_asked = web.asked().len();
    if reaches(&mut child, || web.asked().len() >= n_asked + 2) {
        for _ in 0..2000 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            signal(&child, "INT");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    // One that listens to no signal fails the test and does not hang it.
    drop(child.kill());
    let (code, told) = ended(child);
    assert_eq!(code, Some(130), "{told}");
    assert!(finished_units(&work, "out") >= 1, "{told}");
}

/// Before and after the rows nothing is half done: the first signal ends it.
#[test]
fn while_a_source_is_opened_the_first_signal_ends_it() {
    let work = Work::new();
    let web = Web::new([("log.mcap", vec![0; 100])]);
    web.hang();
    let mut child = start(&work, &["convert", &web.at("files", "log.mcap"), "--out", "out"]);
    assert!(reaches(&mut child, || !web.asked().is_empty()));
    signal(&child, "TERM");
    let (code, told) = ended(child);
    assert_eq!(code, Some(143), "{told}");
    assert_eq!(told, "interrupted: what was finished is kept; the same command goes on from there\n");
    assert_eq!(work.names(), [""; 0]);
}
