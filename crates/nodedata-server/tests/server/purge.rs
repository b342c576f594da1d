use nodedata_core::Silent;
use nodedata_registry::{
    DatasetState, PurgeOptions, PushOptions, Revision, Sensitivity, Visibility, pull, purge, push,
    record::Operation,
};
use reqwest::Method;

use crate::site::Site;

/// Over a server as over a store: what is purged is gone, and who asks for it is told so.
#[test]
fn a_purge_works_over_a_server() {
    let site = Site::new();
    let dataset = site.publish("acme/x", Visibility::Private, Sensitivity::default());
    let token = site.token("acme", &["read", "publish:acme/*"]);
    let remote = site.shared(Some(&token));
    let state = || DatasetState::open(&*remote, &dataset).unwrap();
    let first = Revision::open(&remote, &dataset, state().head().unwrap()).unwrap();
    let shard = first.shards().unwrap()[0].blob.b3;
    let mut options = PushOptions::new(dataset.clone(), Vec::new(), "acme");
    options.exclude = vec!["0".to_owned()];
    push(&remote, &options, &Silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let asked = PurgeOptions {
        dataset: dataset.clone(),
        revision: None,
        author: "acme".to_owned(),
        reason: "asked for".to_owned(),
        dry_run: false,
    };
    let done = purge(&remote, &asked, folder.path(), &Silent).unwrap_or_else(|err| panic!("{}", err.chain()));
    assert_eq!((done.revisions.len(), done.still_there.len()), (2, 0));
    assert!(done.removed.contains(&shard));
    let gone = site.get(&format!("v1/d/acme/x/blobs/{}", shard.hex()), Some(&token));
    assert_eq!((gone.status, gone.code().as_str()), (410, "purged"));
    let newest = state().head().unwrap().clone();
    let revision = Revision::open(&remote, &dataset, &newest).unwrap();
    let report = pull(&revision, &folder.path().join("out"), false, &Silent).unwrap();
    assert_eq!(report.left_out_episodes, 0);
    // A server that reads the log anew knows it as well.
    let direct = site.direct();
    let again = Site::over(site.store.clone(), |_| ());
    let token = again.token("acme", &["read", "publish:acme/*"]);
    assert_eq!(again.get("v1/d/acme/x/manifest", Some(&token)).status, 200);
    assert_eq!(again.get(&format!("v1/d/acme/x/blobs/{}", shard.hex()), Some(&token)).status, 410);
    assert!(DatasetState::replay(&direct, &dataset).unwrap().purged.contains(&shard));
    // Nobody else removes anything.
    let reader = site.token("someone", &["read", "read:acme/x"]);
    let refused = site.ask(Method::POST, "v1/d/acme/x/purge", Some(&reader), |it| it);
    assert_eq!(refused.status, 403);
}

/// A tombstone names what nobody may use any more, and nothing else.
#[test]
fn what_is_in_use_is_not_purged() {
    let site = Site::new();
    let dataset = site.publish("acme/x", Visibility::Private, Sensitivity::default());
    let token = site.token("acme", &["read", "publish:acme/*"]);
    let remote = site.shared(Some(&token));
    let state = DatasetState::open(&*remote, &dataset).unwrap();
    let entry = state.head().unwrap();
    let revision = Revision::open(&remote, &dataset, entry).unwrap();
    let shard = revision.shards().unwrap()[0].blob.b3;
    for revisions in [vec![], vec![entry.revision.clone()]] {
        let op = Operation::Purge { blobs: vec![shard], revisions, reason: "asked for".to_owned() };
        let refused = remote.append(&dataset, &state.next_record(op, "op", "acme")).unwrap_err();
        assert!(
            refused.to_string().contains("needs") || refused.to_string().contains("not withdrawn"),
            "{refused}"
        );
    }
}
