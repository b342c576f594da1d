//! Samples that are the steps of episodes, as a pipeline says.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use nodedata_testkit::corpus;
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::{
    command::Work,
    explain::pair,
    logs::fixture,
    resume::{kill_when, start},
    tables::{Dataset, differing, int64, texts},
    webdataset::member,
};

/// Step and `n` of each row, by the key of its episode.
fn by_key(dataset: &Dataset) -> BTreeMap<String, Vec<(i64, i64)>> {
    let index = dataset.table("index/episodes.parquet");
    let keys: BTreeMap<i64, Option<String>> =
        int64(&index, "episode_index").into_iter().zip(texts(&index, "episode_key")).collect();
    let rows = dataset.tables().remove("steps").unwrap();
    let steps = int64(&rows, "step_index").into_iter().zip(int64(&rows, "n"));
    let mut found: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for (episode, step) in int64(&rows, "episode_index").into_iter().zip(steps) {
        found.entry(keys[&episode].clone().unwrap()).or_default().push(step);
    }
    found
}

/// What [`by_key`] finds of episodes of `n_steps` whose rows are numbered from the first to the last.
fn counted(keys: &[String], n_steps: i64) -> BTreeMap<String, Vec<(i64, i64)>> {
    let of_episode = |(idx, key): (usize, &String)| {
        let first = idx as i64 * n_steps;
        (key.clone(), (0..n_steps).map(|it| (it, first + it)).collect())
    };
    keys.iter().enumerate().map(of_episode).collect()
}

/// Lines of episodes of `n_steps`, numbered from `first * n_steps`.
fn lines(episodes: Range<i64>, n_steps: i64, note: &str) -> String {
    let line = |n: i64| {
        let (episode, step) = (n / n_steps, n % n_steps);
        format!(
            "{{\"run\": \"run-{episode:03}\", \"frame\": {}, \"n\": {n}, \"last\": {}, \"x\": {step}.5, \"note\": \"{note}\"}}\n",
            step * 2,
            step + 1 == n_steps
        )
    };
    (episodes.start * n_steps..episodes.end * n_steps).map(line).collect()
}

fn keys(episodes: Range<i64>) -> Vec<String> {
    episodes.map(|it| format!("run-{it:03}")).collect()
}

const BY_RUN: &str = "episodes: {by: field, field: run, order: frame}\n";

fn pipeline(work: &Work, more: &str) {
    work.write("p.yaml", format!("version: 1\nsource: src\n{more}"));
}

#[track_caller]
fn refused(work: &Work, code: i32, told: &[&str]) {
    let ran = work.run(["run", "p.yaml", "--out", "refused"]).exits(code);
    for words in told {
        assert!(ran.stderr.contains(words), "`{words}` is not told:\n{}", ran.stderr);
    }
    assert!(!work.path("refused").exists());
}

#[test]
fn keys_of_webdataset_say_the_episodes() {
    let work = Work::new();
    let sample = |n: i64| {
        let key = format!("data.v1/ep{:03}_{:04}", n / 7, n % 7);
        let picture = vec![n as u8; 700];
        [
            member(&format!("{key}.json"), format!("{{\"n\": {n}}}").as_bytes()),
            member(&format!("{key}.bin"), &picture),
        ]
        .concat()
    };
    let archive = |rows: Range<i64>| -> Vec<u8> { rows.flat_map(sample).chain([0; 1024]).collect() };
    // The episode in the middle lies in both.
    work.write("src/shard-000.tar", archive(0..17));
    work.write("src/shard-001.tar", archive(17..35));
    let by = |pattern: &str| {
        format!(
            "episodes: {{by: key, pattern: '{pattern}'}}\nfields: {{n: json.n, raw: bin, key: __key__}}\n"
        )
    };
    pipeline(&work, &by(r"data\.v1/(?<episode>ep\d+)_(?<step>\d+)"));
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    assert_eq!(dataset.streams()[0]["kind"], "steps");
    let expected: Vec<String> = (0..5).map(|it| format!("ep{it:03}")).collect();
    assert_eq!(by_key(&dataset), counted(&expected, 7));
    let rows = dataset.tables().remove("steps").unwrap();
    assert_eq!(texts(&rows, "key")[34].as_deref(), Some("data.v1/ep004_0006"));

    let (first, fits) = ("--> shard-000.tar, step 0", "does not fit");
    pipeline(&work, &by(r"(?<episode>ep\d+)_(?<step>\d+)"));
    refused(&work, 1, &[fits, first, "the key `data.v1/ep000_0000`", "fits the whole key"]);
    pipeline(&work, &by(r".*(?<episode>ep)0*(?<step>\d+)_\d+"));
    refused(
        &work,
        1,
        &["step 0 of the episode `ep` comes twice", "row 0 of shard-000.tar", "shard-000.tar, step 1"],
    );
    pipeline(&work, &by(r".*_(?<episode>\d+)"));
    refused(&work, 1, &["the episode `0000` comes again", "row 0 of shard-000.tar", "shard-000.tar, step 7"]);
    pipeline(&work, &by(r".*/(?<episode>[a-z]+)(?<step>\d+_\d+)"));
    refused(&work, 1, &["the step `000_0000` of the key `data.v1/ep000_0000`", "is no whole number", first]);
    pipeline(&work, &by(r"data\.v1/(ep\d+)_(?<step>\d+)"));
    refused(&work, 2, &["a group without a name", "p.yaml, line 3, column 21"]);
}

/// What was learned of rows is noted with the stamps of their files, but for files that have just been written.
#[track_caller]
fn assert_same(work: &Work, one: &str, other: &str) {
    let found = differing(&work.path(one), &work.path(other));
    assert!(found.iter().all(|it| it == "report.json" || it == ".units/note.json"), "{found:?}");
}

/// One run with one thread, one with eight, three workers, and one that was killed.
#[test]
fn whoever_makes_them_episodes_of_lines_are_the_same() {
    let work = Work::new();
    let note = "n".repeat(4000);
    work.write("src/a.jsonl", lines(0..9, 100, &note));
    work.write("src/b.jsonl", lines(9..20, 100, &note));
    let stages = format!(
        "{BY_RUN}quality: {{non_finite: warn}}\nsplits: {{train: 0.6, val: 0.4}}\nshards: {{target_mb: 1}}\n"
    );
    pipeline(&work, &stages);
    let dry = work.run(["run", "p.yaml", "--dry-run"]).exits(0).stdout;
    assert!(dry.contains("episodes   20 episodes: "), "{dry}");
    assert!(dry.contains("grouped    by the field `run`, in the order of `frame`\n"), "{dry}");
    work.run(["run", "p.yaml", "--out", "one", "--threads", "1"]).exits(0);
    work.run(["run", "p.yaml", "--out", "eight", "--threads", "8"]).exits(0);
    assert_same(&work, "one", "eight");
    work.run(["validate", "--deep", "one"]).exits(0);
    let dataset = Dataset::open(work.path("one"));
    assert_eq!(by_key(&dataset), counted(&keys(0..20), 100));
    // Shards end where episodes do, and splits are those of episodes.
    for shard in dataset.manifest["shards"].as_array().unwrap() {
        let rows = dataset.table(shard["path"].as_str().unwrap());
        assert_eq!(rows.num_rows() % 100, 0, "{}", shard["path"]);
    }
    let recipe: Value = work.json("one/recipe.json");
    assert_eq!(recipe["rows"]["grouped@1"]["field"]["order"], "frame");
    work.run(["explain", "one", "--rebuild", "--source", "src"]).exits(0);

    work.run(["plan", "p.yaml", "--out", "three", "--plan", "plan.json"]).exits(0);
    let plan = work.json("plan.json");
    let n_units = plan["units"].as_array().unwrap().len();
    assert!(4 <= n_units, "{n_units} units");
    let learned = plan["learned"]["text"].as_str().unwrap();
    assert!(learned.starts_with("{\"nd\":\"grouped/1\""), "workers would read all keys again: {learned}");
    for index in ["2", "0", "1"] {
        work.run(["work", "--plan", "plan.json", "--index", index, "--of", "3"]).exits(0);
    }
    work.run(["finish", "--plan", "plan.json"]).exits(0);
    assert_same(&work, "one", "three");

    let killed = start(&work, &["run", "p.yaml", "--out", "killed", "--threads", "1"]);
    kill_when(&work, killed, "killed", 1);
    work.run(["run", "p.yaml", "--out", "killed"]).exits(0);
    assert_same(&work, "one", "killed");
}

#[test]
fn an_episode_that_is_added_is_converted_alone() {
    let work = Work::new();
    let note = "n".repeat(4000);
    work.write("src/a.jsonl", lines(0..6, 100, &note));
    work.write("src/b.jsonl", lines(6..12, 100, &note));
    pipeline(&work, &format!("{BY_RUN}shards: {{target_mb: 1}}\n"));
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let n_units = work.json("out/report.json")["units"].as_u64().unwrap();
    assert!(3 <= n_units, "{n_units} units");
    work.write("src/c.jsonl", lines(12..13, 100, &note));
    // No `--overwrite`: nothing that is there gets lost.
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    let report = work.json("out/report.json");
    // The last unit was not full: it takes in rows of the new file.
    assert!(n_units - 1 <= report["units_reused"].as_u64().unwrap(), "{report}");
    assert_eq!(by_key(&Dataset::open(work.path("out"))), counted(&keys(0..13), 100));
    work.run(["run", "p.yaml", "--out", "fresh"]).exits(0);
    assert_same(&work, "fresh", "out");
}

fn parquet(runs: &[(i64, i64)]) -> Vec<u8> {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(runs.iter().map(|it| it.1)));
    let names: ArrayRef = Arc::new(Int64Array::from_iter_values(runs.iter().map(|it| it.0)));
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values(runs.iter().map(|it| format!("row {}", it.1))));
    // The second is called as a column that steps have of themselves.
    let table = RecordBatch::try_from_iter([
        ("id", names),
        ("timestamp_ns", Arc::clone(&numbers)),
        ("n", numbers),
        ("t", texts),
    ]);
    let table = table.unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn an_episode_may_lie_in_two_files_that_follow_each_other() {
    let work = Work::new();
    let rows: Vec<(i64, i64)> = (0..120).map(|it| (7 + it / 40, it)).collect();
    work.write("src/part-0.parquet", parquet(&rows[..50]));
    work.write("src/part-1.parquet", parquet(&rows[50..]));
    pipeline(&work, "episodes: {by: field, field: id}\n");
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    assert_eq!(by_key(&dataset), counted(&["7", "8", "9"].map(str::to_owned), 40));
    let steps = dataset.tables().remove("steps").unwrap();
    assert_eq!(int64(&steps, "source.timestamp_ns"), (0..120).collect::<Vec<i64>>());
    // Columns that are not selected may say it as well.
    pipeline(&work, "episodes: {by: field, field: id, order: timestamp_ns}\n");
    work.write("p.yaml", "version: 1\nsource: {path: src, topics: [n]}\nepisodes: {by: field, field: id, order: timestamp_ns}\n");
    work.run(["run", "p.yaml", "--out", "few"]).exits(0);
    let few = Dataset::open(work.path("few"));
    assert_eq!(by_key(&few), by_key(&dataset));
    assert_eq!(few.tables()["steps"].num_columns(), 3);
    // In files of two splits it would be in both.
    std::fs::rename(work.path("src/part-0.parquet"), work.path("src/test-0.parquet")).unwrap();
    std::fs::rename(work.path("src/part-1.parquet"), work.path("src/train-0.parquet")).unwrap();
    refused(
        &work,
        1,
        &[
            "the episode `8` goes on in a file of the split `train`",
            "row 49 of test-0.parquet",
            "train-0.parquet, step 0",
        ],
    );
}

#[test]
fn what_does_not_fit_the_source_is_told_with_its_place() {
    let work = Work::new();
    work.write("src/a.jsonl", lines(0..2, 3, "x"));
    let by = |more: &str| format!("episodes: {{by: field, {more}}}\nfields: {{n: n}}\n");
    pipeline(&work, &by("field: rum"));
    refused(
        &work,
        2,
        &[
            "`episodes.field`: the source has no field `rum`",
            "did you mean `run`?",
            "p.yaml, line 3, column 23",
        ],
    );
    pipeline(&work, &by("field: x, order: note"));
    refused(
        &work,
        2,
        &["`x` is float64", "`episodes.order`: rows are in the order of numbers, but `note` is string"],
    );
    pipeline(&work, "episodes: {by: key, pattern: '(?<episode>.*)'}\nfields: {n: m}\n");
    refused(
        &work,
        2,
        &[
            "the samples of jsonl sources have no keys",
            "those of webdataset have",
            "`steps` has no field `m`",
        ],
    );
    let other = |source: &str, more: &str| {
        work.write("p.yaml", format!("version: 1\nsource: {source}\n{}{more}", by("field: run")));
    };
    other(&fixture("teleop.mcap").display().to_string(), "");
    refused(&work, 2, &["`episodes.by`: the source is a log", "`by: marker`, `by: gap` or `by: ranges`"]);
    let robot = corpus::fixtures("lerobot").join("v30_image").display().to_string();
    other(&robot, "");
    refused(&work, 2, &["`episodes.by`: the source has episodes of its own"]);
    other("src", "steps: {clock: {rate_hz: 10}, align: nearest}\n");
    refused(&work, 2, &["`steps.clock` has no meaning with", "`steps.align` has no meaning with"]);
    // Lines in another order than they say.
    let text = lines(0..2, 3, "x");
    let mut turned: Vec<&str> = text.lines().collect();
    turned.swap(1, 2);
    work.write("src/a.jsonl", turned.join("\n"));
    pipeline(&work, BY_RUN);
    refused(
        &work,
        1,
        &[
            "step 2 of the episode `run-000` comes out of order: it follows step 4 in row 1 of a.jsonl",
            "a.jsonl, step 2",
        ],
    );
    pipeline(&work, "episodes: {by: field, field: run}\n");
    work.run(["run", "p.yaml", "--out", "as-they-are"]).exits(0);
    work.write("src/b.jsonl", lines(0..1, 3, "x"));
    refused(
        &work,
        1,
        &[
            "the episode `run-000` comes again, after it ended with row 2 of a.jsonl",
            "b.jsonl, step 0",
            "sort the rows",
        ],
    );
}

/// A step is found again in the line that it was.
#[test]
fn a_step_is_explained_by_its_row() {
    let work = Work::new();
    let text = lines(0..4, 5, "x");
    work.write("src/a.jsonl", &text);
    pipeline(&work, BY_RUN);
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    for (episode, row) in [(0, 0), (0, 4), (2, 0), (3, 3)] {
        let (episode, row) = (episode.to_string(), row.to_string());
        let ask =
            ["explain", "out", "--episode", &episode, "--stream", "steps", "--row", &row, "--format", "json"];
        let told = work.run(ask).exits(0).json()["explained"][0].clone();
        let origin = &told["origins"][0];
        assert_eq!(origin["source"], "a.jsonl", "{told}");
        let (start, end) = pair(&origin["bytes"]);
        let (record, next) = pair(&origin["records"]);
        assert_eq!(next, record + 1, "{told}");
        let line: Value = serde_json::from_str(text[start..end].lines().nth(record).unwrap()).unwrap();
        let n: i64 = episode.parse::<i64>().unwrap() * 5 + row.parse::<i64>().unwrap();
        assert_eq!(line["n"], n, "{told}");
    }
    let refused =
        work.run(["explain", "out", "--episode", "0", "--stream", "steps", "--row", "1", "--source", "src"]);
    assert!(refused.exits(2).stderr.contains("not made of messages"));
}

/// Fields, and transforms of steps and fields, as of any source of steps.
#[test]
fn steps_of_samples_are_selected_and_transformed() {
    let work = Work::new();
    work.write("src/a.jsonl", lines(0..3, 4, "x"));
    pipeline(
        &work,
        &format!(
            "{BY_RUN}steps: {{transform: {{rlds/drop_last_padding: {{field: last}}}}}}\nfields:\n  n: n\n  next: {{from: n, transform: action/shift}}\n  both: {{from: [x, frame], type: float32}}\n"
        ),
    );
    work.run(["run", "p.yaml", "--out", "out", "--threads", "2"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    let expected = counted(&keys(0..3), 4).into_iter().map(|(key, mut rows)| {
        rows.pop();
        (key, rows)
    });
    assert_eq!(by_key(&dataset), expected.collect());
    let rows = dataset.tables().remove("steps").unwrap();
    assert_eq!(rows.column_by_name("next").unwrap().null_count(), 3);
    assert_eq!(rows.num_columns(), 5);
    let report = work.json("out/report.json");
    assert_eq!(report["streams"]["steps"]["dropped"]["rlds/drop_last_padding@1"], 3);
}

#[test]
fn a_broken_line_costs_its_row_alone() {
    let work = Work::new();
    let text = lines(0..2, 4, "x");
    let mut broken: Vec<&str> = text.lines().collect();
    broken[2] = "{\"run\": ";
    work.write("src/a.jsonl", broken.join("\n"));
    pipeline(&work, BY_RUN);
    refused(&work, 1, &["a.jsonl"]);
    let fields = "fields: {n: n, next: {from: n, transform: action/shift}}\n";
    pipeline(&work, &format!("{BY_RUN}{fields}on_error: salvage\n"));
    work.run(["run", "p.yaml", "--out", "out"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    let mut expected = counted(&keys(0..2), 4);
    expected.get_mut("run-000").unwrap().remove(2);
    let dataset = Dataset::open(work.path("out"));
    assert_eq!(by_key(&dataset), expected);
    // Two steps are the last of their episodes, and one lies before the lost one.
    let rows = dataset.tables().remove("steps").unwrap();
    assert_eq!(rows.column_by_name("next").unwrap().null_count(), 3);
    let steps = work.json("out/report.json")["streams"]["steps"].clone();
    assert_eq!((steps["read"].as_u64(), steps["written"].as_u64()), (Some(8), Some(7)), "{steps}");
}

/// Samples that are no episodes have fields as well, and no clock.
#[test]
fn fields_of_samples_need_no_steps() {
    let work = Work::new();
    work.write("src/a.jsonl", lines(0..2, 3, "x"));
    pipeline(&work, "fields: {x: {from: x, type: float32, transform: {action/clip: {max: 1}}}, id: run}\n");
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    assert_eq!(dataset.streams()[0]["kind"], "samples");
    let rows = dataset.tables().remove("steps").unwrap();
    let schema = rows.schema();
    let names: Vec<&str> = schema.fields().iter().map(|it| it.name().as_str()).collect();
    assert_eq!(names, ["episode_index", "step_index", "x", "id"]);
    assert_eq!(texts(&rows, "id")[5].as_deref(), Some("run-001"));

    pipeline(
        &work,
        "steps: {clock: {rate_hz: 10}, align: hold}\nfields: {x: {from: x, align: nearest}, y: z}\n",
    );
    refused(
        &work,
        2,
        &[
            "`steps.clock`: the rows of the source are samples, which have no clock",
            "`steps.align`: the rows of the source are samples",
            "`fields.x.align`: the rows of the source are samples",
            "`steps` has no field `z`",
        ],
    );
    pipeline(&work, "fields: {next: {from: x, transform: action/shift}}\n");
    refused(&work, 2, &["`fields.next.transform[0]`: the rows of the source are samples"]);
    for clock in [["--rate", "30"], ["--clock", "/a"]] {
        let ran = work.run(["convert", "src", "--out", "x"].iter().chain(&clock)).exits(1);
        assert!(ran.stderr.contains("the source has no clock"), "{}", ran.stderr);
    }
    // Of a log they do; of a source of steps they need none.
    let of = |source: &str, fields: &str| {
        work.write("p.yaml", format!("version: 1\nsource: {source}\nfields: {fields}\n"));
    };
    of(&fixture("teleop.mcap").display().to_string(), "{imu: /imu/data.orientation.x}");
    refused(&work, 2, &["`fields`: messages become steps by a clock", "add `steps: {clock: {rate_hz: 30}}`"]);
    of(&corpus::fixtures("lerobot").join("v30_image").display().to_string(), "{act: action}");
    work.run(["run", "p.yaml", "--out", "robot"]).exits(0);
    assert_eq!(Dataset::open(work.path("robot")).tables()["steps"].num_columns(), 4);
}

#[test]
fn a_proposal_shows_how_samples_become_episodes() {
    let work = Work::new();
    work.write("a.jsonl", lines(0..1, 3, "x").replace("\"run\"", "\"episode_id\""));
    let told = work.run(["init", "a.jsonl"]).exits(0).stdout;
    assert!(told.contains("# episodes: {by: field, field: episode_id, order: frame}\n"), "{told}");
    // What is proposed, comments taken off, can be run.
    let proposed: Vec<&str> =
        told.lines().map(|it| if it.starts_with("# episodes: {by: field") { &it[2..] } else { it }).collect();
    work.write("p.yaml", proposed.join("\n"));
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    assert_eq!(Dataset::open(work.path("out")).streams()[0]["kind"], "steps");
    let archive: Vec<u8> = member("ep0_1.json", b"{\"n\": 1}").into_iter().chain([0; 1024]).collect();
    work.write("a.tar", archive);
    let told = work.run(["init", "a.tar"]).exits(0).stdout;
    assert!(told.contains(r"# episodes: {by: key, pattern: '(?<episode>ep\d+)_(?<step>\d+)'}"), "{told}");
}
