//! What is told on stderr with `-v` and `RUST_LOG`, and what never is.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use crate::{command::Work, logs::fixture};

/// Borders are told on stderr; stdout is the same, and without being asked nothing is told.
#[test]
fn what_is_done_is_told_on_stderr_only() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let convert = ["convert", &log, "--out", "out", "--format", "json"];
    let first = work.run(convert.into_iter().chain(["-v"])).exits(0);
    let told = |text: &str, words: &[&str]| {
        assert!(text.lines().any(|line| words.iter().all(|it| line.contains(it))), "{words:?} in {text}");
    };
    told(&first.stderr, &["INFO", "open", "format=\"mcap\"", "begins as MCAP logs do", "files=1"]);
    told(&first.stderr, &["unit is to be made", "none with its recipe is there"]);
    told(&first.stderr, &["unit is made", "shards="]);
    first.json();
    let plain = work.run(["inspect", &log, "--format", "json"]).exits(0);
    let loud = work.run_with(&[("RUST_LOG", "trace")], ["inspect", &log, "--format", "json"]).exits(0);
    assert_eq!((plain.stderr.as_str(), &plain.stdout), ("", &loud.stdout));
    told(&loud.stderr, &["INFO", "open"]);
    // What libraries tell is not heard, and a flag goes before the variable.
    let quiet = work.run_with(&[("RUST_LOG", "hyper=trace")], ["inspect", &log]).exits(0);
    assert_eq!(quiet.stderr, "");
    let flag = work.run_with(&[("RUST_LOG", "off")], ["inspect", &log, "-v"]).exits(0);
    told(&flag.stderr, &["INFO", "open"]);
}

#[test]
fn a_wrong_directive_is_a_mistake() {
    let work = Work::new();
    let ran = work.run_with(&[("RUST_LOG", "debgu")], ["formats"]).exits(2);
    assert!(
        ran.stderr.contains("`debgu` in RUST_LOG") && ran.stderr.contains("did you mean `debug`?"),
        "{}",
        ran.stderr
    );
}

/// Answers each request with the next status, and the last one for ever.
fn server(statuses: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    #[expect(clippy::disallowed_methods, reason = "a server that ends with the process of the test")]
    std::thread::spawn(move || {
        let mut statuses = statuses.iter().chain(std::iter::repeat(statuses.last().unwrap()));
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut piece = [0; 4096];
            while !head.windows(4).any(|it| it == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(n) if n > 0 => head.extend_from_slice(&piece[..n]),
                    _ => break,
                }
            }
            let status = statuses.next().unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            // Who asked may have gone.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

/// At the loudest, with secrets in the environment and in the URL.
#[test]
fn secrets_are_never_told() {
    const SECRETS: [&str; 4] =
        ["pass-word-1", "access-key-2", "ndp_secretsecretsecretsecretsecretsecretsecretA", "signature-4"];
    let work = Work::new();
    let variables =
        [("RUST_LOG", "trace"), ("AWS_SECRET_ACCESS_KEY", SECRETS[1]), ("NODEDATA_TOKEN", SECRETS[2])];
    let missing = server(&["404 Not Found"]);
    let source = format!("http://me:{}@{missing}/a.mcap", SECRETS[0]);
    let signed = format!("{source}?X-Amz-Signature={}", SECRETS[3]);
    let busy = server(&["503 Service Unavailable", "404 Not Found"]);
    let store = format!("http://{busy}");
    for (args, word) in [
        (vec!["inspect", &source, "-vv"], "404"),
        (vec!["inspect", &signed, "-vv"], missing.as_str()),
        (vec!["dataset", "show", "kit/x", "--store", &store, "-vv"], "try again"),
    ] {
        let ran = work.run_with(&variables, args);
        assert!(ran.code != 0 && ran.stderr.contains(word), "{} {}", ran.code, ran.stderr);
        for secret in SECRETS {
            assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{}", ran.stderr);
        }
    }
}
