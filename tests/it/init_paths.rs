//! Where the pipelines that `init` writes find their source, what they propose, and which files are no pipelines.

use nodedata_testkit::corpus;

use crate::{command::Work, logs::fixture};

#[test]
fn a_pipeline_finds_its_source_from_where_it_lies() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    std::fs::create_dir_all(work.path("sub/deep")).unwrap();
    work.run(["init", &log, "-o", "sub/deep/x.yaml"]).exits(0);
    let text = std::fs::read_to_string(work.path("sub/deep/x.yaml")).unwrap();
    assert!(
        text.contains("\n  path: \"../../teleop.mcap\"\n") || text.contains("\n  path: ../../teleop.mcap\n"),
        "{text}"
    );
    work.run(["run", "sub/deep/x.yaml", "--out", "one"]).exits(0);
    // Standard output may go anywhere.
    let printed = work.run(["init", &log]).exits(0).stdout;
    assert!(printed.contains("# absolute, as `init` does not know where its output goes"), "{printed}");
    work.write("sub/y.yaml", &printed);
    work.run(["run", "sub/y.yaml", "--out", "two"]).exits(0);
    let root = |out: &str| work.json(&format!("{out}/manifest.json"))["content_root"].clone();
    assert_eq!(root("one"), root("two"));
}

#[test]
fn a_file_of_somebody_else_stays() {
    let work = Work::new();
    let log = work.copy(&fixture("json_and_cbor.mcap"));
    work.write("notes.yaml", "apiVersion: v1\nkind: Note\n");
    work.run(["init", &log, "-o", "notes.yaml"]).exits(2);
    let ran = work.run(["init", &log, "-o", "notes.yaml", "--overwrite"]).exits(2);
    assert!(ran.stderr.contains("is no pipeline"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(work.path("notes.yaml")).unwrap(), "apiVersion: v1\nkind: Note\n");
    work.write("p.yaml", "version: 1\nsource: old.mcap\n");
    work.run(["init", &log, "-o", "p.yaml"]).exits(2);
    work.run(["init", &log, "-o", "p.yaml", "--overwrite"]).exits(0);
    assert!(std::fs::read_to_string(work.path("p.yaml")).unwrap().contains("json_and_cbor.mcap"));
}

/// A slow field does not loosen the others, and what is held has no end.
#[test]
fn each_field_reaches_as_far_as_its_own_rate() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let text = work.run(["init", &log]).exits(0).stdout;
    let tolerance = |field: &str| -> Option<f64> {
        let line = text.lines().find(|it| it.starts_with(&format!("  {field}: "))).unwrap();
        let (_, behind) = line.split_once("tolerance_ms: ")?;
        behind.split('}').next().unwrap().parse().ok()
    };
    for (field, rate_hz) in [("camera_depth", 10.0), ("camera_wrist", 30.0), ("proprioception", 100.0)] {
        let found = tolerance(field).unwrap();
        assert!((found - 1500.0 / rate_hz).abs() <= 2.0, "{field}: {found}");
    }
    for held in ["action", "task"] {
        assert_eq!(tolerance(held), None, "{held}");
    }
}

#[test]
fn files_that_are_no_pipelines_are_skipped_by_name() {
    let work = Work::new();
    work.copy(&fixture("json_and_cbor.mcap"));
    let job = corpus::fixtures("mcap").join("../../pipelines/k8s-indexed-job.yaml");
    work.copy(&job);
    work.write("bare.yaml", "version: 1\nsource: json_and_cbor.mcap\n");
    work.write(
        "good.yaml",
        "version: 1\nsource: json_and_cbor.mcap\ntests: [{name: rows, source: json_and_cbor.mcap, expect: {rows: 124}}]\n",
    );
    let files = ["pipeline", "test", "bare.yaml", "good.yaml", "k8s-indexed-job.yaml"];
    let text = work.run(files).exits(0).stdout;
    assert!(text.contains("ok      good.yaml: rows\n"), "{text}");
    assert!(text.contains("skipped bare.yaml: it has no `tests`\n"), "{text}");
    assert!(text.contains("skipped k8s-indexed-job.yaml: it is no pipeline\n"), "{text}");
    assert!(text.ends_with("1 of 1 tests passed\n"), "{text}");
    let told = work.run(files.iter().chain(&["--format", "json"])).exits(0).json();
    assert_eq!(told["skipped"].as_array().unwrap().len(), 2);
    // Nothing ran: that is not a success.
    let ran = work.run(["pipeline", "test", "k8s-indexed-job.yaml"]).exits(2);
    assert!(ran.stderr.contains("no test ran"), "{}", ran.stderr);
    // A slip in a pipeline is told, not skipped.
    work.write("broken.yaml", "version: 1\nsurce: json_and_cbor.mcap\n");
    let ran = work.run(["pipeline", "test", "good.yaml", "broken.yaml"]).exits(2);
    assert!(ran.stderr.contains("did you mean `source`?"), "{}", ran.stderr);
}
