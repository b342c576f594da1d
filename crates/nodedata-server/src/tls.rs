//! TLS: the certificate of a server, read anew when its files change, for connections that come after.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
    server::TlsStream,
};

use crate::log::LogSink;

/// How often the files are looked at.
const LOOKED_EVERY: Duration = Duration::from_secs(2);

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, then those that lead to its authority, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What new connections are answered with.
pub(crate) struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    /// The files as they were when they were tried last.
    tried: Mutex<[Stamp; 2]>,
}

/// Tells whether a file is another than it was; `None` where there is none.
type Stamp = Option<(SystemTime, u64)>;

impl Tls {
    /// With the certificate that is there.
    ///
    /// # Errors
    /// `Config` when a file holds no certificate or key, or the two do not belong together.
    pub(crate) fn new(files: TlsFiles) -> Result<Self> {
        let tried = Mutex::new(stamps(&files));
        let current = RwLock::new(Arc::new(load(&files)?));
        Ok(Self { files, current, tried })
    }

    /// The secured side of a connection; `None` when the other side does not shake hands, in time.
    pub(crate) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        limit: Duration,
    ) -> Option<TlsStream<S>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        tokio::time::timeout(limit, TlsAcceptor::from(config).accept(stream)).await.ok()?.ok()
    }

    /// Takes the files as they are now.
    ///
    /// # Errors
    /// As [`Self::new`]: then the certificate from before goes on.
    pub(crate) fn reload(&self) -> Result<()> {
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = stamps(&self.files);
        let config = Arc::new(load(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    fn has_changed(&self) -> bool {
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) != stamps(&self.files)
    }

    /// Reloads when the files change, and when the process is told to (SIGHUP), for as long as the server runs.
    pub(crate) async fn watch(self: Arc<Self>, log: LogSink) {
        let mut told = Told::new();
        loop {
            let is_told = tokio::select! {
                () = tokio::time::sleep(LOOKED_EVERY) => false,
                () = told.next() => true,
            };
            let (tls, log) = (Arc::clone(&self), log.clone());
            let looked = tokio::task::spawn_blocking(move || {
                if !is_told && !tls.has_changed() {
                    return;
                }
                let outcome = tls.reload();
                let failed = outcome.as_ref().err();
                let line = json!({
                    "event": "tls-reload",
                    "failed": failed.map(ToString::to_string),
                    "where": failed.map(|err| err.locus().to_string()),
                });
                log.write(&line.to_string());
            });
            // One that fails is tried again at the next change.
            drop(looked.await);
        }
    }
}

/// Tells when the process is asked to reload.
struct Told {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Told {
    fn new() -> Self {
        Self {
            // A system that hands out no signals still shows that files change.
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

fn stamps(files: &TlsFiles) -> [Stamp; 2] {
    [&files.cert, &files.key].map(|it| {
        let metadata = std::fs::metadata(it).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn load(files: &TlsFiles) -> Result<ServerConfig> {
    let refused = |path: &Path, what: &str, err: String| {
        Error::new(ErrorKind::Config, format!("the file holds no {what} in PEM"))
            .with_source(err)
            .at(Locus::path(path))
    };
    let certs = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|err| refused(&files.cert, "certificate", err.to_string()))?;
    if certs.is_empty() {
        return Err(refused(&files.cert, "certificate", "it is empty of them".to_owned()));
    }
    // What is read of a key is in no message.
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|_| refused(&files.key, "private key", "no part of it is one".to_owned()))?;
    let unusable = |err: String| {
        Error::new(ErrorKind::Config, "the certificate and the private key cannot be used together")
            .with_source(err)
            .at(Locus::path(&files.cert))
            .with_hint("name the certificate of this key, the server's own first")
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|err| unusable(err.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .map_err(|err| unusable(err.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
