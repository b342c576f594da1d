//! Datasets that earlier versions wrote.

use std::path::Path;

use nodedata_testkit::corpus;

use crate::{command::Work, logs::fixture, tables::differing};

/// Written when a conversion still recorded SHA-256: see `fixtures/dataset/SOURCE.md`.
fn with_sha256() -> Work {
    let work = Work::new();
    copy_folder(&corpus::fixtures("dataset").join("manifest1_sha256"), &work.path("ds"));
    work
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_recorded_sha256_is_checked_and_a_new_dataset_has_none() {
    let work = with_sha256();
    work.run(["validate", "--deep", "ds"]).exits(0);
    for list in ["shards", "schema"] {
        let sound = std::fs::read_to_string(work.path("ds/manifest.json")).unwrap();
        let mut manifest = work.json("ds/manifest.json");
        let entry = if list == "shards" { &mut manifest[list][0] } else { &mut manifest[list] };
        entry["sha256"] = "00".repeat(32).into();
        work.write("ds/manifest.json", manifest.to_string());
        let found = work.run(["validate", "ds"]).exits(1);
        assert!(found.stdout.contains("hash-mismatch: SHA-256 "), "{}", found.stdout);
        work.write("ds/manifest.json", sound);
    }
    // Push wants the same, and records SHA-256 of what has none.
    let log = work.copy(&fixture("json_and_cbor.mcap"));
    work.run(["convert", &log, "--out", "new"]).exits(0);
    for path in ["new/manifest.json", "new/provenance.jsonl", "new/sample_index.json"] {
        let text = std::fs::read_to_string(work.path(path)).unwrap();
        assert!(!text.contains("sha256"), "{path}: {text}");
    }
    let store = work.path("store").display().to_string();
    let variables = [("NODEDATA_STORE", store.as_str()), ("NODEDATA_USER", "acme")];
    for dataset in ["ds", "new"] {
        let name = format!("acme/{dataset}");
        work.run_with(&variables, ["dataset", "push", "--name", &name, dataset]).exits(0);
        work.run_with(&variables, ["dataset", "verify", &name]).exits(0);
        let pulled = format!("{dataset}-pulled");
        work.run_with(&variables, ["dataset", "pull", &name, "--out", &pulled]).exits(0);
        work.run(["validate", "--deep", &pulled]).exits(0);
        let revision = work.json(&format!("{pulled}/revision.json"));
        for shard in revision["shards"].as_array().unwrap() {
            assert_eq!(shard["sha256"].as_str().map(str::len), Some(64), "{shard}");
        }
    }
    let mut manifest = work.json("ds/manifest.json");
    manifest["stats"]["sha256"] = "00".repeat(32).into();
    work.write("ds/manifest.json", manifest.to_string());
    let refused = work.run_with(&variables, ["dataset", "push", "--name", "acme/other", "ds"]).exits(1);
    assert!(refused.stderr.contains("not the one that the manifest describes"), "{}", refused.stderr);
}

/// Records of another version are not read as those of this one: what they stand for is made again.
#[test]
fn units_of_an_older_version_are_made_again() {
    let work = with_sha256();
    let log = work.copy(&fixture("json_and_cbor.mcap"));
    let args = ["convert", &log, "--topic", "/free", "--topic", "/opaque", "--split", "x=1", "--out"];
    work.run(args.into_iter().chain(["ds", "--overwrite"])).exits(0);
    assert_eq!(work.json("ds/report.json")["units_reused"], 0);
    work.run(args.into_iter().chain(["fresh"])).exits(0);
    assert_eq!(differing(&work.path("fresh"), &work.path("ds")), ["report.json"]);
}
