use nodedata_core::ErrorKind;
use nodedata_registry::{
    DataClass, DatasetName, DatasetState, Direct, Facts, NewDataset, NewDeclaration, Operation, PushRequest,
    Remote, Revision, RevisionEntry, Sensitivity, Store, Visibility, blob_of, change, declare,
    gate::verify_audit,
    http::{AttestBody, Token},
    record::{BlobRef, CommitRecord},
    tree,
};
use nodedata_testkit::registry::{ShardSpec, shard_bytes};
use reqwest::Method;

use crate::site::{Site, attest_body, undated};

const TEXT: &str = "I will not identify anybody.";
const DAY: i64 = 24 * 3600;

struct Gated {
    site: Site,
    dataset: DatasetName,
    reader: Token,
    reviewer: Token,
}

impl Gated {
    fn new() -> Self {
        let site = Site::new();
        let gate = site.gate("acme/faces", TEXT, "manual");
        let sensitivity = Sensitivity {
            class: DataClass::Biometric,
            categories: vec!["face".to_owned()],
            gate: Some(gate),
            ..Sensitivity::default()
        };
        let dataset = site.publish("acme/faces", Visibility::Public, sensitivity);
        let reader = site.token("reader", &["read"]);
        let reviewer = site.token("privacy", &["review:acme/faces"]);
        Self { site, dataset, reader, reviewer }
    }

    fn entry(&self) -> RevisionEntry {
        DatasetState::open(&self.site.direct(), &self.dataset).unwrap().head().unwrap().clone()
    }

    /// Every way on which gated bytes could leave, as method and path.
    fn gated_paths(&self) -> Vec<(Method, String)> {
        let revision = Revision::open(&self.site.direct().shared(), &self.dataset, &self.entry()).unwrap();
        let manifest = revision.manifest();
        let open = [manifest.readme.blob.b3, manifest.schema.file.blob.b3];
        let mut paths = Vec::new();
        for blob in revision.blobs().unwrap().iter().filter(|it| !open.contains(&it.b3)) {
            let path = format!("v1/d/acme/faces/blobs/{}", blob.b3.hex());
            paths.push((Method::HEAD, path.clone()));
            paths.push((Method::GET, path.clone()));
            if tree::n_grains(blob.bytes) > 0 {
                paths.push((Method::GET, format!("{path}/tree")));
            }
        }
        for (idx, shard) in revision.shards().unwrap().iter().enumerate() {
            paths.push((Method::GET, format!("v1/d/acme/faces/shards/{idx}")));
            paths.push((Method::GET, format!("v1/d/acme/faces@1.0.0/shards/{idx}")));
            paths.push((Method::GET, format!("v1/d/acme/faces@latest/files/{}", shard.path)));
        }
        for name in manifest.index.keys() {
            paths.push((Method::GET, format!("v1/d/acme/faces/index/{name}")));
        }
        paths.push((Method::GET, "v1/d/acme/faces/provenance".to_owned()));
        assert!(paths.len() > 15, "{paths:?}");
        paths
    }

    /// Asks on every way, whole and by range; all must answer with the same status and, for refusals, code.
    #[track_caller]
    fn check(&self, token: Option<&Token>, status: u16, code: &str) {
        for (method, path) in self.gated_paths() {
            for range in [None, Some("bytes=0-0"), Some("bytes=18446744073709551615-")] {
                let answer = self.site.ask(method.clone(), &path, token, |it| match range {
                    Some(range) => it.header("range", range),
                    None => it,
                });
                // A range behind the end is told only to whom the bytes would be.
                let found = if matches!(answer.status, 206 | 416) { 200 } else { answer.status };
                assert_eq!(found, status, "{method} {path}: {}", answer.text());
                if status != 200 && method != Method::HEAD {
                    assert_eq!(answer.code(), code, "{path}");
                }
            }
        }
        let page = self.site.get("d/acme/faces", token);
        assert_eq!(page.status, 200);
        assert!(page.text().contains("Public words"), "the card is open");
        assert_eq!(page.text().contains("Statistics are shown to those"), status != 200);
    }

    fn attest(&self, text: &str) -> nodedata_core::Result<nodedata_registry::gate::Attestation> {
        let body = AttestBody { affirm: vec!["no-reidentification".to_owned()], ..attest_body(text) };
        self.site.remote(Some(&self.reader)).attest(&self.dataset, &body)
    }

    fn decide(&self, id: &str, action: &str) -> nodedata_core::Result<nodedata_registry::gate::Attestation> {
        self.site.remote(Some(&self.reviewer)).decide(&self.dataset, id, action, Some("because"))
    }
}

#[test]
fn no_way_leads_to_gated_bytes_without_a_grant() {
    let it = Gated::new();
    it.check(None, 401, "attestation-required");
    it.check(Some(&it.reader), 403, "attestation-required");
    assert_eq!(it.site.remote(None).agreement(&it.dataset).unwrap(), TEXT);
    let asked = it.attest(TEXT).unwrap();
    assert_eq!(asked.subject.user, "reader");
    it.check(Some(&it.reader), 403, "attestation-pending");
    assert_eq!(it.attest(TEXT).unwrap_err().kind(), ErrorKind::Conflict, "asked already");
    let by_reader = it.site.remote(Some(&it.reader)).decide(&it.dataset, &asked.id, "grant", None);
    assert_eq!(by_reader.unwrap_err().kind(), ErrorKind::Denied, "nobody grants to themselves");
    let long = "because ".repeat(2000);
    let told = it.site.remote(Some(&it.reviewer)).decide(&it.dataset, &asked.id, "grant", Some(&long));
    assert_eq!(told.unwrap_err().kind(), ErrorKind::Limit, "reasons are kept, and read with each request");
    it.decide(&asked.id, "grant").unwrap();
    it.check(Some(&it.reader), 200, "");
    // Another account, and an operator, gain nothing from it.
    it.check(Some(&it.site.token("other", &["read"])), 403, "attestation-required");
    it.check(Some(&it.site.token("root", &["read", "admin"])), 403, "attestation-required");
    // Those whose dataset it is need no grant.
    it.check(Some(&it.site.token("acme", &["read"])), 200, "");
    it.check(Some(&it.site.token("robot", &["publish:acme/faces"])), 200, "");
    // Who sends, reviews or lowers reads nothing by that.
    it.check(Some(&it.reviewer), 403, "attestation-required");
    for scope in ["push:acme/faces", "steward:acme/faces", "read:acme/faces", "push:acme/*"] {
        it.check(Some(&it.site.token("someone", &[scope])), 403, "attestation-required");
    }
    it.decide(&asked.id, "revoke").unwrap();
    it.check(Some(&it.reader), 403, "attestation-revoked");
    assert_eq!(it.attest(TEXT).unwrap_err().kind(), ErrorKind::Conflict, "a no stays");
    it.decide(&asked.id, "reset").unwrap();
    let again = it.attest(TEXT).unwrap();
    it.decide(&again.id, "deny").unwrap();
    it.check(Some(&it.reader), 403, "attestation-denied");
    let all = it.site.remote(Some(&it.reviewer)).attestations(&it.dataset).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].history.len(), 4);
    let own = it.site.remote(Some(&it.site.token("other", &["read"]))).attestations(&it.dataset).unwrap();
    assert_eq!(own, [], "others' requests are nobody's affair");
}

#[test]
fn grants_end_with_their_time_and_with_a_new_text() {
    let it = Gated::new();
    let asked = it.attest(TEXT).unwrap();
    it.decide(&asked.id, "grant").unwrap();
    it.site.clock.advance(29 * DAY);
    it.check(Some(&it.reader), 200, "");
    it.site.clock.advance(DAY);
    it.check(Some(&it.reader), 403, "attestation-expired");
    let again = it.attest(TEXT).unwrap();
    it.decide(&again.id, "grant").unwrap();
    it.check(Some(&it.reader), 200, "");
    // The owner declares another text.
    let direct = it.site.direct();
    let gate = it.site.gate("acme/faces", "Other words.", "manual");
    let sensitivity = DatasetState::open(&direct, &it.dataset).unwrap().sensitivity;
    let sensitivity = Some(Sensitivity { gate: Some(gate), ..sensitivity });
    let new = NewDeclaration { sensitivity, ..NewDeclaration::default() };
    declare(&direct.shared(), &it.dataset, "acme", &new).unwrap();
    it.check(Some(&it.reader), 403, "attestation-outdated");
    let err = it.attest(TEXT).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Conflict, "the old text is agreed to no more");
    let asked = it.attest("Other words.").unwrap();
    it.check(Some(&it.reader), 403, "attestation-pending");
    it.decide(&asked.id, "grant").unwrap();
    it.check(Some(&it.reader), 200, "");
}

#[test]
fn a_request_for_other_revisions_leaves_a_grant_alone() {
    let it = Gated::new();
    let asked = it.attest(TEXT).unwrap();
    it.decide(&asked.id, "grant").unwrap();
    it.site
        .publish_as("acme/faces", nodedata_registry::BumpRequest::Kind(nodedata_registry::BumpKind::Major));
    let one = "v1/d/acme/faces@1.0.0/manifest";
    assert_eq!(it.site.get(one, Some(&it.reader)).status, 200);
    it.check(Some(&it.reader), 200, "");
    let again = it.attest(TEXT).unwrap();
    assert_eq!(again.revisions.to_string(), ">=2.0.0, <3.0.0");
    assert_eq!(it.site.get("v1/d/acme/faces@1.0.0/shards/0", Some(&it.reader)).status, 200, "as before");
    it.decide(&again.id, "deny").unwrap();
    assert_eq!(it.site.get("v1/d/acme/faces@1.0.0/shards/0", Some(&it.reader)).status, 200, "as before");
    assert_eq!(it.attest(TEXT).unwrap_err().kind(), ErrorKind::Conflict, "a no stays");
}

#[test]
fn a_public_dataset_that_lost_its_gate_stays_shut() {
    let it = Gated::new();
    let direct = it.site.direct();
    // Written past the server, as somebody with the store in hand may.
    change(&direct, &it.dataset, "acme", &|state| {
        let sensitivity = Sensitivity { gate: None, ..state.sensitivity.clone() };
        Ok(Operation::Declare { visibility: Visibility::Public, sensitivity, reason: None })
    })
    .unwrap();
    // The gate is gone for later revisions; what is there stays behind the one that it had.
    it.check(Some(&it.reader), 403, "attestation-required");
    let asked = it.attest(TEXT).unwrap();
    it.decide(&asked.id, "grant").unwrap();
    it.check(Some(&it.reader), 200, "");
    // Through the server it cannot even be said.
    let token = it.site.token("acme", &["read", "publish:acme/*"]);
    let remote = it.site.remote(Some(&token));
    let state = DatasetState::open(&remote, &it.dataset).unwrap();
    for class in
        [DataClass::Identifying, DataClass::Biometric, DataClass::SpecialCategory, DataClass::Undeclared]
    {
        let sensitivity = Sensitivity { class, ..Sensitivity::default() };
        let op = Operation::Declare { visibility: Visibility::Public, sensitivity, reason: None };
        let err = remote.append(&it.dataset, &state.next_record(op, "op", "acme")).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Denied, "{class:?}: {err}");
    }
}

#[test]
fn a_digest_alone_gets_nobody_the_bytes() {
    let it = Gated::new();
    let mallory = it.site.token("mallory", &["read", "publish:mallory/*"]);
    let remote = it.site.remote(Some(&mallory));
    // The manifest is open, so all digests are known.
    let revision = Revision::open(&it.site.shared(Some(&mallory)), &it.dataset, &it.entry()).unwrap();
    let blob = revision.shards().unwrap()[0].blob.clone();
    let own: DatasetName = "mallory/copy".parse().unwrap();
    // As little as by a manifest is a blob made one's own by a card that names it.
    let begin = |license: Option<&str>, readme: Option<BlobRef>| {
        let facts = Facts { license: license.map(str::to_owned), ..Facts::default() };
        let record = CommitRecord {
            nd: "commit/1".to_owned(),
            seq: 0,
            prev: None,
            op_id: "begin".to_owned(),
            author: "mallory".to_owned(),
            at: "2026-11-23T10:00:00Z".to_owned(),
            op: Operation::Create {
                visibility: Visibility::Private,
                sensitivity: Sensitivity::default(),
                facts: Some(Box::new(facts)),
                readme,
            },
            state: None,
            sig: None,
        };
        remote.append(&own, &record).unwrap_err().to_string()
    };
    let stolen = begin(None, Some(blob.clone()));
    assert!(stolen.contains("was not sent for it"), "{stolen}");
    let misspelt = begin(Some("cc-by-4.0"), None);
    assert!(misspelt.contains("is not spelled as by SPDX"), "{misspelt}");
    nodedata_registry::create(&remote, &NewDataset::new(own.clone(), "mallory")).unwrap();
    let request = PushRequest { push: "p".to_owned(), dataset: own.clone(), blobs: vec![blob.clone()] };
    let need = remote.negotiate(&request).unwrap().need;
    assert_eq!(need.len(), 1, "as if it were not there");
    assert_eq!(remote.seal(&blob).unwrap_err().kind(), ErrorKind::Corrupt);
    let lie = vec![0u8; blob.bytes as usize];
    assert_eq!(tree::n_parts(blob.bytes), 1);
    assert_eq!(remote.upload_part(&blob, 0, lie.into()).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(remote.seal(&blob).unwrap_err().kind(), ErrorKind::Corrupt);
    // A manifest of one's own that names the shard.
    let mut manifest = revision.manifest().clone();
    manifest.dataset = own.clone();
    manifest.sensitivity = Sensitivity::default();
    let bytes = manifest.to_bytes().unwrap();
    let manifest_blob = blob_of(&bytes);
    remote.upload_part(&manifest_blob, 0, bytes.into()).unwrap();
    let state = DatasetState::open(&remote, &own).unwrap();
    let op = Operation::Publish {
        revision: "1.0.0".to_owned(),
        bump: nodedata_registry::record::Bump { kind: "first".to_owned(), proof: Default::default() },
        manifest: manifest_blob.b3,
        tags: vec!["latest".to_owned()],
    };
    let body = undated(state.next_record(op, "op", "mallory"));
    let answer = it.site.ask(Method::POST, "v1/d/mallory/copy/commits", Some(&mallory), |it| it.json(&body));
    assert_eq!((answer.status, answer.code().as_str()), (422, "not-shown"), "{}", answer.text());
    let path = format!("v1/d/mallory/copy/blobs/{}", blob.b3.hex());
    assert_eq!(it.site.get(&path, Some(&mallory)).status, 404);
    // Who has the bytes may publish them.
    let spec = ShardSpec { first_episode: 0, n_episodes: 1, n_steps: 20_000, seed: 0 };
    let held = shard_bytes(&spec);
    assert_eq!(blob_of(&held).b3, blob.b3);
    remote.upload_part(&blob, 0, held.into()).unwrap();
    remote.seal(&blob).unwrap();
    assert_eq!(remote.negotiate(&request).unwrap().need, []);
}

#[test]
fn private_datasets_are_as_if_they_were_not_there() {
    let site = Site::new();
    site.publish("acme/secret", Visibility::Private, Sensitivity::default());
    let other = site.token("other", &["read"]);
    let paths = ["", "/log", "/head", "/manifest", "/shards/0", "/agreement", "/croissant.json"];
    for token in [None, Some(&other)] {
        for path in paths {
            let hidden = site.get(&format!("v1/d/acme/secret{path}"), token);
            let absent = site.get(&format!("v1/d/acme/nothing{path}"), token);
            assert_eq!((hidden.status, hidden.body), (absent.status, absent.body), "{path}");
        }
        assert!(!site.get("v1/datasets", token).text().contains("secret"));
        assert!(!site.get("", token).text().contains("secret"));
        assert_eq!(site.get("d/acme/secret", token).status, 404);
    }
    for (account, scope, status) in [
        ("acme", "read", 200),
        ("friend", "read:acme/secret", 200),
        ("publisher", "publish:acme/*", 200),
        ("robot", "push:acme/*", 403),
        ("reviewer", "review:acme/secret", 403),
        ("steward", "steward:acme/secret", 403),
    ] {
        let token = site.token(account, &[scope]);
        assert_eq!(site.get("v1/d/acme/secret/shards/0", Some(&token)).status, status, "{account}");
        assert_eq!(site.get("v1/d/acme/secret/manifest", Some(&token)).status, 200, "{account}");
    }
}

#[test]
fn the_audit_log_has_grants_reads_and_denials_in_one_chain() {
    let it = Gated::new();
    let path = "v1/d/acme/faces/shards/0";
    assert_eq!(it.site.get(path, Some(&it.reader)).status, 403);
    let asked = it.attest(TEXT).unwrap();
    it.decide(&asked.id, "grant").unwrap();
    assert_eq!(it.site.get(path, Some(&it.reader)).status, 200);
    let root = it.site.token("root", &["admin"]);
    for token in [None, Some(&it.reader), Some(&it.reviewer)] {
        assert!(matches!(it.site.get("v1/audit?since=0", token).status, 401 | 403));
    }
    let text = it.site.remote(Some(&root)).audit(0).unwrap();
    let head = verify_audit(&text).unwrap();
    assert_eq!(head.next_seq as usize, text.lines().count());
    let lines: Vec<serde_json::Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let has = |who: &str, action: &str, outcome: &str| {
        lines
            .iter()
            .filter(|it| it["who"] == who && it["action"] == action && it["outcome"] == outcome)
            .count()
    };
    assert_eq!(has("reader", "read", "denied"), 1);
    assert_eq!(has("reader", "attest", "allowed"), 1);
    assert_eq!(has("privacy", "grant", "allowed"), 1);
    assert_eq!(has("reader", "audit", "denied"), 1);
    let read = lines.iter().find(|it| it["action"] == "read" && it["outcome"] == "allowed").unwrap();
    assert_eq!(read["grant"], asked.id.as_str());
    assert!(read["bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn a_stream_ends_when_its_grant_is_taken_back() {
    let it = Gated::new();
    // A blob of many windows, in the same dataset.
    let direct = it.site.direct();
    let document = vec![b'x'; 64 << 20];
    let bytes: bytes::Bytes = document.into();
    let blob = blob_of(&bytes);
    for part in 0..tree::n_parts(blob.bytes) {
        let range = tree::part_range(blob.bytes, part);
        direct.upload_part(&blob, part, bytes.slice(range.start as usize..range.end as usize)).unwrap();
    }
    direct.seal(&blob).unwrap();
    publish_with_file(&it, &direct, &blob);
    let asked = it.attest(TEXT).unwrap();
    it.decide(&asked.id, "grant").unwrap();
    let path = format!("v1/d/acme/faces/blobs/{}", blob.b3.hex());
    assert_eq!(it.site.get(&path, Some(&it.reader)).body.len() as u64, blob.bytes);
    // Read a little by hand, then take the grant back while the rest waits for its reader.
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(it.site.running.address()).unwrap();
    let head = format!(
        "GET /{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        it.reader.reveal()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = vec![0; 1 << 16];
    stream.read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200"));
    it.decide(&asked.id, "revoke").unwrap();
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest));
    let n_read = (start.len() + rest.len()) as u64;
    assert!(n_read < blob.bytes, "{n_read} of {} bytes came after the grant was gone", blob.bytes);
}

/// Publishes, past the server, a revision that names one more file.
fn publish_with_file(it: &Gated, direct: &Direct, blob: &nodedata_registry::record::BlobRef) {
    let revision = Revision::open(&direct.shared(), &it.dataset, &it.entry()).unwrap();
    let mut manifest = revision.manifest().clone();
    manifest.revision = "1.0.1".to_owned();
    manifest
        .files
        .push(nodedata_registry::record::FileRef { path: "big.bin".to_owned(), blob: blob.clone() });
    let bytes = manifest.to_bytes().unwrap();
    let manifest_blob = blob_of(&bytes);
    direct.upload_part(&manifest_blob, 0, bytes.into()).unwrap();
    let proof = nodedata_registry::record::BumpProof { kept: 2, ..Default::default() };
    change(direct, &it.dataset, "acme", &|_| {
        Ok(Operation::Publish {
            revision: "1.0.1".to_owned(),
            bump: nodedata_registry::record::Bump { kind: "patch".to_owned(), proof },
            manifest: manifest_blob.b3,
            tags: vec!["latest".to_owned()],
        })
    })
    .unwrap();
}

#[test]
fn stores_are_opened_once() {
    // A server refuses a store that is known to be unsafe.
    let store = Store::memory();
    store.init().unwrap();
    store.note_probe(&nodedata_registry::Probe { rounds: 1, broken: vec!["it forgets".to_owned()] }).unwrap();
    let options = nodedata_server::ServerOptions { listen: "127.0.0.1:0".to_owned(), ..Default::default() };
    assert_eq!(nodedata_server::start(store, options).unwrap_err().kind(), ErrorKind::Denied);
}
