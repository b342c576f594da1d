//! Quality rules: the gate of a run, and `validate`.

use expect_test::expect;

use crate::{command::Work, logs::fixture};

/// A folder of two recordings of which one breaks a rule: its episode is apart, named, and nothing is lost.
#[test]
fn an_episode_in_quarantine() {
    let work = Work::new();
    for name in ["teleop.mcap", "json_and_cbor.mcap"] {
        work.write(&format!("runs/{name}"), std::fs::read(fixture(name)).unwrap());
    }
    work.write(
        "p.yaml",
        "version: 1\nsource: runs\nquality:\n  rate: {level: quarantine, streams: {/imu/data: {min_hz: 1000}}}\n  duplicate_episode: fail\n",
    );
    let args =
        ["run", "p.yaml", "--out", "out", "--report", "q.html", "--report", "q.xml", "--report", "q.json"];
    let ran = work.run(args).exits(3);
    let first = ran.stdout.lines().take(2).collect::<Vec<_>>().join("\n");
    expect![[r#"
        ND-Q001 quarantine: 199.99 rows a second, at least 1000 are declared
          --> episode 1 (teleop.mcap), topic /imu/data"#]]
    .assert_eq(&first);
    expect![[r#"
        quarantined: the episode is kept out of the splits: ND-Q001: 199.99 rows a second, at least 1000 are declared
          --> episode 1 (teleop.mcap)
    "#]].assert_eq(&ran.stderr);
    let manifest = work.json("out/manifest.json");
    assert_eq!(manifest["splits"]["quarantine"]["episodes"], 1);
    assert_eq!(manifest["splits"]["train"]["episodes"], 1);
    let rows: u64 =
        manifest["streams"].as_array().unwrap().iter().map(|it| it["rows"].as_u64().unwrap()).sum();
    let ledger = manifest["ledger"].as_object().unwrap();
    assert_eq!(rows, ledger.values().map(|it| it["read"].as_u64().unwrap()).sum::<u64>());
    let card = std::fs::read_to_string(work.path("out/README.md")).unwrap();
    assert!(!card.contains("split: quarantine") && card.contains("1 episodes are in quarantine"), "{card}");
    let schema = work.json("out/schema.json");
    assert_eq!(schema["splits"], serde_json::json!(["train"]));
    let report = work.json("out/report.json");
    assert_eq!(
        (report["result"].as_str(), report["damage"][0]["reason"].as_str()),
        (Some("incomplete"), Some("quarantined"))
    );
    work.run(["validate", "--deep", "out"]).exits(0);
    // The same again is there already, and still incomplete.
    let again = work.run(["run", "p.yaml", "--out", "out"]).exits(3);
    assert!(again.stdout.contains("already complete"), "{}", again.stdout);
    let page = std::fs::read_to_string(work.path("q.html")).unwrap();
    assert!(page.contains("ND-Q001") && page.contains("<svg") && !page.contains("<script"));
    let suite = std::fs::read_to_string(work.path("q.xml")).unwrap();
    assert!(suite.contains("failures=\"1\""), "{suite}");
    assert_eq!(work.json("q.json")["quarantined"][0]["key"], "teleop.mcap");
}

#[test]
fn a_rule_that_fails_a_run_writes_nothing() {
    let work = Work::new();
    let bytes = std::fs::read(fixture("json_and_cbor.mcap")).unwrap();
    work.write("runs/a.mcap", &bytes);
    work.write("runs/b.mcap", &bytes);
    work.write("p.yaml", "version: 1\nsource: runs\nquality: {duplicate_episode: fail}\n");
    let ran = work.run(["run", "p.yaml", "--out", "out", "--report", "q.xml"]);
    expect![[r#"
        --- stderr
        error: ND-Q011 duplicate_episode: has the content of episode 0, row for row
          --> p.yaml
        hint: it is about episode 1 (b.mcap); nothing was written
        --- exit 1
    "#]]
    .assert_eq(&ran.transcript());
    // The report is there all the same.
    assert_eq!(work.names(), ["p.yaml", "q.xml", "runs"]);
}

#[test]
fn validate_tells_what_rules_find() {
    let work = Work::new();
    let bytes = std::fs::read(fixture("teleop.mcap")).unwrap();
    work.write("runs/a.mcap", &bytes);
    work.write("runs/b.mcap", &bytes);
    work.run(["convert", "runs", "--out", "out"]).exits(0);
    let found = work.run(["validate", "out", "--format", "json", "--report", "q.html"]).exits(0).json();
    let mut told: Vec<String> = found["quality"]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {} {} {}\n", it["code"], it["stream"], it["feature"], it["message"]))
        .collect();
    told.sort_unstable();
    told.dedup();
    expect![[r#"
        "ND-Q007" "/diag/all_types" "doubles" "12 numbers are not finite, the first is inf in element 0"
        "ND-Q011" null null "has the content of episode 0, row for row"
    "#]]
    .assert_eq(&told.concat());
    // Without rules nothing is found, and with strict ones the exit code says so.
    assert!(
        work.run(["validate", "out", "--no-quality", "--format", "json"]).exits(0).json()["quality"]
            .is_null()
    );
    work.write("strict.yaml", "version: 1\nsource: runs\nquality: {duplicate_episode: fail}\n");
    let strict = work.run(["validate", "out", "--rules", "strict.yaml"]).exits(1);
    assert!(strict.stdout.contains("ND-Q011 fail: has the content of episode 0"), "{}", strict.stdout);
    work.write("apart.yaml", "version: 1\nsource: runs\nquality: {duplicate_episode: quarantine}\n");
    work.run(["validate", "out", "--rules", "apart.yaml"]).exits(3);
    work.run(["validate", "out", "--report", "q.txt"]).exits(2);
}

/// The gate and `validate` look with the same eyes.
#[test]
fn the_gate_finds_what_validate_finds() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    let rules = "quality: {gap: {level: warn, max_ms: 30}, non_finite: warn, dead_joint: warn, duplicate_frames: {level: warn, max: 1}, clock_jump: {level: warn, max_ms: 1}, backward_time: warn}";
    work.write("p.yaml", format!("version: 1\nsource: teleop.mcap\n{rules}\n"));
    let gate = work.run(["run", "p.yaml", "--out", "out", "--format", "json"]).exits(0).json();
    let later = work.run(["validate", "out", "--rules", "p.yaml", "--format", "json"]).exits(0).json();
    assert!(!gate["quality"]["findings"].as_array().unwrap().is_empty());
    assert_eq!(gate["quality"]["findings"], later["quality"]["findings"]);
    let by_name = |report: &serde_json::Value| {
        let mut streams = report["quality"]["streams"].as_array().unwrap().clone();
        streams.sort_by_key(|it| it["name"].to_string());
        streams
    };
    assert_eq!(by_name(&gate), by_name(&later));
}

/// A rule about what is not there would find nothing for ever; it is a mistake in the file.
#[test]
fn a_rule_about_what_is_not_there() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: teleop.mcap\nquality:\n  rate: {level: warn, streams: {/imu/dta: {min_hz: 1}}}\n  range:\n    level: warn\n    features: {/cmd/gripper.dat: {max: 1}, position: {min: -9}}\n",
    );
    expect![[r#"
        --- stderr
        error: the source has no stream `/imu/dta`
          --> p.yaml, line 4, column 33
        hint: did you mean `/imu/data`?
        error: the source has no feature `/cmd/gripper.dat`
          --> p.yaml, line 7, column 16
        hint: did you mean `data`?
        --- exit 2
    "#]]
    .assert_eq(&work.run(["run", "p.yaml", "--out", "out"]).transcript());
}
