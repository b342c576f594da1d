//! Every whole number that a request can bring, as the server's own description lists them: whatever it is, the server
//! answers, soon, with little, and lives.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use nodedata_registry::{B3, Visibility, http::Token, tree};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{protocol::none, site::Site};

/// Longest answer to any of them.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const SOON: Duration = Duration::from_secs(20);

/// Where in a request a number stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Path(String),
    Query(String),
    Header(String),
    /// As a JSON pointer.
    Body(String),
}

/// A number of an operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    id: String,
    method: String,
    path: String,
    place: Place,
    max: u64,
}

/// All of them.
fn numbers() -> Vec<Number> {
    let described = nodedata_server::openapi();
    let mut numbers = Vec::new();
    for (path, operations) in described["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let mut add = |place: Place, schema: &Value| {
                let max = schema["maximum"].as_u64();
                let max = max.unwrap_or_else(|| panic!("{id}: {place:?} has no declared maximum"));
                let (id, method, path) = (id.to_owned(), method.to_uppercase(), path.clone());
                numbers.push(Number { id, method, path, place, max });
            };
            for parameter in operation["parameters"].as_array().unwrap() {
                let (name, schema) = (parameter["name"].as_str().unwrap().to_owned(), &parameter["schema"]);
                if schema["type"] == "integer" {
                    let place = match parameter["in"].as_str().unwrap() {
                        "path" => Place::Path(name),
                        "query" => Place::Query(name),
                        "header" => Place::Header(name),
                        other => panic!("{other}"),
                    };
                    add(place, schema);
                }
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            integers(&described, body, "", &mut |pointer, schema| add(Place::Body(pointer), schema));
        }
    }
    numbers.sort();
    numbers
}

/// The whole numbers below a schema.
fn integers(described: &Value, schema: &Value, pointer: &str, found: &mut dyn FnMut(String, &Value)) {
    if let Some(reference) = schema["$ref"].as_str() {
        let named = described.pointer(reference.trim_start_matches('#')).unwrap();
        return integers(described, named, pointer, found);
    }
    if schema["type"] == "integer" {
        found(pointer.to_owned(), schema);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        integers(described, property, &format!("{pointer}/{name}"), found);
    }
    if let Some(items) = schema.get("items") {
        integers(described, items, &format!("{pointer}/0"), found);
    }
}

/// A blob that is not there, of more than one grain.
const N_BYTES: u64 = 300_000;

fn blob() -> Value {
    json!({"b3": B3::of(b"numbers").hex(), "sha256": "", "bytes": N_BYTES})
}

/// A sound body, in which the number is.
fn body(number: &Number, pointer: &str) -> Value {
    let record = |op: Value| {
        let mut record = json!({"nd": "commit/1", "seq": 2, "op_id": "numbers", "author": "", "at": ""});
        record.as_object_mut().unwrap().extend(op.as_object().unwrap().clone());
        record
    };
    let sensitivity = json!({
        "class": "none",
        "gate": {"kind": "attestation", "approval": "manual", "valid_days": 1},
    });
    match (number.id.as_str(), pointer.split('/').nth(1).unwrap()) {
        ("seal", _) => blob(),
        ("push", _) => json!({"push": "numbers", "dataset": "kit/x", "blobs": [blob()]}),
        ("createToken", _) => json!({"account": "lab", "scopes": ["read"], "valid_days": 1}),
        ("rotateToken", _) => json!({"valid_days": 1, "overlap_seconds": 0}),
        ("commit", "seq") => record(json!({"op": "tag", "tag": "stable", "revision": "1.0.0"})),
        ("commit", "bump") => {
            let bump = json!({"kind": "patch", "proof": {"kept": 0, "added": 0, "changed": 0, "removed": 0}});
            record(json!({"op": "publish", "revision": "1.0.1", "bump": bump, "manifest": B3::of(b"m")}))
        }
        ("commit", "readme") => record(
            json!({"op": "create", "visibility": "private", "sensitivity": {"class": "none"}, "readme": blob()}),
        ),
        ("commit", "blob") => record(
            json!({"op": "attach", "kind": "note", "revision": "1.0.0", "manifest": B3::of(b"m"), "blob": blob()}),
        ),
        ("commit", "sensitivity") => {
            record(json!({"op": "declare", "visibility": "public", "sensitivity": sensitivity}))
        }
        other => panic!("{other:?}: this test knows no body with such a number"),
    }
}

/// Sends a request that is sound but for the one number.
fn ask(site: &Site, token: &Token, number: &Number, value: u64) -> crate::site::Answer {
    let hex = B3::of(b"numbers").hex();
    let in_path = |name: &str, sound: String| match &number.place {
        Place::Path(it) if it == name => value.to_string(),
        _ => sound,
    };
    let target = if number.id == "seal" { format!("{hex}:seal") } else { "a:deny".to_owned() };
    let path = number
        .path
        .replace("{owner}", "kit")
        .replace("{name}", "x")
        .replace("{b3}", &hex)
        .replace("{id}", "unknown")
        .replace("{target}", &target)
        .replace("{part}", &in_path("part", "0".to_owned()))
        .replace("{idx}", &in_path("idx", "0".to_owned()));
    assert!(!path.contains('{'), "{path}: this test knows no such parameter");
    let path = match &number.place {
        Place::Query(name) => format!("{path}?{name}={value}"),
        _ => path,
    };
    let method: Method = number.method.parse().unwrap();
    site.ask(method.clone(), path.trim_start_matches('/'), Some(token), |request| {
        let request = match &number.place {
            Place::Body(pointer) => {
                let mut body = body(number, pointer);
                *body.pointer_mut(pointer).unwrap() = json!(value);
                request.json(&body)
            }
            _ if method == Method::PUT => request.body("x"),
            _ => request,
        };
        if method != Method::PUT {
            return request;
        }
        let n_bytes = match &number.place {
            Place::Header(_) => value,
            _ => N_BYTES,
        };
        request.header("nd-bytes", n_bytes.to_string()).header("nd-cv", hex.clone())
    })
}

fn site() -> (Site, Token) {
    let site = Site::with(|it| it.limits.request_timeout = SOON);
    site.publish("kit/x", Visibility::Public, none());
    let token = site.token("kit", &["read", "publish:kit/*", "review:kit/*", "admin"]);
    (site, token)
}

#[test]
fn whatever_number_comes_the_server_answers_soon_and_with_little() {
    let (site, token) = site();
    let numbers = numbers();
    // Those that are known today: a description that lists fewer has lost some.
    let found: BTreeSet<(&str, &Place)> = numbers.iter().map(|it| (it.id.as_str(), &it.place)).collect();
    assert_eq!(found.len(), numbers.len());
    for (id, place) in [
        ("parts", Place::Query("bytes".to_owned())),
        ("putPart", Place::Path("part".to_owned())),
        ("putPart", Place::Header("nd-bytes".to_owned())),
        ("log", Place::Query("from".to_owned())),
        ("audit", Place::Query("since".to_owned())),
        ("shard", Place::Path("idx".to_owned())),
        ("push", Place::Body("/blobs/0/bytes".to_owned())),
        ("seal", Place::Body("/bytes".to_owned())),
        ("commit", Place::Body("/seq".to_owned())),
        ("commit", Place::Body("/bump/proof/added".to_owned())),
        ("commit", Place::Body("/sensitivity/gate/valid_days".to_owned())),
        ("createToken", Place::Body("/valid_days".to_owned())),
        ("rotateToken", Place::Body("/overlap_seconds".to_owned())),
    ] {
        assert!(found.contains(&(id, &place)), "{id} {place:?}");
    }
    for number in &numbers {
        for value in [0, 1, number.max - 1, number.max, number.max + 1, 1 << 56, 1 << 63, u64::MAX] {
            let told = format!("{} {:?} = {value}", number.id, number.place);
            let began = Instant::now();
            let answer = ask(&site, &token, number, value);
            assert!(began.elapsed() < SOON, "{told} took {:?}", began.elapsed());
            assert!(answer.status < 500, "{told}: {} {}", answer.status, answer.text());
            assert!(answer.body.len() <= ANSWER_BYTES_MAX, "{told}: {} bytes", answer.body.len());
            if number.max < value {
                assert!(400 <= answer.status, "{told}: {}", answer.status);
                assert_eq!(answer.headers["content-type"], "application/problem+json", "{told}");
            }
        }
    }
    assert_eq!(site.get("healthz", None).status, 200, "the server is well");
}

/// What killed the server, or kept it busy for ever.
#[test]
fn lengths_and_pages_beyond_all_bounds_are_refused_by_name() {
    let (site, token) = site();
    let hex = B3::of(b"numbers").hex();
    let refused = |answer: crate::site::Answer, code: &str, name: &str| {
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{}", answer.text());
        assert!(answer.text().contains(name), "{}", answer.text());
    };
    let parts = |n_bytes: u64| site.get(&format!("v1/blobs/{hex}/parts?bytes={n_bytes}"), Some(&token));
    refused(parts(1 << 56), "number", "`bytes`");
    refused(site.get("v1/d/kit/x/log?from=18446744073709551615", None), "number", "`from`");
    refused(site.get("v1/d/kit/x/log?from=-1", None), "number", "`from`");
    // The longest blob that there may be has as many parts as any.
    let answer = parts(nodedata_registry::BLOB_BYTES_MAX);
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, told["n_parts"].as_u64()), (200, Some(tree::PARTS_MAX)));
    // A page past the end is an empty one.
    let past = format!("v1/d/kit/x/log?from={}", nodedata_registry::POSITION_MAX);
    let told: Value = serde_json::from_slice(&site.get(&past, None).body).unwrap();
    assert_eq!((told["entries"].as_array().map(Vec::len), told["more"].as_bool()), (Some(0), Some(false)));
    // A part that the blob does not have, with a chaining value to hold it against.
    let path = format!("v1/blobs/{hex}/parts/7");
    let answer = site.ask(Method::PUT, &path, Some(&token), |it| {
        it.header("nd-bytes", N_BYTES.to_string()).header("nd-cv", hex.clone()).body("x")
    });
    refused(answer, "part-length", "none at position 7");
}

/// A header that is no parameter of the description, because HTTP describes it.
#[test]
fn ranges_end_with_the_bytes_whatever_they_ask_for() {
    let (site, token) = site();
    let whole = site.get("v1/d/kit/x/shards/0", Some(&token)).body.len();
    for value in [0, 1, whole as u64 - 1, whole as u64, 1 << 63, u64::MAX - 1, u64::MAX] {
        for range in [format!("bytes={value}-"), format!("bytes=0-{value}"), format!("bytes=-{value}")] {
            let answer = site.ask(Method::GET, "v1/d/kit/x/shards/0", Some(&token), |it| {
                it.header("range", range.clone())
            });
            assert!(matches!(answer.status, 206 | 416), "{range}: {}", answer.status);
            assert!(answer.body.len() <= whole, "{range}");
        }
    }
}
