//! A dataset is what its recipe makes of its source: made once more and compared, whatever made it.

use std::path::Path;

use nodedata_testkit::corpus;
use serde_json::{Value, json};

use crate::{command::Work, logs::fixture};

/// Makes `out` once more of `source` and finds it the same, shard by shard; returns how many shards there are.
#[track_caller]
fn is_made_again(work: &Work, out: &str, source: &str) -> usize {
    let told =
        work.run(["explain", out, "--rebuild", "--source", source, "--format", "json"]).exits(0).json();
    let shards = work.json(&format!("{out}/manifest.json"))["shards"].as_array().unwrap().len();
    assert_eq!(told["rebuild"], json!({"same": shards, "different": [], "inputs": []}));
    assert_eq!(told["sound"], true);
    shards
}

#[test]
fn steps_by_flags_are_made_again() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let flags = ["--rate", "29.97", "--time", "header.stamp", "--tolerance-ms", "60"];
    work.run(["convert", &log, "--out", "out"].into_iter().chain(flags)).exits(0);
    assert_eq!(is_made_again(&work, "out", &log), 1);
    work.run(["convert", &log, "--out", "messages", "--clock", "/imu/data", "--undecoded", "/points"])
        .exits(0);
    is_made_again(&work, "messages", &log);
}

/// Everything a pipeline file can ask for: steps, constants, a cut, a declared schema, a gate, lists of splits, small shards.
#[test]
fn a_pipeline_is_made_again() {
    let work = Work::new();
    for name in ["a", "b", "c"] {
        work.write(&format!("runs/{name}.mcap"), std::fs::read(fixture("teleop.mcap")).unwrap());
    }
    work.write(
        "p.yaml",
        "version: 1\nsource: {path: runs, undecoded: [/points]}\nepisodes: {by: gap, gap_ms: 500}\nsteps: {clock: {rate_hz: 30}, tolerance_ms: 100, start: all}\nfields:\n  joints: {from: \"/joint_states.position[0:3]\", type: float32, align: linear, skew: true}\n  gain: {value: 0.1}\n  words: /language_instruction.data\nquality: {duplicate_episode: quarantine}\nsplits: {val: [\"b.mcap#*\"], train: [\"*\"]}\nshards: {target_mb: 1}\n",
    );
    work.run(["run", "p.yaml", "--out", "inferred"]).exits(3);
    let splits = &work.json("inferred/manifest.json")["splits"];
    assert!(splits["quarantine"]["episodes"].as_u64().unwrap() > 0, "{splits}");
    is_made_again(&work, "inferred", "runs");
    let schema = work.json("inferred/schema.json").to_string().replace("inferred", "declared");
    work.write("schema.json", schema);
    let text = std::fs::read_to_string(work.path("p.yaml")).unwrap() + "schema: schema.json\n";
    work.write("declared.yaml", text);
    work.run(["run", "declared.yaml", "--out", "declared"]).exits(3);
    assert!(work.json("declared/recipe.json")["rows"]["schema"].is_string());
    is_made_again(&work, "declared", "runs");
}

#[test]
fn lerobot_is_made_again_coded_and_decoded() {
    let work = Work::new();
    let root = |name: &str| corpus::fixtures("lerobot").join(name).display().to_string();
    for (name, flags) in [
        ("v21_simple", &[][..]),
        ("v30_video_h264", &[]),
        ("v30_video_h264", &["--decode", "*=png"]),
        ("v30_image", &["--split", "train=0.5,val=0.5"]),
    ] {
        work.run(["convert", &root(name), "--out", "out", "--overwrite"].iter().chain(flags)).exits(0);
        is_made_again(&work, "out", &root(name));
    }
}

#[test]
fn what_was_changed_is_told() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.run(["convert", &log, "--out", "out", "--rate", "30"]).exits(0);
    let shard = work.json("out/manifest.json")["shards"][0]["path"].as_str().unwrap().to_owned();
    let at = format!("out/{shard}");
    let whole = std::fs::read(work.path(&at)).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    work.write(&at, &changed);
    for target in ["out", &at] {
        let found = work.run(["explain", target, "--rebuild", "--source", &log]).exits(1);
        assert!(
            found.stdout.contains(&format!("rebuild-mismatch: the recipe makes other bytes ({shard})")),
            "{found:?}"
        );
    }
    work.write(&at, &whole);
    // Another recording under the same name.
    work.write(&format!("other/{log}"), std::fs::read(fixture("json_and_cbor.mcap")).unwrap());
    work.run(["convert", &log, "--out", "tables"]).exits(0);
    let found =
        work.run(["explain", "tables", "--rebuild", "--source", &format!("other/{log}"), "--format", "json"]);
    let found = found.exits(1).json();
    assert_eq!((&found["rebuild"]["same"], &found["rebuild"]["inputs"]), (&json!(0), &json!([log])));
    // A recipe that was changed makes something else, and its shards do not name it.
    let recipe = std::fs::read_to_string(work.path("out/recipe.json")).unwrap();
    work.write("out/recipe.json", recipe.replace("\"30/1\"", "\"15/1\""));
    work.run(["explain", "out", "--rebuild", "--source", &log]).exits(1);
    let mut manifest = work.json("out/manifest.json");
    let bytes = std::fs::read(work.path("out/recipe.json")).unwrap();
    manifest["recipe_file"]["b3"] = nodedata_dataset::b3_of(&bytes).trim_start_matches("b3:").into();
    work.write("out/manifest.json", manifest.to_string());
    let codes = work.run(["validate", "out", "--format", "json"]).exits(1).json();
    let codes = codes["findings"].as_array().unwrap().iter().map(|it| it["code"].clone()).collect::<Vec<_>>();
    assert!(codes.contains(&json!("provenance-mismatch")), "{codes:?}");
}

/// A revision of steps, from a pipeline.
#[test]
fn a_published_pipeline_is_verified_by_making_it_again() {
    let work = Work::new();
    work.copy(&fixture("teleop.mcap"));
    work.write(
        "p.yaml",
        "version: 1\nsource: teleop.mcap\nsteps: {clock: {topic: /camera/wrist/image/compressed}}\nfields: {joints: /joint_states.position}\nstreams: keep\nout: out\n",
    );
    work.run(["run", "p.yaml"]).exits(0);
    let (store, cache) = (work.path("store").display().to_string(), work.path("cache").display().to_string());
    let dataset = |args: &[&str]| {
        let variables = [("NODEDATA_STORE", &*store), ("XDG_CACHE_HOME", &*cache), ("NODEDATA_USER", "acme")];
        work.run_with(&variables, ["dataset"].iter().chain(args))
    };
    dataset(&["push", "--name", "acme/steps", "--license", "CC-BY-4.0", "out"]).exits(0);
    let verify = ["verify", "acme/steps", "--rebuild", "--source", "teleop.mcap", "--format", "json"];
    let told = dataset(&verify).exits(0).json();
    let n_shards = work.json("out/manifest.json")["shards"].as_array().unwrap().len();
    assert!(1 < n_shards, "the topics are there, too");
    assert_eq!(told["rebuild"], json!({"same": n_shards, "different": [], "inputs": []}));
    // What was pulled is explained as what was pushed.
    dataset(&["pull", "acme/steps", "--out", "pulled"]).exits(0);
    is_made_again(&work, "pulled", "teleop.mcap");
}

/// What a version from before recipes were files has written.
#[test]
fn a_dataset_of_an_older_version() {
    let work = Work::new();
    let log = work.copy(&fixture("json_and_cbor.mcap"));
    let convert = |flags: &[&str]| work.run(["convert", &log, "--out", "out"].iter().chain(flags));
    convert(&[]).exits(0);
    let mut manifest = work.json("out/manifest.json");
    manifest.as_object_mut().unwrap().remove("recipe_file");
    manifest["recipe"] = "b3:00".into();
    work.write("out/manifest.json", manifest.to_string());
    std::fs::remove_file(work.path("out/recipe.json")).unwrap();
    let refused = work.run(["explain", "out", "--rebuild", "--source", &log]).exits(1);
    assert!(refused.stderr.contains("the dataset has no recipe.json"), "{}", refused.stderr);
    let refused = convert(&[]).exits(2);
    assert!(refused.stderr.contains("another recipe made it"), "{}", refused.stderr);
    convert(&["--overwrite"]).exits(0);
    assert_eq!(is_made_again(&work, "out", &log), 5);
    let mut manifest = work.json("out/manifest.json");
    manifest["created_by"]["tool"] = "node-data 0.0.1".into();
    work.write("out/manifest.json", manifest.to_string());
    let refused = work.run(["explain", "out", "--rebuild", "--source", &log]).exits(1);
    assert!(refused.stderr.contains("made by `node-data 0.0.1`"), "{}", refused.stderr);
}

/// Where a source has splits of its own, leaving them alone is another recipe than dealing all to one.
#[test]
fn splits_of_the_source_are_a_part_of_the_recipe() {
    let work = Work::new();
    let root = corpus::fixtures("lerobot").join("v21_simple");
    let root: &Path = &root;
    let recipe = |flags: &[&str]| -> Value {
        let args = ["convert", root.to_str().unwrap(), "--out", "out", "--overwrite"];
        work.run(args.iter().chain(flags)).exits(0);
        work.json("out/recipe.json")["shards"]["splits"].clone()
    };
    assert_eq!(recipe(&[]), "source");
    assert_eq!(recipe(&["--split", "train=1"])["hash"]["fractions"], json!([["train", "1.0"]]));
}
