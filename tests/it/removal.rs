//! Withdrawn episodes come with no pull and no export; purged ones are gone.

use std::path::Path;

use serde_json::Value;

use crate::{command::Work, logs, registry::run};

/// One recording by another name is another episode.
fn recordings(work: &Work) -> String {
    let log = std::fs::read(logs::fixture("teleop.mcap")).unwrap();
    for name in ["a.mcap", "b.mcap", "c.mcap"] {
        work.write(&format!("logs/{name}"), &log);
    }
    work.path("logs").display().to_string()
}

fn rows(manifest: &Value) -> u64 {
    manifest["streams"].as_array().unwrap().iter().map(|it| it["rows"].as_u64().unwrap()).sum()
}

fn contains(root: &Path, what: &[u8]) -> bool {
    std::fs::read_dir(root).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => contains(&path, what),
            false => std::fs::read(&path).unwrap().windows(what.len()).any(|it| it == what),
        }
    })
}

#[test]
fn withdrawn_episodes_of_a_converted_dataset_do_not_come() {
    let work = Work::new();
    let logs = recordings(&work);
    run(&work, &["convert", &logs, "--out", "made"]).exits(0);
    run(&work, &["dataset", "push", "--name", "x", "--license", "MIT", "made"]).exits(0);
    let all = work.json("made/manifest.json");
    run(&work, &["dataset", "withdraw", "x", "--episodes", "b.mcap", "--reason", "asked for"]).exits(0);
    let pulled = run(&work, &["dataset", "pull", "x", "--out", "out"]).exits(0);
    assert!(pulled.stdout.contains("left out, as the revision asks: 1 episode, "), "{}", pulled.stdout);
    run(&work, &["validate", "out", "--deep"]).exits(0);
    let manifest = work.json("out/manifest.json");
    assert_eq!(rows(&manifest) * 3, rows(&all) * 2);
    let ledger = manifest["ledger"].as_object().unwrap();
    let withdrawn: u64 = ledger.values().filter_map(|it| it["dropped"]["withdrawn"].as_u64()).sum();
    assert_eq!(withdrawn * 3, rows(&all), "each row is accounted for");
    let episodes: u64 =
        manifest["splits"].as_object().unwrap().values().map(|it| it["episodes"].as_u64().unwrap()).sum();
    assert_eq!(episodes, 2);
    let card = std::fs::read_to_string(work.path("out/README.md")).unwrap();
    assert!(card.contains(&format!("2 episodes, {} rows in", rows(&manifest))), "{card}");
    assert!(!contains(&work.path("out/index"), b"b.mcap"), "not even its name");
    // Its statistics are those of what is there: the same as of a dataset that never had the episode.
    std::fs::remove_file(work.path("logs/b.mcap")).unwrap();
    run(&work, &["convert", &logs, "--out", "without"]).exits(0);
    let (stats, expected) = (work.json("out/stats.json"), work.json("without/stats.json"));
    let counts = |it: &Value| -> Vec<(String, Value)> {
        let streams = it["streams"].as_object().unwrap();
        let of = |(stream, features): (&String, &Value)| {
            let all = features.as_object().unwrap().iter();
            all.map(|(name, it)| (format!("{stream} {name}"), it["count"].clone())).collect::<Vec<_>>()
        };
        streams.iter().flat_map(of).collect()
    };
    assert_eq!(counts(&stats), counts(&expected));
    // What is shown and exported says the same.
    let shown = run(&work, &["dataset", "show", "x"]).exits(0);
    assert!(
        shown.stdout.contains("2 episodes") && shown.stdout.contains("left out: b.mcap"),
        "{}",
        shown.stdout
    );
    run(&work, &["export", "hf", "x", "hub"]).exits(0);
    assert!(!contains(&work.path("hub"), b"b.mcap"));
    // All are there before.
    run(&work, &["dataset", "pull", "x@1.0.0", "--out", "before"]).exits(0);
    assert_eq!(rows(&work.json("before/manifest.json")), rows(&all));
    // And what was pulled may be pushed elsewhere.
    run(&work, &["dataset", "push", "--name", "y", "out"]).exits(0);
}

#[test]
fn a_purge_removes_rewrites_and_tells() {
    let work = Work::new();
    let logs = recordings(&work);
    run(&work, &["convert", &logs, "--out", "made"]).exits(0);
    run(&work, &["dataset", "push", "--name", "x", "made"]).exits(0);
    let nothing = run(&work, &["dataset", "purge", "x", "--reason", "r"]).exits(2);
    assert!(nothing.stderr.contains("nothing to purge"), "{}", nothing.stderr);
    let done =
        run(&work, &["dataset", "purge", "x", "--episodes", "b.mcap", "--reason", "asked for"]).exits(0);
    for words in
        ["x 1.0.0, 2.0.0 purged (1 episode)", "x 2.0.1 holds what stays", "removed (", "not reached:"]
    {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    run(&work, &["store", "fsck", "--full"]).exits(0);
    run(&work, &["dataset", "pull", "x", "--out", "out"]).exits(0);
    run(&work, &["validate", "out", "--deep"]).exits(0);
    let refused = run(&work, &["dataset", "pull", "x@1.0.0", "--out", "old"]).exits(2);
    assert!(refused.stderr.contains("was purged: asked for"), "{}", refused.stderr);
    let log = run(&work, &["dataset", "log", "x", "--all"]).exits(0);
    assert!(log.stdout.contains(" of 1.0.0, 2.0.0: asked for"), "{}", log.stdout);
    let again = run(&work, &["dataset", "push", "--name", "x", "made"]).exits(2);
    assert!(again.stderr.contains("was purged from"), "{}", again.stderr);
}

#[test]
fn datasets_are_renamed_given_away_and_deleted() {
    let work = Work::new();
    let logs = recordings(&work);
    run(&work, &["convert", &logs, "--out", "made"]).exits(0);
    run(&work, &["dataset", "push", "--name", "acme/x", "made"]).exits(0);
    let renamed = run(&work, &["dataset", "rename", "acme/x", "y"]).exits(0);
    assert_eq!(renamed.stdout, "acme/x is acme/y now (record 0)\n");
    run(&work, &["dataset", "transfer", "acme/y", "robot-lab"]).exits(0);
    let pulled = run(&work, &["dataset", "pull", "acme/x@1.0.0", "--out", "out"]).exits(0);
    assert!(pulled.stdout.starts_with("acme/x 1.0.0 in out"), "{}", pulled.stdout);
    let list = run(&work, &["dataset", "list"]).exits(0);
    assert!(list.stdout.starts_with("robot-lab/y ") && list.stdout.lines().count() == 1, "{}", list.stdout);
    let revision = run(&work, &["dataset", "delete", "acme/x@1.0.0", "--reason", "r"]).exits(2);
    assert!(revision.stderr.contains("names a revision"), "{}", revision.stderr);
    run(&work, &["dataset", "delete", "acme/x", "--reason", "a test"]).exits(0);
    let gone = run(&work, &["dataset", "show", "acme/y"]).exits(2);
    assert!(gone.stderr.contains("robot-lab/y was deleted: a test"), "{}", gone.stderr);
    run(&work, &["store", "gc", "--grace-days", "0"]).exits(0);
    let left = run(&work, &["store", "fsck", "--format", "json"]).exits(0).json();
    assert_eq!(left["blobs"], 0);
}
