//! The same input and options give the same bytes, whatever the number of threads.

use std::path::Path;

use expect_test::{Expect, expect};

use crate::{
    command::{Work, for_each},
    logs::{fixture, fixtures},
    tables::{Dataset, differing},
};

/// Converts with 1 and with 8 threads, twice each, and compares every file.
#[track_caller]
fn check(work: &Work, source: &str, options: &[&str]) {
    let runs = [("a", "1"), ("b", "1"), ("c", "8"), ("d", "8")];
    for_each(&runs, |(out, threads)| {
        let args = ["convert", source, "--out", out, "--threads", threads];
        work.run(args.iter().chain(options)).exits(0);
    });
    for (out, threads) in &runs[1..] {
        let differing = differing(&work.path("a"), &work.path(out));
        assert_eq!(differing, ["report.json"], "{source} {options:?}, {threads} threads");
    }
    work.run(["validate", "--deep", "a"]).exits(0);
}

fn folder(work: &Work) {
    for log in fixtures() {
        work.write(&format!("logs/{}.mcap", log.name()), std::fs::read(&log.path).unwrap());
    }
}

#[test]
fn one_log() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    check(&work, &log, &[]);
}

#[test]
fn a_folder_of_logs_with_splits() {
    let work = Work::new();
    folder(&work);
    check(&work, "logs", &["--split", "train=0.5,val=0.5"]);
    let manifest = work.json("a/manifest.json");
    let splits = manifest["splits"].as_object().unwrap();
    let episodes: Vec<u64> = splits.values().map(|it| it["episodes"].as_u64().unwrap()).collect();
    assert!(episodes.iter().all(|it| *it != 0) && episodes.iter().sum::<u64>() == 6, "{splits:?}");
}

/// Many partitions and shards: fourteen copies of a log, and one mebibyte of source a shard.
#[test]
fn many_shards() {
    let work = Work::new();
    let log = std::fs::read(fixture("teleop.mcap")).unwrap();
    for idx in 0..14 {
        work.write(&format!("logs/{idx:02}.mcap"), &log);
    }
    check(&work, "logs", &["--shard-mb", "1"]);
    let dataset = Dataset::open(work.path("a"));
    let shards = dataset.manifest["shards"].as_array().unwrap();
    assert!(18 < shards.len(), "{} shards", shards.len());
    // However they are cut, the rows are those of one shard a topic.
    work.run(["convert", "logs", "--out", "whole"]).exits(0);
    let whole = Dataset::open(work.path("whole"));
    assert_eq!(whole.manifest["shards"].as_array().unwrap().len(), 18);
    assert_eq!(dataset.manifest["content_root"], whole.manifest["content_root"]);
    assert_eq!(dataset.tables(), whole.tables());
}

/// A salvage is as deterministic as any other run.
#[test]
fn a_damaged_log() {
    let work = Work::new();
    let mut log = std::fs::read(fixture("teleop.mcap")).unwrap();
    let middle = log.len() / 2;
    log[middle] ^= 4;
    work.write("flipped.mcap", log);
    for (out, threads) in [("a", "1"), ("b", "8")] {
        let args = ["convert", "flipped.mcap", "--out", out, "--on-error", "salvage", "--threads", threads];
        work.run(args).exits(3);
    }
    assert_eq!(differing(&work.path("a"), &work.path("b")), ["report.json"]);
}

/// What is equal in content is equal in its content hash, whatever the container.
#[test]
fn content_does_not_depend_on_compression() {
    let Some(folder) = nodedata_testkit::corpus::folder("logs/mcap") else { return };
    let work = Work::new();
    let roots: Vec<String> = ["teleop_none", "teleop_zstd", "teleop_lz4"]
        .iter()
        .map(|name| {
            // One name for all: it is the episode's key, which is part of the content.
            work.write("log.mcap", std::fs::read(folder.join(format!("{name}.mcap"))).unwrap());
            work.run(["convert", "log.mcap", "--out", name]).exits(0);
            work.json(&format!("{name}/manifest.json"))["content_root"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(roots[0], roots[1]);
    assert_eq!(roots[0], roots[2]);
}

/// Frozen digests: an upgrade of a library, or a change of ours, that alters the bytes written is noticed
/// here. When that is meant, `UPDATE_EXPECT=1` freezes the new ones, and the changelog says so.
#[test]
fn frozen_digests() {
    digests(
        &fixture("json_and_cbor.mcap"),
        &expect![[r#"
        content b3:f3c7551f4ecf4570744be2e7683e88a49a8322b3bac62285a58916c4096d39b5
        801d834f7bfe80df76f94dbc6f8b87bcb99bbe4458bc7d21a2d87a4f920aa2e1 streams/arm/train-00000.parquet
        18682c9bc66d68fa1b70a9498024df049e9bb62673606e46e15a70613d88f9a8 streams/arm_fb4f4cc6/train-00000.parquet
        77e9fdf78cb694ac93154ec695faf5fdf8eee65886267f02a399a1a97cf9ca31 streams/cbor/train-00000.parquet
        3777d6d63e9264de4cd0900b6e479b1877019426d22c3d2612f3a4fc8dfb8037 streams/free/train-00000.parquet
        0176d89b6e4bfe381af071938059495697b027b6e35f648eb441b8e160d29c87 streams/opaque/train-00000.parquet
    "#]],
    );
    digests(
        &fixture("ros1_profile.mcap"),
        &expect![[r#"
        content b3:afa0a587f78f67bfea6bc6dc6c04de96f7877fc5ad1cfb149fdf91c02402a897
        ee7840e73b4332e5174ba0422cbd167ac1e988082fa44feee81649a665392e55 streams/cam.compressed/train-00000.parquet
        1057c51b962a8297a65b0546d57bd928307941f622df5a24b48b6efb0f85807f streams/custom/train-00000.parquet
        29b9918974b45fc62fb474424d50d1c7ad4f4ef46e1687689b650303cafda594 streams/instruction/train-00000.parquet
        d55c89be2f03bcb05cc15b1f11a38d5625252aabd294c11c542361b9c82df449 streams/joint_states/train-00000.parquet
    "#]],
    );
}

#[track_caller]
fn digests(log: &Path, frozen: &Expect) {
    let work = Work::new();
    let log = work.copy(log);
    work.run(["convert", &log, "--out", "out"]).exits(0);
    let manifest = work.json("out/manifest.json");
    let text = |it: &serde_json::Value| it.as_str().unwrap().to_owned();
    let mut digests = format!("content {}\n", text(&manifest["content_root"]));
    for shard in manifest["shards"].as_array().unwrap() {
        digests.push_str(&format!("{} {}\n", text(&shard["b3"]), text(&shard["path"])));
    }
    frozen.assert_eq(&digests);
}
