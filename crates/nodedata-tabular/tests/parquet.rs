//! What Parquet files become: types, row groups of any size, what Hugging Face says of columns, damage.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    Array as _, ArrayRef, BinaryArray, Date32Array, FixedSizeBinaryArray, Int32Array, Int64Array,
    RecordBatch, StringArray, StructArray, TimestampSecondArray, UInt64Array,
    cast::AsArray as _,
    types::{Float16Type, Float32Type, Int32Type, Int64Type, UInt16Type},
};
use arrow_schema::{DataType, Field};
use nodedata_core::{
    Confidence, ErrorKind, Files, Format as _, Listing, OpenOptions, OptionValue, ReadOptions, Result,
    RowDeal, RowKey, Source, StreamKind,
};
use nodedata_io::{LocalFiles, MemoryFiles};
use nodedata_tabular::PARQUET;
use nodedata_testkit::corpus;
use nodedata_testkit::reading::read;
use parquet::{
    arrow::ArrowWriter,
    data_type::{Int96, Int96Type},
    file::{
        metadata::{
            ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
            RowGroupMetaDataBuilder,
        },
        properties::WriterProperties,
        statistics::Statistics,
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};

fn written(columns: Vec<(&str, ArrayRef)>, rows_per_group: usize) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

fn numbers(range: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(range))
}

fn open_files(files: MemoryFiles, options: &OpenOptions) -> Result<Box<dyn Source>> {
    PARQUET.open(Arc::new(files), options)
}

fn open(bytes: Vec<u8>) -> Result<Box<dyn Source>> {
    open_files(MemoryFiles::default().with("a.parquet", bytes), &OpenOptions::default())
}

fn told(source: &dyn Source) -> Vec<String> {
    let features = source.plan().streams[0].features.iter().skip(1);
    features.map(|it| format!("{} {}{}", it.name, it.told(), if it.nullable { "?" } else { "" })).collect()
}

fn ints(rows: &[RecordBatch], name: &str) -> Vec<i64> {
    let column =
        |it: &RecordBatch| it.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    rows.iter().flat_map(column).collect()
}

#[test]
fn a_row_group_of_any_size_is_read_by_rows() {
    let bytes = written(vec![("x", numbers(0..10_000))], 1 << 20);
    for partition_bytes in [1000, 40_000, u64::MAX] {
        let files = MemoryFiles::default().with("a.parquet", bytes.clone());
        let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
        let source = open_files(files, &options).unwrap();
        let plan = source.plan();
        assert_eq!(plan.streams[0].kind, StreamKind::Samples);
        assert!(plan.partitions.len() as u64 >= (40_000 / partition_bytes).max(1), "{partition_bytes}");
        let (rows, damage) = read(source.as_ref());
        assert!(damage.is_empty());
        assert_eq!(ints(&rows, "x"), (0..10_000).collect::<Vec<_>>());
        assert_eq!(ints(&rows, "step_index"), (0..10_000).collect::<Vec<_>>());
    }
}

#[test]
fn types_keep_what_they_mean() {
    let media = StructArray::from(vec![
        (
            Arc::new(Field::new("path", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![None, Some("b")])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("bytes", DataType::Binary, true)),
            Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x89PNG\r\n\x1a\n"), Some(b"x")])) as ArrayRef,
        ),
    ]);
    let bytes = written(
        vec![
            ("image", Arc::new(media)),
            ("day", Arc::new(Date32Array::from(vec![1, 2]))),
            ("code", Arc::new(FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].into_iter()).unwrap())),
            ("step_index", numbers(5..7)),
            ("image.path", numbers(0..2)),
        ],
        10,
    );
    let source = open(bytes).unwrap();
    let expected =
        ["image uint8, encoded", "day int32", "code bytes", "source.step_index int64", "image.path int64"];
    assert_eq!(told(source.as_ref()), expected);
    let logical =
        |idx: usize| source.plan().streams[0].features[idx].metadata.get("nodedata:logical").cloned();
    assert_eq!(
        (logical(2).as_deref(), logical(3).as_deref()),
        (Some("date32"), Some("fixed_size_binary[2]"))
    );
    let (rows, _) = read(source.as_ref());
    assert_eq!(rows[0].column_by_name("code").unwrap().as_binary::<i32>().value(1), b"cd");
    assert_eq!(rows[0].column_by_name("day").unwrap().as_primitive::<Int32Type>().values()[..], [1, 2]);
}

/// A file that is written column by column, as old writers did.
fn written_raw(message: &str, write: impl Fn(&mut SerializedFileWriter<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(message).unwrap());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Default::default()).unwrap();
    write(&mut writer);
    writer.close().unwrap();
    bytes
}

fn times_of_96_bits(days: &[u32]) -> Vec<u8> {
    let times: Vec<Int96> = days.iter().map(|day| Int96::from(vec![7, 0, *day])).collect();
    written_raw("message m { required int96 t; }", |writer| {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int96Type>().write_batch(&times, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    })
}

#[test]
fn times_that_64_bits_do_not_hold_are_errors_with_their_row() {
    let source = open(times_of_96_bits(&[2_440_588, 2_440_589])).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(ints(&rows, "t"), [7, 86_400_000_000_007]);
    // The year 9999, which wraps around into one that nothing shows to be wrong.
    let (_, damage) = read(open(times_of_96_bits(&[2_440_588, 5_373_484])).unwrap().as_ref());
    assert_eq!(damage[0].kind(), ErrorKind::Unsupported);
    assert_eq!(damage[0].locus().to_string(), "a.parquet, step 1, feature `t`");
    assert!(damage[0].to_string().contains("more nanoseconds than 64 bits hold"), "{}", damage[0]);

    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![1, 2, 253_402_300_799]));
    let stamps = RecordBatch::try_from_iter([("s", seconds)]).unwrap();
    assert_eq!(stamps.num_rows(), 3);
    let intervals = "message m { required fixed_len_byte_array(12) i (INTERVAL); required int64 x; }";
    let bytes = written_raw(intervals, |writer| {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values = [parquet::data_type::FixedLenByteArray::from(vec![0; 12])];
        column.typed::<parquet::data_type::FixedLenByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<parquet::data_type::Int64Type>().write_batch(&[5], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    });
    let err = open(bytes.clone()).err().unwrap();
    assert_eq!(
        (err.kind(), err.hint()),
        (ErrorKind::Unsupported, Some("take the other columns: `--topic x`"))
    );
    assert!(err.to_string().contains("column `i` has Arrow type Interval"), "{err}");
    let options = OpenOptions { topics: Some(vec!["x".to_owned()]), ..OpenOptions::default() };
    let source = open_files(MemoryFiles::default().with("a.parquet", bytes), &options).unwrap();
    assert_eq!(ints(&read(source.as_ref()).0, "x"), [5]);
}

#[test]
fn files_are_joined_where_no_value_changes() {
    let narrow =
        written(vec![("x", Arc::new(Int32Array::from(vec![1])) as ArrayRef), ("a", numbers(0..1))], 10);
    let wide = written(vec![("b", numbers(7..8)), ("x", numbers(1 << 40..(1 << 40) + 1))], 10);
    let files = MemoryFiles::default().with("1.parquet", narrow.clone()).with("2.parquet", wide);
    let source = open_files(files, &OpenOptions::default()).unwrap();
    assert_eq!(told(source.as_ref()), ["x int64", "a int64?", "b int64?"]);
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty());
    assert_eq!(ints(&rows, "x"), [1, 1 << 40]);
    assert_eq!((rows[0].column(3).null_count(), rows[1].column(2).null_count()), (1, 1));

    let text = written(vec![("x", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)], 10);
    let unsigned = written(vec![("x", Arc::new(UInt64Array::from(vec![1])) as ArrayRef)], 10);
    for other in [text, unsigned] {
        let files = MemoryFiles::default().with("1.parquet", narrow.clone()).with("2.parquet", other);
        let err = open_files(files, &OpenOptions::default()).err().unwrap();
        assert_eq!(
            (err.kind(), err.locus().to_string().as_str()),
            (ErrorKind::Unsupported, "2.parquet, feature `x`")
        );
    }
}

/// Names are in the footer, behind all bytes of rows.
#[test]
fn names_that_change_in_one_file_change_what_its_rows_are_proved_by() {
    let one = || written(vec![("left", numbers(0..3)), ("right", numbers(3..6))], 10);
    let swapped = written(vec![("right", numbers(0..3)), ("left", numbers(3..6))], 10);
    let recipes = |second: Vec<u8>| -> Vec<String> {
        let files = MemoryFiles::default().with("1.parquet", one()).with("2.parquet", second);
        let source = open_files(files, &OpenOptions::default()).unwrap();
        source.plan().partitions.iter().map(|it| it.recipe.clone()).collect()
    };
    let (before, after) = (recipes(one()), recipes(swapped));
    assert_eq!((before.len(), after.len()), (2, 2));
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
}

#[test]
fn media_that_are_only_named_are_refused_or_null() {
    let media = StructArray::from(vec![
        (
            Arc::new(Field::new("bytes", DataType::Binary, true)),
            Arc::new(BinaryArray::from_opt_vec(vec![Some(b"x"), None])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("path", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![None, Some("b.png")])) as ArrayRef,
        ),
    ]);
    let bytes = written(vec![("image", Arc::new(media) as ArrayRef)], 10);
    let (_, damage) = read(open(bytes.clone()).unwrap().as_ref());
    assert_eq!(damage[0].locus().to_string(), "a.parquet, step 1, feature `image`");
    assert!(damage[0].hint().unwrap().contains("source.references=null"));
    let mut options = OpenOptions::default();
    options.options.insert("references".to_owned(), OptionValue::Text("null".to_owned()));
    let source = open_files(MemoryFiles::default().with("a.parquet", bytes), &options).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty() && rows[0].column(1).is_null(1));
}

#[test]
fn counts_of_nulls_may_be_ignored() {
    let mut options = OpenOptions::default();
    options.options.insert("null_counts".to_owned(), OptionValue::Text("ignore".to_owned()));
    let field = Arc::new(Field::new("x", DataType::Int64, true));
    let schema = Arc::new(arrow_schema::Schema::new(vec![field]));
    let rows = RecordBatch::try_new(schema, vec![numbers(0..3)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    assert_eq!(told(open(bytes.clone()).unwrap().as_ref()), ["x int64"]);
    let source = open_files(MemoryFiles::default().with("a.parquet", bytes), &options).unwrap();
    assert_eq!(told(source.as_ref()), ["x int64?"]);
}

fn dealt(bytes: &[u8], key: RowKey, partition_bytes: u64) -> BTreeMap<String, Vec<i64>> {
    let fractions = vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)];
    let options =
        OpenOptions { deal: Some(RowDeal { fractions, key }), partition_bytes, ..OpenOptions::default() };
    let source = open_files(MemoryFiles::default().with("train.parquet", bytes.to_vec()), &options).unwrap();
    let plan = source.plan();
    let keys: Vec<&str> = plan.episodes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["train.parquet@train", "train.parquet@val"]);
    let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (idx, partition) in plan.partitions.iter().enumerate() {
        let split = plan.episodes[partition.episode].split.clone().unwrap();
        let mut stream = source.read(idx, &ReadOptions::default()).unwrap();
        let mut n_rows = 0;
        while let Some(batch) = stream.next_batch().unwrap() {
            assert_eq!(batch.spans.iter().map(|it| it.n_rows).sum::<u64>(), batch.rows.num_rows() as u64);
            n_rows += batch.rows.num_rows() as u64;
            found.entry(split.clone()).or_default().extend(ints(&[batch.rows], "x"));
        }
        assert_eq!(stream.records_read()[0].1, n_rows);
    }
    found
}

#[test]
fn rows_are_dealt_by_their_place_or_a_field() {
    let group: ArrayRef = Arc::new(Int64Array::from_iter_values((0..1000).map(|it| it / 10)));
    let bytes = written(vec![("x", numbers(0..1000)), ("group", group)], 300);
    let whole = dealt(&bytes, RowKey::Row, 2 << 20);
    let all: usize = whole.values().map(Vec::len).sum();
    assert_eq!(all, 1000);
    assert!((120..280).contains(&whole["val"].len()), "{}", whole["val"].len());
    assert_eq!(dealt(&bytes, RowKey::Row, 500), whole);
    // Rows that are added move none.
    let more = written(vec![("x", numbers(0..1500))], 300);
    for (split, rows) in dealt(&more, RowKey::Row, 500) {
        assert!(rows.starts_with(&whole[&split]), "{split}");
    }
    let by_group = dealt(&bytes, RowKey::Field("group".to_owned()), 500);
    assert_eq!(by_group.values().map(Vec::len).sum::<usize>(), 1000);
    assert!(by_group["val"].iter().all(|it| by_group["val"].contains(&(it / 10 * 10))));
    assert!(!by_group["val"].is_empty());

    let key = RowKey::Field("grou".to_owned());
    let deal = RowDeal { fractions: vec![("train".to_owned(), 1.0)], key };
    let options = OpenOptions { deal: Some(deal), ..OpenOptions::default() };
    let err = open_files(MemoryFiles::default().with("a.parquet", bytes), &options).err().unwrap();
    assert_eq!((err.kind(), err.hint()), (ErrorKind::Config, Some("did you mean `group`?")));
}

#[test]
fn names_of_files_tell_splits_and_datasets_of_others_are_left_alone() {
    let bytes = written(vec![("x", numbers(0..3))], 10);
    let files = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "val/0.parquet"];
    let files = files.iter().fold(MemoryFiles::default(), |all, it| all.with(it, bytes.clone()));
    let source = open_files(files, &OpenOptions::default()).unwrap();
    let splits: Vec<_> = source.plan().episodes.iter().map(|it| it.split.clone().unwrap()).collect();
    assert_eq!(splits, ["train", "train", "val"]);

    let detect = |names: &[&str]| {
        let files = names.iter().fold(MemoryFiles::default(), |all, it| all.with(it, bytes.clone()));
        PARQUET.detect(&Listing::new(&files).unwrap())
    };
    assert_eq!(detect(&["x.parquet"]).confidence, Confidence::Content);
    for foreign in [
        &["meta/info.json", "data/chunk-000/file-000.parquet"][..],
        &["1.0.0/features.json", "1.0.0/x-train.parquet-00000-of-00001"],
        &["out/manifest.json", "out/sample_index.json", "out/data/train-00000.parquet"],
    ] {
        assert_eq!(detect(foreign).confidence, Confidence::No, "{foreign:?}");
    }
    let both = detect(&["a/meta/info.json", "a/data/x.parquet", "b.parquet"]);
    assert_eq!((both.claims.len(), both.why.as_str()), (1, "`b.parquet` begins as Parquet files do"));
}

#[test]
fn damage_is_refused_with_its_file() {
    let bytes = written(vec![("x", numbers(0..1000))], 100);
    let n = bytes.len();
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("cut", bytes[..n / 2].to_vec()),
        ("cut by a byte", bytes[..n - 1].to_vec()),
        ("footer beyond the file", with(n - 8, &[0xff, 0xff, 0xff, 0x7f])),
        ("footer of no length", with(n - 8, &[0; 4])),
        ("empty", Vec::new()),
        ("encrypted", with(n - 4, b"PARE")),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n".to_vec()),
    ];
    for (what, bytes) in cases {
        let err = open(bytes.clone()).err().unwrap_or_else(|| panic!("{what} opens"));
        assert_eq!(err.locus().path.as_deref(), Some(std::path::Path::new("a.parquet")), "{what}");
        assert!(err.hint().is_some(), "{what}");
        let expected = match what {
            "encrypted" | "pointer" => ErrorKind::Unsupported,
            _ => ErrorKind::Corrupt,
        };
        assert_eq!(err.kind(), expected, "{what}: {err}");
        // One file that is damaged costs itself.
        let files = MemoryFiles::default()
            .with("a.parquet", bytes)
            .with("b.parquet", written(vec![("x", numbers(0..3))], 9));
        let salvaged = open_files(files, &OpenOptions { salvage: true, ..OpenOptions::default() });
        if expected == ErrorKind::Corrupt {
            let source = salvaged.unwrap();
            assert_eq!(source.plan().findings.len(), 1, "{what}");
            assert_eq!(ints(&read(source.as_ref()).0, "x"), [0, 1, 2], "{what}");
        } else {
            assert!(salvaged.is_err(), "{what}");
        }
    }
}

/// A file of one row group, of which its footer says what the change makes of it.
fn with_group(
    bytes: &[u8],
    change: impl FnOnce(RowGroupMetaDataBuilder, &RowGroupMetaData) -> RowGroupMetaDataBuilder,
) -> Vec<u8> {
    let told = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(bytes.to_vec())).unwrap();
    let group = &told.row_groups()[0];
    let group = change(group.clone().into_builder(), group).build().unwrap();
    let n_footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let mut changed = bytes[..bytes.len() - 8 - n_footer].to_vec();
    let told = ParquetMetaData::new(told.file_metadata().clone(), vec![group]);
    ParquetMetaDataWriter::new(&mut changed, &told).finish().unwrap();
    changed
}

/// A footer that counts other rows than there are.
fn with_rows(counted: i64) -> Vec<u8> {
    with_group(&written(vec![("x", numbers(0..9))], 100), |group, _| group.set_num_rows(counted))
}

#[test]
fn a_footer_that_counts_no_nulls_where_there_are_some_can_be_passed_over() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let bytes = with_group(&written(vec![("x", column)], 100), |group, was| {
        let statistics = Statistics::int64(Some(1), Some(3), None, Some(0), false);
        let chunk = was.column(0).clone().into_builder().set_statistics(statistics).build().unwrap();
        group.set_column_metadata(vec![chunk])
    });
    let source = open(bytes.clone()).unwrap();
    assert_eq!(told(source.as_ref()), ["x int64"]);
    let (_, damage) = read(source.as_ref());
    assert_eq!(
        (damage[0].kind(), damage[0].locus().to_string().as_str()),
        (ErrorKind::Corrupt, "a.parquet, step 1")
    );
    let expected = "feature `x` is null, but the footer of its file counts no nulls";
    assert!(damage[0].chain().starts_with(expected), "{}", damage[0].chain());
    assert!(damage[0].hint().unwrap().contains("--set source.null_counts=ignore"), "{:?}", damage[0].hint());
    let mut options = OpenOptions::default();
    options.options.insert("null_counts".to_owned(), OptionValue::Text("ignore".to_owned()));
    let source = open_files(MemoryFiles::default().with("a.parquet", bytes), &options).unwrap();
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    let column = rows[0].column_by_name("x").unwrap();
    assert_eq!((column.len(), column.null_count(), column.is_null(1)), (3, 1, true));
}

#[test]
fn a_footer_that_counts_wrongly_is_damage() {
    for counted in [1 << 60, i64::MAX, -1] {
        let err = open(with_rows(counted)).err().unwrap_or_else(|| panic!("{counted}"));
        assert_eq!(
            (err.kind(), err.locus().to_string().as_str()),
            (ErrorKind::Corrupt, "a.parquet"),
            "{counted}"
        );
    }
    let source = open(with_rows(20)).unwrap();
    let (rows, damage) = read(source.as_ref());
    let n_rows = rows.iter().map(RecordBatch::num_rows).sum::<usize>() as u64;
    assert_eq!((damage[0].kind(), damage[0].locus().path.is_some()), (ErrorKind::Corrupt, true));
    assert!(n_rows <= 9);
    assert_eq!(damage[0].loss().unwrap().records[0].1, 20 - n_rows);
    // Fewer are what the file says it has.
    let (rows, damage) = read(open(with_rows(4)).unwrap().as_ref());
    assert_eq!((ints(&rows, "x"), damage.len()), (vec![0, 1, 2, 3], 0));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a look at each column")]
fn the_corpus_of_hugging_face_equals_its_truth() {
    let Some(folder) = corpus::folder("episodes/hf_parquet") else { return };
    let Some(truth) = corpus::folder("episodes/truth/hf_parquet.json") else { return };
    let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
    let files = LocalFiles::folder(&folder).unwrap();
    assert_eq!(files.list().unwrap().len(), 2);
    let source = PARQUET.open(Arc::new(files), &OpenOptions::default()).unwrap();
    let plan = source.plan();
    assert!(plan.episodes.iter().all(|it| it.split.as_deref() == Some("train")));
    let feature = |name: &str| plan.streams[0].features.iter().find(|it| it.name == name).unwrap();
    for (name, expected) in [
        ("image", "uint8, encoded"),
        ("audio", "uint8, encoded"),
        ("video", "uint8, encoded"),
        ("frames", "uint8[-1], encoded"),
        ("pose", "float32[4, 4]"),
        ("depth", "uint16[1, 8, 8]"),
        ("var2d", "float32[-1, 3]"),
        ("label", "int64"),
        ("state", "float32[7]"),
        ("turns.role", "string[-1]"),
        ("turns.content", "string[-1]"),
        ("meta.n", "int64"),
        ("when", "int64"),
        ("blob", "bytes"),
        ("half", "float16"),
        ("maybe", "int32"),
        ("json", "string"),
    ] {
        assert_eq!(feature(name).told(), expected, "{name}");
    }
    assert_eq!(feature("label").metadata["nodedata:constants"], "idle=0,reach=1,grasp=2");
    assert_eq!(feature("when").metadata["nodedata:logical"], "timestamp[us, tz=UTC]");
    assert_eq!(feature("json").metadata["nodedata:encoding"], "json");

    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, truth["rows"].as_u64().unwrap());
    let last = rows.last().unwrap();
    for (rows, row, truth) in [(&rows[0], 0, &truth["first"]), (last, last.num_rows() - 1, &truth["last"])] {
        let column = |name: &str| rows.column_by_name(name).unwrap();
        let floats = |array: &ArrayRef| -> Vec<f64> {
            array.as_primitive::<Float32Type>().values().iter().map(|it| f64::from(*it)).collect()
        };
        let flat = |truth: &serde_json::Value| -> Vec<f64> {
            fn walk(value: &serde_json::Value, into: &mut Vec<f64>) {
                match value {
                    serde_json::Value::Array(items) => items.iter().for_each(|it| walk(it, into)),
                    other => into.push(other.as_f64().unwrap()),
                }
            }
            let mut all = Vec::new();
            walk(truth, &mut all);
            all
        };
        assert_eq!(column("label").as_primitive::<Int64Type>().value(row), truth["label"].as_i64().unwrap());
        assert_eq!(floats(&column("state").as_fixed_size_list().value(row)), flat(&truth["state"]));
        let pose = column("pose").as_fixed_size_list().value(row);
        assert_eq!(floats(pose.as_fixed_size_list().values()), flat(&truth["pose"]));
        let var2d = column("var2d").as_list::<i32>().value(row);
        assert_eq!(floats(var2d.as_fixed_size_list().values()), flat(&truth["var2d"]));
        let depth = column("depth").as_fixed_size_list().value(row);
        let depth = depth.as_fixed_size_list().value(0);
        let depth = depth.as_fixed_size_list().values().as_primitive::<UInt16Type>().values().to_vec();
        assert_eq!(depth.into_iter().map(f64::from).collect::<Vec<_>>(), flat(&truth["depth"]));
        let text = |name: &str| {
            let texts = column(name).as_list::<i32>().value(row);
            texts.as_string::<i32>().iter().map(|it| it.unwrap().to_owned()).collect::<Vec<_>>()
        };
        let turns = truth["turns"].as_array().unwrap();
        let told =
            |key: &str| turns.iter().map(|it| it[key].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!((text("turns.role"), text("turns.content")), (told("role"), told("content")));
        assert_eq!(
            column("meta.n").as_primitive::<Int64Type>().value(row),
            truth["meta"]["n"].as_i64().unwrap()
        );
        assert_eq!(
            column("meta.robot").as_string::<i32>().value(row),
            truth["meta"]["robot"].as_str().unwrap()
        );
        assert_eq!(column("meta.ok").as_boolean().value(row), truth["meta"]["ok"].as_bool().unwrap());
        assert_eq!(
            column("maybe").as_primitive::<Int32Type>().value(row),
            truth["maybe"].as_i64().unwrap() as i32
        );
        let half = column("half").as_primitive::<Float16Type>().value(row);
        assert_eq!(half.to_f64(), truth["half"].as_f64().unwrap());
        let blob = column("blob").as_binary::<i32>().value(row);
        assert_eq!(blob.len() as u64, truth["blob"]["len"].as_u64().unwrap());
        let json: serde_json::Value =
            serde_json::from_str(column("json").as_string::<i32>().value(row)).unwrap();
        assert_eq!(json, truth["json"]);
        let of_medium =
            |name: &str| column(name).as_struct().column(0).as_binary::<i32>().value(row).to_vec();
        assert!(of_medium("image").starts_with(b"\x89PNG"));
        assert!(!of_medium("audio").is_empty() && !of_medium("video").is_empty());
        assert_eq!(
            column("frames").as_list::<i32>().value(row).len(),
            truth["frames"].as_array().unwrap().len()
        );
    }
    // 2026-01-02T03:04:05.000006Z, and four seconds later.
    let when = ints(&rows, "when");
    assert_eq!((when[0], when[4]), (1_767_323_045_000_006_000, 1_767_323_049_000_006_000));
}
