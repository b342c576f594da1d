//! The conformance kit of `nodedata-testkit` over the bags of the corpus.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::path::{Path, PathBuf};

use nodedata_rosbag::{RosBag2, SQLITE3};
use nodedata_testkit::{
    corpus,
    source::{Case, Damage, conformance},
};

static BAGS: RosBag2 = RosBag2::with(&[&SQLITE3, &nodedata_mcap::MCAP_FILE]);

/// A bag as it lies in its folder.
fn case(folder: &Path) -> Case {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let files = corpus::files(folder, "");
    let read = |it: PathBuf| {
        let bytes = std::fs::read(&it).unwrap();
        (Path::new(&name).join(it.file_name().unwrap()), bytes.into())
    };
    // Pages of one table may lie anywhere.
    Case { files: files.into_iter().map(read).collect(), damage: Damage::Anything(4), name }
}

#[test]
fn bags_of_every_kind_hold_what_formats_promise() {
    let Some(corpus) = corpus::folder("logs/rosbag2") else { return };
    for name in [
        "v3_schema1",
        "v5_schema3_humble_split",
        "split_ids_differ",
        "v7_schema4_iron",
        "definition_changed",
        "wal_not_checkpointed",
        "v9_split_mcap",
        "v9_sqlite_zstd_file",
        "v9_mcap_zstd_file",
        "v9_sqlite_zstd_message",
    ] {
        conformance(&BAGS, &case(&corpus.join(name)));
    }
}
