//! ROS 2 bags from end to end.

use std::path::Path;

use nodedata_testkit::corpus;

use crate::{
    command::{Work, for_each},
    tables::{Dataset, beside_the_clock, texts},
};

/// Copies a bag into `bags`, without its description where that is not asked for.
fn copy(work: &Work, bag: &Path, described: bool) -> String {
    let name = format!("bags/{}", bag.file_name().unwrap().to_string_lossy());
    for file in corpus::files(bag, "") {
        if described || !file.ends_with("metadata.yaml") {
            let path = format!("{name}/{}", file.file_name().unwrap().to_string_lossy());
            work.write(&path, std::fs::read(&file).unwrap());
        }
    }
    name
}

/// One scene, recorded in every way that holds its definitions.
#[test]
fn a_scene_is_the_same_however_it_was_recorded() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let reference = Work::new();
    let bag = copy(&reference, &corpus.join("v9_mcap_storage"), true);
    let ran = reference.run(["convert", &bag, "--out", "out"]).exits(0);
    assert_eq!(ran.stderr, "");
    let expected = Dataset::open(reference.path("out")).tables();
    assert!(14 <= expected.len(), "{:?}", expected.keys());
    let bags = ["v8_sqlite_defs", "v9_sqlite_zstd_file", "v9_sqlite_zstd_message", "v9_mcap_zstd_message"];
    for_each(&bags, |name| {
        for described in [true, false] {
            let work = Work::new();
            let bag = copy(&work, &corpus.join(name), described);
            work.run(["convert", &bag, "--out", "out"]).exits(0);
            work.run(["validate", "--deep", "out"]).exits(0);
            let tables = Dataset::open(work.path("out")).tables();
            assert_eq!(tables.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
            for (topic, rows) in &tables {
                let (found, expected) = (beside_the_clock(rows), beside_the_clock(&expected[topic]));
                assert_eq!(found.schema().fields(), expected.schema().fields(), "{name} {topic}");
                assert!(found.columns() == expected.columns(), "{name} {topic}: other values");
            }
        }
    });
}

#[test]
fn a_folder_of_bags_is_one_episode_a_bag() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let work = Work::new();
    for name in ["v7_schema4_iron", "v9_split_mcap", "v9_mcap_zstd_file"] {
        copy(&work, &corpus.join(name), true);
    }
    let ran = work.run(["convert", "bags", "--out", "out", "--topic", "/joint_states"]).exits(0);
    assert_eq!(ran.stderr, "");
    let dataset = Dataset::open(work.path("out"));
    let index = dataset.table("index/episodes.parquet");
    let keys: Vec<String> = texts(&index, "episode_key").into_iter().flatten().collect();
    assert_eq!(keys, ["v7_schema4_iron", "v9_mcap_zstd_file", "v9_split_mcap"]);
    assert_eq!(dataset.tables()["/joint_states"].num_rows(), 45);
    let inspected = work.run(["inspect", "bags/v7_schema4_iron", "--format", "json"]).exits(0).json();
    assert_eq!(inspected["format"], "rosbag2", "{inspected}");
}

#[test]
fn a_damaged_database_is_salvaged() {
    let Some(corpus) = corpus::folder("logs/rosbag2/v9_sqlite_defs") else { return };
    let work = Work::new();
    let bytes = std::fs::read(corpus.join("v9_sqlite_defs.db3")).unwrap();
    work.write("cut.db3", &bytes[..bytes.len() * 3 / 4]);
    let ran = work.run(["convert", "cut.db3", "--out", "out"]).exits(1);
    assert!(
        ran.stderr.contains("are missing") && ran.stderr.contains("--on-error salvage"),
        "{}",
        ran.stderr
    );
    work.run(["convert", "cut.db3", "--out", "out", "--on-error", "salvage"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    assert!(!Dataset::open(work.path("out")).tables().is_empty());
}
