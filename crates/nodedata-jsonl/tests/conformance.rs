//! The conformance kit of `nodedata-testkit` over JSON Lines.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::path::{Path, PathBuf};

use nodedata_jsonl::JSONL;
use nodedata_testkit::{
    corpus,
    source::{Case, conformance},
};

#[test]
fn fixtures() {
    conformance(&JSONL, &Case::file(&corpus::fixtures("jsonl").join("samples.jsonl")));
}

#[test]
fn a_folder_of_files() {
    let whole = Case::file(&corpus::fixtures("jsonl").join("samples.jsonl"));
    let bytes = &whole.files[0].1;
    let half = bytes.len() / 2;
    let cut = half + bytes[half..].iter().position(|it| *it == b'\n').unwrap() + 1;
    let files = vec![
        (PathBuf::from("a/one.jsonl"), bytes.slice(..cut)),
        (PathBuf::from("b/two.NDJSON"), bytes.slice(cut..)),
    ];
    conformance(&JSONL, &Case { name: "two files".to_owned(), files, ..whole });
}

#[test]
fn corpus_files() {
    let Some(folder) = corpus::folder("episodes/jsonl") else { return };
    for name in ["chat.jsonl", "frames.jsonl", "imagefolder/metadata.jsonl"] {
        conformance(&JSONL, &Case::file(&folder.join(Path::new(name))));
    }
}

/// The fixture as one list, over several lines or on one.
fn list(separator: &str, ends: (&str, &str)) -> Vec<u8> {
    let lines = std::fs::read_to_string(corpus::fixtures("jsonl").join("samples.jsonl")).unwrap();
    let rows: Vec<&str> = lines.lines().filter(|it| !it.is_empty()).collect();
    format!("{}{}{}", ends.0, rows.join(separator), ends.1).into_bytes()
}

#[test]
fn lists() {
    for (name, bytes) in
        [("pretty", list(",\r\n  ", ("\u{feff}[\r\n  ", "\r\n]\r\n"))), ("dense", list(",", ("[", "]")))]
    {
        let whole = Case::file(&corpus::fixtures("jsonl").join("samples.jsonl"));
        let files = vec![(PathBuf::from("list.jsonl"), bytes.into())];
        conformance(&JSONL, &Case { name: name.to_owned(), files, ..whole });
    }
}

#[test]
fn packed_files() {
    let Some(folder) = corpus::folder("episodes/jsonl") else { return };
    conformance(&JSONL, &Case::file(&folder.join("frames.jsonl.gz")));
}
