//! What the fuzz target `dsse` does, for a few thousand seeded mutations on a stable compiler.

use nodedata_registry::{
    B3,
    trust::{Envelope, RevisionStatement, SecretKey, sign_revision, verify_revision},
};
use nodedata_testkit::damaged::Random;

#[test]
fn a_damaged_signature_is_none() {
    let statement = RevisionStatement {
        dataset: "lab/arm".parse().unwrap(),
        revision: "1.0.0".to_owned(),
        manifest: B3::of(b"manifest"),
    };
    let key = SecretKey::generate().unwrap();
    let whole = sign_revision(&statement, &key).unwrap();
    let bytes = whole.to_bytes().unwrap();
    assert!(verify_revision(&bytes, &statement, &[key.public()]).is_ok());
    let mut random = Random::new(13);
    let (mut n_read, mut n_refused) = (0, 0);
    for _ in 0..4000 {
        let mut damaged = bytes.clone();
        random.damage(&mut damaged);
        let Ok(read) = Envelope::about(&damaged, &statement) else {
            assert!(verify_revision(&damaged, &statement, &[key.public()]).is_err());
            n_refused += 1;
            continue;
        };
        n_read += 1;
        // Names of keys say nothing: what counts is the document and one good signature of it.
        let is_signed = verify_revision(&damaged, &statement, &[key.public()]).is_ok();
        let has_signature = read.signatures.iter().any(|it| it.sig == whole.signatures[0].sig);
        let is_whole = read.payload == whole.payload && has_signature;
        assert_eq!(is_signed, is_whole, "{}", String::from_utf8_lossy(&damaged));
    }
    assert!(n_read > 20 && n_refused > 1000, "{n_read} read, {n_refused} refused");
    for end in 0..bytes.len() {
        assert!(verify_revision(&bytes[..end], &statement, &[key.public()]).is_err());
    }
}
