//! TLS by the server itself, with certificates that are made here.

use std::path::Path;

use nodedata_core::ErrorKind;
use nodedata_registry::Store;
use nodedata_server::{ServerOptions, TlsFiles, start};

use crate::site::Site;

/// Writes a fresh certificate for this machine and its key, and returns the certificate.
fn certificate(folder: &Path) -> String {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let pem = made.cert.pem();
    std::fs::write(folder.join("cert.pem"), &pem).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    pem
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") }
}

/// Asks as somebody who trusts this certificate alone.
fn health(site: &Site, pem: &str) -> Result<(u16, String), reqwest::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([trusted]).build().unwrap();
    let url = format!("https://127.0.0.1:{}/healthz", site.running.address().port());
    runtime.block_on(async {
        let answer = client.get(url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    })
}

#[test]
fn a_certificate_is_served_and_read_anew_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path());
    let site = Site::with(|it| it.tls = Some(files(folder.path())));
    assert!(site.running.url().starts_with("https://127.0.0.1:"), "{}", site.running.url());
    assert_eq!(health(&site, &first).unwrap(), (200, "ok\n".to_owned()));
    // Nothing is said in the clear.
    let clear = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| site.get("healthz", None).status));
    assert!(clear.is_err(), "{clear:?}");
    let second = certificate(folder.path());
    // The files are looked at again and again.
    let mut n_tries = 0;
    while health(&site, &second).is_err() {
        n_tries += 1;
        assert!(n_tries < 300, "the new certificate is not served");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(health(&site, &first).is_err(), "the old one is gone");
    // A key that does not belong to it, as between two files of a renewal: what was goes on.
    let key = std::fs::read(folder.path().join("key.pem")).unwrap();
    let other = certificate(folder.path());
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
    assert_eq!(site.running.reload_tls().unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(health(&site, &second).unwrap().0, 200);
    assert!(health(&site, &other).is_err());
}

#[test]
fn files_that_are_no_certificate_or_no_key_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    certificate(folder.path());
    let secret = std::fs::read_to_string(path("key.pem")).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("broken"), &secret[..secret.len() / 2]).unwrap();
    let begin = |cert: &str, key: &str| {
        let tls = Some(TlsFiles { cert: path(cert), key: path(key) });
        let options = ServerOptions { listen: "127.0.0.1:0".to_owned(), tls, ..ServerOptions::default() };
        start(Store::memory(), options).unwrap_err()
    };
    for (cert, key) in [
        ("absent", "key.pem"),
        ("cert.pem", "absent"),
        ("empty", "key.pem"),
        ("cert.pem", "empty"),
        ("key.pem", "key.pem"),
        ("cert.pem", "cert.pem"),
        ("cert.pem", "broken"),
    ] {
        let err = begin(cert, key);
        assert_eq!(err.kind(), ErrorKind::Config, "{cert} {key}: {err}");
        assert!(err.locus().path.is_some(), "{cert} {key}: {err}");
        let inside = secret.lines().nth(1).unwrap();
        assert!(!err.chain().contains(&inside[..20]), "{}", err.chain());
    }
}

#[test]
fn a_connection_that_never_shakes_hands_is_closed() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let pem = certificate(folder.path());
    let site = Site::with(|it| {
        it.tls = Some(files(folder.path()));
        it.limits.connections = 1;
        it.limits.idle_timeout = std::time::Duration::from_millis(200);
        it.limits.head_timeout = std::time::Duration::from_millis(200);
    });
    // Nothing at all, and the beginning of a handshake, which is a head that is half sent.
    for begin in [&b""[..], b"\x16\x03\x01"] {
        let mut silent = std::net::TcpStream::connect(site.running.address()).unwrap();
        silent.write_all(begin).unwrap();
        // It holds the only place until its time is over.
        let mut rest = Vec::new();
        drop(silent.read_to_end(&mut rest));
        assert!(rest.is_empty(), "{rest:?}");
    }
    // Its end is noticed a moment later on the other side.
    while health(&site, &pem).is_err() {}
}
