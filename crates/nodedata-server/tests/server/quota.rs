//! How much an owner and a dataset may hold.

use nodedata_core::{ErrorKind, Silent};
use nodedata_registry::{
    NewDataset, PushOptions, PushRequest, blob_of, create, http::Token, push, record::BlobRef,
};
use nodedata_server::Quotas;
use nodedata_testkit::registry::{ShardSpec, write_shard};
use reqwest::Method;

use crate::site::{Answer, Site};

fn site(quotas: Quotas) -> (Site, Token) {
    let site = Site::with(|it| it.quotas = quotas);
    let token = site.token("kit", &["read", "publish:kit/*"]);
    (site, token)
}

fn of_dataset(bytes: u64) -> Quotas {
    Quotas { bytes_per_dataset: Some(bytes), ..Quotas::default() }
}

fn blob(seed: u8, n_bytes: u64) -> (Vec<u8>, BlobRef) {
    let bytes = vec![seed; n_bytes as usize];
    let blob = blob_of(&bytes);
    (bytes, blob)
}

fn announce(site: &Site, token: &Token, dataset: &str, name: &str, blobs: &[BlobRef]) -> Answer {
    let request =
        PushRequest { push: name.to_owned(), dataset: dataset.parse().unwrap(), blobs: blobs.to_vec() };
    site.ask(Method::POST, &format!("v1/d/{dataset}/pushes"), Some(token), |it| it.json(&request))
}

fn is_refused(answer: &Answer, numbers: &[u64]) {
    assert_eq!((answer.status, answer.code().as_str()), (413, "quota"), "{}", answer.text());
    for number in numbers {
        assert!(answer.text().contains(&number.to_string()), "{number} in {}", answer.text());
    }
}

#[test]
fn a_push_sets_aside_what_it_brings() {
    let (site, token) = site(of_dataset(1000));
    let [first, second] = [1, 2].map(|seed| blob(seed, 600).1);
    assert_eq!(announce(&site, &token, "kit/x", "p1", &[first.clone(), first.clone()]).status, 200);
    is_refused(&announce(&site, &token, "kit/x", "p2", std::slice::from_ref(&second)), &[600, 1000, 0]);
    assert_eq!(
        announce(&site, &token, "kit/x", "p1", std::slice::from_ref(&first)).status,
        200,
        "the same one again"
    );
    assert_eq!(
        announce(&site, &token, "kit/y", "p2", std::slice::from_ref(&second)).status,
        200,
        "another dataset"
    );
    assert_eq!(site.ask(Method::DELETE, "v1/pushes/p1", Some(&token), |it| it).status, 204);
    assert_eq!(announce(&site, &token, "kit/x", "p3", std::slice::from_ref(&second)).status, 200);
    is_refused(&announce(&site, &token, "kit/x", "p4", std::slice::from_ref(&first)), &[600, 1000]);
    // What is forgotten is given back.
    site.clock.advance(nodedata_registry::LEASE_SECONDS as i64 + 1);
    assert_eq!(announce(&site, &token, "kit/x", "p4", &[first]).status, 200);
}

#[test]
fn an_owner_has_so_much_over_all_datasets() {
    let (site, token) = site(Quotas { bytes_per_account: Some(1000), ..Quotas::default() });
    let other = site.token("lab", &["read", "publish:lab/*"]);
    let [first, second] = [1, 2].map(|seed| blob(seed, 600).1);
    assert_eq!(announce(&site, &token, "kit/x", "p1", &[first]).status, 200);
    is_refused(&announce(&site, &token, "kit/y", "p2", std::slice::from_ref(&second)), &[600, 1000]);
    assert_eq!(announce(&site, &other, "lab/x", "p2", &[second]).status, 200, "another owner");
}

#[test]
fn what_is_published_counts_and_what_is_there_does_not_count_twice() {
    let folder = tempfile::tempdir().unwrap();
    let shard = folder.path().join("train-0.parquet");
    write_shard(&shard, &ShardSpec { first_episode: 0, n_episodes: 2, n_steps: 2000, seed: 1 });
    let n_bytes = std::fs::metadata(&shard).unwrap().len();
    let publish = |quotas: Quotas| {
        let (site, token) = site(quotas);
        let options = PushOptions::new("kit/x".parse().unwrap(), vec![shard.clone()], "kit");
        let pushed = push(&site.shared(Some(&token)), &options, &Silent);
        (site, token, pushed)
    };
    for quotas in
        [of_dataset(n_bytes / 2), Quotas { bytes_per_account: Some(n_bytes / 2), ..Quotas::default() }]
    {
        let (site, _, pushed) = publish(quotas);
        let err = pushed.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Limit, "{}", err.chain());
        assert!(err.chain().contains(&(n_bytes / 2).to_string()), "{}", err.chain());
        assert!(!site.log.lock().unwrap().iter().any(|it| it.contains("/parts/")), "nothing was sent");
    }
    let quota = 2 * n_bytes + (1 << 20);
    for quotas in [of_dataset(quota), Quotas { bytes_per_account: Some(quota), ..Quotas::default() }] {
        let (site, token, pushed) = publish(quotas);
        pushed.unwrap_or_else(|err| panic!("{}", err.chain()));
        let (_, large) = blob(7, quota - n_bytes);
        let refused = announce(&site, &token, "kit/x", "p", &[large]);
        is_refused(&refused, &[quota, quota - n_bytes]);
        assert!(refused.text().contains("and 0 are on their way"), "{}", refused.text());
        // The shard is there.
        let bytes = std::fs::read(&shard).unwrap();
        let rest = blob(8, n_bytes).1;
        assert_eq!(announce(&site, &token, "kit/x", "p", &[blob_of(&bytes), rest]).status, 200);
    }
}

#[test]
fn bytes_that_nobody_announced_are_not_taken() {
    let (site, token) = site(of_dataset(1000));
    let (bytes, blob) = blob(3, 100);
    let put = || {
        site.ask(Method::PUT, &format!("v1/blobs/{}/parts/0", blob.b3.hex()), Some(&token), |it| {
            it.header("nd-bytes", "100").body(bytes.clone())
        })
    };
    assert_eq!(put().code(), "not-announced");
    let other = site.token("lab", &["publish:lab/*"]);
    assert_eq!(announce(&site, &other, "lab/x", "p", std::slice::from_ref(&blob)).status, 200);
    assert_eq!(put().code(), "not-announced", "by another account");
    assert_eq!(announce(&site, &token, "kit/x", "p", std::slice::from_ref(&blob)).status, 200);
    assert_eq!(put().status, 204);
}

/// Blobs that were sent for one dataset get into another by a record alone: it is counted, too.
#[test]
fn a_record_is_held_against_the_quota() {
    let (site, token) = site(Quotas { bytes_per_account: Some(1500), ..Quotas::default() });
    let remote = site.remote(Some(&token));
    let (bytes, card) = blob(b'x', 900);
    let mut new = NewDataset::new("kit/x".parse().unwrap(), "kit");
    new.readme = Some(String::from_utf8(bytes).unwrap());
    create(&remote, &new).unwrap();
    let record = serde_json::json!({
        "nd": "commit/1", "seq": 0, "op_id": "c", "author": "", "at": "", "op": "create",
        "visibility": "private", "sensitivity": {"class": "none"}, "readme": card,
    });
    let answer = site.ask(Method::POST, "v1/d/kit/y/commits", Some(&token), |it| it.json(&record));
    is_refused(&answer, &[900, 1500]);
}
