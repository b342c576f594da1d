//! `run`, `pipeline`, `init`, and the files in `pipelines/`.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use nodedata_testkit::corpus;

use crate::{
    command::{Ran, Work, for_each},
    logs::fixture,
};

/// The pipeline files of the repository, by the schema that their first line names.
fn files() -> Vec<PathBuf> {
    let folder = corpus::fixtures("mcap").join("../../pipelines");
    let is_pipeline =
        |it: &PathBuf| std::fs::read_to_string(it).unwrap().starts_with("# yaml-language-server: ");
    let files: Vec<PathBuf> = corpus::files(&folder, ".yaml").into_iter().filter(is_pipeline).collect();
    assert!(6 <= files.len(), "{files:?}");
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Each one that has tests passes them; the one that needs a bucket is at least read.
#[test]
fn the_examples_run() {
    for_each(&files(), |file| {
        let work = Work::new();
        let path = file.display().to_string();
        work.run(["pipeline", "check", &path]).exits(0);
        if name(file) == "publish-from-s3.yaml" {
            return;
        }
        let ran = work.run(["pipeline", "test", &path, "--format", "json"]).exits(0).json();
        assert_eq!(ran["failed"], 0, "{ran}");
        assert!(!ran["tests"].as_array().unwrap().is_empty());
    });
}

#[test]
fn a_test_that_does_not_hold_fails() {
    let work = Work::new();
    work.copy(&fixture("json_and_cbor.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: json_and_cbor.mcap\ntests:\n- {name: wrong, source: json_and_cbor.mcap, expect: {episodes: 2, rows: {/free: 41, /nope: 0}, dropped: {beyond_tolerence: 0, damaged_chunk: 0, undecodable: 2}, content_root: b3:0}}\n- {name: right, source: json_and_cbor.mcap, expect: {episodes: 1, rows: 124}}\n- {name: missing, source: missing.mcap, expect: {episodes: 1}}\n",
    );
    check(
        &work.run(["pipeline", "test", "p.yaml"]),
        &expect![[r#"
        failed  p.yaml: wrong
                episodes: 1, expected 2
                rows of /free: 40, expected 41
                records dropped as beyond_tolerence: there is no such reason; did you mean `beyond_tolerance`?
                records dropped as undecodable: there is no such reason; one of: delta@1, idle, no_time, absent_name, trimmed, beyond_tolerance, excluded_step, not_every_nth, short_episode, excluded_episode, action/shift@1, before_key_frame, beyond_order_bound, far_from_log_time, not_included_episode, outside_every_episode, …
                rows of /nope: there is no such stream; one of: /arm, /arm#fb4f4cc6, /cbor, /free, /opaque
                content_root: b3:f3c7551f4ecf4570744be2e7683e88a49a8322b3bac62285a58916c4096d39b5, expected b3:0
        ok      p.yaml: right
        failed  p.yaml: missing
                the run failed: there is no such file or folder
        1 of 3 tests passed
        --- exit 1
    "#]],
    );
}

/// Every mistake at once, as an error each, with line, column and hint; nothing is read or written.
#[test]
fn a_broken_file() {
    let work = Work::new();
    work.write(
        "broken.yaml",
        "version: 1\nsource:\n  path: nowhere.mcap\n  fromat: mcap\nshards: {target_mb: 0, compresion: zstd:1}\nsplits: {train: 0.9, val: 0.3}\non_error: ignore\n",
    );
    check(
        &work.run(["run", "broken.yaml", "--out", "out"]),
        &expect![[r#"
        --- stderr
        error: unknown key `fromat` in `source`
          --> broken.yaml, line 4, column 3
        hint: did you mean `format`?
        error: `shards.target_mb` is 0
          --> broken.yaml, line 5, column 21
        hint: it must be from 1 to 1048576
        error: unknown key `compresion` in `shards`
          --> broken.yaml, line 5, column 24
        hint: did you mean `compression`?
        error: the fractions add up to 1.2, not to 1
          --> broken.yaml, line 6, column 1
        hint: change one of them
        error: `on_error` is `ignore`
          --> broken.yaml, line 7, column 11
        hint: one of: fail, salvage
        --- exit 2
    "#]],
    );
    let told = work.run(["run", "broken.yaml", "--out", "out", "--format", "json"]).exits(2);
    let told: serde_json::Value = serde_json::from_str(&told.stderr).unwrap();
    assert_eq!(told["mistakes"].as_array().unwrap().len(), 5);
    assert_eq!(told["mistakes"][0]["line"], 4);
    assert_eq!(work.names(), ["broken.yaml"]);
    check(
        &work.run(["run", "none.yaml", "--out", "out"]),
        &expect![[r#"
        --- stderr
        error: cannot read the pipeline file
          --> none.yaml
        cause: No such file or directory (os error 2)
        hint: `node-data init SRC --out FILE` writes one to start from
        --- exit 2
    "#]],
    );
}

/// What the source does not have is told with the line of its key.
#[test]
fn a_file_that_does_not_fit_its_source() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: teleop.mcap\nsteps:\n  clock: {topic: /camera/wrst}\nfields:\n  joints: {from: [/joint_states.position, /joint_states.velocty]}\n  words: {from: /language_instruction.data, align: linear}\n",
    );
    check(
        &work.run(["run", "p.yaml", "--out", "out"]),
        &expect![[r#"
        --- stderr
        error: `steps.clock.topic`: there is no topic `/camera/wrst`
          --> p.yaml, line 4, column 11
        hint: one of: /cmd/pose, /cmd/joints, /heartbeat, /imu/data, /cmd/gripper, /episode, /gripper/state, /points, /tf_static, /tf, /joint_states, /diag/all_types, /camera/depth/image_raw, /camera/thumb/image_raw, /language_instruction, /camera/wrist/image/compressed, …
        error: `fields.joints.from[1]`: `/joint_states` has no field `velocty`
          --> p.yaml, line 6, column 43
        hint: did you mean `velocity`?
        error: `fields.words.align`: only numbers can be interpolated, and this is string
          --> p.yaml, line 7, column 45
        hint: `nearest` and `hold` take messages as they are
        --- exit 2
    "#]],
    );
    assert_eq!(work.names(), ["p.yaml", "teleop.mcap"]);
}

/// A pipeline without steps and a conversion by flags make the same dataset.
#[test]
fn a_file_does_what_the_flags_do() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.write("p.yaml", "version: 1\nsource: {path: teleop.mcap, topics: [\"/cam*\"]}\nout: from_file\n");
    work.run(["run", "p.yaml"]).exits(0);
    work.run(["convert", &log, "--out", "from_flags", "--topic", "/cam*"]).exits(0);
    let (file, flags) = (work.json("from_file/manifest.json"), work.json("from_flags/manifest.json"));
    assert_eq!(file["shards"], flags["shards"]);
    assert_eq!(file["recipe"], flags["recipe"]);
    let set =
        work.run(["run", "p.yaml", "--set", "source.topics=[/imu/data]", "--out", "imu", "--format", "json"]);
    assert_eq!(set.exits(0).json()["report"]["streams"]["/imu/data"]["written"], 400);
}

#[test]
fn a_dry_run_says_what_would_be_done() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: teleop.mcap\nsteps: {clock: {rate_hz: 30}, tolerance_ms: 100}\nfields:\n  wrist: /camera/wrist/image/compressed\n  joints: {from: /joint_states.position, type: float32}\nquality: {gap: warn}\npublish: {dataset: acme/x, license: MIT}\n",
    );
    let ran = work.run(["run", "p.yaml", "--dry-run"]).exits(0);
    let kept: String =
        ran.stdout.lines().filter(|it| !it.starts_with("estimated")).map(|it| format!("{it}\n")).collect();
    expect![[r#"
        source     teleop.mcap (mcap, 1 file, 374.9 KiB)
        episodes   1 episode: train 1
        measured
          /camera/depth/image_raw                20     10.0 Hz
          /camera/scene/image/compressed         60     30.0 Hz
          /camera/thumb/image_raw                 4      2.0 Hz
          /camera/wrist/image/compressed         60     30.0 Hz
          /cmd/gripper                           20     10.0 Hz
          /cmd/joints                            20     10.0 Hz
          /cmd/pose                             200    100.0 Hz
          /diag/all_types                         8      4.0 Hz
          /episode                                4      1.5 Hz
          /gripper/state                         40     20.0 Hz
          /heartbeat                              4      2.0 Hz
          /imu/data                             400    200.0 Hz
          /joint_states                         200    100.0 Hz
          /language_instruction                   2      1.0 Hz
          /pick/_action/feedback                  8      4.0 Hz
          /points                                10      5.0 Hz
          /tf                                    40     20.0 Hz
          /tf_static                              1
        written
          steps (about 60 rows)
            step_index: int64
            timestamp_ns: int64
            wrist: bytes, encoded  from /camera/wrist/image/compressed
            joints: float32[-1]  from /joint_states.position
        shards     1 unit
        quality    gap warn
        publishes  acme/x
    "#]]
    .assert_eq(&kept);
    let json = work.run(["run", "p.yaml", "--dry-run", "--format", "json"]).exits(0).json();
    assert!(json["estimated_bytes"].as_u64().unwrap() > 0);
    assert_eq!(work.names(), ["p.yaml", "teleop.mcap"]);
}

#[test]
fn a_pipeline_publishes_what_it_made() {
    let work = Work::new();
    work.copy(&fixture("json_and_cbor.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: json_and_cbor.mcap\npublish: {dataset: acme/x, license: MIT, price_usd: 199, sensitivity: none}\n",
    );
    let (store, cache) = (work.path("store").display().to_string(), work.path("cache").display().to_string());
    let variables = [("NODEDATA_STORE", store.as_str()), ("XDG_CACHE_HOME", &cache), ("USER", "test")];
    let run = |out: &str| {
        work.run_with(&variables, ["run", "p.yaml", "--out", out, "--format", "json"]).exits(0).json()
    };
    let first = run("out");
    assert_eq!(first["published"]["revision"], "1.0.0", "{first}");
    work.run(["dataset", "pull", "acme/x@latest", "--store", &store, "--out", "back"]).exits(0);
    work.run(["validate", "back"]).exits(0);
    let manifest = |folder: &str| work.json(&format!("{folder}/manifest.json"))["content_root"].clone();
    assert_eq!(manifest("back"), manifest("out"));
    let again = run("out");
    assert_eq!(again["published"]["revision"], "1.0.0", "the same content is the same revision: {again}");
    let wrong = "version: 1\nsource: json_and_cbor.mcap\npublish: {dataset: acme/x, license: MIT, sensitivity: face}\n";
    work.write("p.yaml", wrong);
    let ran = work.run_with(&variables, ["run", "p.yaml", "--out", "out"]).exits(2);
    assert!(ran.stderr.contains("no data class"), "{}", ran.stderr);
}
/// What `init` writes can be read and run as it is, whatever the source.
#[test]
fn what_init_proposes_runs() {
    for_each(&corpus::files(&corpus::fixtures("mcap"), ".mcap"), |log| {
        let work = Work::new();
        std::fs::create_dir(work.path("p")).unwrap();
        let source = work.copy(log);
        let written = work.run(["init", &source, "--out", "p/lab.yaml"]).exits(0);
        assert!(written.stderr.contains("node-data run"), "{}", written.stderr);
        work.run(["init", &source, "--out", "p/lab.yaml"]).exits(2);
        let text = std::fs::read_to_string(work.path("p/lab.yaml")).unwrap();
        let ran = work.run(["run", "p/lab.yaml", "--out", "out", "--format", "json"]);
        assert_eq!(ran.code, 0, "{text}\n{}{}", ran.stdout, ran.stderr);
        work.run(["validate", "--deep", "out"]).exits(0);
    });
}

/// Also of steps that somebody else has made.
#[test]
fn what_init_proposes_for_tables_runs() {
    for source in [
        "lerobot/v21_simple",
        "lerobot/v30_image",
        "rlds/arm/1.2.0",
        "rlds/kinds/1.0.0",
        "jsonl/samples.jsonl",
    ] {
        let work = Work::new();
        let source = corpus::fixtures("").join(source).display().to_string();
        work.run(["init", &source, "--out", "p.yaml"]).exits(0);
        let text = std::fs::read_to_string(work.path("p.yaml")).unwrap();
        let ran = work.run(["run", "p.yaml", "--out", "out", "--format", "json"]);
        assert_eq!(ran.code, 0, "{source}: {text}\n{}{}", ran.stdout, ran.stderr);
        work.run(["validate", "--deep", "out"]).exits(0);
        let report = work.json("out/report.json");
        let written =
            report["streams"].as_object().unwrap().values().map(|it| it["written"].as_u64().unwrap());
        assert!(written.sum::<u64>() > 0, "{source}: {report}");
    }
}

#[test]
fn what_init_proposes_for_a_teleoperation() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    expect![[r##"
        # Proposed by `node-data init` from what the source holds. Read it, change it, and run it with
        # `node-data run FILE --out DIR`; `--dry-run` shows what it would do.
        version: 1

        source:
          path: DIR/teleop.mcap    # absolute, as `init` does not know where its output goes; `--out FILE` names it from FILE
          format: mcap    # files: 1, bytes: 383886, episodes: 1

        episodes: {by: file}
        # `/episode` looks like a marker of episodes; its values decide what to write here:
        # episodes: {by: marker, field: /episode.kind, start: ["1"], end: ["2"], task: task}
        # `exclude`, `min_s` and `trim` leave out episodes and steps, `metadata` tells more of each (docs/reference/episodes.md), such as
        # `metadata: [{table: runs.csv, key: episode, columns: [success, operator]}]`

        steps:
          clock: {rate_hz: 30}    # as `camera_wrist` was measured: 30.0 Hz
          time: header.stamp    # topics without it go by log time
          align: nearest
          beyond: "null"    # or drop the step, or fail; `by_name` has `absent` for names that are not there

        # `tolerance_ms` is one and a half periods of the field itself; without it ten are the bound, and `any` is none.
        fields:    # one that no step has a value of is refused, unless it says `nullable: always`
          camera_depth: {from: /camera/depth/image_raw, tolerance_ms: 151}    # sensor_msgs/msg/Image at 10.0 Hz
          camera_scene: {from: /camera/scene/image/compressed, tolerance_ms: 51}    # sensor_msgs/msg/CompressedImage at 30.0 Hz
          camera_wrist: {from: /camera/wrist/image/compressed, tolerance_ms: 50}    # sensor_msgs/msg/CompressedImage at 30.0 Hz
          action: {from: /cmd/joints.data, align: hold}    # 6 numbers at 10.0 Hz (std_msgs/msg/Float64MultiArray)
          proprioception: {from: /joint_states.position, by_name: [shoulder_pan, shoulder_lift, elbow, wrist_1, wrist_2, wrist_3], tolerance_ms: 15}    # 6 joints at 100.0 Hz (sensor_msgs/msg/JointState)
          task: {from: /language_instruction.data, align: hold}    # such as "pick up the red block", "place the block in the bin ✓"
          # camera_thumb: {from: /camera/thumb/image_raw, tolerance_ms: 750}    # sensor_msgs/msg/Image at 2.0 Hz
          # cmd_gripper: {from: /cmd/gripper.data, align: hold}    # a number at 10.0 Hz (std_msgs/msg/Float64)
          # cmd_pose: {from: [/cmd/pose.pose.position.x, /cmd/pose.pose.position.y, /cmd/pose.pose.position.z, /cmd/pose.pose.orientation.x, /cmd/pose.pose.orientation.y, /cmd/pose.pose.orientation.z, /cmd/pose.pose.orientation.w], align: hold}    # 7 numbers at 100.0 Hz (geometry_msgs/msg/PoseStamped)
          # diag_all_types: {from: [/diag/all_types.a_float64, /diag/all_types.a_float32, /diag/all_types.tail], tolerance_ms: 375}    # 3 numbers at 4.0 Hz (lab_msgs/msg/AllTypes)
          # episode: {from: /episode.task, align: hold}    # such as "pick up the red block", "place the block in the bin ✓"
          # gripper_state: {from: /gripper/state.tip_offset, tolerance_ms: 76}    # 3 numbers at 20.0 Hz (lab_msgs/msg/GripperState)
          # imu_data: {from: [/imu/data.orientation.x, /imu/data.orientation.y, /imu/data.orientation.z, /imu/data.orientation.w, /imu/data.angular_velocity.x, /imu/data.angular_velocity.y, /imu/data.angular_velocity.z, /imu/data.linear_acceleration.x, /imu/data.linear_acceleration.y, /imu/data.linear_acceleration.z], tolerance_ms: 8}    # 10 numbers at 200.0 Hz (sensor_msgs/msg/Imu)
          # pick__action_feedback: {from: /pick/_action/feedback.feedback.progress, align: hold}    # a number at 4.0 Hz (lab_msgs/action/Pick_FeedbackMessage)
          # tf: {from: /tf.transforms.transform.translation.x, tolerance_ms: 75}    # 2 numbers at 20.0 Hz (tf2_msgs/msg/TFMessage)
          # tf_static: {from: /tf_static.transforms.transform.translation.x}    # 2 numbers at no rate (tf2_msgs/msg/TFMessage)
          # `transform` changes values, such as `transform: [{action/shift: {steps: 1}}]`: `node-data transforms` lists what there is.
          # Smaller pictures: `transform: [{image/resize: {height: 224, width: 224}}, {encode: jpeg:90}]`; `encode: h264` makes video of them
          # points: {from: /points, transform: {points: {fields: [x, y, z], max: 4096}}}

        # Not mapped; `streams: keep` writes every topic as a table of its own as well.
        #   /heartbeat: 4 records, 2.0 Hz std_msgs/msg/Empty
        #   /points: 10 records, 5.0 Hz sensor_msgs/msg/PointCloud2
        # streams: keep

        # Every episode is held against these before anything is written: warn, quarantine or fail.
        quality:
          backward_time: warn
          clock_jump: warn
          gap: warn    # or {level: quarantine, max_ms: 500}

        # By the hash of each episode's key: adding data never moves an episode.
        splits: {train: 1}    # one episode so far; {train: 0.9, val: 0.1} with more
        shards: {target_mb: 512}
        on_error: fail    # or salvage: keep what is sound, list the rest, exit with 3
    "##]]
    .assert_eq(&work.run(["init", &log]).exits(0).stdout.replace(&work.path("").display().to_string(), "DIR/"));
}

#[test]
fn the_json_schema_is_the_generated_one() {
    let work = Work::new();
    let printed = work.run(["pipeline", "schema"]).exits(0).stdout;
    let path = corpus::fixtures("mcap").join("../../docs/reference/pipeline.schema.json");
    let kept = std::fs::read_to_string(path).unwrap();
    // Two thousand lines: the first that differs says enough.
    let differs = printed.lines().zip(kept.lines()).position(|(now, then)| now != then);
    assert_eq!(differs.map(|it| it + 1), None, "a line of it differs: `cargo xtask gen` writes it");
    assert!(printed == kept, "its end differs: `cargo xtask gen` writes it");
}

#[track_caller]
fn check(ran: &Ran, expected: &Expect) {
    expected.assert_eq(&ran.transcript());
}
