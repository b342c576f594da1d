//! Grids that are finer than what they are made of, and what a dry run says of their size.

use nodedata_testkit::lerobot::Base;
use serde_json::Value;

use crate::{command::Work, logs::fixture, tables::Dataset};

fn pipeline(log: &str, rate: &str, more: &str) -> String {
    format!(
        "version: 1\nsource: {log}\nsteps: {{clock: {{rate_hz: {rate}}}{more}}}\n\
         fields: {{tip: /gripper/state.tip_offset, said: {{from: /language_instruction.data, align: hold}}}}\n"
    )
}

#[test]
fn a_grid_finer_than_every_topic_is_refused() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    // The fastest topic has 200 messages a second.
    let ran = work.run(["convert", &log, "--out", "out", "--rate", "100000"]).exits(2);
    assert!(ran.stderr.contains("a grid of 100000 Hz is finer than every topic"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`/imu/data`, has 20"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--upsample") && ran.stderr.contains("upsample: true"), "{}", ran.stderr);
    assert_eq!(work.names(), std::slice::from_ref(&log));
    work.run(["convert", &log, "--out", "fast", "--rate", "200"]).exits(0);
    let gripper = ["convert", &log, "--topic", "/gripper/state", "--out"];
    // Twenty a second, and a tenth more that clocks may drift.
    work.run(gripper.iter().chain(&["same", "--rate", "20"])).exits(0);
    work.run(gripper.iter().chain(&["near", "--rate", "21.5"])).exits(0);
    work.run(gripper.iter().chain(&["out", "--rate", "30"])).exits(2);
    work.run(gripper.iter().chain(&["out", "--rate", "30", "--upsample"])).exits(0);
    let rows = |out: &str| Dataset::open(work.path(out)).tables()["steps"].num_rows();
    assert_eq!((rows("same"), rows("out")), (40, 59));
    work.run(gripper.iter().chain(&["none", "--upsample"])).exits(2);
    // A topic that says two things in two seconds.
    let said = |rate: &str| {
        format!(
            "version: 1\nsource: {log}\nsteps: {{clock: {{rate_hz: {rate}}}}}\nfields: {{said: /language_instruction.data}}\n"
        )
    };
    work.write("p.yaml", said("1"));
    work.run(["run", "p.yaml", "--out", "slow"]).exits(0);
    work.write("p.yaml", said("30"));
    let ran = work.run(["run", "p.yaml", "--out", "none"]).exits(2);
    assert!(ran.stderr.contains("`/language_instruction`, has 1.0 messages a second"), "{}", ran.stderr);
}

#[test]
fn a_pipeline_says_that_it_means_it() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write("p.yaml", pipeline(&log, "100", ""));
    for args in [["run", "p.yaml", "--out", "out"].as_slice(), &["run", "p.yaml", "--dry-run"]] {
        let ran = work.run(args).exits(2);
        assert!(ran.stderr.contains("finer than every topic"), "{args:?}: {}", ran.stderr);
    }
    work.write("p.yaml", pipeline(&log, "100", ", upsample: true"));
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    assert!(work.json("out/recipe.json")["rows"]["steps"]["upsample"].as_bool().unwrap());
    work.write("p.yaml", pipeline(&log, "20", ""));
    work.run(["run", "p.yaml", "--out", "plain"]).exits(0);
    assert_eq!(work.json("plain/recipe.json")["rows"]["steps"].get("upsample"), None);
}

/// Rows and bytes are told before anything is made of them.
#[test]
fn a_dry_run_tells_rows_and_bytes() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let told = |rate: &str| -> (u64, u64) {
        work.write("p.yaml", pipeline(&log, rate, ", upsample: true"));
        let told: Value = work.run(["run", "p.yaml", "--dry-run", "--format", "json"]).exits(0).json();
        let steps = &told["streams"][0];
        assert_eq!(steps["name"], "steps");
        (steps["rows"].as_u64().unwrap(), told["estimated_bytes"].as_u64().unwrap())
    };
    let (slow, fast) = (told("20"), told("2000"));
    let near = |found: u64, expected: u64| expected * 8 <= found * 10 && found * 10 <= expected * 12;
    assert!(near(slow.0, 40) && near(fast.0, 3901), "{slow:?} {fast:?}");
    assert!(0 < slow.1 && slow.1 * 20 < fast.1, "{slow:?} {fast:?}");
    let text = work.run(["run", "p.yaml", "--dry-run"]).exits(0).stdout;
    assert!(text.contains("steps (about 3,9") || text.contains("steps (about 39"), "{text}");
    assert!(text.contains("\nestimated  "), "{text}");
}

/// A flag for steps is never passed over.
#[test]
fn what_no_steps_are_made_of_is_refused() {
    let work = Work::new();
    Base::Apart.folder().write(&work.path("robot"));
    work.write("rows.jsonl", "{\"a\": 1}\n{\"a\": 2}\n");
    for (source, told) in
        [("robot", "the source has steps already"), ("rows.jsonl", "the source has no clock")]
    {
        for clock in [["--rate", "10"], ["--clock", "/joints"]] {
            let ran = work.run(["convert", source, "--out", "out"].iter().chain(&clock)).exits(1);
            assert!(ran.stderr.contains(told) && ran.stderr.contains("leave out `--rate`"), "{}", ran.stderr);
        }
    }
    let log = work.copy(&fixture("teleop.mcap"));
    for alone in [["--tolerance-ms", "5"], ["--time", "header.stamp"]] {
        work.run(["convert", &log, "--out", "out"].iter().chain(&alone)).exits(2);
    }
    assert!(!work.names().contains(&"out".to_owned()));
}
