//! `--start` and `--end` in whatever unit, and ranges that select nothing.

use nodedata_testkit::corpus;

use crate::{
    command::{Ran, Work},
    logs::fixture,
    tables::{Dataset, differing, int64},
};

/// The recording is from 1700000000.000 s to 1700000001.999 s.
const HALF: &str = "1700000000500000000";
const THREE_HALVES: &str = "1700000001500000000";

#[test]
fn a_time_is_the_same_in_every_unit() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let nanos = ["--start", HALF, "--end", THREE_HALVES];
    work.run(["convert", &log, "--out", "nanos"].iter().chain(&nanos)).exits(0);
    let rows = int64(&Dataset::open(work.path("nanos")).tables()["/imu/data"], "log_time_ns");
    assert!(rows.iter().all(|it| (500_000_000..1_500_000_000).contains(&(it - 1_700_000_000_000_000_000))));
    assert_eq!(rows.len(), 200);
    for (out, start, end) in [
        ("millis", "1700000000500ms", "1700000001500ms"),
        ("seconds", "1700000000.5s", "1700000001.5s"),
        ("dates", "2023-11-14T22:13:20.5Z", "2023-11-14T23:13:21.500+01:00"),
        // The first record of the recording is at 1700000000 s sharp.
        ("offsets", "+500ms", "+1.5s"),
        ("mixed", "+0m0.5s", "1700000001500000us"),
    ] {
        work.run(["convert", &log, "--out", out, "--start", start, "--end", end]).exits(0);
        assert_eq!(differing(&work.path("nanos"), &work.path(out)), ["report.json"], "{out}");
    }
    // An offset counts from the recording's start, whatever is selected of it.
    let alone = ["--topic", "/camera/thumb/image_raw", "--start", "+0.4s", "--end", "+0.6s"];
    work.run(["convert", &log, "--out", "alone"].iter().chain(&alone)).exits(0);
    assert_eq!(Dataset::open(work.path("alone")).tables()["/camera/thumb/image_raw"].num_rows(), 1);
}

#[test]
fn keys_of_a_pipeline_are_read_alike() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.run(["convert", &log, "--out", "flags", "--start", HALF, "--end", THREE_HALVES]).exits(0);
    let keys = [
        ("start_ns", HALF, "end_ns", THREE_HALVES),
        ("start", "+0.5s", "end", "2023-11-14T22:13:21.5Z"),
        ("start", HALF, "end", "1700000001500ms"),
    ];
    for (idx, (start, first, end, last)) in keys.into_iter().enumerate() {
        let text = format!("version: 1\nsource: {{path: {log}, {start}: {first}, {end}: {last}}}\n");
        work.write("p.yaml", text);
        let out = format!("p{idx}");
        work.run(["run", "p.yaml", "--out", &out]).exits(0);
        assert_eq!(differing(&work.path("flags"), &work.path(&out)), ["report.json"], "{start}: {first}");
    }
    for (source, told) in [
        ("start: 1700000000, start_ns: 5", "`source` has both `start` and `start_ns`"),
        ("start: soon", "`soon` is no time"),
        ("start: 2023-11-14T22:13:20", "names no time zone"),
        ("start: 5s, end: 4000ms", "`source.end` is 4000ms, not after `start` 5s"),
    ] {
        work.write("p.yaml", format!("version: 1\nsource: {{path: {log}, {source}}}\n"));
        let ran = work.run(["pipeline", "check", "p.yaml"]).exits(2);
        assert!(
            ran.stderr.contains(told) && ran.stderr.contains("p.yaml, line 2"),
            "{source}: {}",
            ran.stderr
        );
    }
}

#[track_caller]
fn refused(ran: &Ran, told: &[&str]) {
    for told in told {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    assert_eq!(ran.stdout, "");
}

/// Nothing is written, and the message has the times that there are.
#[test]
fn a_range_without_a_record_is_refused() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let real = ["2023-11-14T22:13:20Z (1700000000000000000)", "(1700000001999000000)"];
    let cases: [&[&str]; 4] = [
        &["--start", "+10s"],
        &["--end", "2023-11-14T22:13:20Z"],
        &["--start", "2024-01-01T00:00:00Z", "--end", "2024-01-02T00:00:00Z"],
        // The topic has messages at 0 s and 1 s alone.
        &["--topic", "/language_instruction", "--start", "+0.2s", "--end", "+0.8s"],
    ];
    for case in cases {
        let convert = ["convert", &log, "--out", "out"];
        refused(&work.run(convert.iter().chain(case)).exits(1), &real);
        refused(&work.run(["inspect", &log].iter().chain(case)).exits(1), &real);
        refused(&work.run(["schema", "infer", &log].iter().chain(case)).exits(1), &real);
    }
    // Seconds without their unit: as nanoseconds they are the first two seconds of 1970.
    let both = ["convert", &log, "--out", "out", "--start", "1700000000", "--end", "1700000002"];
    refused(
        &work.run(both).exits(1),
        &[real[0], "1700000000 is 1.7 s after 1970 as nanoseconds; did you mean 1700000000s?"],
    );
    // A start alone would select everything, and nobody would see that it did nothing.
    let start = ["convert", &log, "--out", "out", "--start", "1700000000500"];
    refused(
        &work.run(start).exits(2),
        &["1700000000500 is 1700.0 s after 1970", "did you mean 1700000000500ms?"],
    );
    assert_eq!(work.names(), [log]);
}

#[test]
fn times_that_cannot_be_meant() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    for (times, told) in [
        (["--start", "2023-11-14T22:13:20"], "names no time zone"),
        (["--start", "12.5"], "has no unit"),
        (["--start", "noon"], "is no time"),
    ] {
        let ran = work.run(["convert", &log, "--out", "out"].iter().chain(&times)).exits(2);
        assert!(ran.stderr.contains(told), "{times:?}: {}", ran.stderr);
    }
    let swapped = ["convert", &log, "--out", "out", "--start", "+1s", "--end", "+0.5s"];
    refused(&work.run(swapped).exits(2), &["ends at 2023-11-14T22:13:20.500Z", "swap the two"]);
    // Whose start? Dates say it.
    work.write("logs/a.mcap", std::fs::read(fixture("teleop.mcap")).unwrap());
    work.write("logs/b.mcap", std::fs::read(fixture("teleop.mcap")).unwrap());
    refused(&work.run(["convert", "logs", "--out", "out", "--start", "+1s"]).exits(2), &["here are 2"]);
    work.run(["convert", "logs", "--out", "out", "--start", "1700000001s"]).exits(0);
    // Steps have no log times to select by.
    let steps = corpus::fixtures("lerobot").join("v21_simple").display().to_string();
    let ran = work.run(["convert", &steps, "--out", "steps", "--start", "+1s"]).exits(1);
    refused(&ran, &["rows of lerobot sources are selected by no log time"]);
    let ran = work.run(["convert", &steps, "--out", "steps", "--end", "1700000001s"]).exits(1);
    refused(&ran, &["rows of lerobot sources are selected by no log time"]);
}

#[test]
fn episodes_given_by_their_times() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let pipeline = |ranges: &str| {
        format!(
            "version: 1\nsource: {log}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields: {{imu: /imu/data.orientation.x}}\n\
             episodes: {{by: ranges, ranges: [{ranges}]}}\n"
        )
    };
    let first = "{start: 2023-11-14T22:13:20Z, end: 1700000001s}";
    work.write(
        "p.yaml",
        pipeline(&format!("{first}, {{start_ns: 1700000001000000000, end: 1700000001500ms}}")),
    );
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    assert_eq!(work.json("out/report.json")["episodes"], 2);
    // One of two that selects nothing is a slip, too.
    for (range, code, told) in [
        ("{start: 1700000000, end: 1700000001}", 1, "did you mean 1700000000s?"),
        ("{start: 1700000005s, end: 1700000006s}", 1, "the recordings are from 2023-11-14T22:13:20Z"),
        ("{start: +1s, end: +2s}", 2, "counts from a start that ranges do not have"),
        ("{start: 1700000005s}", 2, "has no `end`"),
    ] {
        // And alone it gets the same answer.
        for ranges in [format!("{first}, {range}"), range.to_owned()] {
            work.write("p.yaml", pipeline(&ranges));
            let ran = work.run(["run", "p.yaml", "--out", "none"]).exits(code);
            assert!(ran.stderr.contains(told), "{ranges}: {}", ran.stderr);
            assert!(!work.path("none").exists());
        }
    }
}

/// A dataset without a row is made of a source without a record, and of no other.
#[test]
fn nothing_comes_of_nothing_alone() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        format!(
            "version: 1\nsource: {log}\nsteps: {{clock: {{topic: /language_instruction}}, tolerance_ms: 0.000001, beyond: drop}}\n\
             fields: {{imu: /imu/data.orientation.x}}\n"
        ),
    );
    let ran = work.run(["run", "p.yaml", "--out", "out"]).exits(1);
    refused(&ran, &["not a row comes of them"]);
    assert!(!work.path("out").exists());
    let mut empty = Vec::new();
    mcap::Writer::new(std::io::Cursor::new(&mut empty)).unwrap().finish().unwrap();
    work.write("empty.mcap", empty);
    work.run(["convert", "empty.mcap", "--out", "empty"]).exits(0);
    work.run(["convert", "empty.mcap", "--out", "dated", "--start", "1700000000s"]).exits(0);
    refused(
        &work.run(["convert", "empty.mcap", "--out", "offset", "--start", "+1s"]).exits(2),
        &["no record tells"],
    );
}
