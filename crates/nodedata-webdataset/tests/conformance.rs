//! The conformance kit of `nodedata-testkit` over archives made here, and those of the shared corpus.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod built;

use std::path::PathBuf;

use built::{Tar, floats, gzip, npy};
use nodedata_testkit::{
    corpus,
    reading::read,
    source::{Case, Damage, conformance},
};
use nodedata_webdataset::WEBDATASET;

/// Samples of several fields.
fn archive(keys: std::ops::Range<u32>) -> Vec<u8> {
    let sample = |tar: Tar, it: u32| {
        let noise: String =
            (0..100 + it % 7 * 300).map(|n| char::from(b'a' + ((n * it) % 26) as u8)).collect();
        tar.file(&format!("d/{it:05}.cls"), it.to_string())
            .file(&format!("d/{it:05}.json"), format!(r#"{{"n": {it}, "list": [1, {it}]}}"#))
            .file(&format!("d/{it:05}.npy"), npy("<f4", "(2,)", &floats(&[it as f32, 0.5])))
            .file(&format!("d/{it:05}.txt"), noise)
    };
    keys.fold(Tar::default(), sample).end()
}

fn case(name: &str, files: Vec<(&str, Vec<u8>)>, damage: Damage) -> Case {
    let files = files.into_iter().map(|(path, bytes)| (PathBuf::from(path), bytes.into())).collect();
    Case { name: name.to_owned(), files, damage }
}

#[test]
fn an_archive() {
    conformance(&WEBDATASET, &case("one", vec![("a.tar", archive(0..40))], Damage::Anything(12)));
}

#[test]
fn archives_in_folders_one_of_them_packed() {
    let files = vec![("train/a.tar", archive(0..20)), ("val/b.tar.gz", gzip(&archive(20..30)))];
    conformance(&WEBDATASET, &case("two", files, Damage::Anything(8)));
}

#[test]
fn corpus_archives() {
    let Some(folder) = corpus::folder("episodes") else { return };
    let names = [
        "webdataset/frames/train-000000.tar",
        "webdataset/frames_gz/train-000000.tar.gz",
        "public/webdataset/compressed.tar",
        "public/webdataset/mpdata.tar",
        "public/webdataset/sample.tgz",
    ];
    for name in names {
        let whole = Case::file(&folder.join(name));
        conformance(&WEBDATASET, &Case { damage: Damage::Anything(4), ..whole });
    }
    assert!(!corpus::files(&folder.join("public/webdataset"), "").is_empty());
}

#[test]
fn openings_and_rows_are_the_same_with_any_number_of_threads() {
    let files = || {
        let shard = |it: u32| (format!("s-{it:03}.tar"), archive(it * 10..it * 10 + 10));
        (0..20)
            .map(shard)
            .fold(nodedata_io::MemoryFiles::default(), |all, (name, bytes)| all.with(name, bytes))
    };
    let opened = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| {
            let options = nodedata_core::OpenOptions { partition_bytes: 8192, ..Default::default() };
            let source =
                nodedata_core::Format::open(&WEBDATASET, std::sync::Arc::new(files()), &options).unwrap();
            (source.plan().clone(), read(source.as_ref()).0)
        })
    };
    let (one, many) = (opened(1), opened(8));
    assert!(one.0 == many.0);
    assert_eq!(one.1, many.1);
    assert_eq!(one.1.iter().map(|it| it.num_rows()).sum::<usize>(), 200);
}
