//! `node-data dataset` and `node-data store`: the tour, the push line with shards that nobody converted, and
//! what is refused.

use std::path::Path;

use nodedata_testkit::registry::{ShardSpec, write_shard};

use crate::command::{Ran, Work};

const SCHEMA: &str = r#"{"splits":["train","val"],"fields":{
  "action":{"type":"float32","shape":[-1,7],"min":-1,"max":1},"task":{"type":"string","shape":[-1]}}}"#;

/// Runs the command of a user whose store and cache lie in the folder.
pub(crate) fn run(work: &Work, args: &[&str]) -> Ran {
    let [store, cache] = ["store", "cache"].map(|it| work.path(it).display().to_string());
    let variables = [
        ("NODEDATA_STORE", store.as_str()),
        ("XDG_CACHE_HOME", &cache),
        ("USER", "robot-lab"),
        ("NODEDATA_USER", ""),
    ];
    work.run_with(&variables, args)
}

fn shard(work: &Work, name: &str, first_episode: i64, seed: u64) {
    write_shard(&work.path(name), &ShardSpec { first_episode, n_episodes: 2, n_steps: 30, seed });
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mcap").join(name)
}

/// Without what differs from run to run: times and digests.
fn steady(text: &str) -> String {
    let is_time = |it: &str| it.len() == 20 && it.ends_with('Z') && it.as_bytes()[10] == b'T';
    let is_digest = |it: &str| it.starts_with("b3:") && it.len() == 67;
    let word = |it: &str| {
        if is_time(it) {
            "TIME".to_owned()
        } else if is_digest(it) {
            "DIGEST".to_owned()
        } else {
            it.to_owned()
        }
    };
    let line = |it: &str| it.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(|it| format!("{}\n", line(it))).collect()
}

#[test]
fn the_tour_of_the_readme() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    run(&work, &["convert", &log, "--out", "tour"]).exits(0);
    let pushed =
        run(&work, &["dataset", "push", "--name", "acme/teleop", "--license", "CC-BY-4.0", "tour"]).exits(0);
    assert!(pushed.stdout.starts_with("acme/teleop 1.0.0 published (first)\n"), "{}", pushed.stdout);
    let again = run(&work, &["dataset", "push", "--name", "acme/teleop", "tour"]).exits(0);
    assert_eq!(again.stdout, "acme/teleop is already published as 1.0.0\n");
    run(&work, &["dataset", "push", "--name", "acme/teleop", "--price", "199", "--title", "Teleoperation"])
        .exits(0);
    let log = run(&work, &["dataset", "log", "acme/teleop"]).exits(0);
    assert_eq!(
        steady(&log.stdout),
        "1.0.1     patch  +0 ~0 -0        TIME  robot-lab\n1.0.0     first  +1 ~0 -0        TIME  robot-lab\n"
    );
    let diff = run(&work, &["dataset", "diff", "acme/teleop@1.0.0", "@latest"]).exits(0);
    assert_eq!(diff.stdout, "1.0.0 to 1.0.1: patch (1 kept, 0 added, 0 changed, 0 removed)\n");
    run(&work, &["dataset", "pull", "acme/teleop@^1", "--out", "back"]).exits(0);
    run(&work, &["validate", "back", "--deep"]).exits(0);
    let same = run(&work, &["dataset", "pull", "acme/teleop", "--out", "back"]).exits(0);
    assert_eq!(same.stdout, "acme/teleop 1.0.1 is in back already\n");
    // Other splits, without a shard moved.
    let moved = run(
        &work,
        &words("dataset push --name acme/teleop --assign val=streams/* --split val --format json"),
    );
    let moved = moved.exits(0).json();
    assert_eq!((&moved["revision"], &moved["sent_blobs"]), (&"2.0.0".into(), &5.into()));
    run(&work, &["dataset", "pull", "acme/teleop@2.0.0", "--out", "other"]).exits(0);
    run(&work, &["validate", "other", "--deep"]).exits(0);
    assert_eq!(work.json("other/manifest.json")["splits"]["val"]["shards"], 18);
    run(&work, &["store", "fsck", "--full"]).exits(0);
    assert_eq!(work.json("back/revision.json")["price"]["amount"], "199.00");
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn shards_that_nobody_converted() {
    let work = Work::new();
    shard(&work, "shards/train-00000.parquet", 0, 1);
    shard(&work, "shards/val-00000.parquet", 2, 2);
    work.write("schema.json", SCHEMA);
    let line = words(
        "dataset push --name panda-arm-grasp-100k --license CC-BY-4.0 --modality rgb,depth,proprioception,action \
         --price 199 --schema ./schema.json ./shards/",
    );
    let pushed = run(&work, &line).exits(0);
    assert!(
        pushed.stdout.starts_with("robot-lab/panda-arm-grasp-100k 1.0.0 published (first)\n"),
        "{}",
        pushed.stdout
    );
    assert_eq!(
        run(&work, &line).exits(0).stdout,
        "robot-lab/panda-arm-grasp-100k is already published as 1.0.0\n"
    );
    let shown = run(&work, &["dataset", "show", "panda-arm-grasp-100k", "--format", "json"]).exits(0).json();
    assert_eq!(shown["revision"]["price"], serde_json::json!({"amount": "199.00", "currency": "USD"}));
    assert_eq!(shown["revision"]["modality"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        (&shown["visibility"], &shown["revision"]["sensitivity"]["class"]),
        (&"private".into(), &"undeclared".into())
    );
    assert_eq!(shown["revision"]["schema"]["mode"], "declared");
    // More shards, then other splits and fewer episodes without a byte of data moved.
    shard(&work, "more/train-00001.parquet", 4, 3);
    let more =
        run(&work, &words("dataset push --name panda-arm-grasp-100k --append --deep more --format json"))
            .exits(0)
            .json();
    assert_eq!((&more["revision"], &more["bump"]["proof"]["added"]), (&"1.1.0".into(), &2.into()));
    let moved = run(
        &work,
        &words("dataset push --name panda-arm-grasp-100k --assign val=train-00001* --format json"),
    )
    .exits(0)
    .json();
    assert_eq!(moved["revision"], "2.0.0");
    let gone = run(
        &work,
        &[
            "dataset",
            "withdraw",
            "panda-arm-grasp-100k",
            "--episodes",
            "5",
            "--reason",
            "asked for",
            "--format",
            "json",
        ],
    )
    .exits(0)
    .json();
    assert_eq!((&gone["revision"], &gone["bump"]["proof"]["removed"]), (&"3.0.0".into(), &1.into()));
    assert_eq!(gone["sent_blobs"], 3, "only the card, and the manifests of folder and revision");
    let shown = run(&work, &["dataset", "show", "panda-arm-grasp-100k"]).exits(0);
    assert!(shown.stdout.contains("val: 3 episodes, 90 rows, 2 shards, left out: 5"), "{}", shown.stdout);
    run(&work, &["dataset", "pull", "panda-arm-grasp-100k@seq:2", "--out", "first"]).exits(0);
    run(&work, &["dataset", "pull", "panda-arm-grasp-100k@2.0.0", "--out", "second"]).exits(0);
    for folder in ["first", "second"] {
        run(&work, &["validate", folder, "--deep"]).exits(0);
        let index = work.json(&format!("{folder}/sample_index.json"));
        assert!(index["inline_episodes"].as_array().is_some_and(|it| !it.is_empty()), "{index}");
    }
}

#[test]
fn an_inferred_schema_is_written_back_and_a_broken_one_is_told() {
    let work = Work::new();
    shard(&work, "shards/a.parquet", 0, 1);
    run(&work, &["dataset", "push", "--name", "x", "shards"]).exits(0);
    run(&work, &["dataset", "pull", "x", "--out", "out"]).exits(0);
    let schema = work.json("out/schema.json");
    assert_eq!(
        (&schema["mode"], &schema["fields"]["action"]["shape"]),
        (&"inferred".into(), &serde_json::json!([-1, 7]))
    );
    work.write("bad.json", SCHEMA.replace("[-1,7]", "[-1,6]").replace("\"max\":1", "\"max\":0.5"));
    let refused = run(&work, &["dataset", "push", "--name", "y", "--schema", "bad.json", "shards"]).exits(1);
    for word in [
        "feature `action` has shape [7], but the schema declares [6]",
        "the greatest is 0.5",
        "a.parquet",
        "hint: ",
    ] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
    let list = run(&work, &["dataset", "list", "--format", "json"]).exits(0).json();
    assert_eq!(list["datasets"].as_array().map(Vec::len), Some(1), "nothing was created: {list}");
}

#[test]
fn wrong_words_are_refused_before_anything_is_sent() {
    let work = Work::new();
    shard(&work, "shards/a.parquet", 0, 1);
    for (flag, value, word) in [
        ("--license", "free beer", "SPDX"),
        ("--price", "1e3", "no price"),
        ("--bump", "tiny", "no bump"),
        ("--visibility", "public", "personal data"),
        ("--robot", "panda", "has no `=`"),
    ] {
        let refused = run(&work, &["dataset", "push", "--name", "x", flag, value, "shards"]);
        assert_ne!(refused.code, 0, "{flag} {value}");
        assert!(
            refused.stderr.contains(word) && refused.stderr.contains("hint: "),
            "{flag}: {}",
            refused.stderr
        );
    }
    run(&work, &["dataset", "push", "--name", "x", "shards"]).exits(0);
    shard(&work, "shards/a.parquet", 0, 2);
    let less = run(&work, &["dataset", "push", "--name", "x", "--bump", "patch", "shards"]).exits(2);
    assert!(less.stderr.contains("the content proves a major one"), "{}", less.stderr);
    let plan = run(&work, &["dataset", "push", "--name", "x", "--dry-run", "shards"]).exits(0);
    assert!(plan.stdout.starts_with("robot-lab/x 2.0.0 would be published (major)\n"), "{}", plan.stdout);
    let unknown = run(&work, &["dataset", "show", "x@9.9.9"]).exits(2);
    assert!(unknown.stderr.contains("the newest are 1.0.0"), "{}", unknown.stderr);
    let none = run(&work, &["dataset", "pull", "nobody/x", "--out", "o"]).exits(2);
    assert!(none.stderr.contains("there is no dataset"), "{}", none.stderr);
}

#[test]
fn tags_documents_and_withdrawals_are_later_records() {
    let work = Work::new();
    shard(&work, "shards/a.parquet", 0, 1);
    run(&work, &["dataset", "create", "x", "--data-class", "pseudonymous", "--category", "voice"]).exits(0);
    run(&work, &["dataset", "create", "x"]).exits(1);
    run(&work, &["dataset", "push", "--name", "x", "shards"]).exits(0);
    run(&work, &["dataset", "tag", "x@1.0.0", "stable"]).exits(0);
    run(&work, &["dataset", "show", "x@stable"]).exits(0);
    run(&work, &["dataset", "tag", "x", "stable", "--delete"]).exits(0);
    run(&work, &["dataset", "show", "x@stable"]).exits(2);
    work.write("note.md", "seen");
    run(&work, &["dataset", "attach", "x", "note.md", "--kind", "note"]).exits(0);
    run(&work, &["dataset", "withdraw", "x@1.0.0", "--reason", "wrong units"]).exits(0);
    let pulled = run(&work, &["dataset", "pull", "x@1.0.0", "--out", "o"]).exits(0);
    assert!(pulled.stderr.contains("withdrawn: wrong units"), "{}", pulled.stderr);
    run(&work, &["dataset", "pull", "x", "--out", "p"]).exits(2);
    let log = run(&work, &["dataset", "log", "x", "--all", "--format", "json"]).exits(0).json();
    let ops: Vec<&str> =
        log["records"].as_array().unwrap().iter().map(|it| it["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["withdraw", "attach", "tag", "tag", "publish", "create"]);
    run(&work, &["store", "gc", "--grace-days", "0"]).exits(0);
    run(&work, &["store", "fsck", "--full"]).exits(0);
}

#[test]
fn a_given_sample_index_says_which_rows_are_which_episode() {
    let work = Work::new();
    shard(&work, "shards/a.parquet", 0, 1);
    let index = |rows: [u64; 2]| {
        let episode = |key: &str, row: u64, rows: u64| serde_json::json!({"key": key, "shard": "a.parquet", "row": row, "rows": rows, "split": "val"});
        serde_json::json!({"inline_episodes": [episode("grasp-2", rows[0], rows[1]), episode("grasp-1", 0, rows[0])]}).to_string()
    };
    work.write("bad.json", index([20, 30]));
    let line = |file: &'static str| ["dataset", "push", "--name", "x", "--sample-index", file, "shards"];
    let refused = run(&work, &line("bad.json")).exits(2);
    assert!(refused.stderr.contains("places 50 of 60 rows"), "{}", refused.stderr);
    work.write("good.json", index([20, 40]));
    run(&work, &line("good.json")).exits(0);
    run(&work, &["dataset", "pull", "x", "--out", "out"]).exits(0);
    run(&work, &["validate", "out"]).exits(0);
    let found = work.json("out/sample_index.json");
    let told: Vec<(&str, u64, u64, &str)> = found["inline_episodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let text = |key: &str| it[key].as_str().unwrap();
            (text("key"), it["row"].as_u64().unwrap(), it["rows"].as_u64().unwrap(), text("split"))
        })
        .collect();
    assert_eq!(told, [("grasp-1", 0, 20, "val"), ("grasp-2", 20, 40, "val")]);
}
