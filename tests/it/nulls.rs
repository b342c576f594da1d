//! Rows without a value: told after a run, in the report and in a dry run, and refused where nobody can have meant them.

use std::{collections::BTreeMap, io::Cursor};

use mcap::{WriteOptions, records::MessageHeader};
use serde_json::{Value, json};

use crate::{command::Work, logs::fixture};

/// Steps of teleop.mcap at 30 Hz, of which the small camera has two frames a second.
fn steps(thumb: &str) -> String {
    format!(
        "version: 1\nsource: teleop.mcap\nsteps: {{clock: {{rate_hz: 30}}, tolerance_ms: 20}}\nfields:\n  \
         joints: /joint_states.position\n  thumb: {{from: /camera/thumb/image_raw{thumb}}}\n"
    )
}

#[test]
fn nulls_are_told_wherever_a_run_is_told() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    work.write("p.yaml", steps(""));
    let ran = work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let report = work.json("out/report.json");
    let nulls = report["nulls"]["steps"].as_object().unwrap();
    // A feature that always has a value is not there.
    assert_eq!(nulls.keys().collect::<Vec<_>>(), ["thumb"]);
    let (n, rows) = (nulls["thumb"]["nulls"].as_u64().unwrap(), nulls["thumb"]["rows"].as_u64().unwrap());
    assert!(0 < n && n < rows, "{nulls:?}");
    assert!(ran.stdout.contains(&format!("nulls in steps: thumb {n} of {rows}\n")), "{}", ran.stdout);
    // No number of its own: the statistics of the column say the same.
    let stats = work.json("out/stats.json");
    assert_eq!(stats["streams"]["steps"]["thumb"]["null_count"], n);
    assert_eq!(stats["streams"]["steps"]["joints"]["null_count"], 0);

    let dry = work.run(["run", "p.yaml", "--dry-run"]).exits(0);
    assert!(dry.stdout.contains(&format!("null in {n} of the first {rows} rows")), "{}", dry.stdout);
    let dry = work.run(["run", "p.yaml", "--dry-run", "--format", "json"]).exits(0).json();
    let features = dry["streams"][0]["features"].as_array().unwrap();
    let of = |name: &str| features.iter().find(|it| it["name"] == name).unwrap();
    assert_eq!(of("thumb")["nulls"], json!({"nulls": n, "rows": rows}));
    assert_eq!(of("joints").get("nulls"), None);
}

/// Every message of `/late` comes seven milliseconds after a step, so a tolerance of one leaves nothing.
#[test]
fn a_field_without_any_value_ends_the_run_unless_it_says_so() {
    let work = Work::new();
    work.write("joints.mcap", joints());
    let write = |nullable: &str| {
        work.write(
            "p.yaml",
            format!(
                "version: 1\nsource: joints.mcap\nsteps: {{clock: {{topic: /joints}}, tolerance_ms: 1}}\nfields:\n  \
                 names: /joints.name\n  late: {{from: /late.value{nullable}}}\n"
            ),
        );
    };
    write("");
    let ran = work.run(["run", "p.yaml", "--out", "out"]).exits(2);
    let expected = "error: `fields.late`: none of the 60 steps has a value of /late.value\n  --> p.yaml\n";
    assert!(ran.stderr.starts_with(expected), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("farther than 1 ms") && ran.stderr.contains("`nullable: always`"),
        "{}",
        ran.stderr
    );
    assert!(!work.path("out").exists());

    write(", nullable: always");
    let ran = work.run(["run", "p.yaml", "--out", "out", "--format", "json"]).exits(0).json();
    assert_eq!(ran["report"]["nulls"]["steps"]["late"], json!({"nulls": 60, "rows": 60}));
    // What the refused run had made is used: the key decides no row.
    assert_eq!(ran["report"]["units_reused"], ran["report"]["units"]);
    work.run(["validate", "--deep", "out"]).exits(0);
    // A dataset that is there is made again as it is.
    work.run(["explain", "out", "--rebuild", "--source", "joints.mcap"]).exits(0);

    // A flag names no field, so nobody is told to take it out of a file.
    let args = ["convert", "joints.mcap", "--out", "flags", "--clock", "/joints", "--tolerance-ms", "1"];
    let ran = work.run(args).exits(0);
    assert!(ran.stdout.contains("nulls in steps: ") && ran.stdout.contains(" all 60"), "{}", ran.stdout);
}

/// What a source itself leaves out is told, and is no mistake.
#[test]
fn optional_columns_of_a_source_are_only_told() {
    let work = Work::new();
    work.write("a.jsonl", "{\"a\": 1}\n{\"a\": 2, \"b\": 0.5}\n{\"a\": 3}\n");
    let ran = work.run(["convert", "a.jsonl", "--out", "out"]).exits(0);
    assert!(ran.stdout.contains("nulls in steps: b 2 of 3\n"), "{}", ran.stdout);
    let ran = work.run(["validate", "--format", "json", "out"]).exits(0).json();
    assert_eq!(ran["quality"]["findings"], json!([]));
}

#[test]
fn a_rule_says_how_many_rows_may_be_without_a_value() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    let rule = |it: &str| work.write("p.yaml", format!("{}quality: {{nulls: {it}}}\n", steps("")));
    rule("{level: fail, max_share: 0.01}");
    let ran = work.run(["run", "p.yaml", "--out", "out"]).exits(1);
    assert!(ran.stderr.contains("ND-Q012 nulls: "), "{}", ran.stderr);
    assert!(!work.path("out").exists());
    for passes in ["{level: fail, max_share: 0.999}", "{level: fail, fields: joints}", "off"] {
        rule(passes);
        work.run(["run", "p.yaml", "--out", "out", "--overwrite"]).exits(0);
    }
    rule("{level: quarantine, fields: [\"th*\"]}");
    work.run(["run", "p.yaml", "--out", "apart"]).exits(3);
    assert_eq!(work.json("apart/manifest.json")["splits"]["quarantine"]["episodes"], 1);
    rule("{level: warn, fields: [thumbs]}");
    let ran = work.run(["run", "p.yaml", "--out", "none"]).exits(2);
    assert!(ran.stderr.contains("the source has no feature `thumbs`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `thumb`?"), "{}", ran.stderr);
}

const SCHEMA: &str = r#"{"type": "object", "properties": {
    "name": {"type": "array", "items": {"type": "string"}},
    "position": {"type": "array", "items": {"type": "number"}}}}"#;

const LATE: &str = r#"{"type": "object", "properties": {"value": {"type": "number"}}}"#;

/// Sixty messages at 30 Hz, of which the first forty do not name a wrist, and as many of another topic after them.
fn joints() -> Vec<u8> {
    let mut writer = WriteOptions::new().create(Cursor::new(Vec::new())).unwrap();
    let schema = writer.add_schema("joints", "jsonschema", SCHEMA.as_bytes()).unwrap();
    let channel_id = writer.add_channel(schema, "/joints", "json", &BTreeMap::new()).unwrap();
    let late = writer.add_schema("late", "jsonschema", LATE.as_bytes()).unwrap();
    let late = writer.add_channel(late, "/late", "json", &BTreeMap::new()).unwrap();
    for sequence in 0..60u32 {
        let time = 1_700_000_000_000_000_000 + u64::from(sequence) * 1_000_000_000 / 30;
        let header = MessageHeader { channel_id, sequence, log_time: time, publish_time: time };
        let message = match sequence {
            0..40 => json!({"name": ["elbow"], "position": [0.5]}),
            _ => json!({"name": ["wrist", "elbow"], "position": [f64::from(sequence), 0.5]}),
        };
        writer.write_to_known_channel(&header, message.to_string().as_bytes()).unwrap();
        let time = time + 7_000_000;
        let header = MessageHeader { channel_id: late, sequence, log_time: time, publish_time: time };
        writer.write_to_known_channel(&header, br#"{"value": 1.5}"#).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

#[test]
fn a_name_that_some_messages_lack_follows_its_rule() {
    let work = Work::new();
    work.write("joints.mcap", joints());
    let run = |rule: &str, out: &str, code: i32| -> Value {
        work.write(
            "p.yaml",
            format!(
                "version: 1\nsource: joints.mcap\nsteps: {{clock: {{topic: /joints}}}}\nfields:\n  \
                 arm: {{from: /joints.position, by_name: {{names: [elbow, wrist]{rule}}}}}\n"
            ),
        );
        let ran = work.run(["run", "p.yaml", "--out", out]).exits(code);
        match code {
            0 => {
                assert!(ran.stdout.contains("absent in steps: arm.wrist in 40 steps\n"), "{}", ran.stdout);
                work.json(format!("{out}/report.json").as_str())
            }
            _ => Value::String(ran.stderr),
        }
    };
    for (rule, out) in [("", "default"), (", absent: null", "null")] {
        let report = run(rule, out, 0);
        assert_eq!(report["result"], "complete");
        assert_eq!(report["streams"]["steps"]["absent"], json!({"arm.wrist": 40}));
        assert_eq!(report["nulls"]["steps"]["arm"], json!({"nulls": 40, "rows": 60}));
        assert_eq!(report["streams"]["steps"]["written"], 60);
    }
    let report = run(", absent: drop", "drop", 0);
    assert_eq!(report["streams"]["steps"]["dropped"], json!({"absent_name": 40}));
    assert_eq!((&report["streams"]["steps"]["written"], report.get("nulls")), (&json!(20), None));
    let told = run(", absent: fail", "fail", 1);
    assert!(told.as_str().unwrap().contains("has no `wrist`"), "{told}");
}
