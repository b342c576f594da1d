//! The conformance kit of `nodedata-testkit` over JSON Lines.

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
