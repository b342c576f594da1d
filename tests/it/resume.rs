//! A run that is killed leaves nothing under a final name, and the next one goes on where it was.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    command::Work,
    generated::{Random, log},
    tables::differing,
};

/// Mebibytes of source; a shard covers two of them, which is what a partition has.
const LOG_MB: u64 = 44;
/// Kills of one test, at the least.
const KILLS: usize = 22;

fn is_long() -> bool {
    std::env::var_os("NODEDATA_TEST_LONG").is_some_and(|it| it != "0")
}

/// Starts `node-data`.
pub(crate) fn start(work: &Work, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-data"));
    command.args(args).current_dir(work.path("."));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Lets it run until something can be seen of its work, and kills it; `true` when it was still running. Were it done
/// before, it must have ended well.
pub(crate) fn kill_at(mut child: Child, is_reached: impl Fn() -> bool) -> bool {
    while !is_reached() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    // It may have ended between the last look and the kill.
    assert!(status.success() || status.code().is_none(), "{status}");
    status.code().is_none()
}

/// Bytes of the files below a folder, as far as they are there: files come and go while a run is looked at.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => bytes_below(&entry.path()),
        Ok(facts) => facts.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// Names of the finished units in the hidden folder.
pub(crate) fn finished_units(work: &Work, out: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(work.path(format!(".{out}.partial/units"))) else { return 0 };
    entries.filter(|it| !it.as_ref().unwrap().file_name().to_string_lossy().starts_with("tmp-")).count()
}

#[test]
fn killed_at_random_moments_a_run_ends_in_the_same_bytes() {
    let work = Work::new();
    work.write("logs/a.mcap", log(1, LOG_MB / 2));
    work.write("logs/b.mcap", log(2, LOG_MB / 2));
    let args = ["convert", "logs", "--shard-mb", "1", "--split", "train=0.5,val=0.5", "--out"];
    let args_to = |out: &'static str| -> Vec<&str> { args.iter().copied().chain([out]).collect() };
    work.run(args_to("calm")).exits(0);
    let n_bytes = bytes_below(&work.path("calm"));
    let n_units = work.json("calm/report.json")["units"].as_u64().unwrap();
    assert!(20 <= n_units, "{n_units} units");

    let n_kills = if is_long() { 20 * KILLS } else { KILLS };
    let mut random = Random(2026);
    let (mut killed, mut reused) = (0, 0);
    let (mut rounds, mut with_units) = (0, 0);
    while killed < n_kills {
        // Between what is there already and the last rename: a random part of what is still to be written, or its end.
        let hidden = work.path(".out.partial");
        let there = bytes_below(&hidden);
        let until = there + random.below(n_bytes.saturating_sub(there) + n_bytes / 20);
        let was_killed = kill_at(start(&work, &args_to("out")), || {
            bytes_below(&hidden) >= until || work.path("out").exists()
        });
        killed += usize::from(was_killed);
        with_units += usize::from(finished_units(&work, "out") > 0);
        if was_killed && !work.path("out").exists() {
            // Three kills of four are followed by the next one.
            if random.below(4) != 0 {
                continue;
            }
            work.run(args_to("out")).exits(0);
        }
        assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"], "after {killed} kills");
        reused += work.json("out/report.json")["units_reused"].as_u64().unwrap();
        rounds += 1;
        std::fs::remove_dir_all(work.path("out")).unwrap();
    }
    work.run(args_to("out")).exits(0);
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"]);
    assert_eq!(work.names(), ["calm", "logs", "out"], "nothing is left beside the output");
    work.run(["validate", "--deep", "out"]).exits(0);
    assert!(0 < reused && 0 < with_units, "{rounds} rounds, {reused} units reused after {with_units} kills");
}

/// A crash while a dataset takes the place of another one leaves one of the two, whole.
#[test]
fn killed_while_replacing_a_dataset_one_of_the_two_is_left() {
    let work = Work::new();
    work.write("log.mcap", log(3, 4));
    work.run(["convert", "log.mcap", "--shard-mb", "1", "--out", "one"]).exits(0);
    work.run(["convert", "log.mcap", "--shard-mb", "2", "--out", "two"]).exits(0);
    work.run(["convert", "log.mcap", "--shard-mb", "1", "--out", "out"]).exits(0);
    let n_bytes = bytes_below(&work.path("one"));
    let mut random = Random(7);
    for round in 0..if is_long() { 100 } else { 8 } {
        let shard_mb = if round % 2 == 0 { "2" } else { "1" };
        let args = ["convert", "log.mcap", "--shard-mb", shard_mb, "--out", "out", "--overwrite"];
        // While the new one is written, or as soon as the old one makes way.
        let until = random.below(n_bytes * 2);
        let (hidden, replaced) = (work.path(".out.partial"), work.path(".out.partial.replaced"));
        kill_at(start(&work, &args), || bytes_below(&hidden) >= until || replaced.exists());
        // Whatever comes next finds a dataset, were it only to read it.
        work.run(["convert", "log.mcap", "--shard-mb", shard_mb, "--out", "out", "--overwrite"]).exits(0);
        let expected = if round % 2 == 0 { "two" } else { "one" };
        assert_eq!(differing(&work.path(expected), &work.path("out")), ["report.json"], "round {round}");
        assert_eq!(work.names(), ["log.mcap", "one", "out", "two"]);
    }
}

/// What an earlier run with other options left is of no use, and goes away.
#[test]
fn stale_units_are_removed() {
    let work = Work::new();
    work.write("log.mcap", log(4, 6));
    let convert = |out: &'static str, more: &[&'static str]| -> Vec<&str> {
        ["convert", "log.mcap", "--shard-mb", "1", "--out", out]
            .into_iter()
            .chain(more.iter().copied())
            .collect()
    };
    work.run(convert("calm", &["--topic", "/joints"])).exits(0);
    let child = start(&work, &convert("out", &[]));
    kill_when(&work, child, "out", 2);
    assert!(finished_units(&work, "out") >= 2);
    let left = std::fs::read_dir(work.path(".out.partial/units")).unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    let child = start(&work, &convert("out", &["--topic", "/joints"]));
    let is_there = |name: &std::ffi::OsString| work.path(".out.partial/units").join(name).exists();
    kill_at(child, || !left.iter().any(is_there));
    assert!(!left.iter().any(is_there));
    work.run(convert("out", &["--topic", "/joints"])).exits(0);
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"]);
}

/// An input that changes between two runs is converted again, as far as it has changed.
#[test]
fn a_changed_input_is_not_taken_for_the_old_one() {
    let work = Work::new();
    let mut bytes = log(5, 6);
    work.write("log.mcap", &bytes);
    let args = ["convert", "log.mcap", "--shard-mb", "1", "--no-verify", "--on-error", "salvage", "--out"];
    let args_to = |out: &'static str| -> Vec<&str> { args.iter().copied().chain([out]).collect() };
    let child = start(&work, &args_to("out"));
    kill_when(&work, child, "out", 3);
    // A value of a message in one of the first chunks.
    let middle = bytes.len() / 20;
    bytes[middle] ^= 0x10;
    work.write("log.mcap", &bytes);
    let code = work.run(args_to("calm")).code;
    assert_eq!(work.run(args_to("out")).code, code);
    assert_eq!(differing(&work.path("calm"), &work.path("out")), ["report.json"]);
    assert_eq!(work.json("out/report.json")["units_reused"], 0, "all units lie behind the change");
}

/// Kills a run as soon as it has finished so many units, or lets it end.
pub(crate) fn kill_when(work: &Work, child: Child, out: &str, n_units: usize) {
    kill_at(child, || finished_units(work, out) >= n_units);
}
