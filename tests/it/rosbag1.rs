//! ROS 1 bags from end to end.

use nodedata_testkit::corpus;

use crate::{
    command::{Work, for_each},
    logs::fixture,
    tables::{Dataset, beside_the_clock},
};

/// The scene that the MCAP of profile `ros1` holds was recorded as bags too.
#[test]
fn a_bag_gives_what_the_same_recording_gives_as_mcap() {
    let Some(folder) = corpus::folder("logs/rosbag1") else { return };
    let bags = corpus::files(&folder, ".bag");
    assert_eq!(bags.len(), 3);
    let reference = Work::new();
    let log = fixture("ros1_profile.mcap").display().to_string();
    reference.run(["convert", &log, "--out", "out"]).exits(0);
    let expected = Dataset::open(reference.path("out")).tables();
    assert_eq!(expected.len(), 4);
    for_each(&bags, |bag| {
        let work = Work::new();
        let bag = work.copy(bag);
        let ran = work.run(["convert", &bag, "--out", "out"]).exits(0);
        assert_eq!(ran.stderr, "", "{bag}");
        work.run(["validate", "--deep", "out"]).exits(0);
        let tables = Dataset::open(work.path("out")).tables();
        assert_eq!(tables.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{bag}");
        for (topic, rows) in &tables {
            let (found, expected) = (beside_the_clock(rows), beside_the_clock(&expected[topic]));
            assert_eq!(found.schema().fields(), expected.schema().fields(), "{bag} {topic}");
            assert!(found.columns() == expected.columns(), "{bag} {topic}: other values");
        }
        // Salvage walks the bag, and finds the same.
        work.run(["convert", &bag, "--out", "walked", "--on-error", "salvage"]).exits(0);
        let walked = Dataset::open(work.path("walked")).tables();
        assert!(walked == tables, "{bag}");
        let inspected = work.run(["inspect", &bag, "--format", "json"]).exits(0).json();
        assert_eq!(inspected["format"], "rosbag1", "{inspected}");
    });
}

#[test]
fn a_folder_of_bags_is_one_episode_a_bag() {
    let Some(folder) = corpus::folder("logs/rosbag1") else { return };
    let work = Work::new();
    std::fs::create_dir(work.path("bags")).unwrap();
    for bag in corpus::files(&folder, ".bag") {
        std::fs::copy(&bag, work.path("bags").join(bag.file_name().unwrap())).unwrap();
    }
    work.run(["convert", "bags", "--out", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let index = dataset.table("index/episodes.parquet");
    let mut keys: Vec<String> = crate::tables::texts(&index, "episode_key").into_iter().flatten().collect();
    // A row for each topic of an episode.
    keys.dedup();
    assert_eq!(keys, ["ros1_bz2.bag", "ros1_lz4.bag", "ros1_none.bag"]);
    assert_eq!(dataset.tables()["/joint_states"].num_rows(), 300);
}

#[test]
fn damaged_bags_are_refused_or_salvaged() {
    let Some(folder) = corpus::folder("logs/broken") else { return };
    let work = Work::new();
    let unindexed = work.copy(&folder.join("unindexed.bag"));
    let ran = work.run(["convert", &unindexed, "--out", "unindexed"]).exits(0);
    assert!(ran.stderr.contains("the recorder did not close the bag"), "{}", ran.stderr);
    assert_eq!(Dataset::open(work.path("unindexed")).tables()["/joint_states"].num_rows(), 100);
    let truncated = work.copy(&folder.join("truncated.bag"));
    let ran = work.run(["convert", &truncated, "--out", "no"]).exits(1);
    assert!(ran.stderr.contains("truncated.bag, byte 32532"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: `--on-error salvage`"), "{}", ran.stderr);
    work.write("old.bag", "#ROSBAG V1.2\n");
    let ran = work.run(["convert", "old.bag", "--out", "no"]).exits(1);
    assert!(
        ran.stderr.contains("a bag of version `1.2`") && ran.stderr.contains("rosbag fix"),
        "{}",
        ran.stderr
    );
    assert!(!work.path("no").exists());
}
