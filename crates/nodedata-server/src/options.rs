use std::{path::PathBuf, time::Duration};

use crate::{clock::Clock, hooks::Hook, log::LogSink, tls::TlsFiles};

/// How a server runs.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// `ADDRESS:PORT` to listen on; port 0 takes a free one. Default `127.0.0.1:8080`.
    pub listen: String,
    /// The certificate that connections are answered with; in the clear when absent.
    pub tls: Option<TlsFiles>,
    /// How readers reach the server, such as `https://data.example`: what pages tell them to type. Of the request's
    /// own `Host` when absent.
    pub public_url: Option<String>,
    /// Folder of the database; in memory when absent, so that tokens and grants end with the process.
    pub data: Option<PathBuf>,
    /// Longest body of a request, in bytes. Default 64 MiB: a part of a blob of 512 GiB.
    pub body_bytes_max: u64,
    /// Bytes of bodies that are in memory at once, over all requests. Default 256 MiB.
    pub bodies_bytes_max: u64,
    /// Requests of one account, or of one address without a token, in a second. Default 1,000.
    pub requests_per_second: u32,
    /// Requests that may come at once before that rate counts. Default 2,000.
    pub requests_burst: u32,
    /// Connections at once. Default 512.
    pub connections_max: usize,
    /// How long a request may take, and how long its body. Default 120 s.
    pub request_timeout: Duration,
    /// How long the head of a request may take, and how long a connection may be idle. Default 30 s.
    pub head_timeout: Duration,
    /// How long requests under way are waited for when the server is stopped. Default 30 s.
    pub grace: Duration,
    /// Who is told when something is published, withdrawn or purged.
    pub hooks: Vec<Hook>,
    /// What time it is.
    pub clock: Clock,
    /// Where lines about requests go.
    pub log: LogSink,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            tls: None,
            public_url: None,
            data: None,
            body_bytes_max: 64 << 20,
            bodies_bytes_max: 256 << 20,
            requests_per_second: 1000,
            requests_burst: 2000,
            connections_max: 512,
            request_timeout: Duration::from_secs(120),
            head_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            hooks: Vec::new(),
            clock: Clock::system(),
            log: LogSink::none(),
        }
    }
}
