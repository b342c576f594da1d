use std::{
    mem::forget,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_reader::VideoCache;

use crate::{
    Position, Unit,
    engine::{
        assembly::Assembly,
        flights::LOOK,
        lines::{Held, Lines},
        queue::{Done, Head, Popped, Queue, Work},
        sample::Sample,
        stream_plan::StreamPlan,
    },
};

/// Threads that fetch. Each waits for a round of ranges; how many of these are under way in all is bounded by [`Lines`].
const FETCHERS: usize = 8;
/// How long a stream that is stopped waits for its threads. One that still waits for a store then ends by itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Threads that make the samples of one pass ready.
///
/// It belongs to the process that started it: in a process that was forked its threads are not there, and its locks are as somebody may
/// have left them. Such a process touches nothing of it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) pid: u32,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    n_decoders: u64,
}

#[derive(Debug)]
struct Shared {
    plan: Arc<StreamPlan>,
    queue: Mutex<Queue>,
    /// There may be something to fetch.
    can_fetch: Condvar,
    /// There may be something to decode.
    can_decode: Condvar,
    /// What stands first may be ready.
    can_take: Condvar,
    lines: Lines,
    video: VideoCache,
    is_stopped: AtomicBool,
    n_live: Mutex<usize>,
    ended: Condvar,
}

/// How full a run is, and what it has done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filled {
    pub(super) n_ready: u64,
    pub(super) ready_bytes: u64,
    pub(super) prefetched_bytes: u64,
    pub(super) n_threads: u64,
    pub(super) done: Done,
}

impl Run {
    /// Starts the threads for a pass, from the sample `n_taken` of this process on; `batch` as [`Queue::new`] has it.
    ///
    /// # Errors
    /// `Io` when the system starts none.
    pub(super) fn start(
        plan: &Arc<StreamPlan>,
        position: &Position,
        n_taken: u64,
        batch: (usize, usize),
    ) -> Result<Self> {
        let n_decoders = plan.engine().n_threads();
        let video_bytes = plan.engine().video_cache_bytes;
        // Each frame of an episode is wanted once; steps and their windows come back for some.
        let are_episodes = plan.sources().iter().all(|it| it.layout.unit == Unit::Episode);
        let video =
            if are_episodes { VideoCache::of_episodes(video_bytes) } else { VideoCache::new(video_bytes) };
        let is_far = plan.sources().iter().any(|it| it.at_hand.is_none());
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(Arc::clone(plan), position, n_taken, batch)),
            can_fetch: Condvar::new(),
            can_decode: Condvar::new(),
            can_take: Condvar::new(),
            lines: Lines::default(),
            video,
            is_stopped: AtomicBool::new(false),
            n_live: Mutex::new(0),
            ended: Condvar::new(),
            plan: Arc::clone(plan),
        });
        let mut run = Self { pid: process::id(), shared, threads: Vec::new(), n_decoders: 0 };
        for _ in 0..n_decoders {
            // With some of them the stream goes on, more slowly.
            match run.spawn("nd-decode", Shared::decode_all) {
                Ok(()) => run.n_decoders += 1,
                Err(err) if run.n_decoders == 0 => return Err(err),
                Err(_) => break,
            }
        }
        let n_fetchers = if is_far { FETCHERS } else { 0 };
        for nth in 0..n_fetchers {
            match run.spawn("nd-fetch", Shared::fetch_all) {
                Err(err) if nth == 0 => return Err(err),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(run)
    }

    /// Whether it was started by this process.
    pub(super) fn is_own(&self) -> bool {
        self.pid == process::id()
    }

    /// Takes what stands first, as soon as it is ready or so much time has passed.
    pub(super) fn take_within(&self, patience: Duration) -> Popped {
        self.shared.take_within(patience)
    }

    /// What was taken is another's now, and there is room for more.
    pub(super) fn handed_over(&self) {
        self.shared.queue().handed_over();
        self.shared.can_decode.notify_one();
        self.shared.can_fetch.notify_one();
    }

    /// How full it is.
    pub(super) fn filled(&self) -> Filled {
        let queue = self.shared.queue();
        let (n_ready, ready_bytes, prefetched_bytes) = queue.filled();
        let done = Done { frames: self.shared.video.stats(), ..queue.done };
        Filled { n_ready, ready_bytes, prefetched_bytes, n_threads: self.n_decoders, done }
    }

    fn spawn(&mut self, name: &str, work: fn(&Shared)) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        *shared.n_live() += 1;
        let at_work = move || {
            let _alive = Alive(&shared);
            work(&shared);
        };
        match std::thread::Builder::new().name(name.to_owned()).spawn(at_work) {
            Ok(thread) => {
                self.threads.push(thread);
                Ok(())
            }
            Err(err) => {
                *self.shared.n_live() -= 1;
                Err(Error::new(ErrorKind::Io, "the system starts no more threads")
                    .with_hint("give fewer `threads`, or raise the limit of processes (`ulimit -u`)")
                    .with_source(err))
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.is_own() {
            // Neither its threads nor what its locks guard are there.
            forget(std::mem::take(&mut self.threads));
            forget(Arc::clone(&self.shared));
            return;
        }
        self.shared.stop();
        let all_ended = self.shared.wait_for_end();
        if !all_ended {
            self.shared.queue().let_go();
        }
        for thread in self.threads.drain(..) {
            // What is left behind waits for a store; it keeps no samples, and ends with what it waits for.
            if all_ended || thread.is_finished() {
                drop(thread.join());
            }
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn n_live(&self) -> MutexGuard<'_, usize> {
        self.n_live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    fn stop(&self) {
        // Under the lock, so that nobody looks before and waits after.
        let queue = self.queue();
        self.is_stopped.store(true, Ordering::SeqCst);
        drop(queue);
        self.lines.stop();
        for waiting in [&self.can_fetch, &self.can_decode, &self.can_take] {
            waiting.notify_all();
        }
    }

    /// Waits for the end of all threads, but not for ever.
    fn wait_for_end(&self) -> bool {
        let waited = self.ended.wait_timeout_while(self.n_live(), PATIENCE, |n_live| *n_live > 0);
        let (n_live, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *n_live == 0
    }

    fn take_within(&self, patience: Duration) -> Popped {
        let deadline = Instant::now().checked_add(patience);
        let mut queue = self.queue();
        loop {
            match queue.pop() {
                Popped::Pending => {}
                popped => {
                    drop(queue);
                    // There is room for another, and another one is first.
                    self.can_decode.notify_one();
                    self.can_fetch.notify_one();
                    return popped;
                }
            }
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => patience,
            };
            if left.is_zero() {
                return Popped::Pending;
            }
            queue = self.can_take.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn fetch_all(&self) {
        let mut queue = self.queue();
        while !self.is_stopped() {
            let Some((errand, is_again)) = queue.next_errand(Instant::now()) else {
                // What it has joined to blocks that are here can be decoded.
                self.can_decode.notify_one();
                queue = match queue.flights.is_empty() {
                    true => self.can_fetch.wait(queue).unwrap_or_else(PoisonError::into_inner),
                    // Something may turn out to be slow.
                    false => {
                        self.can_fetch.wait_timeout(queue, LOOK).unwrap_or_else(PoisonError::into_inner).0
                    }
                };
                continue;
            };
            drop(queue);
            self.can_fetch.notify_one();
            self.can_decode.notify_one();
            let own = Held::default();
            let held = if is_again { &own } else { &errand.held };
            if is_again {
                // The request that is slow may have all lines: nobody waits for it.
                self.lines.give_back(&errand.held);
            }
            let line = self.lines.of(held);
            let fetched = guarded(|| {
                let feed = &self.plan.source(errand.source).ok_or_else(unforeseen)?.feed;
                if is_again {
                    return feed.fetch_again(&errand.wanted, line);
                }
                if !errand.ahead.is_empty() {
                    feed.keep(&errand.ahead, line)?;
                }
                feed.fetch(&errand.wanted, line)
            });
            queue = self.queue();
            queue.fetched(&errand, fetched, Instant::now());
            // Several pieces may be here, or one may have failed.
            self.can_decode.notify_all();
            self.can_take.notify_one();
        }
    }

    fn decode_all(&self) {
        let mut queue = self.queue();
        while !self.is_stopped() {
            let Some(work) = queue.next_work() else {
                // It may have found that the first sample has no more to come.
                self.can_take.notify_one();
                queue = self.can_decode.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if queue.has_work() {
                self.can_decode.notify_one();
            }
            drop(queue);
            let started = Instant::now();
            let Work { id, head, wanted, portion, assembly } = work;
            let decoded = guarded(|| {
                let layout = &self.plan.source(head.draw.source).ok_or_else(unforeseen)?.layout;
                let rooms = match &mut *assembly.lock().unwrap_or_else(PoisonError::into_inner) {
                    Some(assembly) => assembly.rooms(&wanted, layout, &head.draw.located)?,
                    // The sample is broken already.
                    None => return Ok(()),
                };
                let mut rows = Vec::with_capacity(wanted.len());
                for (it, rooms) in wanted.iter().zip(&rooms) {
                    if self.is_stopped() {
                        return Err(Error::new(ErrorKind::Interrupted, "the stream was stopped"));
                    }
                    rows.push((it.part, portion.decode(it, rooms, &self.video)?));
                }
                match &mut *assembly.lock().unwrap_or_else(PoisonError::into_inner) {
                    Some(assembly) => assembly.add(id.piece, rows, layout, &head.draw.located),
                    // The sample is broken already.
                    None => Ok(()),
                }
            });
            // Its bytes go before they are counted as gone.
            drop(portion);
            queue = self.queue();
            if queue.decoded(id, decoded) {
                drop(queue);
                let whole = assembly.lock().unwrap_or_else(PoisonError::into_inner).take();
                let sample = guarded(|| self.finish(&head, whole.ok_or_else(unforeseen)?));
                queue = self.queue();
                queue.finished(id.nth, sample);
            }
            queue.done.decoding += started.elapsed();
            // Bytes that were fetched are gone, the sample may be smaller than was thought, and may be the first.
            self.can_fetch.notify_one();
            self.can_take.notify_one();
        }
    }

    /// The sample of all its pieces.
    fn finish(&self, head: &Head, assembly: Assembly) -> Result<Sample> {
        let source = self.plan.source(head.draw.source).ok_or_else(unforeseen)?;
        let located = &head.draw.located;
        let fields = assembly.finish(&source.layout, located)?;
        head.sample(source.layout.unit, fields)
    }
}

/// Runs what reads others' bytes: whatever they are, they end no thread.
fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(unforeseen()))
}

fn unforeseen() -> Error {
    Error::new(ErrorKind::Corrupt, "reading the sample ended in a way that nobody foresaw")
        .with_hint("report this, with the address of the sample")
}

/// A thread that has not ended.
struct Alive<'a>(&'a Shared);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        *self.0.n_live() -= 1;
        self.0.ended.notify_all();
    }
}
