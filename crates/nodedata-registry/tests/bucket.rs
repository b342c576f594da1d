//! What every registry must do, in a bucket. Only here: somebody has to start the server and to name this test's binary,
//! which `cargo xtask test` finds by the file's name.

use nodedata_registry::{Direct, OpenStore, Store, StoreLocation};
use nodedata_testkit::registry::conformance;

/// Names a prefix in the bucket below which nothing lies yet: `s3://BUCKET/PREFIX`.
const BUCKET: &str = "NODEDATA_TEST_BUCKET";

/// Opened as the command opens it: where the bucket is and who asks, is in the environment.
#[test]
#[ignore = "needs a bucket: tests/python/test_registry_s3.py starts one and runs this"]
fn a_bucket_conforms() {
    let url = std::env::var(BUCKET).unwrap_or_else(|_| panic!("{BUCKET} must name a bucket"));
    let location = StoreLocation::parse(&url).unwrap();
    assert!(matches!(location, StoreLocation::Bucket(_)), "{url} is no bucket");
    let journal = tempfile::tempdir().unwrap();
    let options = OpenStore { journal: Some(journal.path().to_owned()), create: false };
    conformance(&Direct::new(Store::open(&location, &options).unwrap()).shared(), "kit");
}
