use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::clock::jitter;

/// Workers at the start.
const WORKERS_FIRST: usize = 4;
/// Most workers; each holds one part in memory.
pub(crate) const WORKERS_MAX: usize = 16;
/// Parts after which the rate is looked at.
const PARTS_PER_LOOK: usize = 8;
/// How often a part is tried.
pub(crate) const TRIES_MAX: u32 = 6;

/// How many parts are sent at once: one more while that brings more bytes a second, half when the store
/// says no.
pub(crate) struct Pace {
    workers: AtomicUsize,
    window: Mutex<Window>,
}

struct Window {
    since: Instant,
    n_bytes: u64,
    n_parts: usize,
    /// Bytes a second in the window before.
    rate: f64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let window = Window { since: Instant::now(), n_bytes: 0, n_parts: 0, rate: 0.0 };
        Self { workers: AtomicUsize::new(WORKERS_FIRST), window: Mutex::new(window) }
    }

    /// Whether worker `idx` may send now.
    pub(crate) fn lets(&self, idx: usize) -> bool {
        idx < self.workers.load(Ordering::Relaxed)
    }

    /// A part was acknowledged.
    pub(crate) fn sent(&self, n_bytes: u64) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.n_bytes += n_bytes;
        window.n_parts += 1;
        if window.n_parts < PARTS_PER_LOOK {
            return;
        }
        let rate = window.n_bytes as f64 / window.since.elapsed().as_secs_f64().max(1e-6);
        let workers = self.workers.load(Ordering::Relaxed);
        if rate > window.rate * 1.05 && workers < WORKERS_MAX {
            self.workers.store(workers + 1, Ordering::Relaxed);
        }
        *window = Window { since: Instant::now(), n_bytes: 0, n_parts: 0, rate };
    }

    /// The store said no; returns how long to wait before try `n_tries`, which the store's own wish to be
    /// left alone cannot be read from.
    pub(crate) fn failed(&self, n_tries: u32) -> Duration {
        let workers = self.workers.load(Ordering::Relaxed);
        self.workers.store((workers / 2).max(1), Ordering::Relaxed);
        let most = 200u64 << n_tries.min(6);
        Duration::from_millis(jitter(most) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_rises_and_falls() {
        let pace = Pace::new();
        assert!(pace.lets(WORKERS_FIRST - 1) && !pace.lets(WORKERS_FIRST));
        (0..PARTS_PER_LOOK).for_each(|_| pace.sent(1));
        assert!(pace.lets(WORKERS_FIRST));
        assert!(pace.failed(1) <= Duration::from_millis(400));
        assert!(pace.lets(1) && !pace.lets(2));
        for it in 0..9 {
            assert!(pace.failed(it) <= Duration::from_secs(13));
        }
        assert!(pace.lets(0) && !pace.lets(1));
    }
}
