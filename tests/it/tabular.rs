//! Tables of others from end to end.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, StringArray, cast::AsArray as _};
use nodedata_testkit::corpus;
use parquet::arrow::ArrowWriter;

use crate::{
    command::Work,
    jsonl::picture,
    tables::{Dataset, int64, texts},
};

fn parquet(rows: std::ops::Range<i64>) -> Vec<u8> {
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(rows.clone().map(|it| format!("row {it}"))));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows));
    let table = RecordBatch::try_from_iter([("n", numbers), ("name", names)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_files_become_samples_in_their_own_splits() {
    let work = Work::new();
    work.write("src/train-00000-of-00001.parquet", parquet(0..300));
    work.write("src/test-00000-of-00001.parquet", parquet(300..400));
    work.run(["convert", "src", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let dataset = Dataset::open(work.path("out"));
    assert_eq!(dataset.tables()["steps"].num_rows(), 400);
    let index = dataset.table("index/episodes.parquet");
    let mut splits: Vec<String> = texts(&index, "split").into_iter().flatten().collect();
    splits.sort();
    assert_eq!(splits, ["test", "train"]);
    work.run(["convert", "src", "--out", "dealt", "--split", "a=.7,b=.3", "--threads", "3"]).exits(0);
    work.run(["validate", "--deep", "dealt"]).exits(0);
    let rows = Dataset::open(work.path("dealt")).tables().remove("steps").unwrap();
    let mut numbers = int64(&rows, "n");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..400).collect::<Vec<i64>>());
    let mut next = std::collections::BTreeMap::new();
    for (episode, step) in int64(&rows, "episode_index").into_iter().zip(int64(&rows, "step_index")) {
        let expected = next.entry(episode).or_insert(0);
        assert_eq!(step, *expected, "episode {episode}");
        *expected += 1;
    }
    assert_eq!(next.len(), 4);
    // A dataset of ours is none of these, though Parquet lies in it.
    let refused = work.run(["convert", "out", "--out", "again"]).exits(1);
    assert!(refused.stderr.contains("datasets that node-data wrote"), "{}", refused.stderr);
}

/// The ids of the rows of each split, in order.
fn ids_by_split(dataset: &Dataset) -> BTreeMap<String, Vec<i64>> {
    let index = dataset.table("index/episodes.parquet");
    let splits: BTreeMap<i64, Option<String>> =
        int64(&index, "episode_index").into_iter().zip(texts(&index, "split")).collect();
    let rows = dataset.tables().remove("steps").unwrap();
    let mut ids: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (episode, id) in int64(&rows, "episode_index").into_iter().zip(int64(&rows, "id")) {
        ids.entry(splits[&episode].clone().unwrap()).or_default().push(id);
    }
    ids.values_mut().for_each(|it| it.sort_unstable());
    ids
}

#[test]
fn text_becomes_samples_whose_rows_are_dealt() {
    let work = Work::new();
    let row = |it: i64| {
        format!("{it},\"name\n{it}\",{}\n", if it % 3 == 0 { String::new() } else { it.to_string() })
    };
    let text = "id,name,x\n".to_owned() + &(0..300).map(row).collect::<String>();
    work.write("a.csv", &text);
    work.run(["convert", "a.csv", "--out", "one", "--threads", "1", "--split", "train=.8,val=.2"]).exits(0);
    work.run(["convert", "a.csv", "--out", "two", "--threads", "4", "--split", "train=.8,val=.2"]).exits(0);
    work.run(["validate", "--deep", "one"]).exits(0);
    let dataset = Dataset::open(work.path("one"));
    let rows = dataset.tables().remove("steps").unwrap();
    let mut ids = int64(&rows, "id");
    ids.sort_unstable();
    assert_eq!(ids, (0..300).collect::<Vec<i64>>());
    let mut files = dataset.files();
    let mut others = Dataset::open(work.path("two")).files();
    for files in [&mut files, &mut others] {
        files.remove("report.json");
    }
    assert!(files == others, "threads decide bytes");
    // Rows that are added move none.
    work.write("a.csv", text + "300,\"more\",1\n");
    work.run(["convert", "a.csv", "--out", "more", "--split", "train=.8,val=.2"]).exits(0);
    let more = Dataset::open(work.path("more"));
    let index = more.table("index/episodes.parquet");
    let keys: Vec<String> = texts(&index, "episode_key").into_iter().flatten().collect();
    assert_eq!(keys, ["a.csv@train", "a.csv@val"]);
    let (before, mut after) = (ids_by_split(&dataset), ids_by_split(&more));
    let lengths: Vec<usize> = before.values().map(Vec::len).collect();
    assert!(lengths.len() == 2 && !lengths.contains(&0), "{lengths:?}");
    after.values_mut().for_each(|it| it.retain(|id| *id != 300));
    assert_eq!(before, after);
}

/// Rows of two pictures by their names, as a table of text and as one of columns.
fn named_pictures(names: [&str; 2]) -> [(&'static str, Vec<u8>); 2] {
    let image: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let table = RecordBatch::try_from_iter([("id", id), ("image", image)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
    let text = format!("id,image\n1,{}\n2,{}\n", names[0], names[1]);
    [("train.csv", text.into_bytes()), ("train.parquet", bytes)]
}

/// Files that rows of tables name are inputs, with their hashes, and are in the dataset as media; and where they are others, so are the
/// rows.
#[test]
fn pictures_that_tables_name_are_embedded() {
    let whole = named_pictures(["images/red.png", "images/blue.png"]);
    for (idx, (name, table)) in whole.into_iter().enumerate() {
        let work = Work::new();
        work.write("set/images/red.png", picture(7));
        work.write("set/images/blue.png", picture(9));
        work.write(&format!("set/{name}"), table);
        let convert = ["convert", "set", "--out", "out", "--embed", "image=path"];
        work.run(convert).exits(0);
        work.run(["validate", "--deep", "out"]).exits(0);
        let dataset = Dataset::open(work.path("out"));
        let rows = dataset.tables().remove("steps").unwrap();
        let media = rows.column_by_name("image").unwrap().as_struct();
        assert_eq!(media.column(0).as_binary::<i32>().value(1), picture(9), "{name}");
        assert_eq!(media.column(1).as_string::<i32>().value(0), "images/red.png", "{name}");
        let inputs = dataset.manifest["inputs"].as_array().unwrap();
        let paths: Vec<&str> = inputs.iter().map(|it| it["path"].as_str().unwrap()).collect();
        assert_eq!(paths, [name, "images/blue.png", "images/red.png"]);

        // The same again makes nothing; another picture does.
        let root = dataset.manifest["content_root"].clone();
        work.run(convert).exits(0);
        work.write("set/images/red.png", picture(8));
        work.run(["convert", "set", "--out", "out", "--overwrite", "--embed", "image=path"]).exits(0);
        assert_ne!(Dataset::open(work.path("out")).manifest["content_root"], root, "{name}");

        // A name of nothing costs its row, or is null.
        let (_, table) = &named_pictures(["images/red.png", "images/green.png"])[idx];
        work.write(&format!("set/{name}"), table);
        let refused = work.run(["convert", "set", "--out", "no", "--embed", "image=path"]).exits(1);
        let is_told = |it: &str| refused.stderr.contains(it);
        assert!(is_told("images/green.png") && is_told("source.missing=null"), "{}", refused.stderr);
        work.run(["convert", "set", "--out", "rest", "--embed", "image=path", "--on-error", "salvage"])
            .exits(3);
        assert_eq!(int64(&Dataset::open(work.path("rest")).tables()["steps"], "id"), [1], "{name}");
        let nulls =
            ["convert", "set", "--out", "nulls", "--embed", "image=path", "--set", "source.missing=null"];
        work.run(nulls).exits(0);
        let nulls = Dataset::open(work.path("nulls")).tables().remove("steps").unwrap();
        assert_eq!(nulls.column_by_name("image").unwrap().null_count(), 1, "{name}");
    }
}

/// Where pages say what their bytes were, damage is found that decodes without a word.
#[test]
fn a_page_that_is_not_what_was_written_is_left_out_and_counted() {
    let work = Work::new();
    let mut bytes = std::fs::read(corpus::fixtures("parquet").join("checksums-1.parquet")).unwrap();
    work.write("src/a.parquet", &bytes);
    work.write("src/b.parquet", &bytes);
    work.run(["convert", "src", "--out", "whole"]).exits(0);
    assert_eq!(Dataset::open(work.path("whole")).tables()["steps"].num_rows(), 600);
    // A value of `n` in the second row group.
    bytes[1927 + 879 - 100] ^= 1;
    work.write("src/a.parquet", bytes);
    let refused = work.run(["convert", "src", "--out", "no"]).exits(1);
    let is_told = |it: &str| refused.stderr.contains(it);
    assert!(
        is_told("column `n` in row group 1") && is_told("checksum") && is_told("a.parquet"),
        "{}",
        refused.stderr
    );
    work.run(["convert", "src", "--out", "out", "--on-error", "salvage"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    // They are read together, and the page is of their first batch.
    let numbers = int64(&Dataset::open(work.path("out")).tables()["steps"], "n");
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}

/// Keys are nowhere to be had here, and whoever asks for a column of them is told.
#[test]
fn encrypted_columns_are_refused_by_name() {
    let work = Work::new();
    for (name, told) in
        [("encrypted-footer", "is encrypted"), ("encrypted-column", "column `secret` is encrypted")]
    {
        let bytes = std::fs::read(corpus::fixtures("parquet").join(format!("{name}.parquet"))).unwrap();
        work.write("a.parquet", bytes);
        let refused = work.run(["convert", "a.parquet", "--out", "no"]).exits(1);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    work.run(["convert", "a.parquet", "--out", "out", "--topic", "open"]).exits(0);
    assert_eq!(int64(&Dataset::open(work.path("out")).tables()["steps"], "open"), [0, 1, 2, 3, 4]);
}

#[test]
fn broken_rows_are_refused_or_left_out_and_counted() {
    let work = Work::new();
    work.write("a.csv", "a,b\n1,x\n2\n3,y\n");
    let refused = work.run(["convert", "a.csv", "--out", "no"]).exits(1);
    assert!(refused.stderr.contains("line 3") && refused.stderr.contains("1 field,"), "{}", refused.stderr);
    work.run(["convert", "a.csv", "--out", "out", "--on-error", "salvage"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    assert_eq!(int64(&Dataset::open(work.path("out")).tables()["steps"], "a"), [1, 3]);
    work.write("b.parquet", &parquet(0..9)[..200]);
    work.run(["convert", "b.parquet", "--out", "no"]).exits(1);
}

#[test]
fn the_corpus_of_hugging_face_converts() {
    let Some(folder) = corpus::folder("episodes/hf_parquet") else { return };
    let work = Work::new();
    let folder = folder.display().to_string();
    work.run(["convert", &folder, "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = Dataset::open(work.path("out")).tables().remove("steps").unwrap();
    assert_eq!(int64(&rows, "label").len(), 5);
    let again = work.run(["convert", &folder, "--out", "some", "--topic", "meta.*", "--topic", "image"]);
    again.exits(0);
}
