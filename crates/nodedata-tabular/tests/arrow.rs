//! What Arrow IPC files and streams become: dictionaries as they change, damage with its place.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::{
    Array as _, ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array,
    RecordBatch, StringArray, StructArray, UnionArray,
    cast::AsArray as _,
    types::{Int32Type, Int64Type},
};
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, UnionFields};
use nodedata_core::{
    Confidence, ErrorKind, Format as _, Listing, OpenOptions, ReadOptions, Result, RowDeal, RowKey, Source,
};
use nodedata_io::MemoryFiles;
use nodedata_tabular::ARROW;
use nodedata_testkit::damaged::Random;
use nodedata_testkit::reading::{CountedFiles, read};

fn open_with(bytes: Vec<u8>, options: &OpenOptions) -> Result<Box<dyn Source>> {
    ARROW.open(Arc::new(MemoryFiles::default().with("a.arrow", bytes)), options)
}

fn open(bytes: Vec<u8>) -> Result<Box<dyn Source>> {
    open_with(bytes, &OpenOptions::default())
}

fn stream(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    let schema = batches[0].schema();
    let mut writer = StreamWriter::try_new_with_options(&mut bytes, &schema, options).unwrap();
    batches.iter().for_each(|it| writer.write(it).unwrap());
    writer.finish().unwrap();
    bytes
}

fn file(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|it| writer.write(it).unwrap());
    writer.finish().unwrap();
    bytes
}

fn numbers(range: Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from_iter_values(range)) as ArrayRef)]).unwrap()
}

fn words(words: &[&str], keys: &[i32]) -> RecordBatch {
    let words: ArrayRef = Arc::new(StringArray::from(words.to_vec()));
    let array = DictionaryArray::<Int32Type>::new(Int32Array::from(keys.to_vec()), words);
    RecordBatch::try_from_iter([("w", Arc::new(array) as ArrayRef)]).unwrap()
}

fn ints(rows: &[RecordBatch]) -> Vec<i64> {
    let column =
        |it: &RecordBatch| it.column_by_name("x").unwrap().as_primitive::<Int64Type>().values().to_vec();
    rows.iter().flat_map(column).collect()
}

#[test]
fn dictionaries_are_those_of_their_place_in_the_stream() {
    let batches = [
        words(&["a", "b"], &[0, 1]),
        words(&["a", "b", "c"], &[2, 0]),
        words(&["x"], &[0, 0]),
        words(&["x", "y"], &[1]),
    ];
    let expected = ["a", "b", "c", "a", "x", "x", "y"];
    for handling in [DictionaryHandling::Resend, DictionaryHandling::Delta] {
        let bytes = stream(&batches, IpcWriteOptions::default().with_dictionary_handling(handling));
        for partition_bytes in [1, 1 << 20] {
            let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
            let source = open_with(bytes.clone(), &options).unwrap();
            // In any order, as threads read them.
            let n = source.plan().partitions.len();
            for idx in (0..n).rev().chain(0..n) {
                let mut stream = source.read(idx, &Default::default()).unwrap();
                while stream.next_batch().unwrap().is_some() {}
            }
            let (rows, damage) = read(source.as_ref());
            assert!(damage.is_empty(), "{damage:?}");
            let texts = |it: &RecordBatch| {
                let texts = it.column_by_name("w").unwrap().as_string::<i32>().clone();
                texts.iter().map(|it| it.unwrap().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(rows.iter().flat_map(texts).collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn a_large_record_batch_is_read_by_rows() {
    for bytes in [file(&[numbers(0..5000)]), stream(&[numbers(0..5000)], IpcWriteOptions::default())] {
        let options = OpenOptions { partition_bytes: 4000, ..OpenOptions::default() };
        let source = open_with(bytes, &options).unwrap();
        assert_eq!(source.plan().partitions.len(), 10);
        assert_eq!(ints(&read(source.as_ref()).0), (0..5000).collect::<Vec<_>>());
    }
}

#[test]
fn a_record_batch_is_read_once_for_all_batches_of_its_rows() {
    let columns = ["x", "y"].map(|name| (name, Arc::clone(numbers(0..5000).column(0))));
    let bytes = file(&[RecordBatch::try_from_iter(columns).unwrap()]);
    let n_bytes = bytes.len() as u64;
    let n_read = |options: &OpenOptions| {
        let n_read = Arc::new(AtomicU64::new(0));
        let files = MemoryFiles::default().with("a.arrow", bytes.clone());
        let source = ARROW.open(Arc::new(CountedFiles::new(Arc::new(files), &n_read)), options).unwrap();
        let small = ReadOptions { batch_bytes_max: 1000, ..ReadOptions::default() };
        let (mut n_rows, mut n_batches) = (0, 0);
        for partition in 0..source.plan().partitions.len() {
            let mut stream = source.read(partition, &small).unwrap();
            while let Some(batch) = stream.next_batch().unwrap() {
                n_rows += batch.rows.num_rows();
                n_batches += 1;
            }
        }
        assert!(n_rows == 5000 && 50 < n_batches, "{n_rows} rows in {n_batches} batches");
        n_read.load(Ordering::Relaxed)
    };
    let of_one_part = n_read(&OpenOptions::default());
    assert!(of_one_part < 2 * n_bytes, "{of_one_part} of {n_bytes}");
    // The column that rows are dealt by, and all of them, in turns.
    let fractions = vec![("a".to_owned(), 0.5), ("b".to_owned(), 0.5)];
    let deal = Some(RowDeal { fractions, key: RowKey::Field("x".to_owned()) });
    let of_parts = n_read(&OpenOptions { deal, partition_bytes: 4000, ..OpenOptions::default() });
    assert!(of_parts < 3 * n_bytes, "{of_parts} of {n_bytes}");
}

fn shaped(n_items: i32, n_rows: usize) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values: ArrayRef = Arc::new(Float32Array::from(vec![0.5; n_items as usize * n_rows]));
    Arc::new(FixedSizeListArray::new(item, n_items, values, None))
}

#[test]
fn rows_that_lack_a_column_of_a_large_shape_come_in_small_batches() {
    let x = Arc::clone(numbers(0..1).column(0));
    let whole = RecordBatch::try_from_iter([("x", x), ("shape", shaped(100_000, 1))]).unwrap();
    let files = MemoryFiles::default().with("1.arrow", file(&[whole]));
    let files = files.with("2.arrow", file(&[numbers(0..1000)]));
    let source = ARROW.open(Arc::new(files), &OpenOptions::default()).unwrap();
    let partitions = &source.plan().partitions;
    assert_eq!(partitions.len(), 2);
    assert!(1000 * 400_000 <= partitions[1].decoded_bytes, "{}", partitions[1].decoded_bytes);
    let options = ReadOptions { batch_bytes_max: 4 << 20, ..ReadOptions::default() };
    let batch = source.read(1, &options).unwrap().next_batch().unwrap().unwrap();
    let n_rows = batch.rows.num_rows();
    assert!(n_rows <= 10, "{n_rows} rows");
    assert_eq!(batch.rows.column_by_name("shape").unwrap().null_count(), n_rows);
}

#[test]
fn a_shape_that_no_row_can_have_is_refused() {
    let x = Arc::clone(numbers(0..0).column(0));
    let bytes = file(&[RecordBatch::try_from_iter([("x", x), ("huge", shaped(1 << 29, 0))]).unwrap()]);
    let err = open(bytes.clone()).err().unwrap();
    assert_eq!((err.kind(), err.locus().to_string().as_str()), (ErrorKind::Limit, "a.arrow, feature `huge`"));
    assert_eq!(err.hint(), Some("take the other columns: `--topic x`"));
    let options = OpenOptions { topics: Some(vec!["x".to_owned()]), ..OpenOptions::default() };
    assert!(ints(&read(open_with(bytes, &options).unwrap().as_ref()).0).is_empty());
}

#[test]
fn members_of_one_name_are_refused() {
    let member = |name: &str, value: i64| {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![value]));
        (Arc::new(Field::new(name, DataType::Int64, false)), array)
    };
    let rows = |other: &str| {
        let array = StructArray::from(vec![member("a", 1), member(other, 2)]);
        file(&[RecordBatch::try_from_iter([("s", Arc::new(array) as ArrayRef)]).unwrap()])
    };
    let err = open(rows("a")).err().unwrap();
    assert_eq!((err.kind(), err.locus().to_string().as_str()), (ErrorKind::Unsupported, "a.arrow"));
    assert_eq!(err.to_string(), "two columns of the file are called `s.a`");
    assert!(open(rows("b")).is_ok());
}

#[test]
fn unions_are_named_and_can_be_left_out() {
    let fields = UnionFields::try_new([0], [Field::new("i", DataType::Int32, true)]).unwrap();
    let child: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let union = UnionArray::try_new(fields, vec![0, 0].into(), None, vec![child]).unwrap();
    let rows = RecordBatch::try_from_iter([
        ("u", Arc::new(union) as ArrayRef),
        ("x", Arc::new(Int64Array::from(vec![3, 4])) as ArrayRef),
    ]);
    let bytes = file(&[rows.unwrap()]);
    let err = open(bytes.clone()).err().unwrap();
    assert_eq!(
        (err.kind(), err.hint()),
        (ErrorKind::Unsupported, Some("take the other columns: `--topic x`"))
    );
    assert!(err.to_string().starts_with("column `u` has Arrow type Union"), "{err}");
    let options = OpenOptions { topics: Some(vec!["x".to_owned()]), ..OpenOptions::default() };
    assert_eq!(ints(&read(open_with(bytes, &options).unwrap().as_ref()).0), [3, 4]);
}

#[test]
fn files_and_streams_are_known_by_how_they_begin() {
    let detect = |name: &str, bytes: Vec<u8>| {
        let files =
            MemoryFiles::default().with(name, bytes).with("state.json", "{}").with("cache-1.arrow", "x");
        ARROW.detect(&Listing::new(&files).unwrap())
    };
    let both = [file(&[numbers(0..3)]), stream(&[numbers(0..3)], IpcWriteOptions::default())];
    for bytes in both {
        let found = detect("data-00000-of-00001.arrow", bytes.clone());
        assert_eq!((found.confidence, found.claims.len()), (Confidence::Content, 3));
        assert_eq!(detect("x.bin", bytes.clone()).confidence, Confidence::Content);
        // What `datasets` keeps beside its tables is no row.
        let files =
            MemoryFiles::default().with("a.arrow", bytes).with("state.json", "{}").with("cache-1.arrow", "x");
        let source = ARROW.open(Arc::new(files), &OpenOptions::default()).unwrap();
        assert_eq!((source.plan().inputs.len(), source.plan().beside.len()), (1, 2));
    }
    assert_eq!(detect("a.arrow", b"text".to_vec()).confidence, Confidence::Name);
    let err = open(b"FEA1\0\0\0\0".to_vec()).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_stream_that_is_cut_keeps_what_came_before() {
    let batches: Vec<RecordBatch> = (0..5).map(|it| numbers(it * 100..(it + 1) * 100)).collect();
    let whole = stream(&batches, IpcWriteOptions::default());
    let cut = whole[..whole.len() - 500].to_vec();
    let err = open(cut.clone()).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
    assert!(err.locus().byte_offset.is_some() && err.hint().is_some(), "{err:?}");
    assert!(err.to_string().starts_with("the file ends in the middle of a message"), "{err}");
    let source = open_with(cut, &OpenOptions { salvage: true, ..OpenOptions::default() }).unwrap();
    assert_eq!(ints(&read(source.as_ref()).0), (0..400).collect::<Vec<_>>());
    assert!(source.plan().findings[0].uncounted);
    // A stream need not tell that it ends, and what follows its end is told.
    let open_end = whole[..whole.len() - 8].to_vec();
    assert_eq!(ints(&read(open(open_end).unwrap().as_ref()).0).len(), 500);
    let source = open([whole.as_slice(), b"more"].concat()).unwrap();
    assert_eq!(source.plan().findings[0].message, "4 bytes behind the end of the stream are not read");
}

#[test]
fn wild_places_never_end_the_program() {
    let bytes = file(&[words(&["a", "b"], &[0, 1, 1]), words(&["a", "b"], &[1])]);
    let stream = stream(&[numbers(0..50), numbers(50..70)], IpcWriteOptions::default());
    let mut random = Random::new(5);
    let (mut n_opened, mut n_refused, mut n_damage) = (0, 0, 0);
    for round in 0..1500 {
        let mut damaged = if round % 2 == 0 { bytes.clone() } else { stream.clone() };
        random.damage(&mut damaged);
        let options =
            OpenOptions { salvage: round % 3 == 0, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        match open_with(damaged, &options) {
            Ok(source) => {
                n_opened += 1;
                for partition in 0..source.plan().partitions.len() {
                    let Ok(mut stream) = source.read(partition, &Default::default()) else { continue };
                    let mut n_kept = 0;
                    loop {
                        match stream.next_batch() {
                            Ok(Some(batch)) => n_kept += batch.rows.num_rows() as u64,
                            Ok(None) => break,
                            Err(err) => {
                                assert!(err.locus().path.is_some(), "{err}");
                                n_kept += err.loss().unwrap().records[0].1;
                                n_damage += 1;
                            }
                        }
                    }
                    assert_eq!(stream.records_read()[0].1, n_kept);
                }
            }
            Err(err) => {
                assert!(err.locus().path.is_some(), "{err}");
                n_refused += 1;
            }
        }
    }
    assert!(n_opened > 100 && n_refused > 300 && n_damage > 10, "{n_opened} {n_refused} {n_damage}");
}
