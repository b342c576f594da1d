//! What takes time: on a thread of its own, while the thread that asked for it looks for signals and tells how far it is.

use std::{
    panic::resume_unwind,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use nodedata_core::{Error, ErrorKind, Progress};
use pyo3::{exceptions::PyUserWarning, prelude::*, types::PyDict};
use rayon::ThreadPoolBuilder;

use crate::errors::OrRaise as _;

/// How often a run is looked after.
pub(crate) const LISTEN: Duration = Duration::from_millis(50);

/// How far a run is, and whether it is to stop.
#[derive(Default)]
struct Watch {
    hashed_bytes: AtomicU64,
    planned_bytes: AtomicU64,
    done_bytes: AtomicU64,
    done_records: AtomicU64,
    is_finishing: AtomicBool,
    is_stopped: AtomicBool,
    warnings: Mutex<Vec<String>>,
}

impl Progress for Watch {
    fn hashed(&self, n_bytes: u64) {
        self.hashed_bytes.fetch_add(n_bytes, Relaxed);
    }

    fn planned(&self, n_bytes: u64) {
        self.planned_bytes.store(n_bytes, Relaxed);
    }

    fn advanced(&self, n_bytes: u64, n_records: u64) {
        self.done_bytes.fetch_add(n_bytes, Relaxed);
        self.done_records.fetch_add(n_records, Relaxed);
    }

    fn warned(&self, warning: &str) {
        locked(&self.warnings).push(warning.to_owned());
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Relaxed)
    }

    fn finishing(&self) {
        self.is_finishing.store(true, Relaxed);
    }
}

/// Whether something has ended.
#[derive(Default)]
struct End {
    is_there: Mutex<bool>,
    told: Condvar,
}

impl End {
    fn is_there(&self) -> bool {
        *locked(&self.is_there)
    }

    fn tell(&self) {
        *locked(&self.is_there) = true;
        self.told.notify_all();
    }

    /// Waits for it, a moment at most.
    fn wait(&self) {
        let is_there = locked(&self.is_there);
        // Whether it was the end or the moment that was over is looked at next.
        drop(self.told.wait_timeout_while(is_there, LISTEN, |is_there| !*is_there));
    }
}

/// Does work that may wait for somebody far away, without holding up other threads of Python. A signal is raised at once; the work
/// is then nobody's any more, and ends by itself.
///
/// # Errors
/// What a signal handler raises; `StoreError` when the system gives no thread. What the work reports is its outcome.
pub(crate) fn away<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    on_thread(py, work, |py| py.check_signals())
}

/// Does a job that may take long, in threads of its own. `progress` is called with a dictionary while it goes on, in the thread of
/// the caller, and stops it by returning `False`. A signal stops it as well and is raised once it has ended, or when a second one
/// comes.
///
/// # Errors
/// What a signal handler or `progress` raises. What the job reports is its outcome.
pub(crate) fn watched<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    job: impl FnOnce(&dyn Progress) -> T + Send + 'static,
) -> PyResult<T> {
    // Threads of this process: those that another one had before it was forked are not there.
    let pool = ThreadPoolBuilder::new()
        .thread_name(|idx| format!("nodedata-run-{idx}"))
        .build()
        .map_err(|err| Error::new(ErrorKind::Limit, "cannot start threads").with_source(err))
        .or_raise(py)?;
    let watch = Arc::new(Watch::default());
    let mut told = Told { progress: progress.filter(|it| !it.is_none()), last: None, since: Instant::now() };
    let mut raised = None;
    let seen = Arc::clone(&watch);
    let outcome = on_thread(
        py,
        move || pool.install(|| job(&*seen)),
        |py| {
            let heard = py.check_signals();
            if raised.is_some() {
                return heard;
            }
            if let Err(err) = heard.and_then(|()| told.tell(py, &watch)) {
                watch.is_stopped.store(true, Relaxed);
                raised = Some(err);
            }
            Ok(())
        },
    )?;
    raised.map_or(Ok(outcome), Err)
}

/// Does a job on a thread, and looks after it meanwhile. Where looking fails, the thread is left to itself.
fn on_thread<T: Send + 'static>(
    py: Python<'_>,
    job: impl FnOnce() -> T + Send + 'static,
    mut look: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    let end = Arc::new(End::default());
    let tells = Arc::clone(&end);
    let job = move || {
        let outcome = job();
        tells.tell();
        outcome
    };
    let thread = thread::Builder::new().name("nodedata-wait".to_owned()).spawn(job);
    let thread = thread.map_err(Error::from).or_raise(py)?;
    loop {
        // One that panicked has ended, too.
        let is_over = end.is_there() || thread.is_finished();
        if !is_over {
            py.detach(|| end.wait());
        }
        look(py)?;
        if is_over {
            break;
        }
    }
    py.detach(|| thread.join()).or_else(|panic| resume_unwind(panic))
}

/// What was told of a run.
struct Told<'a, 'py> {
    progress: Option<&'a Bound<'py, PyAny>>,
    last: Option<Seen>,
    since: Instant,
}

/// The numbers of a run at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    hashed_bytes: u64,
    planned_bytes: u64,
    done_bytes: u64,
    done_records: u64,
    is_finishing: bool,
}

impl Told<'_, '_> {
    fn tell(&mut self, py: Python<'_>, watch: &Watch) -> PyResult<()> {
        let warnings = std::mem::take(&mut *locked(&watch.warnings));
        let seen = Seen {
            hashed_bytes: watch.hashed_bytes.load(Relaxed),
            planned_bytes: watch.planned_bytes.load(Relaxed),
            done_bytes: watch.done_bytes.load(Relaxed),
            done_records: watch.done_records.load(Relaxed),
            is_finishing: watch.is_finishing.load(Relaxed),
        };
        let Some(progress) = self.progress else {
            return warnings.iter().try_for_each(|it| warn(py, it));
        };
        for warning in warnings {
            self.call(py, progress, watch, seen, Some(&warning))?;
        }
        if self.last != Some(seen) {
            self.last = Some(seen);
            self.call(py, progress, watch, seen, None)?;
        }
        Ok(())
    }

    fn call(
        &self,
        py: Python<'_>,
        progress: &Bound<'_, PyAny>,
        watch: &Watch,
        seen: Seen,
        warning: Option<&str>,
    ) -> PyResult<()> {
        let event = PyDict::new(py);
        event.set_item("hashed_bytes", seen.hashed_bytes)?;
        event.set_item("planned_bytes", seen.planned_bytes)?;
        event.set_item("done_bytes", seen.done_bytes)?;
        event.set_item("done_records", seen.done_records)?;
        event.set_item("seconds", self.since.elapsed().as_secs_f64())?;
        if seen.is_finishing {
            event.set_item("finishing", true)?;
        }
        if let Some(warning) = warning {
            event.set_item("warning", warning)?;
        }
        // Only `False` stops: a function that returns nothing wants to go on.
        if progress.call1((event,))?.extract::<bool>().is_ok_and(|it| !it) {
            watch.is_stopped.store(true, Relaxed);
        }
        Ok(())
    }
}

/// Warns as Python code does.
pub(crate) fn warn(py: Python<'_>, message: &str) -> PyResult<()> {
    py.import("warnings")?.call_method1("warn", (message, py.get_type::<PyUserWarning>(), 2))?;
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
