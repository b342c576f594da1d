use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;
use crate::{hashing::blob_of, http::HttpRemote, remote::Remote as _};

/// A server that does with each connection what a test says, and counts them. It ends when its last client is gone.
struct Odd {
    url: Url,
    n_asked: Arc<AtomicUsize>,
}

impl Odd {
    fn new(n_connections: usize, answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let n_asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&n_asked);
        let serve = move || {
            for stream in listener.incoming().take(n_connections) {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                if stream.read(&mut head).is_ok_and(|it| it > 0) {
                    count.fetch_add(1, Ordering::Relaxed);
                    answer(&mut stream);
                }
            }
        };
        drop(std::thread::Builder::new().spawn(serve).unwrap());
        Self { url, n_asked }
    }

    fn ask(&self) -> Error {
        let mut exchange = Exchange::new(self.url.clone(), None).unwrap();
        let short = Duration::from_millis(150);
        exchange.patience = Patience {
            answer: short,
            work: short,
            idle: short,
            body: short * 2,
            retry_after: Duration::from_secs(30),
        };
        let asked = exchange.ask(&Question::new(Method::GET, "v1/datasets"));
        asked.err().map(Error::from).unwrap()
    }

    fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::Relaxed)
    }
}

/// Until the other side has gone.
fn wait(stream: &mut TcpStream) {
    while stream.read(&mut [0; 64]).is_ok_and(|it| it > 0) {}
}

/// Writes again and again, a little at a time, until the other side has gone.
fn drip(stream: &mut TcpStream, piece: &[u8]) {
    while stream.write_all(piece).and_then(|()| stream.flush()).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_silent_server_is_waited_for_twice_and_told() {
    let server = Odd::new(2, wait);
    let err = server.ask();
    assert_eq!(err.kind(), ErrorKind::Io);
    assert!(err.to_string().contains("did not answer within 150ms"), "{err}");
    assert_eq!((server.n_asked(), err.hint()), (2, Some(AGAIN)));
}

#[test]
fn a_head_that_drips_is_no_answer() {
    let server = Odd::new(2, |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").unwrap();
        drip(stream, b"a");
    });
    let err = server.ask();
    assert!(err.to_string().contains("did not answer within"), "{err}");
}

#[test]
fn an_answer_that_stops_or_drips_is_given_up_on() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{";
    let stops = Odd::new(2, |stream| {
        stream.write_all(HEAD).unwrap();
        wait(stream);
    });
    let err = stops.ask();
    assert!(err.to_string().contains("sent nothing for 150ms amid an answer"), "{err}");
    assert_eq!(stops.n_asked(), 2);
    let drips = Odd::new(2, |stream| {
        stream.write_all(HEAD).unwrap();
        drip(stream, b" ");
    });
    let err = drips.ask();
    assert!(err.to_string().contains("too slow to wait"), "{err}");
    assert_eq!((err.kind(), drips.n_asked()), (ErrorKind::Io, 2));
}

#[test]
fn a_wait_that_is_too_long_is_told_and_not_waited_for() {
    for status in ["503 Service Unavailable", "429 Too Many Requests"] {
        let server = Odd::new(1, move |stream| {
            let head = format!(
                "HTTP/1.1 {status}\r\nretry-after: 999999\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
        });
        let err = server.ask();
        assert_eq!((err.kind(), server.n_asked()), (ErrorKind::Limit, 1), "{}", err.chain());
        assert!(err.to_string().contains("left alone for 999999s"), "{err}");
    }
}

/// Something between them cut a request off, and the server heard the end of it.
#[test]
fn a_request_that_was_cut_off_is_sent_again() {
    let n_told = AtomicUsize::new(0);
    let server = Odd::new(2, move |stream| {
        let cut = Error::new(ErrorKind::Io, "the body did not come to its end");
        let problem = serde_json::to_string(&Problem::of(400, CUT_BODY, &cut)).unwrap();
        let (status, body) = match n_told.fetch_add(1, Ordering::Relaxed) {
            0 => ("400 Bad Request", problem.as_str()),
            _ => ("200 OK", "{}"),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    let exchange = Exchange::new(server.url.clone(), None).unwrap();
    assert!(exchange.ask(&Question::new(Method::POST, "v1/d/acme/x/commits")).is_ok());
    assert_eq!(server.n_asked(), 2);
}

/// A server that seals a large blob reads it first.
#[test]
fn a_seal_has_the_time_of_work() {
    let server = Odd::new(1, |stream| {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).unwrap();
        wait(stream);
    });
    let mut remote = HttpRemote::new(&server.url, None).unwrap();
    // What is no work is given up on at once.
    remote.exchange.patience = Patience { answer: Duration::ZERO, ..Patience::default() };
    remote.seal(&blob_of(b"x")).unwrap();
    assert_eq!(server.n_asked(), 1);
}

/// Servers of earlier versions know nothing of blobs that come together: they are told each, and the first only once.
#[test]
fn an_earlier_server_gets_small_blobs_one_by_one() {
    let answer = |stream: &mut TcpStream, n_asked: usize| {
        let (status, body) = match n_asked {
            1 => {
                ("404 Not Found", r#"{"type":"x","title":"x","status":404,"code":"missing","kind":"config"}"#)
            }
            _ => ("204 No Content", ""),
        };
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        stream.write_all(format!("{head}{length}\r\n{body}").as_bytes()).unwrap();
        wait(stream);
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Odd::new(5, move |stream| answer(stream, asked.fetch_add(1, Ordering::Relaxed) + 1));
    let remote = HttpRemote::new(&server.url, None).unwrap();
    let blobs = [&b"one"[..], b"two"].map(|it| (blob_of(it), Bytes::from_static(it)));
    remote.upload_blobs(&blobs).unwrap();
    assert_eq!(server.n_asked(), 3);
    remote.upload_blobs(&blobs).unwrap();
    assert_eq!(server.n_asked(), 5, "it is not asked again what it does not know");
}
