//! Ctrl-C and SIGTERM. A run that looks whether it is to stop ends in good order; anything else ends at once, as after a
//! crash, which loses nothing that was finished. So does everything at the second signal.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use nodedata_core::Result;

use crate::message;

/// What a conversion that ends at once leaves.
pub(crate) const RUN: &str = "what was finished is kept; the same command goes on from there";
/// What a pull leaves.
pub(crate) const PULL: &str = "what was fetched is kept; the same command goes on from there";
/// What a push leaves.
pub(crate) const PUSH: &str = "what was sent is kept; the same command goes on from there";

/// By convention 128 and the number of the signal.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

static ASKED: AtomicBool = AtomicBool::new(false);
/// Whether anybody looks at [`ASKED`].
static LOOKED_FOR: AtomicBool = AtomicBool::new(false);
static EXIT_CODE: AtomicU8 = AtomicU8::new(INTERRUPTED);

/// Whether the run is to stop.
pub(crate) fn is_asked_for() -> bool {
    LOOKED_FOR.store(true, Ordering::SeqCst);
    ASKED.load(Ordering::SeqCst)
}

/// From here on a signal ends the process at once.
pub(crate) fn is_looked_for_no_more() {
    LOOKED_FOR.store(false, Ordering::SeqCst);
}

/// What a run that was stopped exits with.
pub(crate) fn exit_code() -> u8 {
    EXIT_CODE.load(Ordering::SeqCst)
}

/// Takes signals from here on; `kept` says what is left when one ends the process at once.
///
/// # Errors
/// `Io` when the system lets no signal be taken.
pub(crate) fn listen(kept: &'static str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    let listening = move || {
        runtime.block_on(async move {
            while let Some(code) = signals.next().await {
                heard(code, kept);
            }
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listening)?;
    Ok(())
}

fn heard(code: u8, kept: &str) {
    EXIT_CODE.store(code, Ordering::SeqCst);
    let is_second = ASKED.swap(true, Ordering::SeqCst);
    if is_second || !LOOKED_FOR.load(Ordering::SeqCst) {
        if !is_second {
            message::note(&format!("interrupted: {kept}"));
        }
        std::process::exit(code.into());
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Option<u8> {
        tokio::select! {
            heard = self.interrupt.recv() => heard.map(|()| INTERRUPTED),
            heard = self.terminate.recv() => heard.map(|()| TERMINATED),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Option<u8> {
        tokio::signal::ctrl_c().await.ok().map(|()| INTERRUPTED)
    }
}
