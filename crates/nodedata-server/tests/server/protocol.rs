use nodedata_core::{ErrorKind, ReadAt as _, Silent};
use nodedata_registry::{
    BlobReader, DatasetState, NewDataset, OpenStore, PushOptions, PushRequest, Remote, Sensitivity, Store,
    StoreLocation, Visibility, blob_of, create, push, tree,
};
use nodedata_testkit::registry::{ShardSpec, conformance, write_shard};

use crate::site::Site;

#[test]
fn the_server_keeps_the_promises_of_registries() {
    let site = Site::new();
    let token = site.token("kit", &["read", "publish:kit/*"]);
    conformance(&site.shared(Some(&token)), "kit");
}

#[test]
fn an_upload_goes_on_after_the_server_was_ended() {
    let folder = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(folder.path().join("store"));
    let open = || {
        let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
        Site::over(store, |it| it.data = Some(data.path().to_owned()))
    };
    let bytes: bytes::Bytes = (0..3 * tree::PART_BYTES_MIN + 11).map(|it| (it % 249) as u8).collect();
    let blob = blob_of(&bytes);
    let part = |idx: u32| {
        let range = tree::part_range(blob.bytes, idx);
        bytes.slice(range.start as usize..range.end as usize)
    };
    let dataset = "kit/x".parse().unwrap();
    let request = PushRequest { push: "p1".to_owned(), dataset, blobs: vec![blob.clone()] };
    let site = open();
    let token = site.token("kit", &["publish:kit/*"]);
    let remote = site.remote(Some(&token));
    create(&remote, &NewDataset::new(request.dataset.clone(), "kit")).unwrap();
    assert!(remote.negotiate(&request).unwrap().need[0].have.is_empty());
    for idx in [3, 1] {
        remote.upload_part(&blob, idx, part(idx)).unwrap();
    }
    site.running.stop();
    // The token is in the database, the parts are in the store.
    let site = open();
    let remote = site.remote(Some(&token));
    let have = remote.negotiate(&request).unwrap().need[0].have.clone();
    assert_eq!(have, [1, 3]);
    let parts = format!("v1/blobs/{}/parts?bytes={}", blob.b3.hex(), blob.bytes);
    assert!(site.get(&parts, Some(&token)).text().contains("\"n_parts\":4"));
    for idx in [0, 2] {
        remote.upload_part(&blob, idx, part(idx)).unwrap();
    }
    remote.seal(&blob).unwrap();
    assert_eq!(remote.negotiate(&request).unwrap().need, []);
}

#[test]
fn a_damaged_part_is_noticed_when_it_comes() {
    let site = Site::new();
    let token = site.token("kit", &["publish:kit/*"]);
    let bytes = vec![7u8; tree::PART_BYTES_MIN as usize + 1];
    let blob = blob_of(&bytes);
    let put = |cv: &[u8], body: &[u8]| {
        let path = format!("v1/blobs/{}/parts/0", blob.b3.hex());
        let cvs = tree::grain_cvs(0, cv);
        let cv = nodedata_registry::B3(tree::fold(&cvs)).hex();
        let (length, body) = (blob.bytes.to_string(), body.to_vec());
        site.ask(reqwest::Method::PUT, &path, Some(&token), |it| {
            it.header("nd-bytes", length).header("nd-cv", cv).body(body)
        })
    };
    let part = &bytes[..tree::PART_BYTES_MIN as usize];
    let mut damaged = part.to_vec();
    damaged[100] ^= 1;
    let answer = put(part, &damaged);
    assert_eq!((answer.status, answer.code().as_str()), (422, "part-damaged"));
    assert_eq!(put(part, part).status, 204);
}

#[test]
fn the_log_takes_nothing_that_would_break_it() {
    let site = Site::new();
    let token = site.token("kit", &["publish:kit/*", "read"]);
    let remote = site.remote(Some(&token));
    let folder = tempfile::tempdir().unwrap();
    write_shard(
        &folder.path().join("train-0.parquet"),
        &ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 9, seed: 1 },
    );
    let dataset = "kit/x".parse().unwrap();
    let options = PushOptions::new("kit/x".parse().unwrap(), vec![folder.path().to_owned()], "someone else");
    push(&site.shared(Some(&token)), &options, &Silent).unwrap();
    let state = DatasetState::open(&remote, &dataset).unwrap();
    assert_eq!(state.revisions[0].author, "kit", "who asks is what the token says");
    let good = state.next_record(
        nodedata_registry::Operation::Tag { tag: "stable".to_owned(), revision: Some("1.0.0".to_owned()) },
        "op",
        "kit",
    );
    let refused = |change: &dyn Fn(&mut nodedata_registry::record::CommitRecord)| {
        let mut record = good.clone();
        change(&mut record);
        remote.append(&dataset, &record).unwrap_err()
    };
    use nodedata_registry::Operation as Op;
    let published = state.revisions[0].clone();
    let publish = |revision: &str, kind: &str| Op::Publish {
        revision: revision.to_owned(),
        bump: nodedata_registry::record::Bump { kind: kind.to_owned(), proof: Default::default() },
        manifest: published.manifest,
        tags: Vec::new(),
    };
    type Change<'a> = Box<dyn Fn(&mut nodedata_registry::record::CommitRecord) + 'a>;
    let cases: [(&str, Change<'_>); 8] = [
        ("prev", Box::new(|it| it.prev = Some(nodedata_registry::B3::of(b"x")))),
        ("a gap", Box::new(|it| it.seq += 1)),
        ("no op_id", Box::new(|it| it.op_id = String::new())),
        (
            "an unknown revision",
            Box::new(|it| it.op = Op::Tag { tag: "a".into(), revision: Some("9.0.0".into()) }),
        ),
        ("no latest", Box::new(|it| it.op = Op::Tag { tag: "latest".into(), revision: None })),
        ("another manifest's number", Box::new(|it| it.op = publish("1.0.1", "patch"))),
        ("the same number", Box::new(|it| it.op = publish("1.0.0", "patch"))),
        (
            "created twice",
            Box::new(|it| {
                it.op = Op::Create {
                    visibility: Visibility::Private,
                    sensitivity: Sensitivity::default(),
                    facts: None,
                    readme: None,
                };
            }),
        ),
    ];
    for (what, change) in &cases {
        let err = refused(&**change);
        assert!(matches!(err.kind(), ErrorKind::Config | ErrorKind::Corrupt), "{what}: {err}");
    }
    remote.append(&dataset, &good).unwrap();
}

#[test]
fn every_byte_can_be_had_by_range_and_whole() {
    let site = Site::new();
    let dataset = site.publish("acme/x", Visibility::Public, none());
    let anonymous = site.shared(None);
    let state = DatasetState::open(&*anonymous, &dataset).unwrap();
    let revision = nodedata_registry::Revision::open(&anonymous, &dataset, state.head().unwrap()).unwrap();
    let shard = &revision.shards().unwrap()[0];
    let whole = BlobReader::open(&anonymous, &dataset, &shard.blob.b3, shard.blob.bytes).unwrap();
    let whole = whole.read_at(0..shard.blob.bytes).unwrap();
    let by_path = site.get(&format!("v1/d/acme/x@1.0.0/files/{}", shard.path), None);
    assert_eq!((by_path.status, by_path.body.len()), (200, whole.len()));
    assert_eq!(by_path.body, whole);
    assert_eq!(site.get("v1/d/acme/x/shards/0", None).body, whole);
    let ranged =
        site.ask(reqwest::Method::GET, "v1/d/acme/x/shards/0", None, |it| it.header("range", "bytes=-8"));
    assert_eq!((ranged.status, ranged.body.as_slice()), (206, &whole[whole.len() - 8..]));
    for path in
        ["manifest", "schema", "readme", "index/episodes", "provenance", "croissant.json", "log", "head"]
    {
        assert_eq!(site.get(&format!("v1/d/acme/x/{path}"), None).status, 200, "{path}");
    }
    for path in ["shards/9", "index/nothing", "files/nothing", "blobs/12", "agreement"] {
        let answer = site.get(&format!("v1/d/acme/x/{path}"), None);
        assert!(matches!(answer.status, 404 | 422), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(problem["fix"].is_string() && problem["code"].is_string(), "{problem}");
    }
    let croissant: serde_json::Value =
        serde_json::from_slice(&site.get("v1/d/acme/x@^1/croissant.json", None).body).unwrap();
    assert_eq!(croissant["version"], "1.0.0");
}

pub(crate) fn none() -> Sensitivity {
    Sensitivity { class: nodedata_registry::DataClass::None, ..Sensitivity::default() }
}
