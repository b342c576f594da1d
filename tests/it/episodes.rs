//! What a pipeline says of whole episodes: which are taken, which are one, and what is known of them.

use std::{collections::BTreeMap, path::Path};

use arrow_array::{Array as _, cast::AsArray as _};
use nodedata_testkit::corpus;
use serde_json::Value;

use crate::{
    command::Work,
    logs::fixture,
    tables::{Dataset, int64, texts},
};

const STEPS: &str = "steps: {clock: {rate_hz: 5}}\nfields: {joints: /joint_states.position}\n";

/// Two recordings in folders of their own, and a table of runs.
fn two(runs: &str) -> Work {
    let work = Work::new();
    let bytes = std::fs::read(fixture("teleop.mcap")).unwrap();
    work.write("src/ann/one.mcap", &bytes);
    work.write("src/bob/two.mcap", &bytes);
    work.write("runs.csv", runs);
    work
}

fn pipeline(work: &Work, episodes: &str, more: &str) {
    work.write("p.yaml", format!("version: 1\nsource: {{path: src}}\nepisodes: {episodes}\n{more}"));
}

#[track_caller]
fn refused(work: &Work, told: &[&str]) {
    let ran = work.run(["run", "p.yaml", "--out", "refused"]).exits(2);
    for words in told {
        assert!(ran.stderr.contains(words), "`{words}` is not told:\n{}", ran.stderr);
    }
    assert!(!work.path("refused").exists());
}

#[track_caller]
fn run(work: &Work, out: &str) -> Dataset {
    work.run(["run", "p.yaml", "--out", out, "--overwrite"]).exits(0);
    work.run(["validate", out]).exits(0);
    Dataset::open(work.path(out))
}

/// What the index says of each episode, by key: its metadata with their types, and its task under its own name.
fn known(dataset: &Dataset) -> BTreeMap<String, BTreeMap<String, (String, String)>> {
    let index = dataset.table("index/episodes.parquet");
    let pairs = |column: &str, row: usize| -> BTreeMap<String, String> {
        let map = index.column_by_name(column).unwrap().as_map().value(row);
        let (keys, values) = (map.column(0).as_string::<i32>(), map.column(1).as_string::<i32>());
        (0..map.len()).map(|it| (keys.value(it).to_owned(), values.value(it).to_owned())).collect()
    };
    let mut all = BTreeMap::new();
    let keys = texts(&index, "episode_key");
    for (row, key) in keys.into_iter().enumerate() {
        let types = pairs("metadata_types", row);
        let mut of: BTreeMap<String, (String, String)> = pairs("metadata", row)
            .into_iter()
            .map(|(name, value)| {
                let dtype = types.get(&name).cloned().unwrap_or_else(|| "text".to_owned());
                (name, (value, dtype))
            })
            .collect();
        if let Some(task) = &texts(&index, "task")[row] {
            of.insert("task".to_owned(), (task.clone(), "text".to_owned()));
        }
        all.insert(key.unwrap(), of);
    }
    all
}

/// Of a stream in the ledger, what was dropped and why.
fn dropped(work: &Work, out: &str, stream: &str) -> Value {
    work.json(&format!("{out}/report.json"))["streams"][stream]["dropped"].clone()
}

const RUNS: &str = "run,success,attempts,note\none,true,1,\ntwo,false,20,late\nthree,true,3,\n";
const TABLE: &str = "{table: runs.csv, key: run, equals: stem}";

#[test]
fn tables_of_any_kind_tell_the_same() {
    let work = two(RUNS);
    let path = "{path: '^(?<operator>[^/]+)/'}";
    let episodes = |table: &str| format!("{{metadata: [{path}, {table}], columns: [success, operator]}}");
    let more = format!("{STEPS}splits: {{train: 0.5, val: 0.5, key: episode.operator}}\n");
    pipeline(&work, &episodes(TABLE), &more);
    let csv = run(&work, "csv");
    let found = known(&csv);
    let fact = |value: &str, dtype: &str| Some((value.to_owned(), dtype.to_owned()));
    let (one, two) = (&found["ann/one.mcap"], &found["bob/two.mcap"]);
    assert_eq!(
        (one.get("success").cloned(), one.get("attempts").cloned()),
        (fact("true", "bool"), fact("1", "int"))
    );
    assert_eq!(
        (two.get("success").cloned(), two.get("note").cloned()),
        (fact("false", "bool"), fact("late", "text"))
    );
    assert_eq!((one.get("note"), one.get("operator").cloned()), (None, fact("ann", "text")));
    let rows = &csv.tables()["steps"];
    let success = rows.column_by_name("success").unwrap().as_boolean();
    let operators = texts(rows, "operator");
    for (row, episode) in int64(rows, "episode_index").into_iter().enumerate() {
        let expected = [("ann", true), ("bob", false)][usize::try_from(episode).unwrap()];
        assert_eq!((operators[row].as_deref(), success.value(row)), (Some(expected.0), expected.1));
    }
    // Types are those of JSON, and the same.
    let line = |run: &str, success: bool, attempts: i64, note: &str| {
        format!("{{\"run\": \"{run}\", \"success\": {success}, \"attempts\": {attempts}, \"note\": {note}}}")
    };
    let lines =
        [line("one", true, 1, "null"), line("two", false, 20, "\"late\""), line("three", true, 3, "null")];
    work.write("runs.jsonl", lines.join("\n") + "\n");
    work.write("runs.json", format!("[{}]", lines.join(",")));
    for table in ["runs.jsonl", "runs.json"] {
        pipeline(&work, &episodes(&TABLE.replace("runs.csv", table)), &more);
        let other = run(&work, "other");
        assert_eq!(known(&other), found, "{table}");
        assert_eq!(other.manifest["content_root"], csv.manifest["content_root"], "{table}");
    }
    // What is dry-run says where it is from.
    let planned = work.run(["run", "p.yaml", "--out", "no", "--dry-run", "--format", "json"]).exits(0).json();
    assert_eq!(planned["metadata"][0], "operator: from the path, by `^(?<operator>[^/]+)/`");
    let told = work.run(["run", "p.yaml", "--out", "no", "--dry-run"]).exits(0);
    assert!(told.stdout.contains("metadata   success, attempts, note: from `runs.json`"), "{}", told.stdout);
}

#[test]
fn a_rebuild_needs_no_table_and_a_row_more_makes_no_unit_anew() {
    let work = two(RUNS);
    pipeline(&work, &format!("{{metadata: {TABLE}, columns: success}}"), STEPS);
    run(&work, "out");
    let again = work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    assert!(again.stdout.contains("is already complete in"), "{}", again.stdout);
    let recipe = std::fs::read_to_string(work.path("out/recipe.json")).unwrap();
    assert!(recipe.contains("\"episodes@1\"") && !recipe.contains("three"), "{recipe}");
    work.write("runs.csv", format!("{RUNS}four,false,4,\n"));
    work.run(["run", "p.yaml", "--out", "out", "--overwrite"]).exits(0);
    let report = work.json("out/report.json");
    assert_eq!(report["units_reused"], report["units"]);
    std::fs::remove_file(work.path("runs.csv")).unwrap();
    let told =
        work.run(["explain", "out", "--rebuild", "--source", "src", "--format", "json"]).exits(0).json();
    assert_eq!(told["rebuild"]["different"], serde_json::json!([]));
}

#[test]
fn workers_and_a_table_that_changes() {
    let work = two(RUNS);
    pipeline(&work, &format!("{{metadata: {TABLE}}}"), STEPS);
    work.run(["plan", "p.yaml", "--out", "out", "--plan", "p.json"]).exits(0);
    work.run(["work", "--plan", "p.json", "--index", "0", "--of", "1"]).exits(0);
    work.write("runs.csv", RUNS.replace("late", "early"));
    let refused = work.run(["finish", "--plan", "p.json"]).exits(1);
    assert!(refused.stderr.contains("is not what was planned"), "{}", refused.stderr);
    work.write("runs.csv", RUNS);
    work.run(["finish", "--plan", "p.json"]).exits(0);
    assert_eq!(known(&Dataset::open(work.path("out")))["bob/two.mcap"]["note"].0, "late");
}

#[test]
fn tables_that_do_not_fit_are_told() {
    let work = two(RUNS);
    let of = |table: &str| pipeline(&work, &format!("{{metadata: {table}}}"), STEPS);
    of("{table: runs.csv, key: rum, equals: stem}");
    refused(&work, &["the table has no column `rum`", "runs.csv", "did you mean `run`?"]);
    of("{table: runs.csv, key: run, equals: stem, columns: [sucess]}");
    refused(&work, &["the table has no column `sucess`", "did you mean `success`?"]);
    of("{table: runs.csv, key: run}");
    refused(&work, &["p.yaml, line 3", "no row of `runs.csv` is about an episode", "`equals` says"]);
    work.write("runs.csv", "run,success\none,true\none,false\ntwo,true\n");
    of(TABLE);
    refused(&work, &["`one` has two rows in the table", "runs.csv"]);
    work.write("runs.csv", "run,success\none,true\n");
    of(TABLE);
    refused(&work, &["p.yaml, line 3", "`runs.csv` has no row for episode `bob/two.mcap` (`two`)"]);
    of("{table: runs.csv, key: run, equals: stem, missing: null}");
    let dataset = run(&work, "out");
    assert_eq!(known(&dataset)["bob/two.mcap"].get("success"), None);
    of("{table: nowhere.csv, key: run}");
    assert_ne!(work.run(["run", "p.yaml", "--out", "refused"]).code, 0);
    of("{table: runs.csv, key: run, equals: stem, missing: null}, columns: [sucess]");
    refused(&work, &["nothing tells the `sucess` of an episode", "did you mean `success`?"]);
}

#[test]
fn episodes_that_are_left_out_are_in_the_ledger() {
    let work = two("run\ntwo\n");
    pipeline(&work, "{}", STEPS);
    let all = run(&work, "all").tables()["steps"].num_rows() as u64;
    for exclude in ["bob/*", "bob/two.mcap", "{table: runs.csv, key: run, equals: stem}"] {
        pipeline(&work, &format!("{{exclude: {exclude}}}"), STEPS);
        let dataset = run(&work, "out");
        assert_eq!(known(&dataset).into_keys().collect::<Vec<_>>(), ["ann/one.mcap"]);
        assert_eq!(dataset.tables()["steps"].num_rows() as u64, all / 2);
        assert_eq!(dropped(&work, "out", "/joint_states")["excluded_episode"], 200);
        assert_eq!(work.json("out/report.json")["result"], "complete");
    }
    pipeline(&work, "{include: [ann/*]}", "");
    let topics = run(&work, "topics");
    assert_eq!(topics.tables()["/joint_states"].num_rows(), 200);
    assert_eq!(dropped(&work, "topics", "/joint_states"), serde_json::json!({"not_included_episode": 200}));
    pipeline(&work, "{exclude: [bob/tow.mcap]}", STEPS);
    refused(
        &work,
        &["p.yaml, line 3", "the source has no episode `bob/tow.mcap`", "did you mean `bob/two.mcap`?"],
    );
    pipeline(&work, "{exclude: '*'}", STEPS);
    let ran = work.run(["run", "p.yaml", "--out", "refused"]);
    assert!(ran.code != 0 && ran.stderr.contains("every one of 2 episodes is left out"), "{}", ran.stderr);
    pipeline(&work, "{exclude: bob/*}", &format!("{STEPS}streams: keep\n"));
    refused(&work, &["topic tables are kept of whole recordings only"]);
    pipeline(&work, "{min_steps: 5}", "");
    refused(&work, &["topics have no steps"]);
}

#[test]
fn damage_in_what_is_left_out_ends_nothing() {
    let work = two("");
    let mut bytes = std::fs::read(work.path("src/bob/two.mcap")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x55);
    work.write("src/bob/two.mcap", bytes);
    for (more, topics) in [(STEPS, false), ("", true)] {
        pipeline(&work, "{by: file}", if topics { "" } else { more });
        if !topics {
            assert_eq!(work.run(["run", "p.yaml", "--out", "broken"]).code, 1);
        }
        pipeline(&work, "{exclude: bob/two.mcap}", more);
        run(&work, "out");
        assert_eq!(dropped(&work, "out", "/joint_states")["excluded_episode"], 200);
    }
}

#[test]
fn rows_that_are_steps_already_are_chosen_and_described() {
    let work = Work::new();
    let lines = |run: &str, n: usize| -> String {
        (0..n).map(|it| format!("{{\"run\": \"{run}\", \"x\": {it}}}\n")).collect()
    };
    work.write("src/a.jsonl", lines("a", 4) + &lines("b", 2) + &lines("c", 5));
    work.write("runs.csv", "id;who\na;ann\nb;bob\nc;cid\n");
    pipeline(
        &work,
        "{by: field, field: run, min_steps: 3, exclude: c, metadata: {table: runs.csv, key: id, columns: {who_drove: who}}, columns: who_drove}",
        "",
    );
    let dataset = run(&work, "out");
    assert_eq!(known(&dataset).into_keys().collect::<Vec<_>>(), ["a"]);
    let rows = &dataset.tables()["steps"];
    assert_eq!(int64(rows, "x"), [0, 1, 2, 3]);
    assert!(texts(rows, "who_drove").iter().all(|it| it.as_deref() == Some("ann")));
    assert_eq!(
        dropped(&work, "out", "steps"),
        serde_json::json!({"excluded_episode": 5, "short_episode": 2})
    );
}

#[test]
fn episodes_of_lerobot_are_chosen_with_their_video() {
    let work = Work::new();
    let source = corpus::fixtures("lerobot").join("v30_video_h264");
    let plain = |path: &Path| path.display().to_string();
    work.run(["convert", &plain(&source), "--out", "all"]).exits(0);
    let all = Dataset::open(work.path("all"));
    let keys: Vec<String> = known(&all).into_keys().collect();
    let last = keys.last().unwrap();
    let text = format!("version: 1\nsource: {{path: {}}}\nepisodes: {{include: {last}}}\n", plain(&source));
    work.write("p.yaml", text);
    let dataset = run(&work, "out");
    assert_eq!(known(&dataset).into_keys().collect::<Vec<_>>(), std::slice::from_ref(last));
    let rows = &dataset.tables()["steps"];
    let before = &all.tables()["steps"];
    let n_before = before.num_rows() - rows.num_rows();
    for name in ["observation.state", "action"] {
        let whole = before.column_by_name(name).unwrap().slice(n_before, rows.num_rows());
        assert_eq!(rows.column_by_name(name).unwrap().as_ref(), whole.as_ref(), "{name}");
    }
    assert_eq!(dropped(&work, "out", "steps")["not_included_episode"], n_before);
    work.run(["validate", "out", "--deep"]).exits(0);
}

#[test]
fn files_that_go_on_from_each_other_are_one_episode() {
    let work = two("");
    pipeline(&work, "{join: {pattern: '(?<recording>\\w+)/one\\.mcap'}}", STEPS);
    let dataset = run(&work, "out");
    assert_eq!(known(&dataset).into_keys().collect::<Vec<_>>(), ["ann", "bob/two.mcap"]);
    pipeline(&work, "{by: change, field: /episode.kind, without: ['2', '3'], task: task}", STEPS);
    let dataset = run(&work, "change");
    let tasks: Vec<String> = known(&dataset).into_values().map(|it| it["task"].0.clone()).collect();
    assert_eq!(tasks, ["pick up the red block", "place the block in the bin ✓"].repeat(2));
    // A step is walked back through what was left out before it.
    pipeline(&work, "{exclude: ann/one.mcap, trim: {start_s: 0.5}}", STEPS);
    run(&work, "trimmed");
    let step = work
        .run(["explain", "trimmed", "--episode", "0", "--stream", "steps", "--row", "0", "--source", "src"])
        .exits(0);
    assert!(step.stdout.contains("bob/two.mcap"), "{}", step.stdout);
}
