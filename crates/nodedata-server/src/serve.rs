use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::extract::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::Store;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tower::ServiceExt as _;

use crate::{app::App, database::Database, dispatch::router, hooks, options::ServerOptions, tls::Tls};

/// How often what no request waits for is done.
const TENDED_EVERY: Duration = Duration::from_secs(5);

/// A server that runs until it is stopped, or dropped.
pub struct Running {
    runtime: Option<tokio::runtime::Runtime>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: Option<tokio::task::JoinHandle<()>>,
    app: Arc<App>,
    tls: Option<Arc<Tls>>,
    /// Nobody else serves over the folder of data meanwhile.
    _lock: Option<std::fs::File>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Starts a server over a store. It answers when this returns.
///
/// # Errors
/// `Config` when it cannot listen there; `Denied` when the store must not be written to; `Io`.
pub fn start(store: Store, options: ServerOptions) -> Result<Running> {
    store.init()?;
    let database = Database::open(options.data.as_deref())?;
    let lock = options.data.as_deref().map(lock_folder).transpose()?;
    let app = Arc::new(App::new(store, database, options)?);
    app.wake()?;
    let tls = app.options.tls.clone().map(Tls::new).transpose()?.map(Arc::new);
    let listen = &app.options.listen;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|err| Error::new(ErrorKind::Io, "the process may start no threads").with_source(err))?;
    let listener = runtime.block_on(TcpListener::bind(listen)).map_err(|err| {
        Error::new(ErrorKind::Config, format!("cannot listen on {listen}"))
            .with_source(err)
            .with_hint("choose another with `--listen ADDRESS:PORT`; port 0 takes a free one")
    })?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(tend(Arc::clone(&app), stopped.clone()));
    if !app.options.hooks.is_empty() {
        runtime.spawn(hooks::deliver(Arc::clone(&app), hooks::client()?, stopped.clone()));
    }
    if let Some(tls) = &tls {
        runtime.spawn(Arc::clone(tls).watch(app.options.log.clone()));
    }
    let accepting = runtime.spawn(accept(listener, Arc::clone(&app), tls.clone(), stopped));
    Ok(Running { runtime: Some(runtime), address, stop, accepting: Some(accepting), app, tls, _lock: lock })
}

/// Two servers over one database would settle each other's records.
fn lock_folder(folder: &std::path::Path) -> Result<std::fs::File> {
    let path = folder.join("server.lock");
    let failed = |err| nodedata_io::io_error("cannot lock the folder of data", &path, err);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let err = Error::new(ErrorKind::Conflict, "another server runs over this folder of data");
            Err(err
                .at(nodedata_core::Locus::path(folder))
                .with_hint("stop it first, or use another `--data`"))
        }
        Err(std::fs::TryLockError::Error(err)) => Err(failed(err)),
    }
}

/// Does again and again what no request waits for.
async fn tend(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TENDED_EVERY) => {}
            _ = stopped.changed() => return,
        }
        let tended = Arc::clone(&app);
        // One that fails is logged, and tried again.
        drop(tokio::task::spawn_blocking(move || tended.tend()).await);
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as programs ask it.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Takes the certificate as its files are now, for connections that come after; they are looked at by themselves as well.
    ///
    /// # Errors
    /// `Config` when they cannot be used: then the one from before goes on.
    pub fn reload_tls(&self) -> Result<()> {
        self.tls.as_ref().map_or(Ok(()), |it| it.reload())
    }

    /// Its database, for making the first token.
    pub fn database(&self) -> &Database {
        &self.app.database
    }

    /// Waits until the process is asked to end (Ctrl-C, or SIGTERM).
    ///
    /// # Errors
    /// `Io` when the system does not tell.
    pub fn wait(&self) -> Result<()> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(asked_to_end()),
            None => Ok(()),
        }
    }

    /// Takes no more requests, waits for those under way as long as the options say, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        let (Some(runtime), Some(accepting)) = (self.runtime.take(), self.accepting.take()) else { return };
        drop(runtime.block_on(accepting));
        // The lines of the last requests are anchored as well.
        self.app.tend();
        runtime.shutdown_background();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

async fn asked_to_end() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn accept(
    listener: TcpListener,
    app: Arc<App>,
    tls: Option<Arc<Tls>>,
    mut stopped: watch::Receiver<bool>,
) {
    let routes = router(&app);
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(app.options.connections_max.max(1)));
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            _ = stopped.changed() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        let (stream, peer) = match accepted {
            Ok(it) => it,
            Err(err) => {
                // Out of file handles: others must end first.
                app.options.log.write(
                    &serde_json::json!({"event": "accept", "kind": err.kind().to_string()}).to_string(),
                );
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        // Small answers must not wait for more.
        drop(stream.set_nodelay(true));
        let Some(tls) = tls.clone() else {
            let connection = graceful.watch(serve_one(&app, &routes, stream, peer));
            tokio::spawn(async move {
                // A connection that breaks is the other side's affair.
                drop(connection.await);
                drop(permit);
            });
            continue;
        };
        let (watcher, app, routes) = (graceful.watcher(), Arc::clone(&app), routes.clone());
        tokio::spawn(async move {
            if let Some(stream) = tls.secure(stream, app.options.head_timeout).await {
                drop(watcher.watch(serve_one(&app, &routes, stream, peer)).await);
            }
            drop(permit);
        });
    }
    drop(listener);
    drop(tokio::time::timeout(app.options.grace, graceful.shutdown()).await);
}

type Connection<I, S> = http1::Connection<TokioIo<I>, S>;

fn serve_one<I: AsyncRead + AsyncWrite + Unpin + 'static>(
    app: &App,
    routes: &axum::Router,
    stream: I,
    peer: SocketAddr,
) -> Connection<
    I,
    impl hyper::service::HttpService<
        Incoming,
        ResBody = axum::body::Body,
        Error = std::convert::Infallible,
        Future: Send,
    > + use<I>,
> {
    let service = routes.clone().map_request(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(peer);
        request
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.options.head_timeout)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
}
