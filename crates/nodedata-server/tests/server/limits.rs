use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use nodedata_registry::{
    Sensitivity, Visibility, blob_of,
    http::{Token, pack},
};
use reqwest::Method;

use crate::site::Site;

#[test]
fn bodies_have_a_length() {
    let site = Site::with(|it| it.limits.body_bytes = 1 << 20);
    let token = site.token("kit", &["publish:kit/*"]);
    let path = "v1/d/kit/x/pushes";
    let put = |n_bytes: usize| site.ask(Method::POST, path, Some(&token), |it| it.body(vec![b' '; n_bytes]));
    let answer = put((1 << 20) + 1);
    assert_eq!((answer.status, answer.code().as_str()), (413, "body-length"));
    assert_eq!(put(1 << 20).status, 422);
    assert_eq!(site.get("healthz", None).status, 200, "the server is well");
}

#[test]
fn askers_have_a_rate() {
    // A unit a second: what fills up while the test runs is less than a list costs on any machine.
    let site = Site::with(|it| (it.limits.cost_per_second, it.limits.cost_burst) = (1, 1000));
    let dataset = site.publish("acme/x", Visibility::Public, crate::protocol::none());
    let token = site.token("kit", &["read"]);
    // Ranges are cheap: 300 of them leave most of the bucket.
    let state = nodedata_registry::DatasetState::open(&site.direct(), &dataset).unwrap();
    let manifest = state.head().unwrap().manifest.hex();
    let range = || {
        let path = format!("v1/d/acme/x/blobs/{manifest}");
        site.ask(Method::GET, &path, Some(&token), |it| it.header("range", "bytes=0-7")).status
    };
    for _ in 0..300 {
        assert_eq!(range(), 206);
    }
    // Lists are dear.
    let mut statuses: Vec<u16> = (0..20).map(|_| site.get("v1/datasets", Some(&token)).status).collect();
    statuses.dedup();
    assert_eq!(statuses, [200, 429]);
    let refused = site.get("v1/datasets", Some(&token));
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate"));
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=100).contains(&seconds), "{seconds}");
    assert_eq!(site.get("v1/datasets", None).status, 200, "others are not concerned");
    let metrics = site.get("metrics", None).text();
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|it| it.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("nodedata_cost_total") > 1000.0 && value("nodedata_rate_refusals_total") >= 2.0);
    assert!(metrics.contains("nodedata_limit{limit=\"cost_burst\"} 1000\n"), "{metrics}");
}

/// Whoever says that a body is endless, or nothing of how long it is, must not run into a debt for years, nor get it for nothing.
#[test]
fn a_body_costs_at_most_as_much_as_the_longest() {
    let site = Site::with(|it| (it.limits.cost_per_second, it.limits.cost_burst) = (1, 1000));
    for length in ["content-length: 1152921504606846976", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(site.running.address()).unwrap();
        let head = format!("POST /v1/d/kit/x/commits HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        drop(stream.shutdown(std::net::Shutdown::Write));
        // Whatever it says: it has counted the request by then.
        drop(stream.read_to_end(&mut Vec::new()));
    }
    // A commit and 64 MiB each, and these numbers themselves.
    let metrics = site.get("metrics", None).text();
    assert!(metrics.contains("\nnodedata_cost_total 548\n"), "{metrics}");
}

/// As many blobs in one request cost what they would in as many.
#[test]
fn blobs_that_come_together_cost_each() {
    let site = Site::with(|it| (it.limits.cost_per_second, it.limits.cost_burst) = (1, 1000));
    let token = site.token("kit", &["publish:kit/*"]);
    let blobs = |n: u16| {
        let all = (0..n).map(|it| bytes::Bytes::copy_from_slice(&it.to_le_bytes()));
        pack(&all.map(|it| (blob_of(&it), it)).collect::<Vec<_>>())
    };
    let put = |n: u16| site.ask(Method::PUT, "v1/blobs", Some(&token), |it| it.body(blobs(n)));
    assert_eq!(put(150).status, 204);
    let refused = put(150);
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate"));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(put(50).status, 204);
    // Two requests and the blobs of them, one that was refused, and these numbers themselves.
    let metrics = site.get("metrics", None).text();
    assert!(metrics.contains("\nnodedata_cost_total 832\n"), "{metrics}");
}

/// A time that is over at once: whatever is not all there then is not waited for, on fast and on slow machines alike.
#[test]
fn requests_have_a_time() {
    let talk = |site: &Site, text: &str| {
        let mut stream = TcpStream::connect(site.running.address()).unwrap();
        // The server may have closed already; what it said before is there all the same.
        drop(stream.write_all(text.as_bytes()));
        let mut answer = Vec::new();
        // An end without a word is an answer too.
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    };
    // A limit each, so that each is met where it holds.
    let site = Site::with(|it| it.limits.request_timeout = Duration::ZERO);
    let token = site.token("kit", &["publish:kit/*"]);
    let half_a_body = format!(
        "POST /v1/d/kit/x/pushes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{{",
        token.reveal()
    );
    let answer = talk(&site, &half_a_body);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let site = Site::with(|it| it.limits.head_timeout = Duration::ZERO);
    let answer = talk(&site, "GET /healthz HTTP/1.1\r\nhost: x\r\nx-half");
    assert!(!answer.contains("200 OK"), "half a head is closed: {answer}");
}

#[test]
fn tokens_are_in_no_line_and_no_answer() {
    let site = Site::new();
    site.publish("acme/x", Visibility::Private, Sensitivity::default());
    let token = site.token("kit", &["read", "publish:kit/*"]);
    let ended = Token::generate().unwrap();
    let secrets = [token.reveal().to_owned(), ended.reveal().to_owned()];
    let mut answers = Vec::new();
    let bearer = |it: reqwest::RequestBuilder, text: String| it.header("authorization", text);
    for (method, path) in [
        (Method::GET, "v1/datasets".to_owned()),
        (Method::GET, "v1/d/acme/x/shards/0".to_owned()),
        (Method::POST, "v1/d/kit/x/commits".to_owned()),
        (Method::POST, "v1/tokens".to_owned()),
        (Method::GET, format!("v1/datasets?token={}", secrets[0])),
        (Method::GET, format!("v1/d/kit/{}/log", secrets[0])),
        (Method::GET, format!("nowhere/{}", secrets[0])),
        (Method::PUT, format!("v1/blobs/{}/parts/0", secrets[0])),
        (Method::DELETE, format!("v1/tokens/{}", secrets[0])),
    ] {
        for secret in &secrets {
            for form in [
                format!("Bearer {secret}"),
                format!("bearer  {secret}"),
                secret.clone(),
                format!("Basic {secret}"),
            ] {
                let body = format!("{{\"token\": \"{secret}\", \"record\": 7}}");
                answers.push(site.ask(method.clone(), &path, None, |it| bearer(it, form).body(body)));
            }
        }
    }
    assert!(answers.iter().any(|it| it.status == 401) && answers.iter().any(|it| it.status == 403));
    for answer in &answers {
        for secret in &secrets {
            let all = format!("{:?} {}", answer.headers, answer.text());
            assert!(!all.contains(&secret[4..]), "{all}");
        }
    }
    let lines = site.log.lock().unwrap().join("\n");
    assert!(lines.contains("\"route\":\"/v1/datasets\"") && lines.contains("\"who\":\"kit\""));
    let root = site.token("root", &["admin"]);
    let audit = site.remote(Some(&root)).audit(0).unwrap();
    assert!(audit.contains("token-unknown"), "denials are in it");
    let metrics = site.get("metrics", None).text();
    let debugged = format!("{:?} {:?} {:?}", site.remote(Some(&token)), site.running, token);
    for text in [lines, audit, metrics, debugged] {
        for secret in secrets.iter().chain([&root.reveal().to_owned()]) {
            assert!(!text.contains(&secret[4..]), "{text}");
        }
    }
}

#[test]
fn tokens_are_made_and_taken_back_by_the_operator_alone() {
    let site = Site::new();
    let root = site.token("root", &["admin"]);
    let body = serde_json::json!({"account": "lab", "scopes": ["read"], "valid_days": 7});
    let reader = site.token("kit", &["read", "publish:kit/*"]);
    for (token, status) in [(None, 401), (Some(&reader), 403), (Some(&root), 201)] {
        assert_eq!(site.ask(Method::POST, "v1/tokens", token, |it| it.json(&body)).status, status);
    }
    let made = site.ask(Method::POST, "v1/tokens", Some(&root), |it| it.json(&body));
    let made: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
    let token = Token::parse(made["token"].as_str().unwrap()).unwrap();
    assert_eq!(site.get("v1/datasets", Some(&token)).status, 200);
    let path = format!("v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(site.ask(Method::DELETE, &path, Some(&reader), |it| it).status, 403);
    assert_eq!(site.ask(Method::DELETE, &path, Some(&root), |it| it).status, 204);
    assert_eq!(site.get("v1/datasets", Some(&token)).code(), "token-unknown");
    let other = site.token("lab", &["read"]);
    site.clock.advance(366 * 24 * 3600);
    assert_eq!(site.get("v1/datasets", Some(&other)).code(), "token-unknown", "it is over");
}

#[test]
fn what_is_under_way_is_finished_before_the_end() {
    let site = Site::new();
    let mut stream = TcpStream::connect(site.running.address()).unwrap();
    // The head is there, so the request is under way; its body follows after the server was told to stop.
    let token = site.token("kit", &["publish:kit/*"]);
    let bytes = b"twelve bytes";
    let b3 = nodedata_registry::B3::of(bytes).hex();
    let head = format!(
        "PUT /v1/blobs/{b3}/parts/0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nnd-bytes: 12\r\ncontent-length: 12\r\nexpect: 100-continue\r\n\r\n",
        token.reveal()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = [0; 25];
    // The server asks for the body once it has taken the request in.
    stream.read_exact(&mut line).unwrap();
    assert!(line.starts_with(b"HTTP/1.1 100"));
    let (address, store) = (site.running.address(), site.store.clone());
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| site.running.stop());
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&answer));
        stopping.join().unwrap();
    });
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    let path = nodedata_registry::layout::blob(&b3.parse().unwrap());
    assert_eq!(store.get(&path).unwrap().unwrap(), bytes.as_slice());
}
