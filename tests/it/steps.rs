//! Steps: whatever the threads and the cut of the log, the same rows; and every message of a mapped topic has a fate.

use serde_json::Value;

use crate::{
    command::{Work, for_each},
    logs::fixture,
    tables::{Dataset, differing},
};

/// Used, superseded, dropped and read of a stream add up.
#[track_caller]
fn balances(report: &Value) {
    for (stream, entry) in report["streams"].as_object().unwrap() {
        let Some(used) = entry.get("used") else { continue };
        let sum = |key: &str| -> u64 {
            let reasons = entry.get(key).and_then(Value::as_object);
            reasons.map_or(0, |it| it.values().map(|it| it.as_u64().unwrap()).sum())
        };
        let accounted = used.as_u64().unwrap() + sum("superseded") + sum("dropped");
        assert_eq!(entry["read"], accounted, "{stream}: {entry}");
    }
}

#[test]
fn steps_do_not_depend_on_threads() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    for clock in [["--rate", "30"], ["--clock", "/camera/wrist/image/compressed"]] {
        let runs = [("a", "1"), ("b", "8")];
        for_each(&runs, |(out, threads)| {
            let args =
                ["convert", &log, "--out", out, "--overwrite", "--threads", threads, "--tolerance-ms", "60"];
            work.run(args.iter().chain(&clock)).exits(0);
        });
        assert_eq!(differing(&work.path("a"), &work.path("b")), ["report.json"], "{clock:?}");
        work.run(["validate", "--deep", "a"]).exits(0);
        let report = work.json("a/report.json");
        balances(&report);
        assert_eq!(report["streams"]["steps"]["written"], 60, "{report}");
        assert_eq!(report["streams"]["/imu/data"]["read"], 400);
    }
}

/// Many recordings: each is an episode, with steps from 0.
#[test]
fn recordings_are_episodes() {
    let work = Work::new();
    let log = std::fs::read(fixture("teleop.mcap")).unwrap();
    for idx in 0..3 {
        work.write(&format!("logs/{idx}.mcap"), &log);
    }
    work.run(["convert", "logs", "--out", "out", "--rate", "10", "--time", "header.stamp"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let shards = dataset.manifest["shards"].as_array().unwrap();
    assert!(shards.iter().all(|it| it["stream"] == "steps"), "{shards:?}");
    let report = work.json("out/report.json");
    balances(&report);
    assert_eq!((&report["episodes"], &report["streams"]["steps"]["written"]), (&3.into(), &60.into()));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let ran = work.run(["convert", &log, "--out", "out", "--clock", "/camera/wrist"]).exits(2);
    assert!(ran.stderr.contains("there is no topic `/camera/wrist`"), "{}", ran.stderr);
    let ran = work.run(["convert", &log, "--out", "out", "--rate", "fast"]).exits(2);
    assert!(ran.stderr.contains("`fast` is not a rate"), "{}", ran.stderr);
    work.run(["convert", &log, "--out", "out", "--rate", "1", "--clock", "/imu/data"]).exits(2);
}
