//! TFRecord files that no metadata lies beside.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::{
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::{
    Array as _, RecordBatch,
    cast::AsArray as _,
    types::{Float32Type, Int64Type},
};
use built::{Files, Value, dataset, example, framed};
use bytes::Bytes;
use nodedata_core::{
    Confidence, Error, ErrorKind, FindingKind, Format as _, Listing, OpenOptions, ReadOptions, Result,
    RowDeal, RowKey, Source, StreamKind,
};
use nodedata_io::MemoryFiles;
use nodedata_rlds::RLDS;
use nodedata_testkit::{
    reading::CountedFiles,
    source::{Case, Damage, conformance},
};

/// A record that is no episode. Some have no label, and tags differ in number.
fn sample(id: i64) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("id", Value::Ints(vec![id])),
        ("image/encoded", Value::Texts(vec![vec![0xff, 0xd8, id as u8]])),
        ("joints", Value::Floats((0..7).map(|it| it as f32 + id as f32).collect())),
        ("tags", Value::Texts((0..id % 3).map(|it| format!("tag {it}").into()).collect())),
        ("text", Value::Texts(vec![format!("über {id}").into()])),
    ];
    if id % 4 != 0 {
        all.push(("label", Value::Ints(vec![id * 10])));
    }
    all
}

fn samples(ids: std::ops::Range<i64>) -> Vec<u8> {
    ids.flat_map(|it| framed(&example(&sample(it)))).collect()
}

fn files() -> Files {
    vec![("a.tfrecord".into(), samples(0..40).into()), ("b/c.tfrecord".into(), samples(40..55).into())]
}

fn in_memory(files: Files) -> Arc<dyn nodedata_core::Files> {
    Arc::new(files.into_iter().fold(MemoryFiles::default(), |all, (path, bytes)| all.with(path, bytes)))
}

fn open(files: Files, options: &OpenOptions) -> Result<Box<dyn Source>> {
    RLDS.open(in_memory(files), options)
}

/// Rows and errors of all partitions, each with its episode's key.
fn read(source: &dyn Source) -> (Vec<(String, RecordBatch)>, Vec<Error>) {
    let plan = source.plan();
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        let (mut n_rows, mut n_lost) = (0, 0);
        loop {
            match stream.next_batch() {
                Ok(Some(batch)) => {
                    n_rows += batch.rows.num_rows() as u64;
                    rows.push((plan.episodes[partition.episode].key.clone(), batch.rows));
                }
                Ok(None) => break,
                Err(err) => {
                    n_lost += err.loss().unwrap().records.iter().map(|it| it.1).sum::<u64>();
                    errors.push(err);
                }
            }
        }
        assert_eq!(n_rows + n_lost, stream.records_read()[0].1);
    }
    (rows, errors)
}

fn ids(rows: &[(String, RecordBatch)]) -> Vec<i64> {
    let of =
        |it: &RecordBatch| it.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec();
    rows.iter().flat_map(|it| of(&it.1)).collect()
}

#[test]
fn a_record_is_a_row_whose_types_are_those_of_all_records() {
    let source = open(files(), &OpenOptions::default()).unwrap();
    let plan = source.plan();
    assert_eq!((plan.streams[0].kind, plan.findings.len()), (StreamKind::Samples, 0));
    let features = plan.streams[0].features.iter();
    let told: Vec<String> =
        features.map(|it| format!("{} {} {:?} {}", it.name, it.dtype, it.dims(), it.nullable)).collect();
    assert_eq!(
        told,
        [
            "step_index int64 [] false",
            "id int64 [] false",
            "image.encoded bytes [] false",
            "joints float32 [Fixed(7)] false",
            "label int64 [] true",
            "tags string [Variable] true",
            "text string [] false",
        ]
    );
    let keys: Vec<&str> = plan.episodes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["a.tfrecord", "b/c.tfrecord"]);
    let (rows, errors) = read(source.as_ref());
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(ids(&rows), (0..55).collect::<Vec<_>>());
    let first = &rows[0].1;
    let column = |name: &str| first.column_by_name(name).unwrap();
    assert_eq!(column("text").as_string::<i32>().value(2), "über 2");
    assert_eq!(column("image.encoded").as_binary::<i32>().value(3), [0xff, 0xd8, 3]);
    let joints = column("joints").as_fixed_size_list().value(5);
    assert_eq!(joints.as_primitive::<Float32Type>().values(), &[5., 6., 7., 8., 9., 10., 11.]);
    let labels = column("label").as_primitive::<Int64Type>();
    assert!(labels.is_null(4) && labels.value(5) == 50);
    let tags = column("tags").as_list::<i32>();
    assert!(tags.is_null(3) && tags.value(5).as_string::<i32>().value(1) == "tag 1");
}

#[test]
fn the_rules_of_sources_hold() {
    let case = |name: &str, files| Case { name: name.to_owned(), files, damage: Damage::Anything(6) };
    conformance(&RLDS, &case("samples", files()));
    let mut episodes = dataset();
    episodes.truncate(3);
    conformance(&RLDS, &case("episodes", episodes));
}

#[test]
fn rows_and_types_do_not_depend_on_where_partitions_are_cut() {
    let whole = read(open(files(), &OpenOptions::default()).unwrap().as_ref()).0;
    let cut = open(files(), &OpenOptions { partition_bytes: 1, ..OpenOptions::default() }).unwrap();
    assert!(cut.plan().partitions.len() > 2);
    let cut = read(cut.as_ref()).0;
    let joined = |rows: &[(String, RecordBatch)]| {
        let batches: Vec<_> = rows.iter().map(|it| it.1.clone()).collect();
        arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
    };
    assert_eq!(joined(&whole), joined(&cut));
}

#[test]
fn keys_below_steps_make_episodes_as_the_metadata_would() {
    let with = open(dataset(), &OpenOptions::default()).unwrap();
    let mut files = dataset();
    files.truncate(3);
    let without = open(files, &OpenOptions::default()).unwrap();
    assert_eq!(without.plan().streams[0].kind, StreamKind::Steps);
    let splits = |it: &dyn Source| it.plan().episodes.iter().map(|it| it.split.clone()).collect::<Vec<_>>();
    assert_eq!(splits(with.as_ref()), splits(without.as_ref()));
    let ((told, _), (learned, errors)) = (read(with.as_ref()), read(without.as_ref()));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(told.len(), learned.len());
    for ((key, told), (other, learned)) in told.iter().zip(&learned) {
        assert_eq!((key, told.num_rows()), (other, learned.num_rows()));
        for same in ["step_index", "language_instruction"] {
            assert_eq!(told.column_by_name(same), learned.column_by_name(same), "{same}");
        }
        // Only the metadata tells of rows and columns.
        let action = learned.column_by_name("action").unwrap().as_fixed_size_list();
        assert_eq!(action.value_length(), 6);
        assert!(learned.column_by_name("observation.image").unwrap().as_binary_opt::<i32>().is_some());
    }
}

#[test]
fn rows_are_dealt_by_themselves_or_by_a_key() {
    for key in [RowKey::Row, RowKey::Field("text".to_owned())] {
        let deal = RowDeal { fractions: vec![("train".to_owned(), 0.7), ("val".to_owned(), 0.3)], key };
        let options = OpenOptions { deal: Some(deal), ..OpenOptions::default() };
        let source = open(files(), &options).unwrap();
        let keys: Vec<_> = source.plan().episodes.iter().map(|it| it.key.clone()).collect();
        assert_eq!(keys, ["a.tfrecord@train", "a.tfrecord@val", "b/c.tfrecord@train", "b/c.tfrecord@val"]);
        let (rows, errors) = read(source.as_ref());
        assert!(errors.is_empty());
        let mut all = ids(&rows);
        assert!(!all.is_sorted());
        all.sort_unstable();
        assert_eq!(all, (0..55).collect::<Vec<_>>());
        // What is added moves none of those that were there.
        let mut more = files();
        more.push(("z.tfrecord".into(), samples(55..70).into()));
        let (grown, _) = read(open(more, &options).unwrap().as_ref());
        assert!(rows.iter().all(|row| grown.contains(row)));
    }
    let deal = RowDeal { fractions: vec![("train".to_owned(), 1.0)], key: RowKey::Field("txt".to_owned()) };
    let err = open(files(), &OpenOptions { deal: Some(deal), ..OpenOptions::default() }).err().unwrap();
    assert!(err.kind() == ErrorKind::Config && err.hint().unwrap().contains("`text`"), "{err}");
}

/// Damage in some records, each told with its place; it is no part of the types.
#[test]
fn damaged_records_are_lost_alone_and_each_is_dealt_to_one_split() {
    let sound = |it: i64| framed(&example(&sample(it)));
    let mut flipped = sound(1);
    flipped[14] ^= 1;
    let broken = framed(b"\x0a\x05\x0a\x7f");
    let mut conflict = sample(3);
    conflict[0].1 = Value::Floats(vec![1.0]);
    let bytes: Bytes = [sound(0), flipped, broken, sound(2), sound(4)].concat().into();
    for deal in [
        None,
        Some(RowDeal { fractions: vec![("a".to_owned(), 0.5), ("b".to_owned(), 0.5)], key: RowKey::Row }),
    ] {
        let options = OpenOptions { deal, ..OpenOptions::default() };
        let source = open(vec![("x.tfrecord".into(), bytes.clone())], &options).unwrap();
        let (rows, errors) = read(source.as_ref());
        let mut found = ids(&rows);
        found.sort_unstable();
        assert_eq!((found, errors.len()), (vec![0, 2, 4], 2), "{errors:?}");
        for err in errors {
            let place = err.locus();
            assert!(place.path.is_some() && place.byte_offset.is_some() && err.hint().is_some(), "{err}");
            assert_eq!(err.loss().unwrap().records[0].1, 1);
        }
    }
    // Two kinds under one key have no type; whoever leaves it out reads the rest.
    let bytes = [sound(0), framed(&example(&conflict))].concat();
    let err = open(vec![("x.tfrecord".into(), bytes.clone().into())], &OpenOptions::default()).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Unsupported);
    assert!(
        err.to_string().contains("`id` is integers in x.tfrecord, byte 0 and floats in x.tfrecord"),
        "{err}"
    );
    let topics = Some(vec!["text".to_owned(), "joints".to_owned()]);
    let source =
        open(vec![("x.tfrecord".into(), bytes.into())], &OpenOptions { topics, ..OpenOptions::default() });
    assert_eq!(read(source.unwrap().as_ref()).0[0].1.num_rows(), 2);
}

#[test]
fn a_file_that_is_cut_is_damage() {
    let mut files = files();
    let n = files[1].1.len();
    files[1].1 = files[1].1.slice(..n - 3);
    let err = open(files.clone(), &OpenOptions::default()).err().unwrap();
    assert_eq!(
        (err.kind(), err.locus().path.as_deref()),
        (ErrorKind::Corrupt, Some(Path::new("b/c.tfrecord")))
    );
    let source = open(files, &OpenOptions { salvage: true, ..OpenOptions::default() }).unwrap();
    assert_eq!(source.plan().findings_of(FindingKind::Damage).count(), 1);
    assert_eq!(read(source.as_ref()).0.iter().map(|it| it.1.num_rows()).sum::<usize>(), 54);
}

/// Episodes as well as samples: nothing of what was found while types were learned is forgotten.
#[test]
fn an_empty_file_beside_episodes_is_damage() {
    let mut files = dataset();
    files.truncate(3);
    files.push(("zz.tfrecord".into(), Bytes::new()));
    let err = open(files.clone(), &OpenOptions::default()).err().unwrap();
    assert_eq!(err.locus().path.as_deref(), Some(Path::new("zz.tfrecord")), "{err}");
    let source = open(files, &OpenOptions { salvage: true, ..OpenOptions::default() }).unwrap();
    assert_eq!(source.plan().streams[0].kind, StreamKind::Steps);
    let damage: Vec<_> = source.plan().findings_of(FindingKind::Damage).collect();
    assert_eq!(damage.len(), 1, "{damage:?}");
}

#[test]
fn packed_files_are_read_as_well() {
    let plain = files();
    let mut files = files();
    for (_, bytes) in &mut files {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        *bytes = out.finish().unwrap().into();
    }
    for (name, _) in &mut files {
        *name = format!("{}.gz", name.display()).into();
    }
    let names = in_memory(files.clone());
    let detected = RLDS.detect(&Listing::new(names.as_ref()).unwrap());
    assert_eq!((detected.confidence, detected.claims.len()), (Confidence::Content, 2));
    let (packed, plain) =
        (open(files, &OpenOptions::default()).unwrap(), open(plain, &OpenOptions::default()).unwrap());
    assert_eq!(ids(&read(packed.as_ref()).0), ids(&read(plain.as_ref()).0));
}

/// Records of a packed file have no address of their own, but a number in it.
#[test]
fn records_of_packed_files_are_told_by_their_number() {
    let large = framed(&vec![0; 5000]);
    let records = [large.clone(), samples(0..3), large, samples(3..9)].concat();
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(&records).unwrap();
    let files = vec![("a.tfrecord.gz".into(), out.finish().unwrap().into())];
    for partition_bytes in [1, 1 << 20] {
        let options =
            OpenOptions { record_bytes_max: 4000, salvage: true, partition_bytes, ..OpenOptions::default() };
        let source = open(files.clone(), &options).unwrap();
        let mut found = Vec::new();
        for idx in 0..source.plan().partitions.len() {
            let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
            while let Some(batch) = stream.next_batch().unwrap() {
                let numbers = batch.spans.iter().flat_map(|it| it.first_record..it.first_record + it.n_rows);
                found.extend(ids(&[(String::new(), batch.rows.clone())]).into_iter().zip(numbers));
            }
        }
        // Those that are too large have a number as well.
        let expected: Vec<(i64, u64)> =
            (0..9).map(|id| (id, id as u64 + if id < 3 { 1 } else { 2 })).collect();
        assert_eq!(found, expected, "partitions of {partition_bytes}");
    }
}

#[test]
fn what_was_learned_is_not_learned_again() {
    let n_read = Arc::new(AtomicU64::new(0));
    let counted = || Arc::new(CountedFiles::new(in_memory(files()), &n_read));
    let first = RLDS.open(counted(), &OpenOptions::default()).unwrap();
    assert!(n_read.swap(0, Ordering::SeqCst) > 1000);
    let learned = first.plan().learned.clone();
    assert!(learned.is_some());
    let options = OpenOptions { learned: learned.clone(), ..OpenOptions::default() };
    let second = RLDS.open(counted(), &options).unwrap();
    assert_eq!(n_read.load(Ordering::SeqCst), 0);
    assert_eq!(first.plan(), second.plan());
    // Of other files, and for other options, it is learned anew.
    let other = OpenOptions { partition_bytes: 1, learned, ..OpenOptions::default() };
    RLDS.open(counted(), &other).unwrap();
    assert!(n_read.load(Ordering::SeqCst) > 1000);
}
