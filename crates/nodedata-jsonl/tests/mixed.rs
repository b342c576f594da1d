//! Values that no column and no reader of JSON holds as they are written, and bounds on records.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::sync::Arc;

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _};
use nodedata_core::{ErrorKind, Format as _, OpenOptions, OptionValue, Result, Source};
use nodedata_io::MemoryFiles;
use nodedata_jsonl::JSONL;
use nodedata_testkit::reading::read;

fn mixed(word: &str) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.options.insert("mixed".to_owned(), OptionValue::Text(word.to_owned()));
    options
}

fn open(text: &str, options: &OpenOptions) -> Result<Box<dyn Source>> {
    JSONL.open(Arc::new(MemoryFiles::default().with("a.jsonl", text.to_owned())), options)
}

fn texts(rows: &[RecordBatch], name: &str) -> Vec<Option<String>> {
    let column = |it: &RecordBatch| {
        let texts = it.column_by_name(name).unwrap().as_string::<i32>().clone();
        let text = |row: usize| texts.is_valid(row).then(|| texts.value(row).to_owned());
        (0..texts.len()).map(text).collect::<Vec<_>>()
    };
    rows.iter().flat_map(column).collect()
}

#[test]
fn each_value_that_no_reader_holds_costs_its_row_or_is_its_own_text() {
    for value in [
        "1e400",
        "-1e999",
        "123456789012345678901234567890",
        "-9223372036854775809",
        "NaN",
        "-Infinity",
        r#""\ud800""#,
        r#"{"x": 1, "x": 2}"#,
        r#"[1, [1e400]]"#,
        r#"{"y": {"\ud800": 1}}"#,
    ] {
        let text = format!(
            "{{\"a\": 1, \"b\": true}}\n{{\"a\": {value}, \"b\": false}}\n{{\"a\": null, \"b\": true}}\n"
        );
        for word in ["json", "refuse"] {
            let source = open(&text, &mixed(word)).unwrap();
            let (rows, damage) = read(source.as_ref());
            assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2, "{value}");
            let [damage] = damage.as_slice() else { panic!("{value}: {damage:?}") };
            let at = damage.locus();
            assert_eq!((at.line_column.unwrap().0, at.byte_offset), (2, Some(20)), "{value}");
            assert!(7 <= at.line_column.unwrap().1, "{value}: {at}");
            assert!(damage.hint().unwrap().contains("source.mixed=text"), "{value}: {:?}", damage.hint());
        }
        let options = mixed("text");
        let source = open(&text, &options).unwrap();
        let (rows, damage) = read(source.as_ref());
        assert!(damage.is_empty(), "{value}: {damage:?}");
        if !value.starts_with(['[', '{']) {
            let kept = [Some("1".to_owned()), Some(value.to_owned()), None];
            assert_eq!(texts(&rows, "a"), kept, "{value}");
        }
        assert!(rows[0].column_by_name("b").unwrap().as_boolean().value(0), "{value}");
        let warnings = &source.plan().findings;
        let is_told = warnings.iter().any(|it| it.reason == "kept_as_text" && it.message.contains("line 2"));
        assert!(is_told, "{value}: {warnings:?}");
        let learned = OpenOptions { learned: source.plan().learned.clone(), ..options };
        let again = open(&text, &learned).unwrap();
        assert!(again.plan() == source.plan(), "{value}");
        assert_eq!(read(again.as_ref()).0, rows, "{value}");
    }
}

/// What a record becomes depends on no record beside it: not on those in its partition, and not on what other rows make of a field.
#[test]
fn one_record_decides_nothing_of_another() {
    // As deep as readers follow, with blanks in it.
    let deep = format!("{{\"a\": {}1, 2{}}}", "[".repeat(110), "]".repeat(110));
    let odd = "{\"a\": 1e400}";
    let alone = {
        let (rows, damage) = read(open(&format!("{deep}\n{{\"a\": 0}}\n"), &mixed("text")).unwrap().as_ref());
        assert!(damage.is_empty(), "{damage:?}");
        texts(&rows, "a")
    };
    let (rows, damage) = read(open(&format!("{deep}\n{odd}\n"), &mixed("text")).unwrap().as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(texts(&rows, "a"), [alone[0].clone(), Some("1e400".to_owned())]);
    // A field that is JSON text anyway holds no object that names a key twice, either.
    let text = "{\"a\": 1}\n{\"a\": \"x\"}\n{\"a\": {\"k\": 1, \"k\": 2}}\n";
    let (rows, damage) = read(open(text, &OpenOptions::default()).unwrap().as_ref());
    assert_eq!(texts(&rows, "a"), ["1", "\"x\""].map(|it| Some(it.to_owned())));
    assert!(damage.len() == 1 && damage[0].to_string().contains("appears twice"), "{damage:?}");
}

/// What stands in front of the number that a record is refused for decides no type.
#[test]
fn a_record_that_is_refused_leaves_no_trace() {
    let number = "123456789012345678901234567890";
    // In the last the record is no JSON either, so that it has no text of its own.
    for (odd, words) in [
        (format!("{{\"a\": 0.5, \"n\": {number}}}"), &["json", "refuse"][..]),
        (format!("{{\"a\": \"x\", \"n\": {number}}}"), &["json", "refuse"]),
        (format!("{{\"a\": 0.5, \"n\": {number}"), &["json", "refuse", "text"]),
    ] {
        let text = format!("{{\"a\": 1, \"n\": 1}}\n{odd}\n{{\"a\": 9007199254740993, \"n\": 2}}\n");
        for word in words {
            let source = open(&text, &mixed(word)).unwrap();
            assert_eq!(source.plan().streams[0].features[1].dtype.name(), "int64", "{word}: {odd}");
            assert!(source.plan().findings.is_empty(), "{word}: {:?}", source.plan().findings);
            assert_eq!(read(source.as_ref()).1.len(), 1, "{word}: {odd}");
        }
    }
}

/// Records that are not decoded are kept to the byte, whatever becomes of values in columns.
#[test]
fn bytes_are_kept_as_they_are() {
    let records = ["{\"a\": 123456789012345678901234567890}", "{\"a\": 1e400}"];
    for word in ["json", "refuse", "text"] {
        let options = OpenOptions { undecoded: vec!["steps".to_owned()], ..mixed(word) };
        let (rows, damage) = read(open(&records.join("\n"), &options).unwrap().as_ref());
        assert!(damage.is_empty(), "{word}: {damage:?}");
        let kept = rows.iter().flat_map(|it| {
            let data = it.column_by_name("data").unwrap().as_binary::<i32>().clone();
            (0..data.len()).map(|row| data.value(row).to_vec()).collect::<Vec<_>>()
        });
        assert_eq!(kept.collect::<Vec<_>>(), records.map(|it| it.as_bytes().to_vec()), "{word}");
    }
}

/// No text of the data is taken for one that stands for something else.
#[test]
fn a_text_is_a_text_however_it_begins() {
    let marks = ["NaN", "raw:1", "raw:{", "-Infinity", "x"];
    let texts_of = |begin: &str| {
        let rows = marks
            .iter()
            .map(|it| format!("{{\"a\": \"{begin}{it}\", \"m\": \"{begin}{it}\", \"x\": NaN}}\n"));
        format!("{}{{\"m\": 1}}\n", rows.collect::<String>())
    };
    let text = texts_of("\\u0000node-data:");
    let (rows, damage) = read(open(&text, &mixed("text")).unwrap().as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    let mut plain: Vec<_> = marks.iter().map(|it| Some(format!("\0node-data:{it}"))).collect();
    plain.push(None);
    assert_eq!(texts(&rows, "a"), plain);
    let mut json: Vec<_> = marks.iter().map(|it| Some(format!("\"\\u0000node-data:{it}\""))).collect();
    json.push(Some("1".to_owned()));
    assert_eq!(texts(&rows, "m"), json);
}

#[test]
fn an_object_or_a_list_keeps_its_own_text_as_far_as_it_must() {
    let text = "{\"o\": {\"x\": 1, \"x\": 2}, \"l\": [1, 1e400]}\n{\"o\": \"s\", \"l\": [2]}\n";
    let (rows, damage) = read(open(text, &mixed("text")).unwrap().as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    let own = [r#"{"x": 1, "x": 2}"#, "\"s\""].map(|it| Some(it.to_owned()));
    assert_eq!(texts(&rows, "o"), own);
    let items = rows[0].column_by_name("l").unwrap().as_list::<i32>().values().clone();
    let items: Vec<_> = items.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    assert_eq!(items, ["1", "1e400", "2"]);
    // A row that names its own key twice has no value that could be kept.
    let (rows, damage) = read(open("{\"a\": 1, \"a\": 2}\n{\"a\": 3}\n", &mixed("text")).unwrap().as_ref());
    assert_eq!((rows[0].num_rows(), damage.len()), (1, 1));
    // Nor has what is no JSON.
    let (_, damage) = read(open("{\"a\": 1e400\n{\"a\": 3}\n", &mixed("text")).unwrap().as_ref());
    assert_eq!(damage.len(), 1);
}

#[test]
fn records_are_bounded_in_depth_keys_and_bytes() {
    let deep = format!("{{\"a\": {}{}}}\n{{\"a\": []}}\n", "[".repeat(10_000), "]".repeat(10_000));
    let (rows, damage) = read(open(&deep, &OpenOptions::default()).unwrap().as_ref());
    assert_eq!((rows[0].num_rows(), damage.len()), (1, 1));
    assert!(damage[0].to_string().contains("recursion limit"), "{}", damage[0]);
    let (rows, damage) = read(open(&deep, &mixed("text")).unwrap().as_ref());
    assert_eq!((rows.iter().map(RecordBatch::num_rows).sum::<usize>(), damage.len()), (2, 0));

    let keys: Vec<String> = (0..100_000).map(|it| format!("\"k{it}\": {it}")).collect();
    let many = format!("{{\"a\": 1, \"m\": {{{}}}}}\n", keys.join(", "));
    let source = open(&many, &OpenOptions::default()).unwrap();
    // Keys that are data are no columns.
    assert_eq!(source.plan().streams[0].features.len(), 3);
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty());
    assert_eq!(texts(&rows, "m")[0].as_ref().unwrap().len(), keys.join(",").replace(": ", ":").len() + 2);
    let flat = format!("{{{}}}\n", keys.join(", "));
    let source = open(&flat, &OpenOptions::default()).unwrap();
    assert_eq!(source.plan().streams[0].features.len(), 2);

    let long = format!("{{\"a\": \"{}\"}}\n{{\"a\": \"x\"}}\n", "y".repeat(10 << 20));
    let (rows, damage) = read(open(&long, &OpenOptions::default()).unwrap().as_ref());
    assert_eq!((rows.iter().map(RecordBatch::num_rows).sum::<usize>(), damage.len()), (2, 0));
    let bounded = OpenOptions { record_bytes_max: 1 << 20, ..OpenOptions::default() };
    let (_, damage) = read(open(&long, &bounded).unwrap().as_ref());
    assert_eq!((damage.len(), damage[0].kind()), (1, ErrorKind::Limit));
}

/// int64 becomes float64 where all of them are held exactly, and JSON text where one is not.
#[test]
fn whole_numbers_become_floats_where_nothing_is_lost() {
    let kind = |text: &str| {
        let source = open(text, &OpenOptions::default()).unwrap();
        source.plan().streams[0].features[1].dtype.name()
    };
    assert_eq!(kind("{\"a\": 9007199254740992}\n{\"a\": 0.5}\n"), "float64");
    assert_eq!(kind("{\"a\": 9007199254740993}\n{\"a\": 0.5}\n"), "string");
    assert_eq!(kind("{\"a\": 9007199254740993}\n{\"a\": 5}\n"), "int64");
}
