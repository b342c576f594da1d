use std::{path::PathBuf, time::Duration};

use crate::{
    clock::Clock,
    database::DatabaseAddress,
    hooks::Hook,
    limits::Limits,
    log::LogSink,
    oidc::{OidcLogin, TrustRule},
    proxies::Network,
    quota::Quotas,
    tls::TlsFiles,
};

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
    /// The database that several nodes share; then the folder, which each node needs, holds its key and its catalog. That of the
    /// folder when absent.
    pub database: Option<DatabaseAddress>,
    /// What it gives to one connection, address and account.
    pub limits: Limits,
    /// How much owners and datasets may hold.
    pub quotas: Quotas,
    /// How often the store is looked through for what came past this server. Before every list when zero. Default 60 s.
    pub refresh_every: Duration,
    /// Proxies whose `X-Forwarded-For` says where a request comes from. Nobody's when empty.
    pub trusted_proxies: Vec<Network>,
    /// How long requests under way are waited for when the server is stopped. Default 30 s.
    pub grace: Duration,
    /// How often what no request waits for is done: records that were left open, what is kept apart. Default 5 s.
    pub tend_every: Duration,
    /// Who is told when something is published, withdrawn or purged.
    pub hooks: Vec<Hook>,
    /// The issuer that people log in at. Nobody when absent: then there are only tokens that operators make.
    pub login: Option<OidcLogin>,
    /// Whose tokens, as those of CI, stand for which account; the first that fits counts.
    pub trust: Vec<TrustRule>,
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
            database: None,
            limits: Limits::default(),
            quotas: Quotas::default(),
            refresh_every: Duration::from_secs(60),
            trusted_proxies: Vec::new(),
            grace: Duration::from_secs(30),
            tend_every: Duration::from_secs(5),
            hooks: Vec::new(),
            login: None,
            trust: Vec::new(),
            clock: Clock::system(),
            log: LogSink::none(),
        }
    }
}
