//! What JSON Lines become: types, damage, deals, and what an opening remembers.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _, types::Int64Type};
use bytes::Bytes;
use nodedata_core::{
    Confidence, ErrorKind, Format as _, Listing, OpenOptions, OptionValue, ReadOptions, Result, RowDeal,
    RowKey, Source, StreamKind,
};
use nodedata_io::MemoryFiles;
use nodedata_jsonl::JSONL;
use nodedata_testkit::corpus;
use nodedata_testkit::reading::{CountedFiles, read};

fn files(text: impl Into<Bytes>) -> MemoryFiles {
    MemoryFiles::default().with("a.jsonl", text)
}

fn open(text: impl Into<Bytes>, options: &OpenOptions) -> Result<Box<dyn Source>> {
    JSONL.open(Arc::new(files(text)), options)
}

/// Names and types of the columns, and the warnings.
fn types(text: &str) -> (Vec<String>, Vec<String>) {
    let source = open(text.to_owned(), &OpenOptions::default()).unwrap();
    let plan = source.plan();
    assert_eq!(plan.streams[0].kind, StreamKind::Samples);
    let features = plan.streams[0].features.iter().skip(1);
    let told = features.map(|it| {
        let json = if it.metadata.contains_key("nodedata:encoding") { " json" } else { "" };
        let nullable = if it.nullable { "?" } else { "" };
        format!("{} {}{}{nullable}{json}", it.name, it.dtype.name(), "[]".repeat(it.shape.len()))
    });
    (told.collect(), plan.findings.iter().map(|it| it.message.clone()).collect())
}

#[track_caller]
fn check_types(lines: &[&str], expected: &[&str]) {
    assert_eq!(types(&lines.join("\n")).0, expected);
}

fn ints(rows: &[RecordBatch], name: &str) -> Vec<i64> {
    let column =
        |it: &RecordBatch| it.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    rows.iter().flat_map(column).collect()
}

fn texts(rows: &[RecordBatch], name: &str) -> Vec<String> {
    let column = |it: &RecordBatch| {
        let texts = it.column_by_name(name).unwrap().as_string::<i32>().clone();
        (0..texts.len()).map(|row| texts.value(row).to_owned()).collect::<Vec<_>>()
    };
    rows.iter().flat_map(column).collect()
}

#[test]
fn types_come_from_all_rows() {
    check_types(
        &[
            r#"{"i": 1, "w": 1, "u": 18446744073709551615, "s": "x", "o": {"b": true}, "n": null}"#,
            r#"{"i": -1, "w": 0.5, "u": 0, "s": "", "o": {"b": false, "late": [1]}, "n": null}"#,
        ],
        &["i int64", "w float64", "u uint64", "s string", "o.b bool", "o.late int64[]?", "n string? json"],
    );
    check_types(&[r#"{"l": [{"a": 1}, {"a": 2, "b": []}]}"#], &["l.a int64[]", "l.b string[][]? json"]);
    check_types(
        &[r#"{"step_index": 1, "episode_index": 2, "source.step_index": 3}"#],
        &["source.step_index#2 int64", "source.episode_index int64", "source.step_index int64"],
    );
    check_types(&["{}", "{}"], &["value string json"]);
}

/// Nothing is rounded, dropped or made null: what no type holds is kept as it is written.
#[test]
fn kinds_that_conflict_are_json_text_or_refused() {
    let lines = "{\"a\": 9007199254740993, \"b\": 1}\n\n{\"a\": 0.5, \"b\": [1]}\n{\"a\": 2, \"b\": \"x\"}\n";
    let (found, warnings) = types(lines);
    assert_eq!(found, ["a string json", "b string json"]);
    assert_eq!(
        warnings,
        [
            "the field `a` is a whole number that no float64 holds in line 1 of a.jsonl and a number with a fraction \
             in line 3 of a.jsonl: it is kept as JSON text",
            "the field `b` is a number in line 1 of a.jsonl and a list in line 3 of a.jsonl: it is kept as JSON text",
        ]
    );
    let (rows, damage) = read(open(lines.to_owned(), &OpenOptions::default()).unwrap().as_ref());
    assert!(damage.is_empty());
    assert_eq!(texts(&rows, "a"), ["9007199254740993", "0.5", "2"]);
    assert_eq!(texts(&rows, "b"), ["1", "[1]", "\"x\""]);

    let mut options = OpenOptions::default();
    options.options.insert("mixed".to_owned(), OptionValue::Text("refuse".to_owned()));
    let err = open(lines.to_owned(), &options).err().unwrap();
    assert_eq!(err.locus().to_string(), "a.jsonl, byte 33, feature `a`");
    assert!(err.hint().unwrap().contains("source.mixed=json"));
    assert!(open("{\"a\": 1}\n{\"a\": 2.5}\n", &options).is_ok());
}

#[test]
fn each_bad_line_costs_itself_and_has_its_address() {
    let bytes = std::fs::read(corpus::fixtures("jsonl").join("broken.jsonl")).unwrap();
    let source = open(bytes, &OpenOptions::default()).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert_eq!(ints(&rows, "a"), [1, 10]);
    assert_eq!(texts(&rows, "b"), ["x", "last"]);
    assert_eq!(ints(&rows, "step_index"), [0, 9]);
    let told: Vec<String> = damage.iter().map(|it| format!("{}: {it}", it.locus())).collect();
    let expected = [
        ("line 3, column", "the line cannot be read: EOF"),
        ("line 4, column 16", "the line is not UTF-8"),
        ("line 5, column", "appears twice"),
        ("line 6, column 1", "the line is not a JSON object"),
        ("line 7, column 7", "the whole number 123456789012345678901234567890 is beyond 64 bits"),
        ("line 8, column", "number out of range"),
        ("line 9, column", "recursion limit"),
        ("line 10, column", "hex escape"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (place, message)) in told.iter().zip(expected) {
        assert!(told.contains(place) && told.contains(message), "{told}: {place} {message}");
    }
    // A broken line leaves no trace in the types.
    assert_eq!(source.plan().streams[0].features.len(), 3);
}

#[test]
fn a_line_beyond_the_limit_costs_itself() {
    let text = format!("{{\"a\": 1}}\n{{\"a\": 2, \"b\": \"{}\"}}\n{{\"a\": 3}}", "x".repeat(200_000));
    let options = OpenOptions { record_bytes_max: 1000, ..OpenOptions::default() };
    let source = open(text, &options).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert_eq!(ints(&rows, "a"), [1, 3]);
    assert_eq!((damage.len(), damage[0].kind()), (1, ErrorKind::Limit));
    assert_eq!(damage[0].loss().unwrap().byte_range, Some(9..200_026));
}

#[test]
fn values_as_deep_as_columns_go_come_back_from_what_was_learned() {
    for depth in [23, 24, 25, 60] {
        let text = format!("{}1{}", r#"{"k":"#.repeat(depth), "}".repeat(depth));
        let source = open(text.clone(), &OpenOptions::default()).unwrap();
        let learned = source.plan().learned.clone();
        let again = open(text, &OpenOptions { learned, ..OpenOptions::default() }).unwrap();
        assert!(again.plan() == source.plan(), "{depth}");
        let (rows, damage) = read(again.as_ref());
        assert_eq!((rows[0].num_rows(), damage.len()), (1, 0), "{depth}");
    }
}

fn fixture() -> Vec<u8> {
    std::fs::read(corpus::fixtures("jsonl").join("samples.jsonl")).unwrap()
}

#[test]
fn what_was_learned_saves_the_pass() {
    let bytes = fixture();
    let n_read = Arc::new(AtomicU64::new(0));
    let counted = || Arc::new(CountedFiles::new(Arc::new(files(bytes.clone())), &n_read));
    let options = OpenOptions { deal: Some(deal(RowKey::Row)), ..OpenOptions::default() };
    let first = JSONL.open(counted(), &options).unwrap();
    assert!(bytes.len() as u64 <= n_read.swap(0, Ordering::Relaxed));
    let with_learned = OpenOptions { learned: first.plan().learned.clone(), ..options.clone() };
    let second = JSONL.open(counted(), &with_learned).unwrap();
    assert_eq!(n_read.load(Ordering::Relaxed), 0, "rows are read again");
    assert!(first.plan() == second.plan());
    assert_eq!(read(first.as_ref()).0, read(second.as_ref()).0);

    // What does not fit is learned anew: other files, other options, no text of ours.
    n_read.store(0, Ordering::Relaxed);
    let others = [
        OpenOptions { learned: with_learned.learned.clone(), ..OpenOptions::default() },
        OpenOptions { partition_bytes: 10_000, ..with_learned.clone() },
        OpenOptions { learned: Some("{}".to_owned()), ..options.clone() },
    ];
    for other in others {
        let plain = OpenOptions { learned: None, ..other.clone() };
        assert!(
            JSONL.open(counted(), &other).unwrap().plan() == JSONL.open(counted(), &plain).unwrap().plan()
        );
        assert!(bytes.len() as u64 * 2 <= n_read.swap(0, Ordering::Relaxed));
    }
    let shorter = bytes[..bytes.len() / 2].to_vec();
    assert!(open(shorter.clone(), &with_learned).unwrap().plan() == open(shorter, &options).unwrap().plan());
}

fn deal(key: RowKey) -> RowDeal {
    RowDeal { fractions: vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)], key }
}

/// The ids of each split.
fn dealt(bytes: &[u8], key: RowKey, partition_bytes: u64) -> BTreeMap<String, Vec<String>> {
    let options = OpenOptions { deal: Some(deal(key)), partition_bytes, ..OpenOptions::default() };
    let source = open(bytes.to_vec(), &options).unwrap();
    let plan = source.plan();
    let keys: Vec<&str> = plan.episodes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["a.jsonl@train", "a.jsonl@val"]);
    let mut found: BTreeMap<String, (Vec<String>, Vec<i64>)> = BTreeMap::new();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let split = plan.episodes[partition.episode].split.clone().unwrap();
        assert!(partition.recipe.contains(&format!("\"split\":\"{split}\"")), "{}", partition.recipe);
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            let (ids, steps) = found.entry(split.clone()).or_default();
            let rows = [batch.rows];
            ids.extend(texts(&rows, "id"));
            steps.extend(ints(&rows, "step_index"));
        }
    }
    let ids = found.into_iter().map(|(split, (ids, steps))| {
        assert_eq!(steps, (0..steps.len() as i64).collect::<Vec<_>>(), "{split}: rows are numbered from 0");
        (split, ids)
    });
    ids.collect()
}

#[test]
fn rows_are_dealt_by_what_they_are() {
    let bytes = fixture();
    let whole = dealt(&bytes, RowKey::Row, 2 << 20);
    assert_eq!(whole.values().map(Vec::len).sum::<usize>(), 300);
    assert!((30..90).contains(&whole["val"].len()), "{}", whole["val"].len());
    assert_eq!(dealt(&bytes, RowKey::Row, 5000), whole);
    // Rows that are added move none.
    let more = [bytes.as_slice(), &bytes].concat();
    for (split, ids) in dealt(&more, RowKey::Row, 5000) {
        assert_eq!(ids, [whole[&split].as_slice(), &whole[&split]].concat());
    }
    // Rows of one value stay together: the ids of the last ten rows are those of the first.
    let by_id = dealt(&bytes, RowKey::Field("id".to_owned()), 5000);
    assert_eq!(by_id.values().map(Vec::len).sum::<usize>(), 300);
    assert!(by_id["val"].iter().all(|it| !by_id["train"].contains(it)));
    assert!(whole["val"].iter().any(|it| whole["train"].contains(it)));

    let key = RowKey::Field("idd".to_owned());
    let options = OpenOptions { deal: Some(deal(key)), ..OpenOptions::default() };
    let err = open(bytes, &options).err().unwrap();
    assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some("did you mean `id`?")));
}

/// In a list of objects a row has many values for a column, and so none that it could be dealt by.
#[test]
fn rows_are_not_dealt_by_columns_of_lists() {
    let text = r#"{"l": [{"a": 1}], "m": [1, 2], "o": {"k": "x", "l": [{"b": 1}]}}"#;
    for (name, is_dealt) in [("l.a", false), ("o.l.b", false), ("m", true), ("o.k", true)] {
        let key = RowKey::Field(name.to_owned());
        let opened = open(text, &OpenOptions { deal: Some(deal(key)), ..OpenOptions::default() });
        assert_eq!(opened.is_ok(), is_dealt, "{name}");
        if let Err(err) = opened {
            assert_eq!((err.kind(), err.hint().is_some()), (ErrorKind::Config, true), "{err}");
            assert!(err.to_string().contains(&format!("rows cannot be dealt by `{name}`")), "{err}");
        }
    }
}

#[test]
fn files_are_claimed_by_their_names_and_beginnings() {
    let detect = |name: &str, text: &str| {
        let files = MemoryFiles::default().with(name, text.to_owned());
        JSONL.detect(&Listing::new(&files).unwrap()).confidence
    };
    assert_eq!(detect("a.jsonl", "\u{feff}\n { \"a\": 1}"), Confidence::Content);
    assert_eq!(detect("a.NDJSON", "{}"), Confidence::Content);
    assert_eq!(detect("a.jsonl", "[1]"), Confidence::Name);
    assert_eq!(detect("a.jsonl", "[{\"a\": 1}]"), Confidence::Content);
    // Much that is no row is called JSON: what else is there is surer.
    assert_eq!(detect("a.json", "[\n {\"a\": 1}]"), Confidence::Name);
    assert_eq!(detect("a.json", "{\"a\": 1}\n{\"a\""), Confidence::Name);
    for other in ["{\"a\": 1}", "{\n\"a\": 1}\n{}", "[1, 2]", "null", ""] {
        assert_eq!(detect("a.json", other), Confidence::No, "{other}");
    }
    let files = MemoryFiles::default().with("labels.json", "[{}]").with("rows.jsonl", "{}");
    let found = JSONL.detect(&Listing::new(&files).unwrap());
    assert_eq!(found.claims, [PathBuf::from("rows.jsonl")]);
}

/// A file's own split is in its name, where all files have one.
#[test]
fn names_tell_splits() {
    let splits = |names: &[&str]| {
        let files = names.iter().fold(MemoryFiles::default(), |all, it| all.with(*it, "{\"a\": 1}\n"));
        let source = JSONL.open(Arc::new(files), &OpenOptions::default()).unwrap();
        source.plan().episodes.iter().map(|it| it.split.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(splits(&["train.jsonl", "val/a.jsonl"]), ["train", "val"]);
    assert_eq!(splits(&["extra.jsonl", "train.jsonl"]), ["", ""]);
}

#[test]
fn fields_are_selected_and_lines_kept_as_bytes() {
    let options = OpenOptions { topics: Some(vec!["obs*".to_owned()]), ..OpenOptions::default() };
    let source = open(fixture(), &options).unwrap();
    let names: Vec<&str> = source.plan().streams[0].features.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["step_index", "observation.force", "observation.label"]);
    assert!(source.plan().unselected.contains(&"state".to_owned()));
    let bytes = OpenOptions { undecoded: vec!["steps".to_owned()], ..OpenOptions::default() };
    let (rows, damage) = read(open("{\"b\": 1, \"a\": 2}\n{1}\n", &bytes).unwrap().as_ref());
    assert_eq!(rows[0].column_by_name("data").unwrap().as_binary::<i32>().value(0), b"{\"b\": 1, \"a\": 2}");
    assert_eq!(damage.len(), 1);
}
