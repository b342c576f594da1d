//! Which format reads what is named, and what becomes of everything else that lies there.

use nodedata_testkit::lerobot::Base;

use crate::{command::Work, logs::fixture};

fn log() -> Vec<u8> {
    std::fs::read(fixture("json_and_cbor.mcap")).unwrap()
}

/// Neither Parquet, nor video, nor logs in the folder of a LeRobot dataset make it something else.
#[test]
fn a_lerobot_folder_is_no_folder_of_logs() {
    let work = Work::new();
    Base::Apart.folder().write(&work.path("src"));
    work.write("src/a.mcap", log());
    let ran = work.run(["convert", "src", "--out", "out"]).exits(0);
    assert!(ran.stderr.contains("warning: 1 file was not read: a.mcap\n"), "{}", ran.stderr);
    assert_eq!(work.json("out/report.json")["not_read"]["first"][0]["path"], "a.mcap");
}

#[test]
fn several_datasets_below_a_folder_are_listed() {
    let work = Work::new();
    for name in ["robots/one", "robots/two"] {
        Base::Apart.folder().write(&work.path(format!("src/{name}")));
    }
    work.write("src/oxe/1.0.0/dataset_info.json", "{}");
    work.write("src/oxe/1.0.0/features.json", "{}");
    for args in [vec!["inspect", "src/"], vec!["convert", "src/", "--out", "out"]] {
        let ran = work.run(&args).exits(1);
        let told = "error: 3 datasets lie below the folder:\n  src/oxe/1.0.0 (rlds";
        assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
        let told = "  src/robots/one (lerobot)\n  src/robots/two (lerobot)\n  --> src/\nhint: ";
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    work.run(["convert", "src", "--from", "lerobot", "--out", "out"]).exits(1);
    work.run(["convert", "src/robots/two", "--out", "out"]).exits(0);
    assert_eq!(work.json("out/manifest.json")["inputs"][0]["path"], "data/chunk-000/episode_000000.parquet");
}

/// What was not read is named by every command; only data of another format makes a run incomplete, and only
/// where nobody said that it is not meant.
#[test]
fn files_that_are_not_read_are_named() {
    let work = Work::new();
    work.write("src/a.mcap", log());
    for name in ["LICENSE", "README.md", "SHA256SUMS", ".hidden", "calibration.yaml"] {
        work.write(&format!("src/{name}"), "x\n");
    }
    let sentence = "4 files were not read: LICENSE, README.md, SHA256SUMS, calibration.yaml\n";
    let told = format!("warning: {sentence}");
    let ran = work.run(["convert", "src", "--out", "out"]).exits(0);
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    assert_eq!(work.json("out/report.json")["not_read"]["files"], 4);
    assert!(work.run(["inspect", "src"]).exits(0).stdout.contains(&told));
    let inspected = work.run(["inspect", "src", "--format", "json"]).exits(0).json();
    assert_eq!(inspected["detected"], "`a.mcap` begins as MCAP logs do");
    assert!(work.run(["validate", "src"]).exits(0).stdout.contains(&told));
    work.write("p.yaml", "version: 1\nsource: src\n");
    let planned = work.run(["run", "p.yaml", "--dry-run"]).exits(0);
    assert!(planned.stdout.contains(&format!("not read   {sentence}")), "{}", planned.stdout);

    work.write("src/b.bag", "#ROSBAG V2.0\n");
    let told =
        "left out: 5 files were not read, 1 of them with data of another format: b.bag (rosbag1), LICENSE";
    let ran = work.run(["convert", "src", "--out", "more"]).exits(3);
    assert!(ran.stderr.contains(told) && ran.stderr.contains("hint: "), "{}", ran.stderr);
    let report = work.json("more/report.json");
    assert_eq!((&report["result"], &report["not_read"]["left_out"]), (&"incomplete".into(), &1.into()));
    assert!(work.run(["inspect", "src"]).exits(3).stdout.contains(told));
    work.run(["validate", "src"]).exits(3);
    // Asked for by its name, or by those of its files, that is all that is meant.
    let ran = work.run(["convert", "src", "--from", "mcap", "--out", "asked"]).exits(0);
    assert!(ran.stderr.contains("warning: 5 files were not read: "), "{}", ran.stderr);
    let ran = work.run(["convert", "src/*.mcap", "--out", "named"]).exits(0);
    assert_eq!(ran.stderr, "");
}

/// Features that were not asked for have files that are not read either: the selection says so already.
#[test]
fn files_of_what_was_not_selected_are_not_named_again() {
    let work = Work::new();
    Base::Apart.folder().write(&work.path("src"));
    let ran = work.run(["convert", "src", "--topic", "action", "--out", "out"]).exits(0);
    assert_eq!(ran.stderr, "");
    work.write("src/images/a.png", "x");
    let ran = work.run(["convert", "src", "--out", "all"]).exits(0);
    assert_eq!(ran.stderr, "warning: 1 file was not read: images/a.png\n");
}

#[test]
fn a_format_that_is_only_known_is_refused_by_its_name() {
    let work = Work::new();
    work.write("store/zarr.json", "{}");
    work.write("store/notes.mcap", log());
    work.write("episode.hdf5", "\u{89}HDF");
    let cases = [
        ("store", "this build does not read Zarr stores", "LeRobotDataset.create"),
        ("episode.hdf5", "this build does not read HDF5 files", "LeRobotDataset.create"),
    ];
    for (source, message, hint) in cases {
        for command in ["convert", "inspect"] {
            let out = (command == "convert").then_some(["--out", "out"]);
            let ran = work.run([command, source].into_iter().chain(out.into_iter().flatten())).exits(1);
            for part in [&format!("error: {message}"), &format!("  --> {source}\nhint: "), hint] {
                assert!(ran.stderr.contains(part), "{source}: no `{part}` in {}", ran.stderr);
            }
        }
    }
    let ran = work.run(["convert", "episode.hdf5", "--from", "hdf5", "--out", "out"]).exits(1);
    assert!(ran.stderr.contains("this build does not read HDF5 files"), "{}", ran.stderr);
    assert_eq!(work.names(), ["episode.hdf5", "store"]);
}

/// Logs without the ending of their format are found by how they begin, and one that is empty costs only itself.
#[test]
fn logs_of_any_name_in_a_folder_are_read() {
    let work = Work::new();
    work.write("src/run 1", log());
    work.write("src/run 2", log());
    work.write("src/run 3", "");
    let ran = work.run(["convert", "src", "--out", "out"]).exits(0);
    assert_eq!(ran.stderr, "warning: 1 file was not read: run 3\n");
    assert_eq!(work.json("out/report.json")["episodes"], 2);
}
