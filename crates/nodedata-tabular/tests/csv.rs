//! What text becomes: dialects, types, damage with its place, deals, and what an opening remembers.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::{
    RecordBatch,
    cast::AsArray as _,
    types::{Float64Type, Int64Type},
};
use bytes::Bytes;
use nodedata_core::{
    Confidence, ErrorKind, Fact, Format as _, Listing, OpenOptions, OptionValue, Result, RowDeal, RowKey,
    Source, StreamKind,
};
use nodedata_io::MemoryFiles;
use nodedata_tabular::CSV;
use nodedata_testkit::reading::{CountedFiles, read};

fn open_with(text: impl Into<Bytes>, options: &OpenOptions) -> Result<Box<dyn Source>> {
    CSV.open(Arc::new(MemoryFiles::default().with("a.csv", text)), options)
}

fn open(text: &str) -> Box<dyn Source> {
    open_with(text.to_owned(), &OpenOptions::default()).unwrap_or_else(|err| panic!("{err}: {text:?}"))
}

fn told(source: &dyn Source) -> Vec<String> {
    assert_eq!(source.plan().streams[0].kind, StreamKind::Samples);
    let features = source.plan().streams[0].features.iter().skip(1);
    features.map(|it| format!("{} {}{}", it.name, it.told(), if it.nullable { "?" } else { "" })).collect()
}

fn texts(rows: &[RecordBatch], name: &str) -> Vec<Option<String>> {
    let column = |it: &RecordBatch| {
        let texts = it.column_by_name(name).unwrap().as_string::<i32>().clone();
        texts.iter().map(|it| it.map(str::to_owned)).collect::<Vec<_>>()
    };
    rows.iter().flat_map(column).collect()
}

fn ints(rows: &[RecordBatch], name: &str) -> Vec<i64> {
    let column =
        |it: &RecordBatch| it.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    rows.iter().flat_map(column).collect()
}

#[test]
fn types_come_from_all_rows() {
    let text = "i,f,code,plus,mixed,empty,quoted,step_index\n1,1,007,+1,1,,\"\",9\n-2,0.5,1,1,x,,a,8\n";
    let source = open(text);
    let expected = [
        "i int64",
        "f float64",
        "code string",
        "plus string",
        "mixed string",
        "empty string?",
        "quoted string",
        "source.step_index int64",
    ];
    assert_eq!(told(source.as_ref()), expected);
    assert_eq!(source.plan().findings.iter().filter(|it| it.reason == "mixed_kinds").count(), 3);
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty());
    assert_eq!(ints(&rows, "i"), [1, -2]);
    assert_eq!(rows[0].column_by_name("f").unwrap().as_primitive::<Float64Type>().values()[..], [1.0, 0.5]);
    assert_eq!(texts(&rows, "code"), [Some("007".to_owned()), Some("1".to_owned())]);
    assert_eq!(texts(&rows, "quoted"), [Some(String::new()), Some("a".to_owned())]);
    assert_eq!(texts(&rows, "empty"), [None, None]);
}

#[test]
fn marks_line_ends_and_quotes_are_understood() {
    let expected = [Some("x\ny".to_owned()), Some("say \"hi\"".to_owned()), None];
    for text in [
        "\u{feff}a,b\n1,\"x\ny\"\n2,\"say \"\"hi\"\"\"\n3,",
        "a,b\r\n1,\"x\ny\"\r\n\r\n2,\"say \"\"hi\"\"\"\r\n3,\r\n",
        "a;b\n1;\"x\ny\"\n2;\"say \"\"hi\"\"\"\n3;\n",
        "a\tb\n1\t\"x\ny\"\n2\t\"say \"\"hi\"\"\"\n3\t\n",
    ] {
        let (rows, damage) = read(open(text).as_ref());
        assert!(damage.is_empty(), "{damage:?} of {text:?}");
        assert_eq!((ints(&rows, "a"), texts(&rows, "b")), (vec![1, 2, 3], expected.to_vec()), "{text:?}");
    }
    let source = open("a;b\n1;2\n");
    let dialect = source.plan().episodes[0].metadata.iter().next().unwrap();
    let words = "separated by semicolon, double quotes, lines end in LF or CRLF, the first row names columns";
    assert_eq!((&**dialect.0, dialect.1), ("dialect", &Fact::Text(words.to_owned())));
    assert_eq!(ints(&read(open("a,b\r1,2\r3,4\r").as_ref()).0, "b"), [2, 4]);
}

#[test]
fn options_have_their_effect() {
    let with = |name: &str, value: &str, text: &str| {
        let mut options = OpenOptions::default();
        options.options.insert(name.to_owned(), OptionValue::Text(value.to_owned()));
        let source = open_with(text.to_owned(), &options).unwrap();
        told(source.as_ref())
    };
    assert_eq!(with("delimiter", "pipe", "a,b|c\n1,2|3\n"), ["a,b string", "c int64"]);
    assert_eq!(with("quote", "none", "a,b\n\"1,2\"\n"), ["a string", "b string"]);
    assert_eq!(with("quote", "single", "a,b\n'1,2',3\n"), ["a string", "b int64"]);
    assert_eq!(with("header", "none", "1,x\n2,y\n"), ["column_0 int64", "column_1 string"]);
    assert_eq!(told(open("a,,a\n1,2,3\n").as_ref()), ["a int64", "column_1 int64", "a#2 int64"]);
}

#[test]
fn each_bad_row_costs_itself_and_has_its_address() {
    let text = b"a,b\n1,x\n2\n3,y,z\n\"4\n\",\"q\"w\n5,\xff\n6,\0\n7,z\n";
    let source = open_with(text.as_slice(), &OpenOptions::default()).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert_eq!(ints(&rows, "a"), [1, 7]);
    assert_eq!(ints(&rows, "step_index"), [0, 6]);
    let told: Vec<String> = damage.iter().map(|it| format!("{}: {it}", it.locus())).collect();
    let expected = [
        "a.csv, line 3, column 2, byte 9, step 1: the row has 1 field, and the file has 2 columns",
        "a.csv, line 4, column 5, byte 14, step 2: the row has 3 fields, and the file has 2 columns",
        "a.csv, line 6, column 6, byte 24, step 3: text follows the quote that ends the field",
        "a.csv, line 7, column 3, byte 28, step 4: the row is not UTF-8",
        "a.csv, line 8, column 3, byte 32, step 5: the row has a NUL byte",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_quote_that_nothing_closes_is_told_where_it_opens() {
    let text = format!("a,b\n1,x\n2,\"open\n{}", "3,y\n".repeat(50_000));
    let source = open(&text);
    let (rows, damage) = read(source.as_ref());
    assert_eq!(ints(&rows, "a"), [1]);
    assert_eq!(damage.len(), 1);
    let locus = damage[0].locus().to_string();
    assert_eq!(
        (locus.as_str(), damage[0].kind()),
        ("a.csv, line 3, column 3, byte 10, step 1", ErrorKind::Corrupt)
    );
    assert_eq!(damage[0].to_string(), "the quote that opens here is never closed");
    let hint = damage[0].hint().unwrap();
    assert!(hint.contains("--set source.quote=none") && hint.contains("--on-error salvage"), "{hint}");
    let loss = damage[0].loss().unwrap();
    assert!(loss.uncounted && loss.byte_range == Some(8..text.len() as u64));
    // Also where it is longer than a record may be.
    let options = OpenOptions { record_bytes_max: 1000, ..OpenOptions::default() };
    let (_, damage) = read(open_with(text, &options).unwrap().as_ref());
    assert_eq!(damage[0].to_string(), "the quote that opens here is never closed");
}

#[test]
fn a_file_whose_header_is_broken_costs_itself() {
    let files = || Arc::new(MemoryFiles::default().with("1.csv", "a,\"b\n1,2\n").with("2.csv", "a,b\n3,4\n"));
    let err = CSV.open(files(), &OpenOptions::default()).err().unwrap();
    assert_eq!(
        (err.kind(), err.locus().to_string().as_str()),
        (ErrorKind::Corrupt, "1.csv, line 1, column 1, byte 0")
    );
    let hint = err.hint().unwrap();
    assert!(hint.contains("source.header=none") && hint.contains("source.quote=none"), "{hint}");
    let options = OpenOptions { salvage: true, ..OpenOptions::default() };
    let source = CSV.open(files(), &options).unwrap();
    let plan = source.plan();
    assert_eq!(plan.findings.len(), 1);
    let found = &plan.findings[0];
    assert_eq!((found.at.path.as_deref(), found.uncounted), (Some(Path::new("1.csv")), true));
    assert_eq!(found.byte_range, Some(0..9));
    assert_eq!(told(source.as_ref()), ["a int64", "b int64"]);
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(ints(&rows, "a"), [3]);
    let learned = OpenOptions { learned: plan.learned.clone(), ..options };
    assert!(CSV.open(files(), &learned).unwrap().plan() == plan);
    // Who does not want damage left out learns of it again.
    assert!(CSV.open(files(), &OpenOptions { salvage: false, ..learned }).is_err());
}

#[test]
fn without_a_header_the_first_sound_row_tells_the_columns() {
    let mut options = OpenOptions::default();
    options.options.insert("header".to_owned(), OptionValue::Text("none".to_owned()));
    let source = open_with("\"x\"y,1\n\n2,3\n4\n", &options).unwrap();
    assert_eq!(told(source.as_ref()), ["column_0 int64", "column_1 int64"]);
    let (rows, damage) = read(source.as_ref());
    assert_eq!((ints(&rows, "column_0"), ints(&rows, "column_1")), (vec![2], vec![3]));
    let places: Vec<String> = damage.iter().map(|it| format!("{}: {it}", it.locus())).collect();
    let expected = [
        "a.csv, line 1, column 4, byte 3, step 0: text follows the quote that ends the field",
        "a.csv, line 4, column 2, byte 13, step 2: the row has 1 field, and the file has 2 columns",
    ];
    assert_eq!(places, expected);
    // Where no row is sound, the first one tells why.
    let broken = "\"x\"y,1\n\"z\"w,2\n";
    let err = open_with(broken, &options).err().unwrap();
    assert_eq!((err.kind(), err.locus().to_string().as_str()), (ErrorKind::Corrupt, "a.csv, byte 3"));
    assert!(err.hint().unwrap().contains("source.quote=none"), "{:?}", err.hint());
    let salvaged = open_with(broken, &OpenOptions { salvage: true, ..options }).unwrap();
    assert_eq!(salvaged.plan().findings.len(), 1);
}

#[test]
fn a_row_beyond_the_limit_costs_itself() {
    let text = format!("a,b\n1,x\n2,\"{}\"\n3,z\n", "y\n".repeat(100_000));
    let options = OpenOptions { record_bytes_max: 1000, ..OpenOptions::default() };
    let source = open_with(text, &options).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert_eq!(ints(&rows, "a"), [1, 3]);
    assert_eq!((damage.len(), damage[0].kind()), (1, ErrorKind::Limit));
}

#[test]
fn files_are_joined_by_the_names_of_their_columns() {
    let files = MemoryFiles::default().with("1.csv", "a,b\n1,2\n").with("2.csv", "b,c\n0.5,x\n");
    let source = CSV.open(Arc::new(files), &OpenOptions::default()).unwrap();
    assert_eq!(told(source.as_ref()), ["a int64?", "b float64", "c string?"]);
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty());
    assert_eq!(texts(&rows, "c"), [None, Some("x".to_owned())]);
    let options = OpenOptions { topics: Some(vec!["b".to_owned()]), ..OpenOptions::default() };
    let files = MemoryFiles::default().with("1.csv", "a,b\n1,2\n");
    let source = CSV.open(Arc::new(files), &options).unwrap();
    assert_eq!(
        (told(source.as_ref()), source.plan().unselected.as_slice()),
        (vec!["b int64".to_owned()], &["a".to_owned()][..])
    );
}

fn sample(n: usize) -> String {
    let row = |it: usize| format!("{it},group {},\"a\n{}\"\n", it / 10, it * it);
    "id,group,text\n".to_owned() + &(0..n).map(row).collect::<String>()
}

#[test]
fn what_was_learned_saves_the_pass() {
    let n_read = Arc::new(AtomicU64::new(0));
    let files = |text: String| {
        Arc::new(CountedFiles::new(Arc::new(MemoryFiles::default().with("a.csv", text)), &n_read))
    };
    let options =
        OpenOptions { deal: Some(deal(RowKey::Row)), partition_bytes: 5000, ..OpenOptions::default() };
    let first = CSV.open(files(sample(1000)), &options).unwrap();
    assert!(sample(1000).len() as u64 <= n_read.swap(0, Ordering::Relaxed));
    let with_learned = OpenOptions { learned: first.plan().learned.clone(), ..options.clone() };
    let second = CSV.open(files(sample(1000)), &with_learned).unwrap();
    assert!(n_read.swap(0, Ordering::Relaxed) < 100, "rows are read again");
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
        let opened = CSV.open(files(sample(1000)), &other).unwrap();
        assert!(opened.plan() == CSV.open(files(sample(1000)), &plain).unwrap().plan());
    }
    let shorter = CSV.open(files(sample(500)), &with_learned).unwrap();
    assert!(shorter.plan() == CSV.open(files(sample(500)), &options).unwrap().plan());
}

fn deal(key: RowKey) -> RowDeal {
    RowDeal { fractions: vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)], key }
}

/// The ids of each split.
fn dealt(text: &str, key: RowKey, partition_bytes: u64) -> [Vec<i64>; 2] {
    let options = OpenOptions { deal: Some(deal(key)), partition_bytes, ..OpenOptions::default() };
    let source = open_with(text.to_owned(), &options).unwrap();
    let mut found = [Vec::new(), Vec::new()];
    let mut steps = [Vec::new(), Vec::new()];
    for (idx, partition) in source.plan().partitions.iter().enumerate() {
        let mut stream = source.read(idx, &Default::default()).unwrap();
        while let Some(batch) = stream.next_batch().unwrap() {
            let rows = [batch.rows];
            found[partition.episode].extend(ints(&rows, "id"));
            steps[partition.episode].extend(ints(&rows, "step_index"));
        }
    }
    for steps in steps {
        assert_eq!(steps, (0..steps.len() as i64).collect::<Vec<_>>(), "rows are numbered from 0");
    }
    found
}

#[test]
fn rows_are_dealt_by_their_place_or_a_field() {
    let whole = dealt(&sample(1000), RowKey::Row, 2 << 20);
    assert_eq!(whole[0].len() + whole[1].len(), 1000);
    assert!((120..280).contains(&whole[1].len()), "{}", whole[1].len());
    assert_eq!(dealt(&sample(1000), RowKey::Row, 5000), whole);
    for (more, whole) in dealt(&sample(1500), RowKey::Row, 5000).iter().zip(&whole) {
        assert!(more.starts_with(whole));
    }
    let by_group = dealt(&sample(1000), RowKey::Field("group".to_owned()), 5000);
    assert!(by_group[1].iter().all(|it| by_group[1].contains(&(it / 10 * 10))) && !by_group[1].is_empty());
    let options =
        OpenOptions { deal: Some(deal(RowKey::Field("grop".to_owned()))), ..OpenOptions::default() };
    let err = open_with(sample(3), &options).err().unwrap();
    assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some("did you mean `group`?")));
}

#[test]
fn only_files_of_the_name_are_claimed() {
    let detect = |name: &str, text: &str| {
        let files = MemoryFiles::default().with(name, text.to_owned());
        CSV.detect(&Listing::new(&files).unwrap()).confidence
    };
    assert_eq!(detect("a.csv", "a,b\n1,2\n"), Confidence::Content);
    assert_eq!(detect("a.TSV", "a\tb\n1\t2\n"), Confidence::Content);
    assert_eq!(detect("a.csv", "a"), Confidence::Name);
    assert_eq!(detect("a.txt", "a,b\n1,2\n"), Confidence::No);
    assert_eq!(detect("a.csv.gz", "\u{1f}"), Confidence::Name);
    let err = open_with(&b"\xff\xfea\0,\0"[..], &OpenOptions::default()).err().unwrap();
    assert_eq!((err.kind(), err.locus().to_string().as_str()), (ErrorKind::Unsupported, "a.csv"));
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    let err = open_with(pointer, &OpenOptions::default()).err().unwrap();
    assert!(err.hint().unwrap().contains("git lfs pull"), "{err}");
    assert!(read(open("").as_ref()).0.is_empty() && read(open("a,b\n").as_ref()).0.is_empty());
}

fn gzip(text: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

#[test]
fn packed_text_is_unpacked_once_and_its_places_are_those_of_members() {
    let text = sample(2000);
    let plain = open(&text);
    let options = OpenOptions { partition_bytes: 5000, ..OpenOptions::default() };
    let packed = |bytes: Vec<u8>| {
        let files = MemoryFiles::default().with("a.csv.gz", bytes);
        assert_eq!(CSV.detect(&Listing::new(&files).unwrap()).confidence, Confidence::Content);
        CSV.open(Arc::new(files), &options)
    };
    let (head, tail) = text.as_bytes().split_at(text.len() / 2 + 3);
    for bytes in [gzip(text.as_bytes()), [gzip(head), gzip(tail)].concat()] {
        let source = packed(bytes.clone()).unwrap();
        assert!(1 < source.plan().partitions.len());
        let n_bytes = bytes.len() as u64;
        assert!(source.plan().partitions.iter().all(|it| it.reads[0].byte_range.end <= n_bytes));
        let (rows, damage) = read(source.as_ref());
        assert!(damage.is_empty());
        assert_eq!(ints(&rows, "id"), ints(&read(plain.as_ref()).0, "id"));
        let learned = OpenOptions { learned: source.plan().learned.clone(), ..options.clone() };
        let files = MemoryFiles::default().with("a.csv.gz", bytes);
        let again = CSV.open(Arc::new(files), &learned).unwrap();
        assert!(again.plan() == source.plan());
        assert_eq!(ints(&read(again.as_ref()).0, "id"), ints(&rows, "id"));
    }
    let cut = gzip(text.as_bytes());
    let cut = cut[..cut.len() / 2].to_vec();
    let err = packed(cut.clone()).err().unwrap();
    assert_eq!((err.kind(), err.locus().path.as_deref()), (ErrorKind::Corrupt, Some(Path::new("a.csv.gz"))));
    let salvage = OpenOptions { salvage: true, ..options.clone() };
    let source = CSV.open(Arc::new(MemoryFiles::default().with("a.csv.gz", cut)), &salvage).unwrap();
    assert!(source.plan().findings.iter().any(|it| it.uncounted));
    assert!(!ints(&read(source.as_ref()).0, "id").is_empty());
}
