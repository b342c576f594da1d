//! `validate` must notice whatever is changed in a dataset after its commit.

use serde_json::Value;

use crate::{command::Work, logs::fixture};

fn converted() -> Work {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.run(["convert", &log, "--out", "ds"]).exits(0);
    work.run(["validate", "ds", "--deep"]).exits(0);
    work
}

/// Codes that `validate` finds.
#[track_caller]
fn codes(work: &Work) -> Vec<String> {
    let found = work.run(["validate", "ds", "--deep", "--format", "json"]).exits(1).json();
    let codes = found["findings"].as_array().unwrap().iter();
    codes.map(|it| it["code"].as_str().unwrap().to_owned()).collect()
}

fn edit_manifest(work: &Work, edit: impl FnOnce(&mut Value)) {
    let mut manifest = work.json("ds/manifest.json");
    edit(&mut manifest);
    work.write("ds/manifest.json", manifest.to_string());
}

#[test]
fn a_flipped_bit_a_missing_and_a_stray_file_are_found() {
    let work = converted();
    let shard = "ds/streams/tf/train-00000.parquet";
    let whole = std::fs::read(work.path(shard)).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    work.write(shard, flipped);
    assert!(codes(&work).contains(&"hash-mismatch".to_owned()));
    std::fs::remove_file(work.path(shard)).unwrap();
    assert!(codes(&work).contains(&"missing-file".to_owned()));
    work.write(shard, &whole);
    work.write("ds/streams/tf/train-00001.parquet", &whole);
    assert_eq!(codes(&work), ["stray-shard"]);
}

#[test]
fn a_manifest_that_was_edited_is_found() {
    let work = converted();
    let sound = std::fs::read(work.path("ds/manifest.json")).unwrap();
    edit_manifest(&work, |it| it["ledger"]["/tf"]["read"] = 41.into());
    assert_eq!(codes(&work), ["ledger-unbalanced"]);
    work.write("ds/manifest.json", &sound);
    edit_manifest(&work, |it| it["shards"][3]["rows"] = 7.into());
    let found = codes(&work);
    for code in ["ledger-unbalanced", "row-count", "index-mismatch"] {
        assert!(found.contains(&code.to_owned()), "{code} in {found:?}");
    }
    work.write("ds/manifest.json", &sound);
    edit_manifest(&work, |it| it["shards"][3]["provenance"] = "b3:00".into());
    assert!(codes(&work).contains(&"provenance-mismatch".to_owned()));
}

/// A shard that was replaced with all of its hashes is caught by what the index says of its rows.
#[test]
fn rows_that_were_exchanged_with_their_hashes_are_found() {
    let work = converted();
    let other = work.copy(&fixture("ros1_profile.mcap"));
    work.run(["convert", &other, "--out", "other"]).exits(0);
    let (mine, theirs) = (work.json("ds/manifest.json"), work.json("other/manifest.json"));
    let shards = |it: &Value| it["shards"].as_array().unwrap().clone();
    let position = shards(&mine).iter().position(|it| it["stream"] == "/tf").unwrap();
    let foreign = shards(&theirs)[0].clone();
    let bytes = std::fs::read(work.path("other").join(foreign["path"].as_str().unwrap())).unwrap();
    work.write("ds/streams/tf/train-00000.parquet", bytes);
    edit_manifest(&work, |it| {
        for key in ["b3", "sha256", "bytes"] {
            it["shards"][position][key] = foreign[key].clone();
        }
    });
    let found = codes(&work);
    assert!(found.contains(&"provenance-mismatch".to_owned()), "{found:?}");
    assert!(found.contains(&"schema-mismatch".to_owned()), "{found:?}");
}
