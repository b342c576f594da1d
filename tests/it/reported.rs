//! Logs of kinds that users reported: what is in each, and what is right, stands beside it in `../shared/corpora`. All of them
//! convert by default.

use std::collections::BTreeMap;

use arrow_array::{
    Array as _, RecordBatch,
    cast::AsArray as _,
    types::{Float64Type, Int32Type, Int64Type, UInt8Type},
};
use nodedata_testkit::corpus;
use serde_json::{Value, json};

use crate::{
    command::{Work, for_each},
    tables::{Dataset, int64, texts},
};

/// What a conversion gave.
struct Given {
    tables: BTreeMap<String, RecordBatch>,
    report: Value,
    episodes: RecordBatch,
}

impl Given {
    /// The rows of the only topic beside the one that is always sound.
    #[track_caller]
    fn rows(&self) -> &RecordBatch {
        let others: Vec<_> = self.tables.iter().filter(|it| it.0 != "/good").collect();
        assert_eq!(others.len(), 1, "{:?}", self.tables.keys());
        others[0].1
    }

    /// Rows that hold their messages as they came, by reason, of all topics.
    fn kept(&self) -> BTreeMap<String, u64> {
        let mut kept = BTreeMap::new();
        for ledger in self.report["streams"].as_object().unwrap().values() {
            for (reason, n) in ledger["kept_as_bytes"].as_object().into_iter().flatten() {
                *kept.entry(reason.clone()).or_default() += n.as_u64().unwrap();
            }
        }
        kept
    }
}

struct Case {
    name: &'static str,
    code: i32,
    kept: &'static [(&'static str, u64)],
    check: fn(&Given),
}

const CASES: &[Case] = &[
    Case { name: "idl_union", code: 0, kept: &[], check: idl_union },
    Case {
        name: "json_bool_for_number",
        code: 3,
        kept: &[("values_in_extra", 2)],
        check: json_bool_for_number,
    },
    Case { name: "json_empty_schema", code: 0, kept: &[], check: json_empty_schema },
    Case { name: "json_nan", code: 0, kept: &[], check: json_nan },
    Case { name: "metadata_same_name", code: 0, kept: &[], check: metadata_same_name },
    Case { name: "name_collision", code: 0, kept: &[], check: name_collision },
    Case {
        name: "no_definition_ros2msg",
        code: 3,
        kept: &[("no_definition", 1)],
        check: no_definition_ros2msg,
    },
    Case { name: "payload_short", code: 3, kept: &[("undecodable", 1)], check: payload_short },
    Case { name: "prefixed_dependency", code: 0, kept: &[], check: prefixed_dependency },
    Case { name: "service_event_jazzy", code: 0, kept: &[], check: service_event_jazzy },
    Case { name: "string_not_utf8", code: 3, kept: &[("undecodable", 2)], check: string_not_utf8 },
    Case { name: "time_in_ros2msg", code: 0, kept: &[], check: time_in_ros2msg },
];

#[test]
fn every_reported_log_gives_the_right_answer() {
    let Some(folder) = corpus::folder("reported/mcap") else { return };
    let known: Vec<String> = CASES.iter().map(|it| format!("{}.mcap", it.name)).collect();
    for log in corpus::files(&folder, ".mcap") {
        let name = log.file_name().unwrap().to_string_lossy().into_owned();
        assert!(known.contains(&name), "{name} has no right answer here");
    }
    for_each(CASES, |case| {
        let work = Work::new();
        let log = work.copy(&folder.join(format!("{}.mcap", case.name)));
        let ran = work.run(["convert", &log, "--out", "out"]);
        assert_eq!(ran.code, case.code, "{}: {}", case.name, ran.stderr);
        let dataset = Dataset::open(work.path("out"));
        let given = Given {
            tables: dataset.tables(),
            report: work.json("out/report.json"),
            episodes: dataset.table("index/episodes.parquet"),
        };
        let kept: BTreeMap<String, u64> =
            case.kept.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect();
        assert_eq!(given.kept(), kept, "{}", case.name);
        for (stream, ledger) in given.report["streams"].as_object().unwrap() {
            assert_eq!(ledger["read"], ledger["written"], "{}: {stream}", case.name);
        }
        assert_eq!(given.report["damage"], Value::Null, "{}", case.name);
        let n_repairs: u64 = given.report["repairs"].as_array().into_iter().flatten().map(n_records).sum();
        assert_eq!(n_repairs, kept.values().sum::<u64>(), "{}", case.name);
        (case.check)(&given);
        work.run(["validate", "--deep", "out"]).exits(0);
        // The same once more, and with other threads, is the same dataset.
        work.run(["convert", &log, "--out", "out"]).exits(case.code);
        work.run(["convert", &log, "--out", "again", "--threads", "1"]).exits(case.code);
        let other: Vec<String> = crate::tables::differing(&work.path("out"), &work.path("again"));
        assert!(
            other.iter().all(|it| it == "report.json" || it.starts_with(".units")),
            "{}: {other:?}",
            case.name
        );
        // Nothing that fits costs anybody the run who wants all or nothing, and whatever does not ends it.
        let refused = work.run(["convert", &log, "--out", "refused", "--on-misfit", "fail"]);
        assert_eq!(refused.code, if kept.is_empty() { 0 } else { 1 }, "{}: {}", case.name, refused.stderr);
        if kept.is_empty() {
            // All but what names the choice is the same.
            let naming = ["manifest.json", "provenance.jsonl", "recipe.json", "report.json"];
            let other = crate::tables::differing(&work.path("out"), &work.path("refused"));
            let is_naming = |it: &String| naming.contains(&it.as_str()) || it.starts_with(".units");
            assert!(other.iter().all(is_naming), "{}: {other:?}", case.name);
        } else {
            assert!(refused.stderr.contains(&format!("\n  --> {log}, ")), "{}", refused.stderr);
            assert!(!work.path("refused").exists());
            work.run(["convert", &log, "--out", "refused", "--on-misfit", "fail", "--on-error", "salvage"])
                .exits(1);
        }
    });
}

/// What a finding says it stands for.
fn n_records(entry: &Value) -> u64 {
    assert!(entry["at"].as_str().is_some_and(|it| it.contains("topic /")), "no address: {entry}");
    entry["records"].as_object().into_iter().flatten().filter_map(|it| it.1.as_u64()).sum()
}

fn bytes<'a>(rows: &'a RecordBatch, column: &str) -> Vec<Option<&'a [u8]>> {
    rows.column_by_name(column)
        .unwrap_or_else(|| panic!("no {column}: {:?}", rows.schema()))
        .as_binary::<i32>()
        .iter()
        .collect()
}

#[track_caller]
fn is_null(rows: &RecordBatch, column: &str, row: usize) {
    assert!(rows.column_by_name(column).unwrap().is_null(row), "{column} of row {row}");
}

fn idl_union(given: &Given) {
    let rows = given.rows();
    let id = rows.column_by_name("id").unwrap().as_primitive::<Int32Type>();
    assert_eq!(id.values(), &[5]);
    let chosen = rows.column_by_name("u.discriminator").unwrap().as_primitive::<Int32Type>().value(0);
    let branches = ["u.a", "u.b", "u.c"].map(|it| rows.column_by_name(it).unwrap().is_valid(0));
    assert_eq!(branches, [chosen == 1, chosen == 2, chosen != 1 && chosen != 2]);
}

fn json_bool_for_number(given: &Given) {
    let rows = given.rows();
    assert_eq!(
        texts(rows, "_extra"),
        [Some(r#"{"value":true}"#.to_owned()), Some(r#"{"value":false}"#.to_owned())]
    );
    (0..2).for_each(|row| is_null(rows, "value", row));
    assert_eq!(bytes(rows, "_unknown"), [None, None]);
}

fn json_empty_schema(given: &Given) {
    let rows = given.rows();
    assert_eq!(int64(rows, "x"), [1]);
    assert_eq!(rows.column_by_name("y.z").unwrap().as_primitive::<Float64Type>().values(), &[2.5]);
}

fn json_nan(given: &Given) {
    let values = given.rows().column_by_name("v").unwrap().as_primitive::<Float64Type>().clone();
    assert_eq!(values.null_count(), 0);
    assert_eq!(values.value(0), 1.5);
    assert!(values.value(1).is_nan());
    assert_eq!(values.value(2), f64::NEG_INFINITY);
}

fn metadata_same_name(given: &Given) {
    let text = given.episodes.columns().iter().map(|it| format!("{it:?}")).collect::<String>();
    for wanted in ["left", "500", "right", "510", "a.b.c", "\\\"a.b\\\".c"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

fn name_collision(given: &Given) {
    let rows = given.rows();
    let names: Vec<String> = rows.schema().fields().iter().map(|it| it.name().clone()).collect();
    for name in ["message.sequence", "message.message.sequence"] {
        assert!(names.iter().any(|it| it == name), "{name}: {names:?}");
        assert_eq!(rows.column_by_name(name).unwrap().null_count(), 0);
    }
    assert_eq!(given.tables["/good"].num_rows(), 1);
    let warned = given.report["warnings"][0]["message"].as_str().unwrap().to_owned();
    assert!(warned.contains("`message.message.sequence`"), "{warned}");
}

fn no_definition_ros2msg(given: &Given) {
    let payloads = bytes(given.rows(), "data");
    assert_eq!(payloads.iter().map(|it| it.map(<[u8]>::len)).collect::<Vec<_>>(), [Some(36)]);
    assert_eq!(given.tables["/good"].num_rows(), 1);
    let told: Vec<_> = given.report["definitions"].as_object().unwrap().values().cloned().collect();
    assert_eq!(told, ["no definition"]);
}

fn payload_short(given: &Given) {
    let rows = given.rows();
    let payload = bytes(rows, "_unknown")[0].unwrap();
    assert_eq!(payload[4..], [1i32.to_le_bytes(), 2i32.to_le_bytes()].concat());
    ["a", "b", "added_later"].iter().for_each(|it| is_null(rows, it, 0));
}

fn prefixed_dependency(given: &Given) {
    let gid = given.rows().column_by_name("gid.data").unwrap().as_fixed_size_list().value(0);
    assert_eq!(gid.as_primitive::<UInt8Type>().values(), &[1, 2, 3, 4]);
}

fn service_event_jazzy(given: &Given) {
    let rows = given.rows();
    let events = rows.column_by_name("info.event_type").unwrap().as_primitive::<UInt8Type>();
    assert_eq!(events.values(), &[0, 1, 2]);
    assert_eq!(int64(rows, "info.sequence_number"), [12; 3]);
    let gid = rows.column_by_name("info.client_gid").unwrap().as_fixed_size_list().value(0);
    assert_eq!(gid.as_primitive::<UInt8Type>().values(), &(0..16).collect::<Vec<u8>>()[..]);
    let items = |column: &str| -> Vec<Vec<i64>> {
        let lists = rows.column_by_name(column).unwrap().as_list::<i32>();
        (0..lists.len()).map(|row| lists.value(row).as_primitive::<Int64Type>().values().to_vec()).collect()
    };
    let all: Vec<Vec<Vec<i64>>> = ["request.a", "request.b", "response.sum"].into_iter().map(items).collect();
    for (column, value) in all.iter().zip([1, 2, 3]) {
        assert!(column.iter().any(|it| it == &[value]), "{all:?}");
        assert!(column[2].is_empty(), "{all:?}");
    }
}

fn string_not_utf8(given: &Given) {
    let rows = given.rows();
    assert_eq!(rows.num_rows(), 3);
    let kept = bytes(rows, "_unknown");
    let data = texts(rows, "data");
    for (row, (data, kept)) in data.iter().zip(&kept).enumerate() {
        assert!(data.is_some() != kept.is_some(), "row {row}");
        assert!(kept.is_none_or(|it| std::str::from_utf8(&it[8..]).is_err()), "row {row}");
    }
    assert_eq!(kept.iter().flatten().count(), 2);
}

fn time_in_ros2msg(given: &Given) {
    let rows = given.rows();
    assert_eq!(int64(rows, "stamp"), [1_700_000_000_000_000_005]);
    assert_eq!(int64(rows, "d"), [-999_999_994]);
    let data = rows.column_by_name("data").unwrap().as_fixed_size_list().value(0);
    assert_eq!(data.as_primitive::<UInt8Type>().values(), &[1, 2, 3, 4]);
    let good = given.tables["/good"].column_by_name("data").unwrap().as_primitive::<Int32Type>().len();
    assert_eq!(json!(good), given.report["streams"]["/good"]["read"]);
}
