//! What one address or one account takes up, others do not miss.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use nodedata_registry::{B3, Visibility, http::Token, tree};
use nodedata_server::ServerOptions;

use crate::{protocol::none, site::Site};

/// A server with eight places that believes this machine about who asks.
fn site(change: impl FnOnce(&mut ServerOptions)) -> Site {
    Site::with(|it| {
        (it.limits.connections, it.limits.connections_per_address) = (8, 6);
        // Who stands still may go at once, so that no test has to wait for it.
        it.limits.stalled_after = Duration::ZERO;
        change(it);
    })
}

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(site.running.address()).unwrap();
    // Only a server that says nothing for ever makes a test wait that long.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// A connection from another address of this machine.
fn connect_from(site: &Site, last: u8) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(IpAddr::from([127, 0, 0, last]), 0)).unwrap();
        socket.connect(site.running.address()).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Asks in a connection and reads the answer to its end.
fn talk(mut stream: TcpStream, path: &str, headers: &str) -> String {
    let head = format!("GET /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    drop(stream.write_all(head.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn metric(site: &Site, name: &str) -> f64 {
    // From another address: the tests' own is the one that is used up.
    let text = talk(connect_from(site, 77), "metrics", "");
    let line = text.lines().find(|it| it.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

fn until(mut holds: impl FnMut() -> bool) {
    // What never comes is a failure, and no wait for ever.
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "it does not come");
        std::thread::yield_now();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn idle_connections_and_half_sent_heads_shut_nobody_out() {
    let site = site(|_| ());
    for half_a_head in ["", "GET /healthz HTTP/1.1\r\nhost: x\r\nx-half"] {
        let mut held: Vec<TcpStream> = Vec::new();
        for n in 0..30u8 {
            let mut stream = if n % 2 == 0 { connect(&site) } else { connect_from(&site, 2) };
            drop(stream.write_all(half_a_head.as_bytes()));
            held.push(stream);
        }
        for last in [1, 2, 3, 4] {
            let answer = talk(connect_from(&site, last), "healthz", "");
            assert!(answer.starts_with("HTTP/1.1 200"), "127.0.0.{last}: {answer}");
        }
        assert!(metric(&site, "nodedata_connections") <= 8.0);
    }
    assert!(metric(&site, "nodedata_connections_displaced_total") > 0.0);
}

/// A blob of many windows, which everybody may read.
fn large_blob(site: &Site) -> String {
    let dataset = site.publish("acme/x", Visibility::Public, none());
    let direct = site.direct();
    let bytes: bytes::Bytes = vec![b'x'; 32 << 20].into();
    let blob = nodedata_registry::blob_of(&bytes);
    for part in 0..tree::n_parts(blob.bytes) {
        let range = tree::part_range(blob.bytes, part);
        nodedata_registry::Remote::upload_part(
            &direct,
            &blob,
            part,
            bytes.slice(range.start as usize..range.end as usize),
        )
        .unwrap();
    }
    nodedata_registry::Remote::seal(&direct, &blob).unwrap();
    let state = nodedata_registry::DatasetState::open(&direct, &dataset).unwrap();
    let mut record = state.next_record(
        nodedata_registry::Operation::Attach {
            kind: nodedata_registry::record::AttachmentKind::Note,
            revision: "1.0.0".to_owned(),
            manifest: state.head().unwrap().manifest,
            blob: blob.clone(),
        },
        "large",
        "acme",
    );
    record.author = "acme".to_owned();
    nodedata_registry::Remote::append(&direct, &dataset, &record).unwrap();
    format!("v1/d/acme/x/blobs/{}", blob.b3.hex())
}

#[test]
#[cfg(target_os = "linux")]
fn downloads_that_nobody_reads_shut_nobody_out_and_take_little() {
    let window = 4 << 20;
    let site = site(|it| it.limits.answers_bytes = window);
    let path = large_blob(&site);
    let mut unread: Vec<TcpStream> = Vec::new();
    for n in 0..20u8 {
        let mut stream = if n % 2 == 0 { connect(&site) } else { connect_from(&site, 2) };
        let head = format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut start = [0; 12];
        // One that was sent away reads nothing.
        if stream.write_all(head.as_bytes()).is_ok() && stream.read_exact(&mut start).is_ok() {
            unread.push(stream);
        }
    }
    let answer = talk(connect_from(&site, 3), "v1/datasets", "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(metric(&site, "nodedata_answers_bytes") <= window as f64);
    // Whoever reads gets all of it, by small pieces if need be.
    let whole = talk(connect_from(&site, 4), &path, "");
    assert!(whole.ends_with(&"x".repeat(32 << 20)), "{} bytes", whole.len());
    drop(unread);
}

#[test]
fn what_does_not_move_is_closed() {
    let rest_of = |mut stream: TcpStream| {
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        let is_waiting =
            end.is_err_and(|it| matches!(it.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!is_waiting, "the server keeps it open");
        rest.len()
    };
    let tiny = Duration::from_millis(1);
    // A limit each: nothing was sent, half a head, an answer that nobody reads.
    let idle = site(|it| it.limits.idle_timeout = tiny);
    assert_eq!(rest_of(connect(&idle)), 0);
    let half = site(|it| it.limits.head_timeout = tiny);
    let mut stream = connect(&half);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-half").unwrap();
    assert_eq!(rest_of(stream), 0);
    let unread = site(|it| it.limits.stall_timeout = tiny);
    let path = large_blob(&unread);
    let mut stream = connect(&unread);
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
    until(|| unread.get("metrics", None).text().contains("nodedata_connections_overdue_total 1\n"));
    // What was on its way is there, and then comes the end.
    assert!(rest_of(stream) < 32 << 20);
}

/// An upload of a part of which nothing comes; the server has asked for it.
fn idle_upload(site: &Site, token: &Token, n_bytes: u64) -> TcpStream {
    let mut stream = connect(site);
    let b3 = B3::of(b"never sent").hex();
    let head = format!(
        "PUT /v1/blobs/{b3}/parts/0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nnd-bytes: {n_bytes}\r\ncontent-length: {n_bytes}\r\nexpect: 100-continue\r\n\r\n",
        token.reveal()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn is_asked_for(stream: &mut TcpStream) -> bool {
    let mut line = [0; 25];
    stream.read_exact(&mut line).is_ok() && line.starts_with(b"HTTP/1.1 100")
}

fn upload(site: &Site, token: &Token) -> u16 {
    let bytes = b"what is sent in one piece";
    let path = format!("v1/blobs/{}/parts/0", B3::of(bytes).hex());
    let length = bytes.len().to_string();
    site.ask(reqwest::Method::PUT, &path, Some(token), |it| it.header("nd-bytes", length).body(&bytes[..]))
        .status
}

#[test]
fn idle_uploads_of_one_account_hold_up_no_other() {
    let mib = 1 << 20;
    let site = site(|it| {
        (it.limits.connections, it.limits.connections_per_address) = (64, 64);
        (it.limits.body_bytes, it.limits.bodies_bytes_per_account) = (mib, 2 * mib);
        it.limits.bodies_bytes = 4 * mib;
        // Only for another's sake does an upload end here.
        it.limits.stall_timeout = Duration::from_secs(3600);
        it.limits.request_timeout = Duration::from_secs(3600);
    });
    let [first, second, third] = ["a", "b", "c"].map(|it| site.token(it, &["push:kit/*"]));
    let of_first: Vec<TcpStream> = (0..5).map(|_| idle_upload(&site, &first, mib)).collect();
    // Two fit what the account has. Which of them is not told, so their number is asked for.
    until(|| site.get("metrics", None).text().contains(&format!("nodedata_bodies_bytes {}\n", 2 * mib)));
    assert_eq!(upload(&site, &second), 204, "another account has its own");
    let mut of_second: Vec<TcpStream> = (0..2).map(|_| idle_upload(&site, &second, mib)).collect();
    assert!(of_second.iter_mut().all(is_asked_for));
    // All of the server's is given away, to two that stand still: one of them goes.
    assert_eq!(upload(&site, &third), 204);
    assert_eq!(site.get("healthz", None).status, 200);
    drop((of_first, of_second));
    // The one that went is not under way for ever: only who asks is.
    until(|| site.get("metrics", None).text().contains("nodedata_requests_in_flight 1\n"));
}

#[test]
fn a_body_that_stands_still_is_told_so() {
    let site = site(|it| it.limits.stall_timeout = Duration::from_millis(1));
    let token = site.token("kit", &["push:kit/*"]);
    let mut stream = idle_upload(&site, &token, 100);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 408"), "{answer}");
}

#[test]
fn an_account_has_so_many_connections_wherever_it_comes_from() {
    let site = site(|it| {
        (it.limits.connections, it.limits.connections_per_account) = (64, 2);
        it.limits.stalled_after = Duration::from_secs(3600);
    });
    let [kit, other] = ["kit", "other"].map(|it| site.token(it, &["push:kit/*"]));
    let mut held: Vec<TcpStream> = (0..2).map(|_| idle_upload(&site, &kit, 100)).collect();
    assert!(held.iter_mut().all(is_asked_for));
    let refused = site.get("v1/whoami", Some(&kit));
    assert_eq!((refused.status, refused.code().as_str()), (429, "connections"));
    assert_eq!(site.get("v1/whoami", Some(&other)).status, 200);
    drop(held);
    until(|| site.get("v1/whoami", Some(&kit)).status == 200);
}

#[test]
fn only_a_trusted_proxy_says_where_a_request_comes_from() {
    // A list costs all that an address has.
    let bucket = |it: &mut ServerOptions| (it.limits.cost_per_second, it.limits.cost_burst) = (1, 100);
    let list = |site: &Site, client: &str| {
        site.ask(reqwest::Method::GET, "v1/datasets", None, |it| it.header("x-forwarded-for", client)).status
    };
    let site = site(bucket);
    assert_eq!([list(&site, "192.0.2.1"), list(&site, "192.0.2.2")], [200, 429], "it is not believed");
    let site = self::site(|it| {
        bucket(it);
        it.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    assert_eq!([list(&site, "192.0.2.1"), list(&site, "192.0.2.2")], [200, 200]);
    assert_eq!(list(&site, "192.0.2.1"), 429, "each behind it has a rate of its own");
    assert_eq!(list(&site, "192.0.2.2, 192.0.2.3"), 200, "the last that is no proxy");
    assert_eq!(list(&site, "192.0.2.9, 192.0.2.3"), 429);
    let mut of_proxy: Vec<TcpStream> = (0..7).map(|_| connect(&site)).collect();
    for stream in &mut of_proxy {
        let head = "GET /style.css HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200", "a proxy has more connections than an address");
    }
}
