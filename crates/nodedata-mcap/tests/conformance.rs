//! The conformance kit of `nodedata-testkit` over recorded logs.

use std::path::PathBuf;

use nodedata_mcap::MCAP;
use nodedata_testkit::{
    corpus,
    source::{Case, conformance},
};

fn check(logs: Vec<PathBuf>) {
    for log in logs {
        conformance(&MCAP, &Case::file(&log));
    }
}

#[test]
fn fixtures() {
    check(corpus::recordings());
}

#[test]
fn a_folder_of_logs() {
    let logs = corpus::files(&corpus::fixtures("mcap"), ".mcap");
    let chosen = |it: &&PathBuf| !it.ends_with("teleop.mcap");
    let cases = logs.iter().filter(chosen).map(|it| Case::file(it));
    let folder = cases.reduce(|mut all, next| {
        all.files.extend(next.files);
        Case { name: "a folder of logs".to_owned(), ..all }
    });
    conformance(&MCAP, &folder.expect("there are fixtures"));
}
