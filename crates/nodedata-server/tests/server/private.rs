//! That a private dataset is there is told by nothing: neither by an answer nor by the work that it takes.

use std::time::Instant;

use nodedata_registry::{Sensitivity, Visibility, http::Token};
use reqwest::Method;

use crate::site::Site;

const PATHS: [&str; 9] = [
    "",
    "/log",
    "/log?from=3",
    "/head",
    "/manifest",
    "@1.0.0/manifest",
    "/shards/0",
    "/agreement",
    "/attest",
];

fn site() -> (Site, Token) {
    // What the server does by itself is not counted.
    let site = Site::with(|it| it.tend_every = std::time::Duration::from_secs(86_400));
    site.publish("acme/secret", Visibility::Private, Sensitivity::default());
    // Known to the server, as what is published through it is.
    let owner = site.token("acme", &["read"]);
    assert_eq!(site.get("v1/d/acme/secret/manifest", Some(&owner)).status, 200);
    let stranger = site.token("stranger", &["read", "push:stranger/*", "admin"]);
    (site, stranger)
}

#[test]
fn private_and_absent_take_the_same_work() {
    let (site, stranger) = site();
    let cost = |path: String, method: Method, token: Option<&Token>| {
        let before = (site.store.n_requests(), site.running.database().n_uses());
        let answer = site.ask(method, &path, token, |it| it);
        let asked = (site.store.n_requests() - before.0, site.running.database().n_uses() - before.1);
        (answer.status, answer.body, asked)
    };
    for token in [None, Some(&stranger)] {
        for path in PATHS {
            for method in [Method::GET, Method::HEAD] {
                let of = |name: &str| cost(format!("v1/d/acme/{name}{path}"), method.clone(), token);
                let (private, absent) = (of("secret"), of("absent"));
                assert_eq!(private, absent, "{method} {path}");
                assert!(matches!(private.0, 401 | 404), "{path}: {}", private.0);
            }
        }
        for page in ["d/acme/NAME", "d/acme/NAME/revisions"] {
            let of = |name: &str| cost(page.replace("NAME", name), Method::GET, token);
            let ((status, _, private), (_, _, absent)) = (of("secret"), of("absent"));
            assert_eq!((status, private), (404, absent), "{page}");
        }
    }
    // Also right after something was added to it.
    let publisher = site.token("acme", &["publish:acme/*"]);
    let remote = site.remote(Some(&publisher));
    let dataset = "acme/secret".parse().unwrap();
    nodedata_registry::change(&remote, &dataset, "acme", &|_| {
        let revision = Some("1.0.0".to_owned());
        Ok(nodedata_registry::Operation::Tag { tag: "t".to_owned(), revision })
    })
    .unwrap();
    let of = |name: &str| cost(format!("v1/d/acme/{name}/log"), Method::GET, None);
    assert_eq!(of("secret"), of("absent"));
}

/// 2,000 pairs, with `NODEDATA_TEST_LONG`: whoever measures tells the two apart no better than by a coin.
#[test]
fn time_tells_nothing_of_private_datasets() {
    if std::env::var_os("NODEDATA_TEST_LONG").is_none() {
        return nodedata_testkit::skipped("NODEDATA_TEST_LONG is not set, so times are not compared");
    }
    let (site, _) = site();
    let time = |name: &str| {
        let begun = Instant::now();
        assert_eq!(site.get(&format!("v1/d/acme/{name}/manifest"), None).status, 404);
        begun.elapsed().as_nanos()
    };
    let (mut private, mut absent) = (Vec::new(), Vec::new());
    for idx in 0..2_100u32 {
        // By turns, so that what slows down slows both; the first warm caches.
        let pair = match idx % 2 {
            0 => (time("secret"), time("absent")),
            _ => {
                let absent = time("absent");
                (time("secret"), absent)
            }
        };
        if idx >= 100 {
            private.push(pair.0);
            absent.push(pair.1);
        }
    }
    absent.sort_unstable();
    // The chance that a private one took longer than an absent one.
    let below: f64 = private
        .iter()
        .map(|it| {
            let (less, upto) = (absent.partition_point(|a| a < it), absent.partition_point(|a| a <= it));
            (less + upto) as f64 / 2.0
        })
        .sum();
    let area = below / (private.len() as f64 * absent.len() as f64);
    let area = area.max(1.0 - area);
    assert!(area < 0.55, "the area under the curve is {area}");
}
