use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// A plain web server for one test: files below `/files`, the same without ranges below `/whole`, by a redirect below
/// `/moved`, only for whoever knows the query `?key=1` below `/signed`, and changed at every answer below `/changing`.
/// `/denied` is for nobody. Below `/bucket` they are the objects of a bucket, as S3 has them.
pub(crate) struct Web {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    /// While it is set, nobody is answered.
    hangs: AtomicBool,
    n_answers: AtomicU64,
    /// Bytes of files in answers.
    n_sent: AtomicU64,
    /// Method, path and range of what was asked.
    asked: Mutex<Vec<String>>,
}

impl Web {
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            files: files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect(),
            hangs: AtomicBool::new(false),
            n_answers: AtomicU64::new(0),
            n_sent: AtomicU64::new(0),
            asked: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        // It ends with the process of the test.
        let serve = move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                drop(std::thread::Builder::new().spawn(move || shared.answer(stream)));
            }
        };
        std::thread::Builder::new().spawn(serve).unwrap();
        Self { url, shared }
    }

    /// The address of a file, served in that way.
    pub(crate) fn at(&self, way: &str, name: &str) -> String {
        format!("{}/{way}/{name}", self.url)
    }

    pub(crate) fn hang(&self) {
        self.shared.hangs.store(true, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Bytes of files in all answers.
    pub(crate) fn fetched(&self) -> u64 {
        self.shared.n_sent.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// One request a connection.
    fn answer(&self, stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let Some(Ok(first)) = lines.next() else { return };
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let mut range = None;
        for line in lines.by_ref().map_while(Result::ok).take_while(|it| !it.is_empty()) {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("range")
            {
                range = value.trim().strip_prefix("bytes=").map(str::to_owned);
            }
        }
        self.asked.lock().unwrap().push(format!("{method} {target} {}", range.as_deref().unwrap_or("-")));
        if self.hangs.load(Ordering::SeqCst) {
            // Until the other side is gone.
            drop(lines.next());
            return;
        }
        let (head, body) = self.found(&target, range.as_deref());
        let length = body.len();
        if !target.contains("list-type") {
            self.n_sent.fetch_add(length as u64, Ordering::SeqCst);
        }
        let head = format!("HTTP/1.1 {head}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        let mut stream = stream;
        // Whoever asked may be gone by now.
        drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)));
        drop(stream.flush());
    }

    /// All objects, as S3 lists them.
    fn listing(&self) -> String {
        let object = |(name, bytes): (&String, &Vec<u8>)| {
            let n = bytes.len();
            format!(
                "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                 <ETag>&quot;same&quot;</ETag><Size>{n}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        };
        let objects: String = self.files.iter().map(object).collect();
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>")
    }

    /// Status and headers, and the body.
    fn found(&self, target: &str, range: Option<&str>) -> (String, Vec<u8>) {
        let n = self.n_answers.fetch_add(1, Ordering::SeqCst);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let (way, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if (way, name) == ("bucket", "") {
            return ("200 OK\r\nContent-Type: application/xml\r\n".to_owned(), self.listing().into_bytes());
        }
        let Some(bytes) = self.files.get(name) else { return ("404 Not Found\r\n".to_owned(), Vec::new()) };
        let e_tag = if way == "changing" { format!("\"{n}\"") } else { "\"same\"".to_owned() };
        match way {
            "moved" => (format!("302 Found\r\nLocation: /files/{name}\r\n"), Vec::new()),
            "denied" => ("403 Forbidden\r\n".to_owned(), Vec::new()),
            "signed" if query != "key=1" => ("403 Forbidden\r\n".to_owned(), Vec::new()),
            "whole" => ("200 OK\r\n".to_owned(), bytes.clone()),
            "files" | "signed" | "changing" | "bucket" => {
                let Some((start, end)) = range.and_then(|it| it.split_once('-')) else {
                    return ("200 OK\r\n".to_owned(), bytes.clone());
                };
                let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
                let end = (end + 1).min(bytes.len());
                if start >= end {
                    let head =
                        format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{}\r\n", bytes.len());
                    return (head, Vec::new());
                }
                let all = bytes.len();
                let head = format!(
                    "206 Partial Content\r\nETag: {e_tag}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
                     Content-Range: bytes {start}-{}/{all}\r\n",
                    end - 1
                );
                (head, bytes[start..end].to_vec())
            }
            _ => ("404 Not Found\r\n".to_owned(), Vec::new()),
        }
    }
}
