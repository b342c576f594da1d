//! Files that are one list, files that are one object, and files that are packed as a whole.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{io::Write as _, path::PathBuf, sync::Arc};

use arrow_array::{RecordBatch, cast::AsArray as _, types::Int64Type};
use nodedata_core::{
    ErrorKind, FindingKind, Format as _, OpenOptions, ReadOptions, Result, RowDeal, RowKey, Source,
};
use nodedata_io::MemoryFiles;
use nodedata_jsonl::JSONL;
use nodedata_testkit::corpus;
use nodedata_testkit::reading::read;

fn open(name: &str, bytes: impl Into<Vec<u8>>, options: &OpenOptions) -> Result<Box<dyn Source>> {
    JSONL.open(Arc::new(MemoryFiles::default().with(name, bytes.into())), options)
}

fn salvaging() -> OpenOptions {
    OpenOptions { salvage: true, ..OpenOptions::default() }
}

fn ints(rows: &[RecordBatch], name: &str) -> Vec<i64> {
    let column =
        |it: &RecordBatch| it.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    rows.iter().flat_map(column).collect()
}

/// All values but the positions of batches.
fn values(source: &dyn Source) -> Vec<String> {
    let (rows, damage) = read(source);
    assert!(damage.is_empty(), "{damage:?}");
    let row = |batch: &RecordBatch, row: usize| format!("{:?}", batch.slice(row, 1).columns());
    rows.iter().flat_map(|batch| (0..batch.num_rows()).map(move |it| row(batch, it))).collect()
}

fn lines() -> Vec<u8> {
    std::fs::read(corpus::fixtures("jsonl").join("samples.jsonl")).unwrap()
}

fn list() -> Vec<u8> {
    let text = String::from_utf8(lines()).unwrap();
    let rows: Vec<&str> = text.lines().filter(|it| !it.is_empty()).collect();
    format!("[\n  {}\n]\n", rows.join(",\n  ")).into_bytes()
}

#[test]
fn a_list_gives_the_rows_that_lines_give() {
    let expected = open("a.jsonl", lines(), &OpenOptions::default()).unwrap();
    for partition_bytes in [1, 10_000, 2 << 20] {
        let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
        let found = open("a.json", list(), &options).unwrap();
        assert_eq!(found.plan().streams, expected.plan().streams);
        assert_eq!(values(found.as_ref()), values(expected.as_ref()));
        let is_cut = 1 < found.plan().partitions.len();
        assert_eq!(is_cut, partition_bytes < 100_000, "{partition_bytes}");
        let learned = OpenOptions { learned: found.plan().learned.clone(), ..options };
        let again = open("a.json", list(), &learned).unwrap();
        assert!(again.plan() == found.plan());
        assert_eq!(values(again.as_ref()), values(expected.as_ref()));
    }
}

#[test]
fn elements_that_are_no_rows_have_line_and_column() {
    let text = "[\n {\"a\": 1},\n 7,\n {\"a\": 2,\n  \"a\": 3}, {\"a\":\n  1e400}\n, {\"a\": 4}]";
    let (rows, damage) = read(open("a.json", text, &OpenOptions::default()).unwrap().as_ref());
    assert_eq!(ints(&rows, "a"), [1, 4]);
    assert_eq!(ints(&rows, "step_index"), [0, 4]);
    let told: Vec<String> = damage.iter().map(|it| format!("{}: {it}", it.locus())).collect();
    let expected = [
        ("line 3, column 2", "the element is not a JSON object"),
        ("line 5, column", "appears twice"),
        ("line 6, column", "number out of range"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (place, message)) in told.iter().zip(expected) {
        assert!(told.contains(place) && told.contains(message), "{told}: {place} {message}");
    }
}

#[test]
fn a_list_that_ends_otherwise_is_damaged() {
    for (text, told, rows) in [
        ("[{\"a\": 1}, {\"a\": 2}", "ends without the bracket", &[1, 2][..]),
        ("[{\"a\": 1},", "ends without the bracket", &[1]),
        ("[{\"a\": 1}] {\"a\": 2}\n", "follow the end of the list", &[1]),
        ("[{\"a\": 1}]\n[{\"a\": 2}]", "10 bytes follow the end of the list", &[1]),
    ] {
        let err = open("a.json", text, &OpenOptions::default()).err().unwrap();
        assert!(err.kind() == ErrorKind::Corrupt && err.to_string().contains(told), "{text}: {err}");
        assert!(err.locus().byte_offset.is_some() && err.hint().is_some(), "{text}");
        let source = open("a.json", text, &salvaging()).unwrap();
        assert_eq!(source.plan().findings_of(FindingKind::Damage).count(), 1, "{text}");
        assert_eq!(ints(&read(source.as_ref()).0, "a"), rows, "{text}");
        // Who does not salvage is not handed what somebody learned who did.
        let learned = source.plan().learned.clone();
        assert!(open("a.json", text, &OpenOptions { learned, ..OpenOptions::default() }).is_err(), "{text}");
    }
}

/// A `.json` with one object a line is JSON Lines; one object alone is no table.
#[test]
fn one_object_is_refused_and_one_a_line_is_read() {
    let (rows, _) =
        read(open("a.json", "{\"a\": 1}\n\n{\"a\": 2}\n", &OpenOptions::default()).unwrap().as_ref());
    assert_eq!(ints(&rows, "a"), [1, 2]);
    for text in ["{\"data\": [{\"a\": 1}]}", "{\n \"a\": 1\n}\n", "{\n \"a\": 1\n}\n{\n \"a\": 2\n}\n"] {
        let err = open("set/a.json", text, &OpenOptions::default()).err().unwrap();
        assert_eq!((err.kind(), err.locus().to_string()), (ErrorKind::Unsupported, "set/a.json".to_owned()));
        assert!(err.hint().unwrap().contains("jq -c"), "{err:?}");
        // What is called JSON Lines is lines.
        assert!(open("a.jsonl", text, &OpenOptions::default()).is_ok(), "{text}");
    }
}

fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(part).unwrap();
        all.extend(packed.finish().unwrap());
    }
    all
}

#[test]
fn packed_files_give_the_same_rows_wherever_they_are_cut() {
    let expected = open("a.jsonl", lines(), &OpenOptions::default()).unwrap();
    let half = lines().len() / 2;
    let one = gzip(&[&lines()]);
    let two = gzip(&[&lines()[..half], &lines()[half..]]);
    let zstd = zstd::encode_all(&lines()[..], 1).unwrap();
    let packed_list = gzip(&[&list()]);
    let files =
        [("a.jsonl.gz", one), ("b.jsonl.gz", two), ("c.ndjson.zst", zstd), ("d.json.gz", packed_list)];
    for (name, bytes) in files {
        for partition_bytes in [1, 2 << 20] {
            let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
            let source = open(name, bytes.clone(), &options).unwrap();
            let plan = source.plan();
            assert_eq!(values(source.as_ref()), values(expected.as_ref()), "{name}");
            let inside =
                |it: &nodedata_core::InputRange| it.input == 0 && it.byte_range.end <= bytes.len() as u64;
            assert!(plan.partitions.iter().flat_map(|it| &it.reads).all(inside), "{name}");
            let mut known: Vec<_> =
                plan.partitions.iter().map(|it| (format!("{:?}", it.reads), &it.recipe)).collect();
            let n_partitions = known.len();
            known.sort();
            known.dedup();
            assert_eq!(known.len(), n_partitions, "{name}: two partitions are known by the same");
            assert_eq!(1 < n_partitions, partition_bytes == 1, "{name}");
            // Rows of one member are told apart by their numbers.
            let mut n_rows = 0;
            for partition in 0..n_partitions {
                let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
                while let Some(batch) = stream.next_batch().unwrap() {
                    if name == "a.jsonl.gz" {
                        assert_eq!(batch.spans[0].first_record, n_rows);
                    }
                    n_rows += batch.rows.num_rows() as u64;
                }
            }
            assert_eq!(n_rows, 300, "{name}");
        }
    }
}

#[test]
fn a_packed_file_that_is_cut_is_damaged() {
    let whole = gzip(&[&lines()]);
    let cut = whole[..whole.len() / 2].to_vec();
    let err = open("a.jsonl.gz", cut.clone(), &OpenOptions::default()).err().unwrap();
    assert_eq!(
        (err.kind(), err.locus().path.clone()),
        (ErrorKind::Corrupt, Some(PathBuf::from("a.jsonl.gz")))
    );
    let source = open("a.jsonl.gz", cut, &salvaging()).unwrap();
    assert_eq!(source.plan().findings_of(FindingKind::Damage).count(), 1);
    let (rows, damage) = read(source.as_ref());
    let n_rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
    assert!((20..280).contains(&n_rows), "{n_rows}");
    assert!(damage.len() <= 1, "{damage:?}");
    // What comes out is bounded.
    let bomb = gzip(&[&vec![b' '; 100 << 20]]);
    let mut options = OpenOptions::default();
    options.options.insert("unpack_ratio_max".to_owned(), nodedata_core::OptionValue::Integer(2));
    assert_eq!(open("a.jsonl.gz", bomb, &options).err().unwrap().kind(), ErrorKind::Limit);
}

/// Rows of lists and of packed files are dealt as those of lines are.
#[test]
fn rows_are_dealt_wherever_they_lie() {
    let fractions = vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)];
    let deal = Some(RowDeal { fractions, key: RowKey::Row });
    let options = OpenOptions { deal, partition_bytes: 5000, ..OpenOptions::default() };
    let of = |name: &str, bytes: Vec<u8>| {
        let source = open(name, bytes, &options).unwrap();
        assert_eq!(source.plan().episodes.len(), 2);
        values(source.as_ref())
    };
    let expected = of("a.jsonl", lines());
    assert_eq!(expected.len(), 300);
    assert_eq!(of("a.json", list()), expected);
    assert_eq!(of("a.jsonl.gz", gzip(&[&lines()])), expected);
}
