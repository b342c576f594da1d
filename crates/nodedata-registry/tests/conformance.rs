//! What every registry must do, on a directory and in memory. `bucket.rs` and the server run the same kit.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use nodedata_registry::{DatasetName, Direct, OpenStore, Store, StoreLocation};
use nodedata_testkit::registry::{conformance, increments_of_many_are_all_kept};

fn folder_store(folder: &std::path::Path) -> Direct {
    let location = StoreLocation::Folder(folder.to_owned());
    Direct::new(Store::open(&location, &OpenStore { journal: None, create: true }).unwrap())
}

#[test]
fn memory_conforms() {
    conformance(&Direct::new(Store::memory()).shared(), "kit");
}

#[test]
fn a_directory_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance(&folder_store(&folder.path().join("store")).shared(), "kit");
}

/// 200 pushes of 8 clients; 1,000 with `NODEDATA_TEST_LONG`.
#[test]
fn many_small_increments_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder_store(&folder.path().join("store"));
    let n_pushes = if std::env::var_os("NODEDATA_TEST_LONG").is_some() { 125 } else { 25 };
    increments_of_many_are_all_kept(
        &store.shared(),
        &"kit/increments".parse::<DatasetName>().unwrap(),
        8,
        n_pushes,
    );
}
