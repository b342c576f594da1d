//! ROS 2 bags from end to end.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use nodedata_testkit::{corpus, skipped};

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

/// Of every bag, all but the files of its storage is gone: the same rows come of it.
#[test]
fn storage_files_are_all_that_a_bag_needs() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let bags: Vec<PathBuf> = std::fs::read_dir(corpus).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(23 <= bags.len(), "{bags:?}");
    for_each(&bags, |bag| {
        let work = Work::new();
        let whole = copy(&work, bag, true);
        let described = work.run(["convert", &whole, "--out", "described"]);
        assert!([0, 3].contains(&described.code), "{whole}: {}", described.stderr);
        let bare = Work::new();
        for file in corpus::files(bag, "") {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let is_of_storage = [".db3", ".db3-wal", ".mcap", ".zstd"].iter().any(|it| name.ends_with(it));
            if is_of_storage {
                bare.write(&format!("bag/{name}"), std::fs::read(&file).unwrap());
            }
        }
        bare.run(["convert", "bag", "--out", "out"]).exits(described.code);
        let rows = |work: &Work, out: &str| {
            let tables = Dataset::open(work.path(out)).tables();
            tables.into_iter().map(|(topic, rows)| (topic, rows.num_rows())).collect::<Vec<_>>()
        };
        assert_eq!(rows(&bare, "out"), rows(&work, "described"), "{whole}");
    });
}

/// Names, sizes and times of all files of a folder, and its own time.
fn look(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let told = |it: PathBuf| {
        let about = it.metadata().unwrap();
        (it, about.len(), about.modified().unwrap())
    };
    corpus::files(folder, "").into_iter().chain([folder.to_owned()]).map(told).collect()
}

/// Bags that tempt whoever reads them to write: a log beside a database, packed files, one that was not closed.
fn tempting(work: &Work) -> Option<Vec<PathBuf>> {
    let corpus = corpus::folder("logs")?;
    let bags = ["wal_not_checkpointed", "v9_sqlite_zstd_file", "v9_mcap_zstd_file"];
    let mut folders: Vec<PathBuf> =
        bags.iter().map(|it| work.path(copy(work, &corpus.join("rosbag2").join(it), true))).collect();
    work.write("ros1/unindexed.bag", std::fs::read(corpus.join("broken/unindexed.bag")).unwrap());
    folders.push(work.path("ros1"));
    Some(folders)
}

#[cfg(unix)]
#[test]
fn nothing_is_written_beside_a_bag() {
    use std::os::unix::fs::PermissionsExt as _;

    let work = Work::new();
    let Some(bags) = tempting(&work) else { return };
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for bag in bags {
        set_mode(&bag, 0o555);
        let before = look(&bag);
        let bag_text = bag.to_str().unwrap();
        work.run(["convert", bag_text, "--out", "out"]).exits(0);
        work.run(["inspect", bag_text]).exits(0);
        assert_eq!(look(&bag), before);
        set_mode(&bag, 0o755);
        std::fs::remove_dir_all(work.path("out")).unwrap();
    }
}

/// Whoever is root writes into a folder whatever its mode: a mount that is read only is in everybody's way.
#[cfg(target_os = "linux")]
#[test]
fn a_bag_on_a_read_only_mount_converts() {
    const MOUNT: &str =
        "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && ! touch \"$1/x\" 2>/dev/null";
    let work = Work::new();
    let Some(bags) = tempting(&work) else { return };
    let in_namespace = |script: &str, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).args(arguments).current_dir(work.path(""));
        command.output()
    };
    let first = bags[0].to_str().unwrap();
    if !in_namespace(MOUNT, &[first]).is_ok_and(|it| it.status.success()) {
        skipped("no read-only mount can be made in a namespace of users here");
        return;
    }
    for (idx, bag) in bags.iter().enumerate() {
        let before = look(bag);
        let script = format!("{MOUNT} && exec \"$2\" convert \"$1\" --out \"$3\"");
        let (bag_text, out) = (bag.to_str().unwrap(), format!("out-{idx}"));
        let ran = in_namespace(&script, &[bag_text, env!("CARGO_BIN_EXE_node-data"), &out]).unwrap();
        assert!(ran.status.success(), "{bag_text}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(!Dataset::open(work.path(&out)).tables().is_empty(), "{bag_text}");
        assert_eq!(look(bag), before);
    }
}

/// The description of a bag decides, and so it is hashed as its files are.
#[test]
fn a_description_is_an_input() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let work = Work::new();
    let bag = copy(&work, &corpus.join("v9_split_mcap"), true);
    work.run(["convert", &bag, "--out", "out"]).exits(0);
    let inputs = |out: &str| -> Vec<(String, String)> {
        let manifest = work.json(&format!("{out}/manifest.json"));
        let text = |it: &serde_json::Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let all = manifest["inputs"].as_array().unwrap().iter();
        all.map(|it| (text(it, "path"), text(it, "b3"))).collect()
    };
    let before = inputs("out");
    assert!(before.iter().any(|it| it.0 == "metadata.yaml"), "{before:?}");
    let description = work.path(&bag).join("metadata.yaml");
    let mut text = std::fs::read_to_string(&description).unwrap();
    text.push_str("\n# seen\n");
    std::fs::write(&description, text).unwrap();
    work.run(["convert", &bag, "--out", "again"]).exits(0);
    let after = inputs("again");
    let changed: Vec<&str> =
        before.iter().zip(&after).filter(|it| it.0 != it.1).map(|it| it.0.0.as_str()).collect();
    assert_eq!(changed, ["metadata.yaml"]);
}

/// A description that nobody could have written is in the way of nothing.
#[test]
fn a_description_of_100_mb_is_not_read() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let work = Work::new();
    let bag = copy(&work, &corpus.join("v9_sqlite_defs"), true);
    work.run(["convert", &bag, "--out", "expected"]).exits(0);
    let description = std::fs::File::create(work.path(&bag).join("metadata.yaml")).unwrap();
    description.set_len(100 << 20).unwrap();
    let ran = work.run(["convert", &bag, "--out", "out"]).exits(0);
    assert!(ran.stderr.contains("it has 104857600 bytes, and at most 16777216 are read"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--> metadata.yaml"), "{}", ran.stderr);
    let (found, expected) =
        (Dataset::open(work.path("out")).tables(), Dataset::open(work.path("expected")).tables());
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (topic, rows) in &found {
        assert!(rows.columns() == expected[topic].columns(), "{topic}: other values");
    }
}

/// Both recordings, or a word: never one of two without any.
#[test]
fn files_of_one_name_are_not_lost() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let bytes = |name: &str| std::fs::read(corpus.join(name)).unwrap();
    let database = bytes("v9_sqlite_defs/v9_sqlite_defs.db3");
    let log = bytes("v9_mcap_storage/v9_mcap_storage.mcap");
    let packed = bytes("v9_sqlite_zstd_file/v9_sqlite_zstd_file.db3.zstd");
    let rows = |work: &Work, out: &str| Dataset::open(work.path(out)).tables()["/joint_states"].num_rows();
    // Two formats claim one file each: the other one is named, and the run is not whole.
    let work = Work::new();
    work.write("bag/bag_0.db3", &database);
    work.write("bag/bag_0.mcap", &log);
    let ran = work.run(["convert", "bag", "--out", "log"]).exits(3);
    let left_out = "1 of them with data of another format: bag_0.db3 (rosbag2)";
    assert!(ran.stderr.contains(left_out), "{}", ran.stderr);
    work.run(["convert", "bag/bag_0.db3", "--out", "database"]).exits(0);
    let (n_log, n_database) = (rows(&work, "log"), rows(&work, "database"));
    assert_ne!(n_log, n_database);
    // Described as one bag, they are one.
    let both = "rosbag2_bagfile_information: {version: 9, relative_file_paths: [bag_0.db3, bag_0.mcap]}\n";
    work.write("bag/metadata.yaml", both);
    work.run(["convert", "bag", "--out", "both"]).exits(0);
    assert_eq!(rows(&work, "both"), n_log + n_database);
    // One of them packed: what was unpacked is read, and the other is named.
    let twins = Work::new();
    twins.write("bag/bag_0.db3", &database);
    twins.write("bag/bag_0.db3.zstd", &packed);
    let ran = twins.run(["convert", "bag", "--out", "plain"]).exits(0);
    assert!(ran.stderr.contains("lies beside what was unpacked of it"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--> bag_0.db3.zstd"), "{}", ran.stderr);
    assert_eq!(rows(&twins, "plain"), n_database);
    // An unpacking that was interrupted.
    twins.write("bag/bag_0.db3", b"");
    let ran = twins.run(["convert", "bag", "--out", "packed"]).exits(0);
    assert!(ran.stderr.contains("the packed one beside it is read in its place"), "{}", ran.stderr);
    twins.run(["convert", "bag/bag_0.db3.zstd", "--out", "alone"]).exits(0);
    assert_eq!(rows(&twins, "packed"), rows(&twins, "alone"));
    assert_ne!(rows(&twins, "packed"), n_database);
    // Packed in two ways, either may be the one that is meant.
    std::fs::remove_file(twins.path("bag/bag_0.db3")).unwrap();
    twins.write("bag/bag_0.db3.zst", &packed);
    let ran = twins.run(["convert", "bag", "--out", "refused"]).exits(2);
    assert!(ran.stderr.contains("the same file would come out of it"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--> bag_0.db3.zstd"), "{}", ran.stderr);
}

/// MCAP whose recorder was killed before its summary, in a bag that nothing describes, and such a file packed as a whole.
#[test]
fn logs_of_bags_that_were_killed_or_packed_are_read() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    let log = std::fs::read(corpus.join("v9_mcap_storage/v9_mcap_storage.mcap")).unwrap();
    let bag = corpus.join("v9_mcap_zstd_file");
    let packed = std::fs::read(bag.join("v9_mcap_zstd_file_0.mcap.zstd")).unwrap();
    let work = Work::new();
    let bag = copy(&work, &bag, true);
    work.run(["convert", &bag, "--out", "packed"]).exits(0);
    work.write("log.mcap", &log);
    work.run(["convert", "log.mcap", "--out", "whole"]).exits(0);
    let rows = |out: &str| -> Vec<(String, usize)> {
        let tables = Dataset::open(work.path(out)).tables();
        tables.into_iter().map(|(topic, rows)| (topic, rows.num_rows())).collect()
    };
    for ending in ["zst", "zstd", "ZSTD"] {
        let (name, out) = (format!("packed.mcap.{ending}"), format!("packed-{ending}"));
        work.write(&name, &packed);
        work.run(["convert", &name, "--out", &out]).exits(0);
        assert_eq!(rows(&out), rows("packed"), "{name}");
    }
    work.write("bag/bag_0.mcap", &log[..log.len() * 2 / 3]);
    let ran = work.run(["convert", "bag", "--out", "cut"]).exits(1);
    assert!(
        ran.stderr.contains("bag_0.mcap, byte ") && ran.stderr.contains("--on-error salvage"),
        "{}",
        ran.stderr
    );
    work.run(["convert", "bag", "--out", "cut", "--on-error", "salvage"]).exits(3);
    let (found, whole) = (rows("cut"), rows("whole"));
    assert!(
        !found.is_empty()
            && found.iter().all(|(topic, n)| whole.iter().any(|it| it.0 == *topic && *n <= it.1))
    );
}
