//! What a record or a manifest says that the server knows better is refused, with the field named.

use std::sync::Arc;

use nodedata_core::{ErrorKind, Silent};
use nodedata_registry::{
    DatasetName, DatasetState, Operation, PushOptions, Remote, push, record::CommitRecord,
};
use nodedata_testkit::registry::{ShardSpec, write_shard};
use reqwest::Method;

use crate::{
    bump::{Change, Untrue},
    site::{Site, undated},
};

#[test]
fn a_manifest_that_says_what_is_not_so_is_refused_with_its_field() {
    let site = Site::new();
    let token = site.token("kit", &["publish:kit/*", "read"]);
    let honest = site.shared(Some(&token));
    let folder = tempfile::tempdir().unwrap();
    let dataset: DatasetName = "kit/x".parse().unwrap();
    let spec = ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 9, seed: 1 };
    write_shard(&folder.path().join("train-0.parquet"), &spec);
    let options = PushOptions::new(dataset.clone(), vec![folder.path().to_owned()], "kit");
    let cases: [(&str, Change); 14] = [
        ("shards[0].path", |_, it| it.shards[0].path = "../escaped.parquet".to_owned()),
        ("shards[0].path", |_, it| it.shards[0].path = "/etc/escaped".to_owned()),
        ("files[0].path", |_, it| it.files[0].path = "a/../../b".to_owned()),
        ("files[0].path", |_, it| it.files[0].path = "a//b".to_owned()),
        ("files[0].path", |_, it| it.files[0].path = "a\\b".to_owned()),
        ("files[0].path", |_, it| it.files[0].path = "revision.json".to_owned()),
        ("schema.path", |_, it| it.schema.file.path = String::new()),
        ("index.stats.path", |_, it| it.index.get_mut("stats").unwrap().path = "./stats.json".to_owned()),
        ("as a file and as a folder", |_, it| it.files[0].path = format!("{}/inside", it.shards[0].path)),
        ("n_shards", |_, it| it.n_shards += 1),
        ("shard_bytes", |_, it| it.shard_bytes -= 1),
        ("content_root", |_, it| it.content_root = nodedata_registry::B3([0; 32])),
        ("provenance_root", |_, it| it.provenance_root = nodedata_registry::B3([0; 32])),
        ("parents", |_, it| it.parents.push(nodedata_registry::B3([7; 32]))),
    ];
    let sent = Arc::default();
    for (field, change) in cases {
        let untrue: Arc<dyn Remote> =
            Arc::new(Untrue { inner: Arc::clone(&honest), change, sent: Arc::clone(&sent) });
        let err = push(&untrue, &options, &Silent).map(drop).unwrap_err();
        let told = format!("{} {}", err.chain(), err.locus());
        assert!(told.contains(field), "{field}: {told}");
        assert!(matches!(err.kind(), ErrorKind::Config | ErrorKind::Corrupt), "{told}");
        let state = DatasetState::open(&*honest, &dataset).unwrap();
        assert!(state.revisions.is_empty(), "{field}: nothing was published");
    }
    push(&honest, &options, &Silent).unwrap();
}

#[test]
fn dates_are_the_servers_and_an_operation_is_done_once() {
    let site = Site::new();
    site.publish("kit/x", nodedata_registry::Visibility::Private, Default::default());
    let token = site.token("kit", &["publish:kit/*", "read"]);
    let dataset: DatasetName = "kit/x".parse().unwrap();
    let tag = |name: &str, op_id: &str| {
        let state = DatasetState::open(&site.direct(), &dataset).unwrap();
        let op = Operation::Tag { tag: name.to_owned(), revision: Some("1.0.0".to_owned()) };
        undated(state.next_record(op, op_id, "kit"))
    };
    let send = |record: &CommitRecord| {
        site.ask(Method::POST, "v1/d/kit/x/commits", Some(&token), |it| it.json(record))
    };
    // Half an hour from the server's clock, both ways, and what is no time.
    let far = ["1999-12-31T23:59:59Z", "2027-01-15T07:30:00Z", "2027-01-15T08:30:00Z"];
    let none = ["yesterday", "2027-01-15", "2027-01-15T09:00:00+01:00", "2027-01-15T08:00:00"];
    for at in far.into_iter().chain(none) {
        let answer = send(&CommitRecord { at: at.to_owned(), ..tag("a", "one") });
        assert_eq!((answer.status, answer.code().as_str()), (422, "record"), "{at}");
        assert!(answer.text().contains("\"where\":\"feature `at`\""), "{}", answer.text());
    }
    // What a clock says that is a little off is not kept either.
    let first = CommitRecord { at: "2027-01-15T08:04:00Z".to_owned(), ..tag("a", "one") };
    assert_eq!(send(&first).status, 201);
    let log = site.direct().log(&dataset, 0).unwrap();
    assert_eq!(log.last().unwrap().record.at, "2027-01-15T08:00:00Z", "as the server's clock says");
    // The same again is done already, also where it is numbered anew; other content under its name is refused.
    assert_eq!(send(&first).status, 201);
    assert_eq!(send(&tag("a", "one")).status, 201);
    assert_eq!(site.direct().log(&dataset, 0).unwrap().len(), log.len(), "nothing was added");
    for record in [tag("b", "one"), CommitRecord { seq: first.seq, prev: first.prev, ..tag("b", "one") }] {
        let answer = send(&record);
        assert_eq!((answer.status, answer.code().as_str()), (409, "op-id"), "{}", answer.text());
        assert!(answer.text().contains("\"where\":\"feature `op_id`\""), "{}", answer.text());
    }
    assert_eq!(send(&tag("b", "two")).status, 201);
}

#[test]
fn a_record_that_is_longer_than_a_record_is_not_taken() {
    let site = Site::new();
    site.publish("kit/x", nodedata_registry::Visibility::Private, Default::default());
    let token = site.token("kit", &["publish:kit/*", "read"]);
    let dataset: DatasetName = "kit/x".parse().unwrap();
    let send = |reason: String| {
        let state = DatasetState::open(&site.direct(), &dataset).unwrap();
        let op = Operation::Withdraw { revision: "1.0.0".to_owned(), reason };
        let record = undated(state.next_record(op, "withdraw", "kit"));
        site.ask(Method::POST, "v1/d/kit/x/commits", Some(&token), |it| it.json(&record))
    };
    let refused = send("wrong ".repeat(50_000));
    assert_eq!((refused.status, refused.code().as_str()), (413, "record"), "{}", refused.text());
    assert_eq!(send("wrong ".repeat(500)).status, 201);
}
