//! Media that rows of tables name, in the place of their names.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::sync::{Arc, atomic::Ordering};

use arrow_array::{
    Array as _, ArrayRef, BinaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    cast::AsArray as _, types::Int64Type,
};
use arrow_buffer::OffsetBuffer;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field};
use nodedata_core::{ErrorKind, Files, Format, OpenOptions, RowDeal, RowKey, Source, Storage};
use nodedata_io::LocalFiles;
use nodedata_tabular::{ARROW, CSV, PARQUET};
use nodedata_testkit::{
    beside::{Beside, embedding, pictures, png, with},
    reading::{CountedFiles, read},
};
use parquet::arrow::ArrowWriter;

fn beside(table: &'static str, bytes: Vec<u8>) -> Arc<dyn Files> {
    let all = pictures().with(table, bytes).with("large.png", vec![9; 3000]);
    let (_, extension) = table.rsplit_once('.').unwrap();
    Arc::new(Beside(all, extension))
}

/// Rows with a number, a text of names, and a medium of Hugging Face's that has bytes or a name.
fn table(names: &[Option<&str>], photos: &[(Option<&[u8]>, Option<&str>)]) -> RecordBatch {
    let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_opt_vec(photos.iter().map(|it| it.0).collect()));
    let path: ArrayRef = Arc::new(StringArray::from(photos.iter().map(|it| it.1).collect::<Vec<_>>()));
    let photo: ArrayRef = Arc::new(StructArray::from(vec![
        (field("bytes", DataType::Binary), bytes),
        (field("path", DataType::Utf8), path),
    ]));
    let image: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
    // Each row has its own name twice, in a list.
    let twice = StringArray::from(names.iter().flat_map(|it| [*it, *it]).collect::<Vec<_>>());
    let offsets = OffsetBuffer::from_lengths(names.iter().map(|_| 2));
    let views: ArrayRef =
        Arc::new(ListArray::new(field("item", DataType::Utf8), offsets, Arc::new(twice), None));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..names.len() as i64));
    RecordBatch::try_from_iter([("n", n), ("image", image), ("views", views), ("photo", photo)]).unwrap()
}

fn parquet(rows: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    bytes
}

fn arrow(rows: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new(&mut bytes, &rows.schema()).unwrap();
    writer.write(rows).unwrap();
    writer.finish().unwrap();
    drop(writer);
    bytes
}

type Write = fn(&RecordBatch) -> Vec<u8>;

/// The formats of columns, how each writes a table, and what the file is called.
fn columnar() -> [(&'static dyn Format, Write, &'static str); 2] {
    [(&PARQUET, parquet, "set/rows.parquet"), (&ARROW, arrow, "set/rows.arrow")]
}

type Medium = (Option<Vec<u8>>, Option<String>);

/// Bytes and path of media, below lists.
fn media(column: &ArrayRef) -> Vec<Medium> {
    let all: &StructArray = match column.as_list_opt::<i32>() {
        Some(list) => return media(list.values()),
        None => column.as_struct(),
    };
    let (bytes, path) = (all.column(0).as_binary::<i32>(), all.column(1).as_string::<i32>());
    let one = |row: usize| {
        let is_there = all.is_valid(row);
        let bytes = (is_there && bytes.is_valid(row)).then(|| bytes.value(row).to_vec());
        (bytes, (is_there && path.is_valid(row)).then(|| path.value(row).to_owned()))
    };
    (0..all.len()).map(one).collect()
}

fn of(rows: &[RecordBatch], name: &str) -> Vec<Medium> {
    rows.iter().flat_map(|it| media(it.column_by_name(name).unwrap())).collect()
}

fn ints(rows: &[RecordBatch], name: &str) -> Vec<i64> {
    let column =
        |it: &RecordBatch| it.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    rows.iter().flat_map(column).collect()
}

fn named(width: u8, path: &str) -> Medium {
    (Some(png(width)), Some(path.to_owned()))
}

fn inputs(source: &dyn Source) -> Vec<String> {
    source.plan().inputs.iter().map(|it| it.path.display().to_string()).collect()
}

#[test]
fn files_take_the_place_of_their_names() {
    let photos: [(Option<&[u8]>, Option<&str>); 3] =
        [(None, Some("../c.png")), (Some(b"inside"), Some("kept.png")), (None, None)];
    let rows = table(&[Some("a.png"), None, Some("./deep/../deep/b.png")], &photos);
    for (format, write, path) in columnar() {
        let options = embedding(&["image", "views", "photo"]);
        let source = format.open(beside(path, write(&rows)), &options).unwrap();
        let plan = source.plan();
        let feature = |name: &str| plan.streams[0].features.iter().find(|it| it.name == name).unwrap();
        for (name, n_lists) in [("image", 0), ("views", 1), ("photo", 0)] {
            let it = feature(name);
            assert_eq!(
                (it.storage, it.nullable, it.lists.len()),
                (Storage::EncodedMedia, true, n_lists),
                "{name}"
            );
        }
        // All of each file decides the rows.
        assert_eq!(inputs(source.as_ref()), [path, "c.png", "set/a.png", "set/deep/b.png"]);
        let reads = &plan.partitions[0].reads;
        assert_eq!(reads.len(), 4);
        assert!(reads[1..].iter().all(|it| it.byte_range == (0..u64::MAX)), "{reads:?}");
        assert!(7 * png(1).len() as u64 <= plan.partitions[0].decoded_bytes);

        let (found, damage) = read(source.as_ref());
        assert!(damage.is_empty(), "{damage:?}");
        let (first, last) = (named(1, "a.png"), named(2, "./deep/../deep/b.png"));
        assert_eq!(of(&found, "image"), [first.clone(), (None, None), last.clone()]);
        let none = (None, None);
        assert_eq!(
            of(&found, "views"),
            [first.clone(), first, none.clone(), none.clone(), last.clone(), last]
        );
        let kept = (Some(b"inside".to_vec()), Some("kept.png".to_owned()));
        assert_eq!(of(&found, "photo"), [named(3, "../c.png"), kept, none]);

        // Without, text stays text, and what has a name alone is refused.
        let source = format.open(beside(path, write(&rows)), &OpenOptions::default()).unwrap();
        assert_eq!(source.plan().inputs.len(), 1);
        let (_, damage) = read(source.as_ref());
        let hint = damage[0].hint().unwrap();
        assert!(hint.contains("--embed COLUMN=path") && hint.contains("source.references=null"), "{hint}");
    }
}

/// A name that may not be followed costs its row, and no other.
#[test]
fn names_that_lead_nowhere_cost_their_rows() {
    let names =
        ["a.png", "gone.png", "../../etc/passwd", "/etc/passwd", "https://host/a.png", "", "deep", "a.png"];
    let rows = table(&names.map(Some), &names.map(|_| (Some(b"x".as_slice()), None)));
    for (format, write, path) in columnar() {
        let source = format.open(beside(path, write(&rows)), &embedding(&["image"])).unwrap();
        assert_eq!(inputs(source.as_ref()), [path, "set/a.png"]);
        assert!(source.plan().partitions[0].recipe.contains("gone.png"), "{:?}", source.plan().partitions);
        let (found, damage) = read(source.as_ref());
        assert_eq!(ints(&found, "n"), [0, 7], "{path}");
        let told: Vec<(Option<u64>, ErrorKind)> =
            damage.iter().map(|it| (it.locus().step_idx, it.kind())).collect();
        let (corrupt, unsupported) = (ErrorKind::Corrupt, ErrorKind::Unsupported);
        let kinds = [corrupt, unsupported, unsupported, unsupported, unsupported, corrupt];
        let expected: Vec<_> = (1..7).map(Some).zip(kinds).collect();
        assert_eq!(told, expected, "{damage:?}");
        assert!(damage.iter().all(|it| it.locus().feature.as_deref() == Some("image")), "{damage:?}");
        assert!(damage.iter().all(|it| it.loss().unwrap().records.iter().all(|it| it.1 == 1)), "{damage:?}");

        let nulls = with(embedding(&["image"]), "missing", "null");
        let source = format.open(beside(path, write(&rows)), &nulls).unwrap();
        let warnings = source.plan().findings.iter().filter(|it| it.reason == "missing_media");
        assert!(warnings.clone().any(|it| it.message.contains("gone.png")), "{:?}", source.plan().findings);
        let found = read(source.as_ref()).0;
        assert_eq!(ints(&found, "n")[..2], [0, 1]);
        assert_eq!(of(&found, "image")[1], (None, None));
    }
}

/// What is named beside and behind a row that is lost is not read again for each such row.
#[test]
fn lost_rows_do_not_cost_the_others_again() {
    const ROWS: usize = 400;
    let photos: Vec<(Option<&[u8]>, Option<&str>)> =
        (0..ROWS).map(|row| (None, Some(if row % 10 == 5 { "gone.png" } else { "a.png" }))).collect();
    let rows = table(&[Some("../large.png"); ROWS], &photos);
    for (format, write, path) in columnar() {
        let n_read = Arc::default();
        let files = Arc::new(CountedFiles::new(beside(path, write(&rows)), &n_read));
        let source = format.open(files, &embedding(&["image", "photo"])).unwrap();
        let before = n_read.load(Ordering::Relaxed);
        let (found, damage) = read(source.as_ref());
        assert_eq!((ints(&found, "n").len(), damage.len()), (360, 40), "{path}");
        let n_bytes = n_read.load(Ordering::Relaxed) - before;
        assert!(n_bytes < 5 * 3000 * ROWS as u64, "{path}: {n_bytes} bytes");
    }
}

#[test]
fn text_tables_embed_as_others_do() {
    let text = "n,image\n0,a.png\n1,gone.png\n2,\n3,../../etc/passwd\n4,deep/b.png\n5,../large.png\n";
    let open = |options: &OpenOptions| CSV.open(beside("set/rows.csv", text.into()), options);
    let source = open(&embedding(&["image"])).unwrap();
    let feature = &source.plan().streams[0].features[2];
    assert_eq!((feature.storage, feature.nullable), (Storage::EncodedMedia, true));
    assert_eq!(inputs(source.as_ref()), ["set/rows.csv", "large.png", "set/a.png", "set/deep/b.png"]);
    let partition = &source.plan().partitions[0];
    assert_eq!(partition.reads.len(), 4);
    assert!(partition.recipe.contains("gone.png"), "{}", partition.recipe);
    let (found, damage) = read(source.as_ref());
    assert_eq!(ints(&found, "n"), [0, 2, 4, 5]);
    let (large, none) = ((Some(vec![9; 3000]), Some("../large.png".to_owned())), (None, None));
    assert_eq!(of(&found, "image"), [named(1, "a.png"), none.clone(), named(2, "deep/b.png"), large]);
    let told: Vec<_> = damage.iter().map(|it| (it.locus().to_string(), it.kind())).collect();
    let at = |row: u64| format!("set/rows.csv, step {row}, feature `image`");
    assert_eq!(told, [(at(1), ErrorKind::Corrupt), (at(3), ErrorKind::Unsupported)]);

    let nulls = with(embedding(&["image"]), "missing", "null");
    let found = read(open(&nulls).unwrap().as_ref()).0;
    assert_eq!((ints(&found, "n")[1], of(&found, "image")[1].clone()), (1, none));
    let small = with(embedding(&["image"]), "embed_bytes_max", "1000");
    let (_, damage) = read(open(&small).unwrap().as_ref());
    assert_eq!(damage.last().unwrap().kind(), ErrorKind::Limit);
}

/// Batches end where media fill them, and rows are dealt as without.
#[test]
fn media_bound_batches_and_rows_are_dealt() {
    let names = [Some("../large.png"); 200];
    let rows = table(&names, &[(Some(b"x".as_slice()), None); 200]);
    let csv = "n,image\n".to_owned() + &(0..200).map(|it| format!("{it},../large.png\n")).collect::<String>();
    let fractions = vec![("train".to_owned(), 0.7), ("val".to_owned(), 0.3)];
    let deal = Some(RowDeal { fractions, key: RowKey::Row });
    let formats: [(&dyn Format, Vec<u8>, &'static str); 3] = [
        (&PARQUET, parquet(&rows), "set/rows.parquet"),
        (&ARROW, arrow(&rows), "set/rows.arrow"),
        (&CSV, csv.into_bytes(), "set/rows.csv"),
    ];
    for (format, bytes, path) in formats {
        let options = OpenOptions { deal: deal.clone(), ..embedding(&["image"]) };
        let source = format.open(beside(path, bytes), &options).unwrap();
        let mut seen = Vec::new();
        for partition in 0..source.plan().partitions.len() {
            let limits = nodedata_core::ReadOptions { batch_bytes_max: 10_000, ..Default::default() };
            let mut stream = source.read(partition, &limits).unwrap();
            while let Some(batch) = stream.next_batch().unwrap() {
                assert!(batch.rows.num_rows() <= 4, "{path}: {} rows", batch.rows.num_rows());
                assert_eq!(batch.spans.iter().map(|it| it.n_rows).sum::<u64>(), batch.rows.num_rows() as u64);
                assert!(
                    of(std::slice::from_ref(&batch.rows), "image")
                        .iter()
                        .all(|it| it.0.as_ref().is_some_and(|it| it.len() == 3000))
                );
                seen.extend(ints(&[batch.rows], "n"));
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>(), "{path}");
    }
}

#[test]
fn only_columns_that_name_files_are_embedded() {
    let rows = table(&[Some("a.png")], &[(Some(b"x"), None)]);
    let formats: [(&dyn Format, Vec<u8>, &'static str); 3] = [
        (&PARQUET, parquet(&rows), "set/rows.parquet"),
        (&ARROW, arrow(&rows), "set/rows.arrow"),
        (&CSV, b"n,image\n1,a.png\n".to_vec(), "set/rows.csv"),
    ];
    for (format, bytes, path) in formats {
        for (name, told, hint) in
            [("imag", "no column is called", Some("image")), ("n", "is int64 in the table", None)]
        {
            let err = format.open(beside(path, bytes.clone()), &embedding(&[name])).err().unwrap();
            assert_eq!(err.kind(), ErrorKind::Config, "{path}: {err}");
            assert!(err.to_string().contains(told), "{path}: {err}");
            assert!(hint.is_none_or(|it| err.hint().unwrap().contains(it)), "{path}: {:?}", err.hint());
        }
    }
}

/// Where the column that names files is left out, nothing is looked for, and every row is there.
#[test]
fn columns_that_are_left_out_are_not_embedded() {
    let rows = table(&[Some("a.png"), Some("gone.png")], &[(Some(b"x".as_slice()), None); 2]);
    let formats: [(&dyn Format, Vec<u8>, &'static str); 3] = [
        (&PARQUET, parquet(&rows), "set/rows.parquet"),
        (&ARROW, arrow(&rows), "set/rows.arrow"),
        (&CSV, b"n,image\n0,a.png\n1,gone.png\n".to_vec(), "set/rows.csv"),
    ];
    for (format, bytes, path) in formats {
        let options = OpenOptions { topics: Some(vec!["n".to_owned()]), ..embedding(&["image"]) };
        let source = format.open(beside(path, bytes), &options).unwrap();
        assert_eq!(inputs(source.as_ref()), [path]);
        let (found, damage) = read(source.as_ref());
        assert!(damage.is_empty(), "{path}: {damage:?}");
        assert_eq!(ints(&found, "n"), [0, 1], "{path}");
    }
}

/// What is embedded, and what of it is not there, is part of what decides the rows.
#[test]
fn recipes_hold_what_is_embedded() {
    let csv = b"n,image\n1,a.png\n".to_vec();
    let rows = table(&[Some("a.png")], &[(None, Some("a.png"))]);
    let formats: [(&dyn Format, Vec<u8>, &'static str, &str); 2] =
        [(&PARQUET, parquet(&rows), "set/rows.parquet", "photo"), (&CSV, csv, "set/rows.csv", "image")];
    for (format, bytes, path, name) in formats {
        let recipe = |options: &OpenOptions| {
            let source = format.open(beside(path, bytes.clone()), options).unwrap();
            source.plan().partitions[0].recipe.clone()
        };
        let (without, with) = (recipe(&OpenOptions::default()), recipe(&embedding(&[name])));
        assert!(!without.contains("embed"), "{without}");
        assert!(with.contains(&format!(r#""embed":{{"{name}":"path"}}"#)), "{with}");
    }
}

/// A link that leads out of the folder is not followed, one that stays within is.
#[cfg(unix)]
#[test]
fn links_lead_nowhere_else() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("set"), dir.path().join("secret"));
    std::fs::create_dir_all(inside.join("real")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("s.png"), png(7)).unwrap();
    std::fs::write(inside.join("real/r.png"), png(1)).unwrap();
    symlink(outside.join("s.png"), inside.join("file.png")).unwrap();
    symlink("real", inside.join("within")).unwrap();
    let names = ["real/r.png", "within/r.png", "file.png"];
    let rows = table(&names.map(Some), &names.map(|_| (Some(b"x".as_slice()), None)));
    let csv: String = names.iter().map(|it| format!("{it}\n")).collect();
    let formats: [(&dyn Format, Vec<u8>, &str); 3] = [
        (&PARQUET, parquet(&rows), "rows.parquet"),
        (&ARROW, arrow(&rows), "rows.arrow"),
        (&CSV, format!("image\n{csv}").into_bytes(), "rows.csv"),
    ];
    for (format, bytes, name) in formats {
        std::fs::write(inside.join(name), bytes).unwrap();
        let files = LocalFiles::file(&inside.join(name));
        let source = format.open(Arc::new(files), &embedding(&["image"])).unwrap();
        let (found, damage) = read(source.as_ref());
        assert_eq!(of(&found, "image"), [named(1, "real/r.png"), named(1, "within/r.png")], "{name}");
        assert!(damage.len() == 1 && damage[0].to_string().contains("leads out"), "{name}: {damage:?}");
        assert!(!inputs(source.as_ref()).iter().any(|it| it.contains("file.png")), "{name}");
    }
}
