//! What other writers put into Parquet files: checksums, keys, Arrow's own types, structs of other members.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow_array::{
    Array as _, ArrayRef, Int64Array, RecordBatch, StructArray, cast::AsArray as _, types::Int64Type,
};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use nodedata_core::{
    Error, ErrorKind, Files, Format as _, OpenOptions, OptionValue, ReadAt, ReadOptions, Result, Source,
};
use nodedata_io::MemoryFiles;
use nodedata_tabular::PARQUET;
use nodedata_testkit::{
    corpus,
    reading::{CountedFiles, read},
};
use parquet::{
    arrow::ArrowWriter,
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(corpus::fixtures("parquet").join(name)).unwrap()
}

fn open(files: &[(&str, Vec<u8>)], options: &OpenOptions) -> Result<Box<dyn Source>> {
    let files = files.iter().fold(MemoryFiles::default(), |all, (name, bytes)| all.with(name, bytes.clone()));
    PARQUET.open(Arc::new(files), options)
}

fn of_topics(topics: &[&str]) -> OpenOptions {
    OpenOptions { topics: Some(topics.iter().map(|it| (*it).to_owned()).collect()), ..OpenOptions::default() }
}

fn told(source: &dyn Source) -> Vec<String> {
    let features = source.plan().streams[0].features.iter().skip(1);
    let told = features.map(|it| {
        let meaning = it.metadata.get("nodedata:logical").map(|it| format!(" {it}")).unwrap_or_default();
        format!("{} {}{}{meaning}", it.name, it.told(), if it.nullable { "?" } else { "" })
    });
    told.collect()
}

fn ints(rows: &[RecordBatch], name: &str) -> Vec<Option<i64>> {
    let column = |it: &RecordBatch| {
        it.column_by_name(name).unwrap().as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
    };
    rows.iter().flat_map(column).collect()
}

fn written(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

fn numbers(range: Range<i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(range))
}

fn structs(members: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let field = |(name, array): (&str, ArrayRef)| {
        (Arc::new(Field::new(name, array.data_type().clone(), true)), array)
    };
    Arc::new(StructArray::from(members.into_iter().map(field).collect::<Vec<_>>()))
}

/// One bit of a value, which nothing but the checksum of its page shows to be another.
#[test]
fn a_page_whose_checksum_is_another_is_damage_with_its_place() {
    // The chunk of `n` in the second row group; its last bytes are values.
    for (name, chunk) in
        [("checksums-1.parquet", 1927..1927 + 879), ("checksums-2.parquet", 1931..1931 + 881)]
    {
        let mut bytes = fixture(name);
        let options = OpenOptions { partition_bytes: 2100, ..OpenOptions::default() };
        let source = open(&[("a.parquet", bytes.clone())], &options).unwrap();
        assert_eq!(source.plan().partitions.len(), 3, "{name}");
        let (rows, damage) = read(source.as_ref());
        assert!(damage.is_empty(), "{name}: {damage:?}");
        assert_eq!(ints(&rows, "n"), (0..300).map(Some).collect::<Vec<_>>());

        bytes[chunk.end - 100] ^= 1;
        let unverified = OpenOptions { verify_checksums: false, ..options.clone() };
        let (rows, damage) = read(open(&[("a.parquet", bytes.clone())], &unverified).unwrap().as_ref());
        assert!(damage.is_empty(), "{name}: {damage:?}");
        let differ = ints(&rows, "n").into_iter().zip(0..300).filter(|(found, it)| *found != Some(*it));
        assert_eq!(differ.count(), 1, "{name}");

        let source = open(&[("a.parquet", bytes)], &options).unwrap();
        let (rows, damage) = read(source.as_ref());
        let [err] = damage.as_slice() else { panic!("{name}: {damage:?}") };
        let (at, told) = (err.locus(), err.to_string());
        assert_eq!((err.kind(), at.feature.as_deref()), (ErrorKind::Corrupt, Some("n")), "{name}");
        assert_eq!(at.path.as_deref(), Some(Path::new("a.parquet")));
        let chunk = chunk.start as u64..chunk.end as u64;
        assert!(at.byte_offset.is_some_and(|it| chunk.contains(&it)), "{name}: {at}");
        assert!(told.contains("row group 1") && told.contains("checksum"), "{name}: {told}");
        assert_eq!(err.loss().unwrap().records.iter().map(|it| it.1).sum::<u64>(), 100);
        assert_eq!(ints(&rows, "n"), (0..100).chain(200..300).map(Some).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_encrypted_is_named_and_the_rest_is_read() {
    for salvage in [false, true] {
        let options = OpenOptions { salvage, ..OpenOptions::default() };
        let err = open(&[("a.parquet", fixture("encrypted-footer.parquet"))], &options).err().unwrap();
        assert_eq!(
            (err.kind(), err.to_string().as_str()),
            (ErrorKind::Unsupported, "the Parquet file is encrypted, and this build has no keys")
        );
        assert!(err.hint().unwrap().contains("decrypt"), "{:?}", err.hint());

        let column = fixture("encrypted-column.parquet");
        let err = open(&[("a.parquet", column.clone())], &options).err().unwrap();
        assert_eq!(err.kind(), ErrorKind::Unsupported);
        assert_eq!(err.locus().to_string(), "a.parquet, feature `secret`");
        assert_eq!(err.to_string(), "column `secret` is encrypted, and this build has no keys");
        assert_eq!(err.hint(), Some("take the other columns: `--topic open`"));

        let options = OpenOptions { salvage, ..of_topics(&["open"]) };
        let (rows, damage) = read(open(&[("a.parquet", column)], &options).unwrap().as_ref());
        assert!(damage.is_empty(), "{damage:?}");
        assert_eq!(ints(&rows, "open"), (0..5).map(Some).collect::<Vec<_>>());
    }
}

#[test]
fn spans_and_zones_are_those_that_arrow_has_beside_parquet() {
    let arrow = fixture("arrow-types.parquet");
    let source = open(&[("a.parquet", arrow.clone())], &OpenOptions::default()).unwrap();
    let expected = [
        "span int64? duration[ms]",
        "spans int64[-1]? duration[us]",
        "moment int64? timestamp[us, tz=Europe/Zurich]",
        "inside.span int64 duration[s]",
        "large string?",
    ];
    assert_eq!(told(source.as_ref()), expected);
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(ints(&rows, "span"), [Some(1_500_000_000), None, Some(-2_000_000_000)]);
    assert_eq!(ints(&rows, "inside.span"), [Some(0), Some(1_000_000_000), Some(2_000_000_000)]);
    let spans = rows[0].column_by_name("spans").unwrap().as_list::<i32>();
    assert_eq!(spans.value(0).as_primitive::<Int64Type>().values()[..], [1_500_000_000, -2_000_000_000]);
    assert_eq!((spans.value(1).len(), spans.is_null(2)), (0, true));

    let plain = fixture("no-arrow-types.parquet");
    let source = open(&[("a.parquet", plain.clone())], &OpenOptions::default()).unwrap();
    let expected = [
        "span int64?",
        "spans int64[-1]?",
        "moment int64? timestamp[us, tz=UTC]",
        "inside.span int64",
        "large string?",
    ];
    assert_eq!(told(source.as_ref()), expected);
    assert_eq!(ints(&read(source.as_ref()).0, "span"), [Some(1500), None, Some(-2000)]);

    // Numbers that are spans in one file and anything in the other are not joined; moments are moments in any zone.
    let files = [("a.parquet", arrow), ("b.parquet", plain)];
    let err = open(&files, &OpenOptions::default()).err().unwrap();
    assert_eq!((err.kind(), err.locus().feature.as_deref()), (ErrorKind::Unsupported, Some("span")));
    assert_eq!(err.to_string(), "column `span` holds int64 here and int64 (duration[ms]) in other files");
}

/// What Arrow says is text of a writer's own: where it is damaged, Parquet's types hold.
#[test]
fn damage_in_what_arrow_says_costs_nothing() {
    let bytes = fixture("arrow-types.parquet");
    let key = b"ARROW:schema";
    let at = bytes.windows(key.len()).position(|it| it == key).unwrap() + key.len();
    for places in [at + 5..at + 6, at + 40..at + 44, at + 100..at + 400] {
        let mut bytes = bytes.clone();
        bytes[places].fill(b'A');
        let source = open(&[("a.parquet", bytes)], &OpenOptions::default()).unwrap();
        let (rows, damage) = read(source.as_ref());
        assert!(damage.is_empty(), "{damage:?}");
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    }
}

#[test]
fn members_that_a_file_lacks_are_null_there() {
    let narrow = written(vec![("s", structs(vec![("a", numbers(0..2))])), ("x", numbers(5..7))]);
    let wide = written(vec![
        ("s", structs(vec![("b", numbers(10..12)), ("a", numbers(2..4))])),
        ("x", structs(vec![("y", numbers(8..10))])),
    ]);
    for files in [["1.parquet", "2.parquet"], ["2.parquet", "1.parquet"]] {
        let files = [(files[0], narrow.clone()), (files[1], wide.clone())];
        let source = open(&files, &OpenOptions::default()).unwrap();
        let mut features = told(source.as_ref());
        features.sort_unstable();
        assert_eq!(features, ["s.a int64", "s.b int64?", "x int64?", "x.y int64?"]);
        let (mut rows, damage) = read(source.as_ref());
        assert!(damage.is_empty(), "{damage:?}");
        // The narrow one first.
        rows.sort_by_key(|it| ints(std::slice::from_ref(it), "s.a"));
        let column = |name: &str| ints(&rows, name);
        assert_eq!(column("s.a"), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(column("s.b"), [None, None, Some(10), Some(11)]);
        assert_eq!(column("x"), [Some(5), Some(6), None, None]);
        assert_eq!(column("x.y"), [None, None, Some(8), Some(9)]);
    }
}

#[test]
fn media_in_structs_are_read() {
    let bytes: ArrayRef = Arc::new(arrow_array::BinaryArray::from_iter_values([b"one", b"two"]));
    let path: ArrayRef = Arc::new(arrow_array::StringArray::from(vec![Some("1.png"), None]));
    let image = structs(vec![("bytes", bytes), ("path", path)]);
    let file = written(vec![("turn", structs(vec![("n", numbers(0..2)), ("image", image)]))]);
    let source = open(&[("a.parquet", file.clone())], &OpenOptions::default()).unwrap();
    assert_eq!(told(source.as_ref()), ["turn.n int64", "turn.image uint8, encoded"]);
    let (rows, damage) = read(source.as_ref());
    assert!(damage.is_empty(), "{damage:?}");
    let media = rows[0].column_by_name("turn.image").unwrap().as_struct();
    assert_eq!((media.column(0).as_binary::<i32>().value(1), media.null_count()), (b"two".as_slice(), 0));
    assert_eq!(media.column(1).as_string::<i32>().value(0), "1.png");

    // As what they are made of, where that is asked for.
    let mut options = OpenOptions::default();
    options.options.insert("references".to_owned(), OptionValue::Text("path".to_owned()));
    let source = open(&[("a.parquet", file)], &options).unwrap();
    assert_eq!(told(source.as_ref()), ["turn.n int64", "turn.image.bytes bytes", "turn.image.path string?"]);
    let (rows, _) = read(source.as_ref());
    let names = rows[0].column_by_name("turn.image.path").unwrap().as_string::<i32>();
    assert_eq!((names.value(0), names.is_null(1)), ("1.png", true));
    assert_eq!(rows[0].column_by_name("turn.image.bytes").unwrap().data_type(), &DataType::Binary);
}

/// The lists of a column, in the order of rows.
fn lists(rows: &[RecordBatch], name: &str) -> Vec<String> {
    let column = |it: &RecordBatch| {
        let array = Arc::clone(it.column_by_name(name).unwrap());
        (0..array.len()).map(|row| nodedata_arrow::cell(&array, row).to_string()).collect::<Vec<_>>()
    };
    rows.iter().flat_map(column).collect()
}

/// Rows of one part.
fn part(source: &dyn Source, partition: usize) -> Vec<RecordBatch> {
    let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
    let mut rows = Vec::new();
    while let Some(batch) = stream.next_batch().unwrap() {
        rows.push(batch.rows);
    }
    rows
}

/// Where no index tells where pages of lists begin, looking at them does; and where they begin in the middle of rows, all in front are
/// read. Either way rows are the same, in whatever order parts are read.
#[test]
fn lists_of_a_large_row_group_are_read_in_parts() {
    for (name, length) in [("lists-7", 7), ("lists-8", 8), ("lists-cut", 7)] {
        let file = fixture(&format!("{name}.parquet"));
        let options = OpenOptions { partition_bytes: 5000, ..OpenOptions::default() };
        let source = open(&[("a.parquet", file)], &options).unwrap();
        let n_parts = source.plan().partitions.len();
        assert!(10 < n_parts, "{n_parts}");
        let mut rows: Vec<RecordBatch> =
            (0..n_parts).rev().flat_map(|it| part(source.as_ref(), it)).collect();
        rows.sort_by_key(|it| ints(std::slice::from_ref(it), "n")[0]);
        assert_eq!(ints(&rows, "n"), (0..1000).map(Some).collect::<Vec<_>>());
        let expected = |row: i64| {
            let items: Vec<String> = (row * length..(row + 1) * length).map(|it| it.to_string()).collect();
            format!("[{}]", items.join(","))
        };
        assert_eq!(lists(&rows, "v"), (0..1000).map(expected).collect::<Vec<_>>(), "{name}");
    }
}

/// Pages in front of a part are passed over once it is known where they begin; where that is in the middle of rows, they are not.
#[test]
fn pages_of_lists_that_begin_with_rows_are_passed_over() {
    for (name, is_cut) in [("lists-7", false), ("lists-8", false), ("lists-cut", true)] {
        let file = fixture(&format!("{name}.parquet"));
        let n_bytes = file.len() as u64;
        let n_read = Arc::default();
        let files: Arc<dyn Files> = Arc::new(MemoryFiles::default().with("a.parquet", file));
        let files = Arc::new(CountedFiles::new(files, &n_read));
        let options = OpenOptions { partition_bytes: 5000, ..of_topics(&["v"]) };
        let source = PARQUET.open(files, &options).unwrap();
        // Whoever comes first looks at all of them.
        assert!(!part(source.as_ref(), 1).is_empty());
        let before = n_read.load(Ordering::Relaxed);
        let last = source.plan().partitions.len() - 2;
        let rows = part(source.as_ref(), last);
        let n_part = n_read.load(Ordering::Relaxed) - before;
        assert!(!rows.is_empty());
        assert_eq!(n_bytes / 4 < n_part, is_cut, "{name}: {n_part} of {n_bytes} bytes");
    }
}

/// Lists in lists, null and empty at every level, in pages that no index tells of.
#[test]
fn nested_lists_without_an_index_are_those_of_the_whole() {
    use arrow_array::builder::{Int64Builder, ListBuilder};

    let mut builder = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
    for row in 0..3000i64 {
        for list in 0..row % 4 {
            for item in 0..(row + list) % 5 {
                builder.values().values().append_option((item != 2).then_some(row * 10 + item));
            }
            builder.values().append((row + list) % 7 != 0);
        }
        builder.append(row % 11 != 0);
    }
    let nested: ArrayRef = Arc::new(builder.finish());
    let rows = RecordBatch::try_from_iter([("n", numbers(0..3000)), ("v", nested)]).unwrap();
    for (has_dictionary, version) in [
        (true, WriterVersion::PARQUET_1_0),
        (false, WriterVersion::PARQUET_1_0),
        (false, WriterVersion::PARQUET_2_0),
    ] {
        let properties = WriterProperties::builder()
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_write_batch_size(64)
            .set_data_page_size_limit(400)
            .set_dictionary_enabled(has_dictionary)
            .set_writer_version(version)
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let read_in = |partition_bytes| {
            let options = OpenOptions { partition_bytes, ..OpenOptions::default() };
            let source = open(&[("a.parquet", bytes.clone())], &options).unwrap();
            let n_parts = source.plan().partitions.len();
            let (rows, damage) = read(source.as_ref());
            assert!(damage.is_empty(), "{damage:?}");
            (n_parts, ints(&rows, "n"), lists(&rows, "v"))
        };
        let (whole, parts) = (read_in(u64::MAX), read_in(1000));
        assert_eq!((whole.0, whole.1.len()), (1, 3000));
        assert!(5 < parts.0, "{} parts", parts.0);
        assert_eq!((&whole.1, &whole.2), (&parts.1, &parts.2));
    }
}

/// Files that count how many of them are held open, and fail to be read from some read on.
struct Counted {
    files: MemoryFiles,
    n_open: Arc<AtomicUsize>,
    reads_left: Arc<AtomicUsize>,
}

struct CountedFile {
    file: Arc<dyn ReadAt>,
    n_open: Arc<AtomicUsize>,
    reads_left: Arc<AtomicUsize>,
}

impl Files for Counted {
    fn list(&self) -> Result<Vec<PathBuf>> {
        self.files.list()
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn ReadAt>> {
        self.n_open.fetch_add(1, Ordering::Relaxed);
        let (n_open, reads_left) = (Arc::clone(&self.n_open), Arc::clone(&self.reads_left));
        Ok(Arc::new(CountedFile { file: self.files.open(path)?, n_open, reads_left }))
    }
}

impl Drop for CountedFile {
    fn drop(&mut self) {
        self.n_open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ReadAt for CountedFile {
    fn n_bytes(&self) -> u64 {
        self.file.n_bytes()
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let left = self.reads_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1));
        left.map_err(|_| Error::new(ErrorKind::Io, "the disk is gone"))?;
        self.file.read_at(range)
    }
}

fn counted(n_files: usize) -> (Arc<AtomicUsize>, Arc<AtomicUsize>, Box<dyn Source>) {
    let (n_open, reads_left) = (Arc::default(), Arc::new(AtomicUsize::new(usize::MAX)));
    let files = (0..n_files).fold(MemoryFiles::default(), |all, it| {
        all.with(format!("{it}.parquet"), written(vec![("x", numbers(0..1000))]))
    });
    let files = Counted { files, n_open: Arc::clone(&n_open), reads_left: Arc::clone(&reads_left) };
    let options = OpenOptions { partition_bytes: 4000, ..OpenOptions::default() };
    (n_open, reads_left, PARQUET.open(Arc::new(files), &options).unwrap())
}

/// What is read no more is not held, so that the disk has its room and nobody runs out of files.
#[test]
fn a_file_is_let_go_when_its_last_part_was_read() {
    let (n_open, _, source) = counted(3);
    assert_eq!(n_open.load(Ordering::Relaxed), 0);
    let n_parts = source.plan().partitions.len();
    assert!(6 <= n_parts, "{n_parts}");
    for partition in 0..n_parts {
        let mut stream = source.read(partition, &ReadOptions::default()).unwrap();
        while stream.next_batch().unwrap().is_some() {}
        drop(stream);
        let is_last = source
            .plan()
            .partitions
            .get(partition + 1)
            .is_none_or(|next| next.reads[0].input != source.plan().partitions[partition].reads[0].input);
        assert_eq!(n_open.load(Ordering::Relaxed), usize::from(!is_last), "after part {partition}");
    }
}

/// A disk or a network that fails is no damage of the file: trying again may help.
#[test]
fn a_file_that_cannot_be_read_now_is_not_damaged() {
    let (_, reads_left, source) = counted(1);
    // The footer is read again, and then a page or two.
    for n_reads in 0..12 {
        reads_left.store(n_reads, Ordering::Relaxed);
        let failed = match source.read(0, &ReadOptions::default()) {
            Ok(mut stream) => stream.next_batch().map(drop),
            Err(err) => Err(err),
        };
        if let Err(err) = failed {
            assert_eq!(err.kind(), ErrorKind::Io, "after {n_reads} reads: {}", err.chain());
        }
    }
    reads_left.store(usize::MAX, Ordering::Relaxed);
    assert_eq!(ints(&read(source.as_ref()).0, "x").len(), 1000);
}
