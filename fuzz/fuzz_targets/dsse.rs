//! Any bytes as a signature of a revision: whatever they are, no key that is trusted made them.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nodedata_registry::{
    B3,
    trust::{Envelope, PublicKey, RevisionStatement, SecretKey, verify_revision},
};

static EXPECTED: LazyLock<(RevisionStatement, PublicKey)> = LazyLock::new(|| {
    let dataset = "lab/arm".parse().expect("a name of a dataset");
    let statement =
        RevisionStatement { dataset, revision: "1.0.0".to_owned(), manifest: B3::of(b"manifest") };
    let key = SecretKey::generate().expect("the system has random numbers");
    (statement, key.public())
});

fuzz_target!(|bytes: &[u8]| {
    let (statement, key) = &*EXPECTED;
    if let Ok(envelope) = Envelope::about(bytes, statement) {
        let again = envelope.to_bytes().expect("it holds text only");
        assert_eq!(Envelope::about(&again, statement).expect("it is about the same"), envelope);
    }
    assert!(verify_revision(bytes, statement, std::slice::from_ref(key)).is_err());
});
