//! How the registry answers what was mistyped or not thought of: with what was meant, before it is done.

use nodedata_testkit::registry::{ShardSpec, write_shard};

use crate::command::{Ran, Work};

fn run(work: &Work, args: &[&str]) -> Ran {
    run_in(work, "store", args)
}

fn run_in(work: &Work, store: &str, args: &[&str]) -> Ran {
    let [store, cache, config] = [store, "cache", "config"].map(|it| work.path(it).display().to_string());
    let variables = [
        ("NODEDATA_STORE", store.as_str()),
        ("XDG_CACHE_HOME", &cache),
        ("XDG_CONFIG_HOME", &config),
        ("NODEDATA_TOKEN", ""),
        ("NODEDATA_USER", "acme"),
    ];
    work.run_with(&variables, args)
}

fn shard(work: &Work, name: &str, first_episode: i64, n_episodes: i64, n_steps: usize) {
    write_shard(&work.path(name), &ShardSpec { first_episode, n_episodes, n_steps, seed: n_steps as u64 });
}

/// `acme/teleop@1.0.0`: two episodes in `train`, one in `val`.
fn published(work: &Work) {
    shard(work, "shards/train-00000.parquet", 0, 2, 30);
    shard(work, "shards/val-00000.parquet", 2, 1, 30);
    run(work, &["dataset", "push", "--name", "acme/teleop", "--license", "cc-by-4.0", "shards"]).exits(0);
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "{word}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_folder_with_other_things_is_no_store_and_becomes_none() {
    let work = Work::new();
    shard(&work, "shards/a.parquet", 0, 1, 20);
    work.write("home/notes.txt", "mine");
    for args in [&["list"][..], &["show", "x"], &["log", "x"], &["pull", "x", "--out", "o"]] {
        let args = [&["dataset"], args].concat();
        says(&run_in(&work, "home", &args).exits(2), &["this is no store", "home", "--store", "store init"]);
        says(&run_in(&work, "nowhere", &args).exits(2), &["there is no store", "nowhere"]);
    }
    says(&run_in(&work, "home", &["store", "gc"]).exits(2), &["this is no store"]);
    let push = ["dataset", "push", "--name", "x", "shards"];
    for args in [&push[..], &["dataset", "create", "x"], &["store", "check"]] {
        says(&run_in(&work, "home", args).exits(2), &["`notes.txt`", "store init"]);
    }
    let names = |folder: &str| {
        let entries = std::fs::read_dir(work.path(folder)).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names("home"), ["notes.txt"], "nothing was scattered");
    // A plan makes nothing, an empty folder and one that is not there become a store.
    std::fs::create_dir(work.path("empty")).unwrap();
    run_in(&work, "empty", &[&push[..], &["--dry-run"]].concat()).exits(0);
    assert!(names("empty").is_empty());
    run_in(&work, "empty", &push).exits(0);
    run_in(&work, "new/deep", &push).exits(0);
    run_in(&work, "empty", &["dataset", "list"]).exits(0);
    // Whoever asks for it gets it.
    run_in(&work, "home", &["store", "init"]).exits(0);
    run_in(&work, "home", &push).exits(0);
    run_in(&work, "home", &["store", "fsck"]).exits(0);
    assert_eq!(std::fs::read_to_string(work.path("home/notes.txt")).unwrap(), "mine");
}

#[test]
fn the_name_that_was_meant_is_named() {
    let work = Work::new();
    published(&work);
    run(&work, &["dataset", "tag", "acme/teleop@1.0.0", "stable"]).exits(0);
    let push = ["dataset", "push", "--name", "acme/teleop"];
    let show = ["dataset", "show"];
    for (args, hint) in [
        ([&show[..], &["acme/telop"]].concat(), "did you mean `acme/teleop`?"),
        ([&show[..], &["acne/teleop"]].concat(), "did you mean `acme/teleop`?"),
        ([&show[..], &["somebody/teleop"]].concat(), "did you mean `acme/teleop`?"),
        ([&show[..], &["acme/teleop@stabel"]].concat(), "did you mean `acme/teleop@stable`?"),
        ([&show[..], &["acme/teleop@v1.0.0"]].concat(), "did you mean `acme/teleop@1.0.0`?"),
        (vec!["dataset", "tag", "acme/teleop", "stabel", "--delete"], "did you mean `stable`?"),
        ([&push[..], &["--license", "CC-BY-40"]].concat(), "did you mean `CC-BY-4.0`?"),
        ([&push[..], &["--exclude", "9"]].concat(), "did you mean `0`?"),
        ([&push[..], &["--include", "1"]].concat(), "there are none"),
        ([&push[..], &["--assign", "val=trian-00000.parquet"]].concat(), "did you mean `"),
        ([&push[..], &["--bump", "mnior"]].concat(), "did you mean `minor`?"),
        ([&push[..], &["--lisence", "MIT"]].concat(), "--license"),
        (vec!["dataset", "attach", "acme/teleop", "x", "--kind", "nota"], "did you mean `note`?"),
        (
            vec!["serve", "--data", "d", "--new-token", "a", "--scope", "pubish:acme/*"],
            "did you mean `publish:acme/*`?",
        ),
    ] {
        says(&run(&work, &args).exits(2), &[hint]);
    }
    let kept = run(&work, &["dataset", "show", "acme/teleop", "--format", "json"]).exits(0).json();
    assert_eq!(kept["revision"]["license"], "CC-BY-4.0", "as SPDX spells it");
}

#[test]
fn what_cannot_be_taken_back_is_warned_of_first() {
    let work = Work::new();
    shard(&work, "shards/train-00000.parquet", 0, 1, 30);
    shard(&work, "shards/val-00000.parquet", 1, 1, 30);
    let push = |more: &[&str]| run(&work, &[&["dataset", "push", "--name", "x"][..], more].concat()).exits(0);
    let first = push(&["shards"]);
    says(&first, &["warning: no licence", "`--license CC-BY-4.0`"]);
    assert!(first.stdout.contains("episodes: 0 kept, 2 added,"), "{}", first.stdout);
    let licensed = push(&["--license", "MIT"]);
    assert_eq!(licensed.stderr, "");
    let assigned = |more: &[&str]| {
        let args =
            [&["dataset", "push", "--name", "x", "--assign", "vla=train-*", "--dry-run"][..], more].concat();
        run(&work, &args)
    };
    let mistyped = assigned(&[]).exits(2);
    says(&mistyped, &["the dataset has no split `vla`", "did you mean `val`?; `--split vla` makes it"]);
    says(&assigned(&["--split", "vla"]).exits(0), &["warning: `vla` is a new split; did you mean `val`?"]);
    says(
        &assigned(&["--split", "vla", "--split", "test"]).exits(2),
        &["`--split test`: no shard is assigned to it"],
    );
    // Another recording under a key that is taken.
    shard(&work, "shards/train-00000.parquet", 0, 1, 47);
    let plan = push(&["shards", "--dry-run", "--format", "json"]);
    says(&plan, &["warning: 1 episode holds other data than 1.0.1 has under the same key: `0` (train)"]);
    assert_eq!(plan.json()["warnings"].as_array().map(Vec::len), Some(1));
    let emptied =
        run(&work, &["dataset", "withdraw", "x", "--episodes", "0,1", "--reason", "asked"]).exits(0);
    says(&emptied, &["warning: no episode of 1.0.1 is left"]);
    run(&work, &["dataset", "tag", "x@1.0.0", "stable"]).exits(0);
    let withdraw = |reference: &str| {
        run(&work, &["dataset", "withdraw", reference, "--reason", "wrong"]).exits(0).stderr
    };
    assert_eq!(withdraw("x@2.0.0"), "");
    assert!(withdraw("x@1.0.0").contains("still tagged `stable`"));
    assert!(withdraw("x@1.0.1").contains("no other revision of acme/x may be used"));
    let none = run(&work, &["dataset", "show", "x"]).exits(2);
    says(&none, &["every revision of `acme/x` is withdrawn", "`acme/x@2.0.0`"]);
    let tag = ["dataset", "tag", "x@1.0.0", "old"];
    says(&run(&work, &tag).exits(2), &["is withdrawn: wrong", "--force"]);
    run(&work, &[&tag[..], &["--force"]].concat()).exits(0);
}

#[test]
fn an_episode_of_many_topics_is_one_episode() {
    let work = Work::new();
    let log = work.copy(&crate::logs::fixture("teleop.mcap"));
    run(&work, &["convert", &log, "--out", "made"]).exits(0);
    let pushed = run(&work, &["dataset", "push", "--name", "x", "made"]).exits(0);
    assert!(
        pushed.stdout.contains("episodes: 0 kept, 1 added, 0 changed, 0 removed\n18 shards"),
        "{}",
        pushed.stdout
    );
}

#[test]
fn checks_say_by_their_exit_what_they_found_and_what_to_type() {
    let work = Work::new();
    work.write("old.json", r#"{"fields":{"a":{"type":"float32","shape":[-1,7]}}}"#);
    work.write("new.json", r#"{"fields":{"a":{"type":"float32","shape":[-1,6]}}}"#);
    work.write(
        "more.json",
        r#"{"fields":{"a":{"type":"float32","shape":[-1,7]},"b":{"type":"bool","shape":[-1]}}}"#,
    );
    for output in ["text", "json"] {
        let diff = |new: &str| run(&work, &["schema", "diff", "old.json", new, "--format", output]);
        diff("old.json").exits(0);
        assert!(diff("new.json").exits(1).stdout.contains("compatible"));
        diff("more.json").exits(0);
    }
    let log = work.copy(&crate::logs::fixture("teleop.mcap"));
    let refused = run(&work, &["validate", &format!("./{log}")]).exits(2);
    says(
        &refused,
        &["what is checked is a dataset", "node-data convert ./teleop.mcap --out DIR", "node-data inspect"],
    );
    work.write("p.yaml", "x: 1");
    says(&run(&work, &["validate", "./p.yaml"]).exits(2), &["node-data pipeline check ./p.yaml"]);
    says(&run(&work, &["validate", "./nothing.mcap"]).exits(1), &["there is no such file or folder"]);
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    let work = Work::new();
    // Port 9 is taken by nobody here; nothing leaves the machine.
    let refused = run(&work, &["dataset", "list", "--store", "http://127.0.0.1:9"]).exits(1);
    says(&refused, &["cannot reach the server at http://127.0.0.1:9", "hint: "]);
}
