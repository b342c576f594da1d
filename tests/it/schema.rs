//! Schemas on the command line: inferred, checked, compared, and enforced while converting.

use expect_test::expect;
use serde_json::{Value, json};

use crate::{
    command::{Work, for_each},
    logs::{fixture, fixtures},
};

/// What is learned from a log holds for it, and is what converting writes back.
#[test]
fn an_inferred_schema_holds_for_its_source() {
    for_each(&fixtures(), |log| {
        let work = Work::new();
        let name = work.copy(&log.path);
        let inferred = work.run(["schema", "infer", &name]).exits(0);
        work.write("schema.json", &inferred.stdout);
        let checked = work.run(["schema", "check", &name, "--schema", "schema.json"]).exits(0);
        assert_eq!(checked.stdout, "every row follows the schema\n", "{name}");
        work.run(["convert", &name, "--out", "inferred"]).exits(0);
        work.run(["convert", &name, "--out", "declared", "--schema", "schema.json"]).exits(0);
        let differences =
            work.run(["schema", "diff", "inferred", "schema.json", "--format", "json"]).exits(1).json();
        let mode = |out: &str| work.json(&format!("{out}/schema.json"))["mode"].clone();
        assert_eq!(mode("inferred"), "inferred", "{name}");
        // Only a conversion deals episodes to splits.
        let paths = differences["changes"].as_array().unwrap().iter().map(|it| it["path"].clone());
        assert_eq!(paths.collect::<Vec<Value>>(), ["splits"], "{name}");
        work.run(["validate", "--deep", "declared"]).exits(0);
    });
}

/// A log and the schema inferred from it, changed by `edit`.
fn changed(edit: impl FnOnce(&mut Value)) -> (Work, String) {
    let work = Work::new();
    let log = work.copy(&fixture("ros1_profile.mcap"));
    let mut schema = work.run(["schema", "infer", &log]).exits(0).json();
    edit(&mut schema);
    work.write("schema.json", schema.to_string());
    (work, log)
}

/// Checking exits with 1, and converting writes nothing; returns the violations.
#[track_caller]
fn refused(work: &Work, log: &str) -> Vec<Value> {
    let checked = work.run(["schema", "check", log, "--schema", "schema.json", "--format", "json"]).exits(1);
    let before = work.names();
    let converted = work.run(["convert", log, "--out", "out", "--schema", "schema.json"]).exits(1);
    assert_eq!(converted.stdout, "");
    assert!(converted.stderr.contains("\n  --> topic /"), "{}", converted.stderr);
    assert!(converted.stderr.contains("\nhint: "), "{}", converted.stderr);
    assert_eq!(work.names(), before);
    checked.json()["violations"].as_array().unwrap().clone()
}

#[test]
fn columns_that_differ_are_named_before_any_row_is_read() {
    let (work, log) = changed(|schema| {
        let fields = &mut schema["streams"]["/custom"]["fields"];
        fields["q"]["shape"] = json!([-1, 7]);
        fields["b"]["type"] = json!("float32");
        fields.as_object_mut().unwrap().remove("c");
        fields["ghost"] = json!({"type": "bool", "shape": [-1]});
    });
    let found = refused(&work, &log);
    let mut rules: Vec<(&str, &str)> =
        found.iter().map(|it| (it["feature"].as_str().unwrap(), it["rule"].as_str().unwrap())).collect();
    rules.sort_unstable();
    assert_eq!(rules, [("b", "type"), ("c", "extra"), ("ghost", "missing"), ("q", "shape")]);
    for violation in &found {
        assert_eq!(violation["stream"], "/custom", "{violation}");
        assert!(violation["hint"].as_str().is_some_and(|it| !it.is_empty()), "{violation}");
    }
}

/// Every row that breaks a rule is counted; the first ones are named.
#[test]
fn rows_that_break_a_rule_are_counted_and_addressed() {
    let (work, log) = changed(|schema| {
        let custom = &mut schema["streams"]["/custom"]["fields"];
        custom["c"]["max"] = json!(100);
        custom["b"]["min"] = json!(0);
        let joints = &mut schema["streams"]["/joint_states"]["fields"];
        joints["header.seq"]["max"] = json!(89);
        joints["velocity"]["shape"] = json!([-1, 6]);
    });
    let found = refused(&work, &log);
    let told: Vec<(&str, &str, &str, u64)> = found
        .iter()
        .map(|it| {
            let text = |key: &str| it[key].as_str().unwrap();
            (text("stream"), text("feature"), text("rule"), it["count"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("/custom", "b", "min", 20),
            ("/custom", "c", "max", 20),
            ("/joint_states", "header.seq", "max", 10),
            ("/joint_states", "velocity", "shape", 100),
        ]
    );
    let first: Vec<_> = found[2]["first"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["row"].clone(), it["found"].clone()))
        .collect();
    let expected: Vec<_> = (90..100).map(|seq| (json!(seq), json!(seq.to_string()))).collect();
    assert_eq!(first, expected);
    assert_eq!(found[2]["first"][0]["episode"], 0);
    assert!(found[3]["first"].as_array().unwrap().len() < 100, "only the first are named");
}

#[test]
fn a_schema_is_compared_as_its_readers_see_it() {
    let (work, log) = changed(|schema| {
        schema["streams"]["/custom"]["fields"]["q"]["shape"] = json!([-1, -1]);
        schema["streams"].as_object_mut().unwrap().remove("/instruction");
        schema["streams"]["/custom"]["fields"]["c"]["max"] = json!(200);
    });
    work.run(["convert", &log, "--out", "out"]).exits(0);
    let told = work.run(["schema", "diff", "out", "schema.json"]).exits(1);
    expect![[r#"
        ~ splits: ["train"] → [] (breaks readers)
        ~ streams./custom.fields.q.shape: [-1,6] → [-1,-1] (breaks readers)
        + streams./custom.fields.c.max: 200
        - streams./instruction: 1 fields (breaks readers)
        - streams./instruction.fields.data: {"type": "string", "shape": [-1]} (breaks readers)
        incompatible: what reads the old cannot read the new
        --- exit 1
    "#]]
    .assert_eq(&told.transcript());
    let same = work.run(["schema", "diff", "out", "out/schema.json"]).exits(0);
    assert_eq!(same.stdout, "no difference\n");
}

/// The plain form of a step table needs no more than types and shapes.
#[test]
fn the_plain_form_is_accepted() {
    let work = Work::new();
    let plain = r#"{"splits":["train","val"],"fields":{"rgb":{"type":"uint8","shape":[-1,224,224,3]},"action":{"type":"float32","shape":[-1,7]}}}"#;
    work.write("plain.json", plain);
    work.write("other.json", plain.replace("-1,7", "-1,8"));
    let told = work.run(["schema", "diff", "plain.json", "other.json"]).exits(1);
    expect![[r#"
        ~ fields.action.shape: [-1,7] → [-1,8] (breaks readers)
        incompatible: what reads the old cannot read the new
        --- exit 1
    "#]]
    .assert_eq(&told.transcript());
    // A log has no step table yet: that is what is wrong, and not the schema.
    let log = work.copy(&fixture("ros1_profile.mcap"));
    let refused = work.run(["schema", "check", &log, "--schema", "plain.json"]).exits(1);
    assert!(refused.stdout.contains("stream `steps` is missing"), "{}", refused.stdout);
}

#[test]
fn all_mistakes_of_a_schema_are_told_at_once() {
    let work = Work::new();
    let log = work.copy(&fixture("ros1_profile.mcap"));
    work.write(
        "schema.json",
        "{\"fields\": {\n  \"a\": {\"tipe\": \"float32\", \"shape\": [-1]},\n  \"b\": {\"type\": \"float33\", \"shape\": [7]}\n}}\n",
    );
    let told = work.run(["schema", "check", &log, "--schema", "schema.json"]).exits(2);
    expect![[r#"
        --- stderr
        error: field `a` has no `type`
          also line 2, column 9: unknown key `tipe` in field `a` (did you mean `type`?)
          also line 3, column 17: unknown type `float33` (did you mean `float32`?)
          --> schema.json, line 2, column 3
        hint: add `"type": "float32"`
        --- exit 2
    "#]]
    .assert_eq(&told.transcript());
    work.write("schema.json", "{\"fields\": ");
    let told = work.run(["convert", &log, "--out", "out", "--schema", "schema.json"]).exits(2);
    assert!(told.stderr.contains("  --> schema.json, line 1, column "), "{}", told.stderr);
    assert_eq!(work.names(), [log.as_str(), "schema.json"]);
    work.run(["schema", "check", &log, "--schema", "missing.json"]).exits(1);
}
