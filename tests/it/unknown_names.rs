//! An unknown name is a mistake with the names that are there, wherever one is taken; it is never passed over.

use expect_test::expect;
use nodedata_testkit::corpus;

use crate::{
    command::{Work, for_each},
    logs::fixture,
};

#[test]
fn a_name_of_a_joint_that_no_message_holds() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: teleop.mcap\nsteps: {clock: {rate_hz: 30}}\nfields:\n  arm: {from: /joint_states.position, by_name: [shoulder_pn, elbow, tail]}\n",
    );
    for dry in [&["--dry-run"][..], &[]] {
        let ran = work.run(["run", "p.yaml", "--out", "out"].iter().chain(dry));
        expect![[r#"
            --- stderr
            error: `fields.arm.by_name[0]`: no message of `/joint_states` holds the name `shoulder_pn`
              --> p.yaml, line 5, column 49
            hint: did you mean `shoulder_pan`?
            error: `fields.arm.by_name[2]`: no message of `/joint_states` holds the name `tail`
              --> p.yaml, line 5, column 69
            hint: one of: elbow, shoulder_lift, shoulder_pan, wrist_1, wrist_2, wrist_3
            --- exit 2
        "#]]
        .assert_eq(&ran.transcript());
    }
    assert_eq!(work.names(), ["p.yaml", "teleop.mcap"]);
}

/// Words after flags: what is asked, and what the answer must say.
#[test]
fn words_after_flags() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write("a.jsonl", "{\"a\": 1}\n");
    let robot = corpus::fixtures("lerobot").join("v30_video_h264").display().to_string();
    work.run(["convert", &log, "--out", "out", "--topic", "/imu/data", "--topic", "/cmd/pose"]).exits(0);
    let shards = work.json("out/manifest.json")["shards"].clone();
    let shard = shards.as_array().unwrap().iter().find(|it| it["stream"] == "/imu/data").unwrap();
    let shard = format!("out/{}", shard["path"].as_str().unwrap());
    work.write(
        "rules.yaml",
        "version: 1\nsource: x\nquality: {rate: {level: warn, streams: {/imu/dta: {min_hz: 1}}}}\n",
    );
    let cases: &[(&[&str], i32, &str)] = &[
        (&["convert", &log, "--out", "x", "--topic", "/imu/dta"], 2, "did you mean `/imu/data`?"),
        (&["convert", &log, "--out", "x", "--topic", "/nowhere/*"], 2, "no topic fits `/nowhere/*`"),
        (&["inspect", &log, "--topic", "/imu/dta"], 2, "did you mean `/imu/data`?"),
        (&["schema", "infer", &log, "--topic", "/imu/dta"], 2, "did you mean `/imu/data`?"),
        (&["convert", &log, "--out", "x", "--undecoded", "/imu/dta"], 2, "did you mean `/imu/data`?"),
        (&["convert", &log, "--out", "x", "--rate", "30", "--time", "header.stmp"], 2, "no topic has a time"),
        (&["convert", &robot, "--out", "x", "--topic", "action_"], 2, "did you mean `action`?"),
        (&["convert", &robot, "--out", "x", "--undecoded", "action"], 2, "no stream fits `action`"),
        (&["convert", &robot, "--out", "x", "--decode", "frnt=png"], 2, "no camera fits `frnt`"),
        (&["convert", "a.jsonl", "--out", "x", "--undecoded", "a"], 2, "no stream fits `a`"),
        (&["convert", "a.jsonl", "--out", "x", "--topic", "b"], 2, "no feature fits `b`"),
        (&["convert", "a.jsonl", "--out", "x", "--set", "source.mixd=refuse"], 2, "did you mean `mixed`?"),
        (&["convert", "a.jsonl", "--out", "x", "--set", "source.mixed=fail"], 2, "json, refuse, text"),
        (&["convert", "a.jsonl", "--out", "x", "--embed", "b=path"], 2, "no row has the field `b`"),
        (&["convert", "a.jsonl", "--out", "x", "--embed", "a=pth"], 2, "none of path, base64"),
        (
            &["convert", "a.jsonl", "--out", "x", "--embed", "a=path", "--embed", "a=base64"],
            2,
            "`--embed` says two things of `a`",
        ),
        (
            &["convert", &robot, "--out", "x", "--decode", "front=png", "--decode", "front=raw"],
            2,
            "`--decode` says two things of `front`",
        ),
        (
            &["convert", "a.jsonl", "--out", "x", "--set", "source.mixed=text", "--set", "source.mixed=json"],
            2,
            "`--set` says two things of `mixed`",
        ),
        (&["convert", &log, "--out", "x", "--embed", "a=path"], 1, "mcap sources do not embed"),
        (&["explain", "out", "--stream", "/imu/dta"], 2, "did you mean `/imu/data`?"),
        (&["explain", "out", "--episode", "7"], 2, "there is no episode 7"),
        (&["explain", &shard, "--stream", "/cmd/pose"], 2, "the shard is of stream `/imu/data`"),
        (&["explain", &shard, "--episode", "0"], 2, "not by episode"),
        (&["validate", "out", "--rules", "rules.yaml"], 2, "did you mean `/imu/data`?"),
    ];
    for_each(cases, |(args, code, told)| {
        let ran = work.run(*args).exits(*code);
        assert!(ran.stderr.contains(told), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    });
    assert!(!work.path("x").exists());
}

/// Words in pipeline files, each with its place.
#[test]
fn words_in_pipeline_files() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    let steps = "steps: {clock: {rate_hz: 30}}\nfields: {imu: /imu/data.angular_velocity.x}";
    let cases = [
        ("splits: {val: [telop.mcap], train: [\"*\"]}", "did you mean `teleop.mcap`?"),
        ("splits: {val: [\"run-*\"], train: [\"*\"]}", "the source has no episode `run-*`"),
        ("quality: {range: {level: warn, features: {/imu/data.orientation.xx: {min: 0}}}}", "has no feature"),
        ("quality: {nulls: {level: warn, fields: [/imu/dta.x]}}", "did you mean `/imu/data`?"),
        ("quality: {nulls: {level: warn, fields: [\"[\"]}}", "`[` is not a pattern"),
        ("quality: {nuls: warn}", "did you mean `nulls`?"),
        ("publish: {dataset: a/b, license: MIT, modality: [rbg]}", "did you mean `rgb`?"),
    ];
    for (idx, (text, told)) in cases.iter().enumerate() {
        work.write("p.yaml", format!("version: 1\nsource: teleop.mcap\n{text}\n"));
        let ran = work.run(["run", "p.yaml", "--out", "out"]).exits(2);
        assert!(ran.stderr.contains(told) && ran.stderr.contains("p.yaml, line 3"), "{idx}: {}", ran.stderr);
    }
    let cases = [
        (
            format!(
                "{steps}\nepisodes: {{by: ranges, ranges: [{{recording: telop.mcap, start_ns: 0, end_ns: 1}}]}}"
            ),
            "did you mean `teleop.mcap`?",
        ),
        (steps.replace("angular_velocity.x", "angular_velcity.x"), "has no field"),
        (format!("{steps}\nepisodes: {{by: gap, gap_ms: 10, topic: /imu/dta}}"), "did you mean `/imu/data`?"),
        (
            steps.replace("rate_hz: 30}", "rate_hz: 30}, time: {/imu/dta: log_time}"),
            "did you mean `/imu/data`?",
        ),
        (steps.replace("imu: /imu", "x: {value: 1, encoding: png}, imu: /imu"), "nothing to decode"),
        (steps.replace("imu: /imu", "x: {value: 1, nullable: always}, imu: /imu"), "has no `nullable`"),
        (steps.replace("imu: /imu", "x: {from: /imu/data, nullable: maybe}, imu: /imu"), "one of: always"),
    ];
    for (idx, (text, told)) in cases.iter().enumerate() {
        work.write("p.yaml", format!("version: 1\nsource: teleop.mcap\n{text}\n"));
        let ran = work.run(["run", "p.yaml", "--out", "out"]).exits(2);
        assert!(ran.stderr.contains(told) && ran.stderr.contains("p.yaml, line "), "{idx}: {}", ran.stderr);
    }
    assert_eq!(work.names(), ["p.yaml", "teleop.mcap"]);
}

#[test]
fn words_of_a_registry() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.run(["convert", &log, "--out", "out", "--topic", "/imu/data"]).exits(0);
    let cache = work.path("cache").display().to_string();
    let run = |args: &[&str]| {
        let variables =
            [("NODEDATA_STORE", "store"), ("NODEDATA_USER", "acme"), ("XDG_CACHE_HOME", cache.as_str())];
        work.run_with(&variables, [&["dataset"], args].concat())
    };
    for (args, told) in [
        (&["push", "out", "--name", "x", "--modality", "rbg"][..], "did you mean `rgb`?"),
        (&["push", "out", "--name", "x", "--assign", "val=streams/*"], "--assign has no effect"),
        (
            &["push", "out", "--name", "x", "--append"],
            "a converted dataset takes the place of what is published",
        ),
        (&["push", "out", "--name", "x", "--exclude", "telop.mcap"], "did you mean `teleop.mcap`?"),
        (&["push", "out", "--name", "x", "--category", "shoe", "--data-class", "biometric"], "no category"),
    ] {
        let ran = run(args).exits(2);
        assert!(ran.stderr.contains(told), "{args:?}: {}", ran.stderr);
    }
    run(&["push", "out", "--name", "x"]).exits(0);
    for (args, told) in [
        (&["push", "--name", "x", "--assign", "val=data/nope*"][..], "no shard is called `data/nope*`"),
        (&["push", "--name", "x", "--assign", "val=streams/*"], "`--split val` makes it"),
        (&["push", "--name", "x", "--append"], "--append adds shards, and none is named"),
        (&["push", "--name", "x", "--include", "teleop.mcap"], "is not left out"),
        (
            &["withdraw", "x@latest", "--episodes", "telop.mcap", "--reason", "r"],
            "did you mean `teleop.mcap`?",
        ),
        (&["tag", "x@latest", "nope", "--delete"], "there is no tag `nope`"),
    ] {
        let ran = run(args).exits(2);
        assert!(ran.stderr.contains(told), "{args:?}: {}", ran.stderr);
    }
}
