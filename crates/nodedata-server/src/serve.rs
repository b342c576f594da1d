use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::Request,
    http::header,
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::Store;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tower::ServiceExt as _;

use crate::{
    app::App,
    connections::{Answer, Phase, Slot, Watched},
    database::Database,
    dispatch::router,
    hooks,
    manners::check_host,
    options::ServerOptions,
    outgoing,
    proxies::is_trusted,
    tls::Tls,
};

/// How often the audit log is told what those without a token were not let.
const SETTLED_EVERY: Duration = Duration::from_secs(60);

/// Most threads of the runtime. What waits has others.
const WORKERS_MAX: usize = 16;

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

/// Threads of the runtime: one for each processor, and one more for when others look at files.
pub(crate) fn n_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(WORKERS_MAX - 1) + 1
}

/// Starts a server over a store. It answers when this returns.
///
/// # Errors
/// `Config` when it cannot listen there or its limits are none; `Denied` when the store must not be written to; `Io`.
pub fn start(store: Store, options: ServerOptions) -> Result<Running> {
    options.limits.check()?;
    store.init()?;
    let database = Database::of(options.database.as_ref(), options.data.as_deref())?;
    let lock = options.data.as_deref().map(lock_folder).transpose()?;
    let app = database.clone().while_none_starts(|| {
        let app = Arc::new(App::new(store, database, options)?);
        app.wake()?;
        Ok(app)
    })?;
    let tls = app.options.tls.clone().map(Tls::new).transpose()?.map(Arc::new);
    let listen = &app.options.listen;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(n_workers())
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
    runtime.spawn(keep_fresh(Arc::clone(&app), stopped.clone()));
    runtime.spawn(settle_denials(Arc::clone(&app), stopped.clone()));
    // Apart, since what tends to things may wait for the store.
    runtime.spawn(again(Arc::clone(&app), App::renew_intents, stopped.clone()));
    runtime.spawn(again(Arc::clone(&app), App::tend, stopped.clone()));
    if !app.options.hooks.is_empty() {
        runtime.spawn(hooks::deliver(
            Arc::clone(&app),
            outgoing::client(hooks::TRY_TIMEOUT)?,
            stopped.clone(),
        ));
    }
    if let Some(tls) = &tls {
        runtime.spawn(Arc::clone(tls).watch(app.options.log.clone()));
    }
    let accepting = runtime.spawn(accept(listener, Arc::clone(&app), tls.clone(), stopped));
    Ok(Running { runtime: Some(runtime), address, stop, accepting: Some(accepting), app, tls, _lock: lock })
}

/// Two servers over one folder would settle each other's records, and write to one catalog.
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
async fn again(app: Arc<App>, act: fn(&App), mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(app.options.tend_every) => {}
            _ = stopped.changed() => return,
        }
        let acting = Arc::clone(&app);
        // What fails is tried again.
        drop(tokio::task::spawn_blocking(move || act(&acting)).await);
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
    loop {
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
        let is_proxy = is_trusted(&app.options.trusted_proxies, peer.ip());
        let Ok(slot) = app.connections.admit(peer.ip(), is_proxy, Instant::now()) else {
            // What is not secured yet cannot be told anything.
            if tls.is_none() {
                turn_away(&stream);
            }
            continue;
        };
        let serving = Serving { app: Arc::clone(&app), routes: routes.clone(), slot: Arc::new(slot) };
        tokio::spawn(serving.connection(tls.clone(), graceful.watcher(), stream));
    }
    drop(listener);
    drop(tokio::time::timeout(app.options.grace, graceful.shutdown()).await);
    // Where that fails, the counts end with the process, as `/metrics` does.
    drop(tokio::task::spawn_blocking(move || app.settle_denials()).await);
}

/// Looks through the store now and then for what came past this server.
async fn keep_fresh(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let every = app.options.refresh_every;
    while !every.is_zero() && !*stopped.borrow() {
        let looking = Arc::clone(&app);
        if let Ok(Err(err)) = tokio::task::spawn_blocking(move || looking.refresh()).await {
            let line = serde_json::json!({"event": "refresh", "error": err.to_string()});
            app.options.log.write(&line.to_string());
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Notes now and then what those without a token were not let.
async fn settle_denials(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SETTLED_EVERY) => {}
            _ = stopped.changed() => return,
        }
        let settling = Arc::clone(&app);
        // What is not noted now is noted the next time, and `/healthz` tells that the database fails.
        drop(tokio::task::spawn_blocking(move || settling.settle_denials()).await);
    }
}

/// Tells a connection for which there is no room, as far as it can be told without waiting.
fn turn_away(stream: &TcpStream) {
    let answer = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    drop(stream.try_write(answer));
}

/// A connection that is served.
struct Serving {
    app: Arc<App>,
    routes: axum::Router,
    slot: Arc<Slot>,
}

impl Serving {
    async fn connection(self, tls: Option<Arc<Tls>>, watcher: Watcher, stream: TcpStream) {
        // Small answers must not wait for more.
        drop(stream.set_nodelay(true));
        let connection = self.slot.connection();
        // Below what is secured, so that a hand that is half shaken is a head that is half sent.
        let stream = Watched::new(stream, Arc::clone(connection));
        let Some(tls) = tls else { return self.talk(watcher, stream).await };
        let limits = &self.app.options.limits;
        let secured = tokio::select! {
            biased;
            secured = tls.secure(stream, limits.idle_timeout) => secured,
            () = connection.ended() => None,
            () = connection.overdue(limits) => {
                self.app.connections.overdue.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        if let Some(stream) = secured {
            connection.enter(Phase::Idle, Instant::now());
            self.talk(watcher, stream).await;
        }
    }

    async fn talk<I: AsyncRead + AsyncWrite + Unpin + 'static>(&self, watcher: Watcher, stream: I) {
        let connection = self.slot.connection();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let answered = answer(self.routes.clone(), Arc::clone(&self.slot), request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        // The connection's own deadlines are told apart by what it waits for, so the library has none.
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            biased;
            // One that breaks is the other side's affair.
            _ = watcher.watch(served) => {}
            () = connection.ended() => {}
            () = connection.overdue(&self.app.options.limits) => {
                self.app.connections.overdue.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Answers a request of a connection, which is told what is going on.
async fn answer(
    routes: axum::Router,
    slot: Arc<Slot>,
    request: hyper::Request<Incoming>,
) -> Response<Answer> {
    slot.connection().enter(Phase::Work, Instant::now());
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(Arc::clone(&slot));
    let response = match check_host(request.version(), request.headers()) {
        Ok(()) => routes.oneshot(request).await.unwrap_or_else(|never| match never {}),
        Err(refusal) => refusal.reply().with_header(header::CONNECTION, "close").into_response(),
    };
    slot.connection().enter(Phase::Answer, Instant::now());
    response.map(|body| Answer::new(body, slot))
}
