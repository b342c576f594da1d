//! Who publishes a blob has sent its bytes: parts are those of one push of one account, and nobody is told what others have.

use bytes::Bytes;
use nodedata_core::ErrorKind;
use nodedata_registry::{
    DatasetName, DatasetState, NewDataset, OpenStore, Operation, PushRequest, Remote, Store, StoreLocation,
    blob_of, create,
    http::{HttpRemote, Token},
    record::{BlobRef, Bump, BumpProof},
    tree,
};
use reqwest::Method;

use crate::site::{Answer, Site, undated};

fn bytes_of(n_bytes: u64, seed: u64) -> Bytes {
    (0..n_bytes).map(|it| ((it + seed) % 251) as u8).collect()
}

fn part(bytes: &Bytes, blob: &BlobRef, part: u32) -> Bytes {
    let range = tree::part_range(blob.bytes, part);
    bytes.slice(range.start as usize..range.end as usize)
}

struct Pusher {
    remote: HttpRemote,
    token: Token,
    dataset: DatasetName,
}

impl Pusher {
    fn new(site: &Site, account: &str) -> Self {
        let token = site.token(account, &["read", &format!("publish:{account}/*")]);
        let dataset = DatasetName::new(account, "x").unwrap();
        let remote = site.remote(Some(&token));
        create(&remote, &NewDataset::new(dataset.clone(), account)).unwrap();
        Self { remote, token, dataset }
    }

    /// Announces a push; says which parts are there, or `None` where nothing is needed.
    fn begin(&self, push: &str, blob: &BlobRef) -> Option<Vec<u32>> {
        let (push, dataset) = (push.to_owned(), self.dataset.clone());
        let request = PushRequest { push, dataset, blobs: vec![blob.clone()] };
        self.remote.negotiate(&request).unwrap().need.into_iter().next().map(|it| it.have)
    }
}

fn on_disk(folder: &std::path::Path) -> Site {
    let location = StoreLocation::Folder(folder.join("store"));
    Site::over(Store::open(&location, &OpenStore { journal: None, create: true }).unwrap(), |_| ())
}

#[test]
fn nobody_seals_or_spoils_the_parts_of_others() {
    let folder = tempfile::tempdir().unwrap();
    for site in [Site::new(), on_disk(folder.path())] {
        let (alice, mallory) = (Pusher::new(&site, "alice"), Pusher::new(&site, "mallory"));
        let bytes = bytes_of(2 * tree::PART_BYTES_MIN + 5, 1);
        let blob = blob_of(&bytes);
        assert_eq!(alice.begin("p", &blob), Some(vec![]));
        for idx in [0, 2] {
            alice.remote.upload_part(&blob, idx, part(&bytes, &blob, idx)).unwrap();
        }
        // Under the same name of a push, and under none.
        for push in [Some("p"), None] {
            if let Some(push) = push {
                assert_eq!(mallory.begin(push, &blob), Some(vec![]), "parts of others are nobody's affair");
            }
            let wrong = Bytes::from(vec![9; tree::PART_BYTES_MIN as usize]);
            mallory.remote.upload_part(&blob, 0, wrong).unwrap();
            mallory.remote.upload_part(&blob, 1, part(&bytes, &blob, 1)).unwrap();
            let err = mallory.remote.seal(&blob).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
            mallory.remote.upload_part(&blob, 2, part(&bytes, &blob, 2)).unwrap();
            let err = mallory.remote.seal(&blob).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Corrupt, "{err}");
            mallory.remote.end_push("p").unwrap();
        }
        assert_eq!(alice.begin("p", &blob), Some(vec![0, 2]), "nothing of it was touched");
        alice.remote.upload_part(&blob, 1, part(&bytes, &blob, 1)).unwrap();
        alice.remote.seal(&blob).unwrap();
        assert_eq!(alice.begin("p", &blob), None);
        // That it is there now makes it nobody else's, and only all of its bytes do.
        assert_eq!(mallory.begin("q", &blob), Some(vec![]));
        for idx in [0, 1] {
            mallory.remote.upload_part(&blob, idx, part(&bytes, &blob, idx)).unwrap();
        }
        assert_eq!(mallory.remote.seal(&blob).unwrap_err().kind(), ErrorKind::Corrupt);
        mallory.remote.upload_part(&blob, 2, part(&bytes, &blob, 2)).unwrap();
        mallory.remote.seal(&blob).unwrap();
        assert_eq!(mallory.begin("q", &blob), None);
        let stored = site.direct().read_blob(&alice.dataset, &blob.b3, 0..blob.bytes).unwrap();
        assert!(stored == bytes, "the blob is what it was");
    }
}

#[test]
fn a_later_push_of_the_account_goes_on_from_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    for site in [Site::new(), on_disk(folder.path())] {
        let alice = Pusher::new(&site, "alice");
        let bytes = bytes_of(2 * tree::PART_BYTES_MIN + 5, 2);
        let blob = blob_of(&bytes);
        assert_eq!(alice.begin("first", &blob), Some(vec![]));
        alice.remote.upload_part(&blob, 1, part(&bytes, &blob, 1)).unwrap();
        alice.remote.upload_part(&blob, 0, Bytes::from(vec![1; tree::PART_BYTES_MIN as usize])).unwrap();
        let again = site.remote(Some(&alice.token));
        let alice_again =
            Pusher { remote: again, token: alice.token.clone(), dataset: alice.dataset.clone() };
        assert_eq!(alice_again.begin("second", &blob), Some(vec![0, 1]));
        alice_again.remote.upload_part(&blob, 2, part(&bytes, &blob, 2)).unwrap();
        // The first, which lives after all, begins anew and takes nothing from the second.
        assert_eq!(alice.begin("first", &blob), Some(vec![]));
        assert_eq!(alice_again.begin("second", &blob), Some(vec![0, 1, 2]));
        // One part was wrong: it costs the push that goes on a try, and no more.
        assert_eq!(alice_again.remote.seal(&blob).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(alice_again.begin("second", &blob), Some(vec![]));
        for idx in 0..3 {
            alice_again.remote.upload_part(&blob, idx, part(&bytes, &blob, idx)).unwrap();
        }
        alice_again.remote.seal(&blob).unwrap();
        assert_eq!(alice.begin("first", &blob), None, "the account has sent it");
        alice.remote.seal(&blob).unwrap();
    }
}

#[test]
fn blobs_that_come_together_are_whose_who_sent_them() {
    let folder = tempfile::tempdir().unwrap();
    let some = |seed: u64, n: u64| -> Vec<(BlobRef, Bytes)> {
        let all = (0..n).map(|it| bytes_of(1000 + it, seed));
        all.map(|it| (blob_of(&it), it)).collect()
    };
    for site in [Site::new(), on_disk(folder.path())] {
        let (alice, mallory) = (Pusher::new(&site, "alice"), Pusher::new(&site, "mallory"));
        let (there, absent) = (some(1, 5), some(2, 5));
        alice.remote.upload_blobs(&there).unwrap();
        for (blob, _) in &there {
            assert_eq!(alice.begin("p", blob), None);
            assert_eq!(mallory.begin("p", blob), Some(vec![]), "what others sent is nobody's affair");
        }
        // One of them is another than it says: none of them counts.
        let mut wrong = there.clone();
        wrong[4].1 = bytes_of(wrong[4].0.bytes, 7);
        assert_eq!(mallory.remote.upload_blobs(&wrong).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(there.iter().all(|(blob, _)| mallory.begin("p", blob) == Some(vec![])));
        let asked = |blobs: &[(BlobRef, Bytes)]| {
            let before = (site.store.n_requests(), site.running.database().n_uses());
            mallory.remote.upload_blobs(blobs).unwrap();
            (site.store.n_requests() - before.0, site.running.database().n_uses() - before.1)
        };
        let of_there = asked(&there);
        assert_eq!(of_there, asked(&absent), "the same is done for what others have");
        assert_eq!(of_there.1, asked(&some(3, 2)).1, "the database is written to once for all of them");
        assert!(there.iter().chain(&absent).all(|(blob, _)| mallory.begin("p", blob).is_none()));
    }
}

/// The same requests, once for a blob that another account has sent and once for one that nobody has: the answers are equal,
/// and so is what is asked of store and database.
#[test]
fn whether_others_have_a_blob_is_told_by_nothing() {
    let site = Site::new();
    let (alice, mallory) = (Pusher::new(&site, "alice"), Pusher::new(&site, "mallory"));
    for n_bytes in [40, 300_000, tree::PART_BYTES_MIN + 9] {
        let there = bytes_of(n_bytes, 3);
        let there_blob = blob_of(&there);
        alice.begin("p", &there_blob);
        for idx in 0..tree::n_parts(n_bytes) {
            alice.remote.upload_part(&there_blob, idx, part(&there, &there_blob, idx)).unwrap();
        }
        alice.remote.seal(&there_blob).unwrap();
        let absent = bytes_of(n_bytes, 4);
        let told = [(&there, "push-1"), (&absent, "push-2")]
            .map(|(bytes, push)| answers(&site, &mallory, bytes, push));
        assert_eq!(told[0], told[1], "{n_bytes} bytes");
    }
}

/// What each request is answered, without the digest, and how often store and database were asked for it.
fn answers(site: &Site, who: &Pusher, bytes: &Bytes, push: &str) -> Vec<(u16, String, u64, u64)> {
    let blob = blob_of(bytes);
    let hex = blob.b3.hex();
    let mut told = Vec::new();
    let mut ask = |method: Method, path: &str, body: Option<Vec<u8>>| {
        let before = (site.store.n_requests(), site.running.database().n_uses());
        let answer: Answer = site.ask(method, path, Some(&who.token), |it| {
            let it = it.header("nd-bytes", blob.bytes.to_string()).header("nd-push", push);
            match body {
                Some(body) => it.body(body),
                None => it,
            }
        });
        let text = without_digests(&answer.text()).replace(push, "PUSH");
        let asked = (site.store.n_requests() - before.0, site.running.database().n_uses() - before.1);
        told.push((answer.status, text, asked.0, asked.1));
    };
    let json = |it: &serde_json::Value| Some(serde_json::to_vec(it).unwrap());
    let account = who.dataset.owner();
    let request = serde_json::json!({"push": push, "dataset": format!("{account}/x"), "blobs": [blob]});
    let blob_body = serde_json::to_value(&blob).unwrap();
    let parts = format!("v1/blobs/{hex}/parts?bytes={}", blob.bytes);
    ask(Method::POST, &format!("v1/d/{account}/x/pushes"), json(&request));
    ask(Method::GET, &parts, None);
    ask(Method::POST, &format!("v1/blobs/{hex}:seal"), json(&blob_body));
    let state = DatasetState::open(&who.remote, &who.dataset).unwrap();
    let bump = Bump { kind: "first".to_owned(), proof: BumpProof::default() };
    let revision = "1.0.0".to_owned();
    let op = Operation::Publish { revision, bump, manifest: blob.b3, tags: Vec::new() };
    let record = serde_json::to_value(undated(state.next_record(op, push, "x"))).unwrap();
    ask(Method::POST, &format!("v1/d/{account}/x/commits"), json(&record));
    for idx in 0..tree::n_parts(blob.bytes) {
        let right = part(bytes, &blob, idx);
        let mut wrong = right.to_vec();
        wrong[0] ^= 1;
        let path = format!("v1/blobs/{hex}/parts/{idx}");
        // A wrong part of several is found when they are put together.
        if tree::n_parts(blob.bytes) == 1 {
            ask(Method::PUT, &path, Some(wrong));
        }
        ask(Method::PUT, &path, Some(right.to_vec()));
    }
    ask(Method::GET, &parts, None);
    ask(Method::POST, &format!("v1/blobs/{hex}:seal"), json(&blob_body));
    ask(Method::POST, &format!("v1/d/{account}/x/pushes"), json(&request));
    told
}

/// The text with every digest written alike.
fn without_digests(text: &str) -> String {
    let is_hex = |it: char| matches!(it, '0'..='9' | 'a'..='f');
    let words = text.split_inclusive(|it| !is_hex(it));
    words.map(|it| if it.trim_end_matches(|it| !is_hex(it)).len() == 64 { "HEX" } else { it }).collect()
}
