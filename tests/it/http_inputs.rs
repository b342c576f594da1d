//! A recording on a web server is read where it lies, and makes the same dataset as on disk.

use std::net::TcpListener;

use crate::{command::Work, generated::log, logs::fixture, tables::differing, web::Web};

/// A recording on disk and on a server.
fn both() -> (Work, Web) {
    let work = Work::new();
    let bytes = std::fs::read(fixture("json_and_cbor.mcap")).unwrap();
    work.write("src/a.mcap", &bytes);
    work.run(["convert", "src/a.mcap", "--out", "near"]).exits(0);
    (work, Web::new([("a.mcap", bytes)]))
}

#[test]
fn a_web_address_converts_as_the_file_does() {
    let (work, web) = both();
    let signed = web.at("signed", "a.mcap?key=1");
    for (idx, url) in
        [web.at("files", "a.mcap"), web.at("whole", "a.mcap"), web.at("moved", "a.mcap"), signed]
            .iter()
            .enumerate()
    {
        let out = format!("far-{idx}");
        let ran = work.run(["convert", url, "-o", &out]).exits(0);
        assert_eq!(differing(&work.path("near"), &work.path(&out)), ["report.json"], "{url}: {}", ran.stdout);
        work.run(["explain", &out, "--rebuild", "--source", url]).exits(0);
        // Nothing changed on the server: nothing is done.
        let again = work.run(["convert", url, "-o", &out]).exits(0);
        assert!(again.stdout.contains("is already complete in"), "{}", again.stdout);
    }
    let asked = web.asked();
    assert!(asked.iter().all(|it| it.starts_with("GET ")), "{asked:?}");
    let unranged = asked.iter().filter(|it| it.ends_with(" -")).count();
    assert_eq!(unranged, 0, "every request is for a range: {asked:?}");
    let text = std::fs::read_to_string(work.path("far-3/report.json")).unwrap();
    assert!(!text.contains("key=1"), "a signature is not written down: {text}");
}

#[test]
fn other_commands_read_web_addresses_too() {
    let (work, web) = both();
    for way in ["files", "whole"] {
        let url = web.at(way, "a.mcap");
        for command in [&["inspect"][..], &["schema", "infer"]] {
            let told = |source: &str| work.run(command.iter().copied().chain([source])).exits(0).stdout;
            assert_eq!(told(&url), told("src/a.mcap"), "{command:?}");
        }
        let validated = work.run(["validate", &url]).exits(0);
        assert!(validated.stdout.contains("sound: mcap, 1 episode usable"), "{}", validated.stdout);
        let pipeline = format!("{way}.yaml");
        work.run(["init", &url, "-o", &pipeline]).exits(0);
        let text = std::fs::read_to_string(work.path(&pipeline)).unwrap();
        assert!(text.contains(&url), "{text}");
        work.write("plain.yaml", format!("version: 1\nsource: {{path: '{url}'}}\n"));
        work.run(["run", "plain.yaml", "-o", &format!("run-{way}")]).exits(0);
        assert_eq!(differing(&work.path("near"), &work.path(format!("run-{way}"))), ["report.json"]);
    }
    work.run(["convert", &web.at("files", "a.mcap"), &web.at("files", "a.mcap"), "-o", "twice"]).exits(2);
}

/// A look at a large recording does not fetch it.
#[test]
fn a_look_fetches_little() {
    let work = Work::new();
    let bytes = log(1, 24);
    let n_bytes = bytes.len() as u64;
    let web = Web::new([("a.mcap", bytes)]);
    work.run(["inspect", &web.at("files", "a.mcap")]).exits(0);
    let fetched = web.fetched();
    assert!(0 < fetched && fetched < n_bytes / 2, "{fetched} of {n_bytes}: {:?}", web.asked());
}

/// What rows are made of is hashed when it comes, not fetched once more.
#[test]
fn a_conversion_fetches_a_recording_once() {
    let work = Work::new();
    let bytes = log(1, 24);
    work.write("near.mcap", &bytes);
    let n_bytes = bytes.len() as u64;
    let web = Web::new([("near.mcap", bytes)]);
    work.run(["convert", "near.mcap", "--out", "near"]).exits(0);
    work.run(["convert", &web.at("files", "near.mcap"), "--out", "far"]).exits(0);
    let fetched = web.fetched();
    assert!(
        n_bytes <= fetched && fetched <= n_bytes + n_bytes / 10,
        "{fetched} of {n_bytes}: {:?}",
        web.asked()
    );
    assert_eq!(differing(&work.path("near"), &work.path("far")), ["report.json"]);
}

#[test]
fn what_cannot_be_read_is_said_with_what_to_do() {
    let (work, web) = both();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/a.mcap", listener.local_addr().unwrap())
    };
    let before = work.names();
    for (url, code, message, hint) in [
        (web.at("files", "b.mcap"), 1, "answered `404 Not Found`", "must be that of the file"),
        (web.at("denied", "a.mcap"), 1, "answered `403 Forbidden`", "signed"),
        (web.at("signed", "a.mcap?key=secret"), 1, "answered `403 Forbidden`", "signed"),
        (web.at("files", ""), 2, "names no file", "list no folders"),
        (web.at("files", "*.mcap"), 2, "no pattern", "each file"),
        (web.at("changing", "a.mcap"), 1, "changed on the server", "again"),
        (nobody, 1, "cannot be reached", "the network"),
        ("ftp://host/a.mcap".to_owned(), 1, "`ftp://`", "this build reads http://"),
        ("hf://datasets/a/b".to_owned(), 1, "`hf://`", "hf download"),
        ("-".to_owned(), 1, "standard input", "write it to a file"),
    ] {
        let refused = work.run(["convert", &url, "-o", "out"]).exits(code);
        assert!(
            refused.stderr.contains(message) && refused.stderr.contains(hint),
            "{url}: {}",
            refused.stderr
        );
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
        assert_eq!(work.names(), before, "{url}");
    }
}
