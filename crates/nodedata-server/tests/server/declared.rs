//! What protects personal data is not a publisher's to lower, and what is lowered stays as it was for what is there.

use nodedata_registry::{
    DataClass, DatasetName, DatasetState, Operation, Revision, Sensitivity, Visibility, change,
    http::{AttestBody, Token},
    put_blob,
    record::{Bump, BumpProof},
};
use reqwest::Method;

use crate::site::{Answer, Site, attest_body, undated};

const TEXT: &str = "I will not identify anybody.";

fn of(class: DataClass) -> Sensitivity {
    Sensitivity { class, ..Sensitivity::default() }
}

fn faces(site: &Site, visibility: Visibility) -> DatasetName {
    let gate = site.gate("acme/faces", TEXT, "manual");
    let gate = (visibility == Visibility::Public).then_some(gate);
    site.publish("acme/faces", visibility, Sensitivity { gate, ..of(DataClass::Biometric) })
}

fn declare(
    site: &Site,
    token: &Token,
    visibility: Visibility,
    sensitivity: Sensitivity,
    reason: Option<&str>,
) -> Answer {
    let state = DatasetState::open(&site.direct(), &"acme/faces".parse().unwrap()).unwrap();
    let reason = reason.map(str::to_owned);
    let op = Operation::Declare { visibility, sensitivity, reason };
    let record = undated(state.next_record(op, &nodedata_registry::clock::fresh_id(), "x"));
    site.ask(Method::POST, "v1/d/acme/faces/commits", Some(token), |it| it.json(&record))
}

#[test]
fn a_publish_token_lowers_nothing() {
    let site = Site::new();
    faces(&site, Visibility::Public);
    let publisher = site.token("acme", &["read", "publish:acme/*"]);
    let steward = site.token("officer", &["steward:acme/faces"]);
    let shard = |token: Option<&Token>| site.get("v1/d/acme/faces@1.0.0/shards/0", token).status;
    let gate = site.gate("acme/faces", TEXT, "auto");
    let auto = || Sensitivity { gate: Some(gate.clone()), ..of(DataClass::Biometric) };
    for (what, sensitivity) in [
        ("none", of(DataClass::None)),
        ("pseudonymous", of(DataClass::Pseudonymous)),
        ("a gate that opens by itself", auto()),
    ] {
        let answer = declare(&site, &publisher, Visibility::Public, sensitivity.clone(), Some("so"));
        assert_eq!((answer.status, answer.code().as_str()), (403, "scope"), "{what}: {}", answer.text());
        assert!(answer.text().contains("steward:acme/faces"), "{}", answer.text());
        for reason in [None, Some(""), Some("  ")] {
            let answer = declare(&site, &steward, Visibility::Public, sensitivity.clone(), reason);
            assert_eq!((answer.status, answer.code().as_str()), (422, "reason"), "{what}");
            assert!(answer.text().contains("\"where\":\"feature `reason`\""), "{}", answer.text());
        }
    }
    let state = DatasetState::open(&site.direct(), &"acme/faces".parse().unwrap()).unwrap();
    assert_eq!(state.declarations.len(), 1, "nothing was declared");
    // A steward may, who publishes nothing.
    let answer =
        declare(&site, &steward, Visibility::Public, of(DataClass::None), Some("faces were blurred"));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let tag = undated(state.next_record(Operation::Tag { tag: "a".to_owned(), revision: None }, "op", "x"));
    let answer = site.ask(Method::POST, "v1/d/acme/faces/commits", Some(&steward), |it| it.json(&tag));
    assert_eq!((answer.status, answer.code().as_str()), (403, "scope"));
    let log = site.get("v1/d/acme/faces/log", None).text();
    assert!(log.contains("faces were blurred"), "everybody who sees the log sees why");
    // What was published before stays shut, by each of its names.
    assert_eq!(shard(None), 401);
    assert_eq!(shard(Some(&site.token("reader", &["read"]))), 403);
    assert_eq!(site.get("v1/d/acme/faces/shards/0", None).status, 401, "still the newest");
    assert_eq!(site.get("v1/d/acme/faces/agreement", None).text(), TEXT, "and may be asked for");
    let page = site.get("d/acme/faces", None).text();
    assert!(page.contains("data class: biometric") && page.contains("gated"), "{page}");
    site.publish_again("acme/faces");
    assert_eq!(site.get("v1/d/acme/faces@latest/shards/0", None).status, 200, "a later revision");
    // Raising is anybody's who publishes, and counts for all.
    let answer = declare(&site, &publisher, Visibility::Public, auto(), None);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(site.get("v1/d/acme/faces@latest/shards/0", None).status, 401);
    assert_eq!(shard(None), 401);
}

#[test]
fn what_was_private_stays_private() {
    let site = Site::new();
    let dataset = faces(&site, Visibility::Private);
    let publisher = site.token("acme", &["read", "publish:acme/*"]);
    let steward = site.token("officer", &["push:acme/*", "steward:acme/*"]);
    let reader = site.token("reader", &["read"]);
    for token in [&publisher, &steward] {
        put_blob(&site.remote(Some(token)), &dataset, TEXT.as_bytes().to_vec()).unwrap();
    }
    let gate = site.gate("acme/faces", TEXT, "auto");
    let open = || Sensitivity { gate: Some(gate.clone()), ..of(DataClass::Biometric) };
    let answer = declare(&site, &publisher, Visibility::Public, open(), Some("so"));
    assert_eq!((answer.status, answer.code().as_str()), (403, "scope"), "{}", answer.text());
    assert_eq!(site.get("v1/d/acme/faces", Some(&reader)).status, 404);
    let answer = declare(&site, &steward, Visibility::Public, open(), Some("consent was given"));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let attest = |revision: Option<&str>| {
        let body = AttestBody { revision: revision.map(str::to_owned), ..attest_body(TEXT) };
        site.remote(Some(&reader)).attest(&dataset, &body)
    };
    let code = |path: &str, token: &Token| {
        let answer = site.get(&format!("v1/d/acme/faces{path}"), Some(token));
        (answer.status, answer.code())
    };
    for path in ["/shards/0", "@1.0.0/shards/0", "@1.0.0/manifest", "@1.0.0", "/croissant.json"] {
        assert_eq!(code(path, &reader), (403, "revision-private".to_owned()), "{path}");
        assert_eq!(code(path, &publisher).0, 200, "{path}");
    }
    let manifest = DatasetState::open(&site.direct(), &dataset).unwrap().revisions[0].manifest;
    assert_eq!(code(&format!("/blobs/{}", manifest.hex()), &reader).0, 403);
    site.publish_again("acme/faces");
    assert_eq!(code("/shards/0", &reader), (403, "attestation-required".to_owned()));
    assert_eq!(code("@1.0.0/manifest", &reader).1, "revision-private");
    attest(None).unwrap();
    assert_eq!(code("/shards/0", &reader).0, 200, "the later revision, once attested");
}

/// Publishes what is there once more, as 1.0.1 with a manifest that says `biometric`, past the server.
fn publish_as_biometric(site: &Site, dataset: &DatasetName) {
    let direct = site.direct();
    let state = DatasetState::open(&direct, dataset).unwrap();
    let revision = Revision::open(&direct.shared(), dataset, state.head().unwrap()).unwrap();
    let mut manifest = revision.manifest().clone();
    manifest.revision = "1.0.1".to_owned();
    manifest.sensitivity = of(DataClass::Biometric);
    let bytes = manifest.to_bytes().unwrap();
    let b3 = nodedata_registry::B3::of(&bytes);
    put_blob(&direct, dataset, bytes).unwrap();
    change(&direct, dataset, "acme", &|_| {
        let bump = Bump { kind: "patch".to_owned(), proof: BumpProof::default() };
        Ok(Operation::Publish { revision: "1.0.1".to_owned(), bump, manifest: b3, tags: Vec::new() })
    })
    .unwrap();
}

/// A revision that is gated by rule, of a dataset that declares no text to agree to, as somebody with the store in hand may
/// write it: it opens to nobody but those whose it is.
#[test]
fn a_gate_without_a_text_stays_shut() {
    let site = Site::new();
    let dataset = faces(&site, Visibility::Private);
    change(&site.direct(), &dataset, "acme", &|_| {
        let sensitivity = of(DataClass::Biometric);
        Ok(Operation::Declare { visibility: Visibility::Public, sensitivity, reason: None })
    })
    .unwrap();
    publish_as_biometric(&site, &dataset);
    let (owner, reader) = (site.token("acme", &["read"]), site.token("reader", &["read"]));
    let path = "v1/d/acme/faces@1.0.1/shards/0";
    let refused = site.get(path, Some(&reader));
    assert_eq!((refused.status, refused.code().as_str()), (403, "gate-incomplete"));
    assert!(refused.text().contains("the owner must declare the text"), "{}", refused.text());
    assert_eq!(site.get(path, None).status, 401);
    assert_eq!(site.get(path, Some(&owner)).status, 200);
    // The one before was published while the dataset was private, and stays so.
    let refused = site.get("v1/d/acme/faces@1.0.0/shards/0", Some(&reader));
    assert_eq!((refused.status, refused.code().as_str()), (403, "revision-private"));
}

/// A manifest that says more than the dataset is the floor of its revision, whatever is declared then.
#[test]
fn what_a_manifest_says_stays() {
    let site = Site::new();
    let dataset = site.publish("acme/faces", Visibility::Private, of(DataClass::None));
    publish_as_biometric(&site, &dataset);
    let publisher = site.token("acme", &["read", "publish:acme/*"]);
    let answer = declare(&site, &publisher, Visibility::Public, of(DataClass::None), Some("so"));
    assert_eq!((answer.status, answer.code().as_str()), (403, "scope"), "{}", answer.text());
    let steward = site.token("officer", &["steward:acme/*"]);
    let answer = declare(&site, &steward, Visibility::Public, of(DataClass::None), Some("so"));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let reader = site.token("reader", &["read"]);
    let manifest = |name: &str| {
        let answer = site.get(&format!("v1/d/acme/faces@{name}/manifest"), Some(&reader));
        (answer.status, answer.code())
    };
    assert_eq!(manifest("1.0.0").0, 200, "of no such data, and public now");
    assert_eq!(manifest("1.0.1"), (403, "revision-private".to_owned()));
}
