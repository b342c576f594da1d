//! Inputs that are added, options that change: what is the same is not made again.

use crate::{command::Work, generated::log, tables::differing};

const FLAGS: [&str; 2] = ["--shard-mb", "1"];

fn convert(work: &Work, source: &str, out: &str, more: &[&str]) -> (u64, u64) {
    let args = ["convert", source, "--out", out].into_iter().chain(FLAGS).chain(more.iter().copied());
    work.run(args).exits(0);
    let report = work.json(&format!("{out}/report.json"));
    (report["units_reused"].as_u64().unwrap(), report["units"].as_u64().unwrap())
}

#[test]
fn a_new_input_is_converted_alone() {
    let work = Work::new();
    work.write("logs/a.mcap", log(1, 4));
    work.write("logs/b.mcap", log(2, 3));
    let (reused, n_units) = convert(&work, "logs", "out", &[]);
    assert_eq!(reused, 0);
    work.write("logs/c.mcap", log(3, 2));
    // No `--overwrite`: nothing that is there gets lost.
    let (reused, n_all) = convert(&work, "logs", "out", &[]);
    // The last unit was not full: it takes in rows of the new file.
    assert!(n_units - 1 <= reused && reused < n_all, "{reused} of {n_units}, then {n_all}");
    convert(&work, "logs", "fresh", &[]);
    assert_eq!(differing(&work.path("fresh"), &work.path("out")), ["report.json"]);
    work.run(["validate", "--deep", "out"]).exits(0);

    // The same again is nothing to do.
    let before = std::fs::metadata(work.path("out/manifest.json")).unwrap().modified().unwrap();
    let told = work.run(["convert", "logs", "--out", "out"].into_iter().chain(FLAGS)).exits(0);
    assert!(told.stdout.contains("already complete"), "{}", told.stdout);
    assert_eq!(std::fs::metadata(work.path("out/manifest.json")).unwrap().modified().unwrap(), before);

    // A file less, or another one in its place, is not an addition.
    std::fs::remove_file(work.path("logs/c.mcap")).unwrap();
    let refused = work.run(["convert", "logs", "--out", "out"].into_iter().chain(FLAGS)).exits(2);
    assert!(refused.stderr.contains("--overwrite"), "{}", refused.stderr);
    let (reused, _) = convert(&work, "logs", "out", &["--overwrite"]);
    assert!(n_units - 1 <= reused, "{reused} of {n_units}");
    assert_eq!(work.names(), ["fresh", "logs", "out"]);
}

#[test]
fn changed_options_convert_what_they_touch() {
    let work = Work::new();
    for (name, n_mb) in [("a", 2), ("b", 2), ("c", 3), ("d", 2)] {
        work.write(&format!("logs/{name}.mcap"), log(n_mb + u64::from(name.as_bytes()[0]), n_mb));
    }
    let (_, n_units) = convert(&work, "logs", "out", &["--split", "train=0.5,val=0.5"]);
    // Other names for the same parts change no row.
    let (reused, n_now) = convert(&work, "logs", "out", &["--split", "x=0.5,y=0.5", "--overwrite"]);
    assert_eq!((reused, n_now), (n_units, n_units));
    convert(&work, "logs", "fresh", &["--split", "x=0.5,y=0.5"]);
    assert_eq!(differing(&work.path("fresh"), &work.path("out")), ["report.json"]);
    // Another selection changes all of them.
    let (reused, _) = convert(&work, "logs", "out", &["--topic", "/joints", "--overwrite"]);
    assert_eq!(reused, 0);
}

/// A dataset has been in other hands: a shard that is not what it was is not taken over.
#[test]
fn a_damaged_shard_is_made_again() {
    let work = Work::new();
    work.write("log.mcap", log(9, 3));
    convert(&work, "log.mcap", "calm", &[]);
    let (_, n_units) = convert(&work, "log.mcap", "out", &[]);
    let shard = work.path("out/streams/joints/train-00001.parquet");
    let mut bytes = std::fs::read(&shard).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // A new file: the other datasets do not share it, but a careless editor would not write in place.
    std::fs::remove_file(&shard).unwrap();
    std::fs::write(&shard, bytes).unwrap();
    let (reused, _) = convert(&work, "log.mcap", "out", &["--overwrite"]);
    assert_eq!(reused, n_units - 1);
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"]);
}
