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
        "version: 1\nsource: json_and_cbor.mcap\ntests:\n- {name: wrong, source: json_and_cbor.mcap, expect: {episodes: 2, rows: {/free: 41, /nope: 0}, content_root: b3:0}}\n- {name: right, source: json_and_cbor.mcap, expect: {episodes: 1, rows: 124}}\n- {name: missing, source: missing.mcap, expect: {episodes: 1}}\n",
    );
    check(&work.run(["pipeline", "test", "p.yaml"]), &expect![[r#"
        failed  p.yaml: wrong
                episodes: 1, expected 2
                rows of /free: 40, expected 41
                content_root: b3:f3c7551f4ecf4570744be2e7683e88a49a8322b3bac62285a58916c4096d39b5, expected b3:0
        ok      p.yaml: right
        failed  p.yaml: missing
                the run failed: there is no such file or folder
        1 of 3 tests passed
        --- exit 1
    "#]]);
}

/// Every mistake at once, as an error each, with line, column and hint; nothing is read or written.
#[test]
fn a_broken_file() {
    let work = Work::new();
    work.write(
        "broken.yaml",
        "version: 1\nsource:\n  path: nowhere.mcap\n  fromat: mcap\nshards: {target_mb: 0, compresion: zstd:1}\nsplits: {train: 0.9, val: 0.3}\non_error: ignore\n",
    );
    check(&work.run(["run", "broken.yaml", "--out", "out"]), &expect![[r#"
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
    "#]]);
    let told = work.run(["run", "broken.yaml", "--out", "out", "--format", "json"]).exits(2);
    let told: serde_json::Value = serde_json::from_str(&told.stderr).unwrap();
    assert_eq!(told["mistakes"].as_array().unwrap().len(), 5);
    assert_eq!(told["mistakes"][0]["line"], 4);
    assert_eq!(work.names(), ["broken.yaml"]);
    check(&work.run(["run", "none.yaml", "--out", "out"]), &expect![[r#"
        --- stderr
        error: cannot read the pipeline file
          --> none.yaml
        cause: No such file or directory (os error 2)
        hint: `node-data init SRC --out FILE` writes one to start from
        --- exit 2
    "#]]);
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
    check(&work.run(["run", "p.yaml", "--out", "out"]), &expect![[""]]);
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
    expect![[""]].assert_eq(&kept);
    let json = work.run(["run", "p.yaml", "--dry-run", "--format", "json"]).exits(0).json();
    assert!(json["estimated_bytes"].as_u64().unwrap() > 0);
    assert_eq!(work.names(), ["p.yaml", "teleop.mcap"]);
}

/// Publishing belongs to another build: everything else is done, and the exit code says that something is not.
#[test]
fn what_is_not_done_is_said() {
    let work = Work::new();
    work.copy(&fixture("json_and_cbor.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: json_and_cbor.mcap\npublish: {dataset: acme/x, license: MIT}\n",
    );
    let ran = work.run(["run", "p.yaml", "--out", "out"]).exits(3);
    assert!(
        ran.stderr.contains("publishing is not in this build: `acme/x` is not published"),
        "{}",
        ran.stderr
    );
    work.run(["validate", "out"]).exits(0);
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

#[test]
fn what_init_proposes_for_a_teleoperation() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    expect![[""]].assert_eq(&work.run(["init", &log]).exits(0).stdout);
}

#[test]
fn the_json_schema_is_the_generated_one() {
    let work = Work::new();
    let printed = work.run(["pipeline", "schema"]).exits(0).stdout;
    let path = corpus::fixtures("mcap").join("../../docs/reference/pipeline.schema.json");
    assert_eq!(printed, std::fs::read_to_string(path).unwrap(), "`cargo xtask gen` writes it");
}

#[track_caller]
fn check(ran: &Ran, expected: &Expect) {
    expected.assert_eq(&ran.transcript());
}
