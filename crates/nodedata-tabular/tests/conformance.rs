//! The conformance kit of `nodedata-testkit` over tables.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod tables;

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use nodedata_core::Format;
use nodedata_tabular::{ARROW, CSV, PARQUET};
use nodedata_testkit::{
    corpus,
    damaged::Random,
    source::{Case, Damage, conformance},
};
use parquet::arrow::ArrowWriter;

fn check(format: &dyn Format, name: &str, files: Vec<(&str, Vec<u8>)>, damage: Damage) {
    let files = files.into_iter().map(|(path, bytes)| (PathBuf::from(path), bytes.into())).collect();
    conformance(format, &Case { name: name.to_owned(), files, damage });
}

fn tables_of(seed: u64, is_parquet: bool) -> Vec<RecordBatch> {
    let mut random = Random::new(seed);
    let table = tables::table(&mut random, 200, is_parquet);
    vec![table.slice(0, 120), table.slice(120, 80)]
}

#[test]
fn parquet() {
    for seed in [3, 8] {
        let batches = tables_of(seed, true);
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batches[0].schema(), None).unwrap();
        for batch in &batches {
            writer.write(batch).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
        let files = vec![("a/one.parquet", bytes.clone()), ("b/two.parquet", bytes)];
        check(&PARQUET, "two files", files, Damage::Anything(4));
    }
}

#[test]
fn the_corpus_of_hugging_face() {
    let Some(folder) = corpus::folder("episodes/hf_parquet") else { return };
    let paths = corpus::files(&folder, ".parquet");
    let names: Vec<String> =
        paths.iter().map(|it| it.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let files = names.iter().zip(&paths).map(|(name, path)| (name.as_str(), std::fs::read(path).unwrap()));
    check(&PARQUET, "hf_parquet", files.collect(), Damage::Anything(2));
}

#[test]
fn arrow() {
    for seed in [5, 6] {
        let batches = tables_of(seed, false);
        let schema = batches[0].schema();
        let mut stream = Vec::new();
        let mut writer = StreamWriter::try_new(&mut stream, &schema).unwrap();
        batches.iter().for_each(|it| writer.write(it).unwrap());
        writer.finish().unwrap();
        let mut file = Vec::new();
        let mut writer = FileWriter::try_new(&mut file, &schema).unwrap();
        batches.iter().for_each(|it| writer.write(it).unwrap());
        writer.finish().unwrap();
        let files = vec![("file.arrow", file), ("stream.arrow", stream)];
        check(&ARROW, "file and stream", files, Damage::Anything(4));
    }
}

fn text(separator: &str, n: usize) -> Vec<u8> {
    let mut text = ["id", "name", "x", "note"].join(separator) + "\n";
    for row in 0..n {
        let note = ["", "\"\"", "\"a\nb\"", "5\" pipe", "\"say \"\"hi\"\"\""][row % 5];
        let name = format!("\"row{separator}{row}\"");
        text.push_str(&[row.to_string(), name, format!("{}.5", row * 3), note.to_owned()].join(separator));
        text.push_str(if row % 7 == 0 { "\r\n" } else { "\n" });
    }
    text.into_bytes()
}

#[test]
fn text_of_several_dialects() {
    check(&CSV, "commas", vec![("a.csv", text(",", 400))], Damage::Anything(8));
    let files = vec![("a/one.csv", text(";", 300)), ("b/two.TSV", text("\t", 300))];
    check(&CSV, "two files", files, Damage::Anything(4));
}
