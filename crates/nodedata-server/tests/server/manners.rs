//! What HTTP asks of a server whatever it serves.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use nodedata_registry::{OpenStore, Sender, Store, StoreLocation, Visibility, tree};
use reqwest::Method;

use crate::{
    protocol::none,
    site::{Answer, Site},
};

fn get(site: &Site, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    site.ask(Method::GET, path, None, |it| {
        headers.iter().fold(it, |it, (name, value)| it.header(*name, *value))
    })
}

#[test]
fn what_the_asker_has_is_not_sent_again() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Public, none());
    for path in [
        "v1/d/acme/x/shards/0",
        "v1/d/acme/x/manifest",
        "v1/d/acme/x/log",
        "v1/d/acme/x/croissant.json",
        "v1/datasets",
        "d/acme/x",
        "openapi.json",
    ] {
        let first = get(&site, path, &[]);
        let etag = first.headers["etag"].to_str().unwrap().to_owned();
        for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
            let again = get(&site, path, &[("if-none-match", &known), ("range", "bytes=0-1")]);
            assert_eq!((again.status, again.body.len()), (304, 0), "{path} {known}");
            assert_eq!(again.headers["etag"], etag.as_str(), "{path}");
        }
        let other = get(&site, path, &[("if-none-match", "\"x\"")]);
        assert_eq!((other.status, other.body), (200, first.body), "{path}");
    }
    // Another content has another tag.
    let before = get(&site, "v1/datasets", &[]).headers["etag"].clone();
    site.publish("acme/y", Visibility::Public, none());
    let after = get(&site, "v1/datasets", &[("if-none-match", before.to_str().unwrap())]);
    assert!(after.status == 200 && after.headers["etag"] != before);
}

#[test]
fn a_range_is_of_the_same_bytes_or_the_whole_comes() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Public, none());
    let path = "v1/d/acme/x/shards/0";
    let whole = get(&site, path, &[]);
    let etag = whole.headers["etag"].to_str().unwrap();
    let rest = get(&site, path, &[("range", "bytes=4-"), ("if-range", etag)]);
    assert_eq!((rest.status, rest.body.as_slice()), (206, &whole.body[4..]));
    for (range, if_range) in
        [("bytes=4-", "\"x\""), ("bytes=4-2", etag), ("lines=1-2", etag), ("bytes=0-1,4-5", etag)]
    {
        let answer = get(&site, path, &[("range", range), ("if-range", if_range)]);
        assert_eq!((answer.status, answer.body.len()), (200, whole.body.len()), "{range} {if_range}");
        assert!(!answer.headers.contains_key("content-range"));
    }
    let beyond = get(&site, path, &[("range", &format!("bytes={}-", whole.body.len()))]);
    assert_eq!((beyond.status, beyond.code().as_str()), (416, "range"));
    assert_eq!(beyond.headers["content-range"], format!("bytes */{}", whole.body.len()).as_str());
    // A range is asked of a GET alone.
    let head = site.ask(Method::HEAD, path, None, |it| it.header("range", "bytes=0-1"));
    let length = head.headers["content-length"].to_str().unwrap();
    assert_eq!((head.status, length), (200, whole.body.len().to_string().as_str()));
}

#[test]
fn gated_bytes_are_kept_by_nobody_and_known_to_nobody_without_a_grant() {
    let site = Site::new();
    let mut class = none();
    class.class = nodedata_registry::DataClass::Biometric;
    class.gate = Some(site.gate("acme/faces", "agree", "manual"));
    site.publish("acme/faces", Visibility::Public, class);
    for known in ["*", "\"x\""] {
        assert_eq!(get(&site, "v1/d/acme/faces/shards/0", &[("if-none-match", known)]).status, 401);
    }
    let steward = site.token("acme", &["read"]);
    let shard = site.get("v1/d/acme/faces/shards/0", Some(&steward));
    assert_eq!((shard.status, shard.headers["cache-control"].as_bytes()), (200, &b"private, no-store"[..]));
    let manifest = site.get("v1/d/acme/faces/manifest", Some(&steward));
    assert_eq!(manifest.headers["cache-control"], "private, no-cache");
}

#[test]
fn a_request_says_once_to_whom_it_goes() {
    let site = Site::new();
    let talk = |head: &str| {
        let mut stream = TcpStream::connect(site.running.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    for hosts in ["", "host: a\r\nhost: b\r\n", "host: a\r\nhost: a\r\n", "host: a b\r\n", "host: \r\n"] {
        // The connection ends, too: what follows in it could be meant for anybody.
        let answer =
            talk(&format!("GET /healthz HTTP/1.1\r\n{hosts}\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("\"code\":\"host\""),
            "{hosts}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    let answer = talk("GET /healthz HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_store_says_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let location = StoreLocation::Folder(folder.path().to_owned());
    let store = Store::open(&location, &OpenStore { journal: None, create: true }).unwrap();
    let site = Site::over(store, |_| ());
    let token = site.token("kit", &["push:kit/*"]);
    let blob = nodedata_registry::blob_of(&vec![3; tree::PART_BYTES_MIN as usize + 1]);
    // The disk on which the parts of this blob lie is full.
    let uploads = folder.path().join(nodedata_registry::layout::UPLOADS);
    std::fs::create_dir_all(&uploads).unwrap();
    let sender = Sender::of("kit", "");
    let name = format!("{}-{}", blob.b3.hex(), sender.name().unwrap());
    std::os::unix::fs::symlink("/dev/full", uploads.join(name)).unwrap();
    let answer = site.ask(Method::PUT, &format!("v1/blobs/{}/parts/1", blob.b3.hex()), Some(&token), |it| {
        it.header("nd-bytes", blob.bytes.to_string()).body(vec![3; 1])
    });
    assert_eq!((answer.status, answer.code().as_str()), (507, "store-full"), "{}", answer.text());
    assert!(!answer.headers.contains_key("retry-after"));
    assert!(!answer.text().contains(folder.path().to_str().unwrap()), "{}", answer.text());
}
