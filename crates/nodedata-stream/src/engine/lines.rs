use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nodedata_core::{Error, ErrorKind, Result};

/// Ranges of stores that are under way at once, of all fetches together.
pub(crate) const LINES: usize = 16;

/// Keeps how many ranges are under way below [`LINES`].
#[derive(Debug, Default)]
pub(crate) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    n_taken: usize,
    is_stopped: bool,
}

/// Lines that are taken, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    lines: &'a Lines,
    n_taken: usize,
}

impl Lines {
    /// Waits until so many ranges may be under way: all of them, or as many as a round has at once.
    ///
    /// # Errors
    /// `Interrupted` when the stream is stopped.
    pub(crate) fn take(&self, n_ranges: usize) -> Result<Taken<'_>> {
        let n_taken = n_ranges.min(LINES);
        let mut state = self.state();
        while !state.is_stopped && state.n_taken + n_taken > LINES {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_stopped {
            return Err(Error::new(ErrorKind::Interrupted, "the stream was stopped"));
        }
        state.n_taken += n_taken;
        Ok(Taken { lines: self, n_taken })
    }

    /// Lets nobody in any more.
    pub(crate) fn stop(&self) {
        self.state().is_stopped = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.lines.state().n_taken -= self.n_taken;
        self.lines.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_are_under_way_than_there_are_lines() {
        let (lines, n_now, n_most) = (Lines::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for nth in 0..24 {
                let (lines, n_now, n_most) = (&lines, &n_now, &n_most);
                scope.spawn(move || {
                    let n_ranges = [1, 3, 7, 100][nth % 4];
                    let taken = lines.take(n_ranges).unwrap();
                    let n_under_way = n_ranges.min(LINES);
                    n_most.fetch_max(
                        n_now.fetch_add(n_under_way, Ordering::SeqCst) + n_under_way,
                        Ordering::SeqCst,
                    );
                    std::thread::yield_now();
                    n_now.fetch_sub(n_under_way, Ordering::SeqCst);
                    drop(taken);
                });
            }
        });
        assert!(n_most.load(Ordering::SeqCst) <= LINES);
        assert_eq!(lines.state().n_taken, 0);
    }

    #[test]
    fn who_waits_is_told_of_the_end() {
        let lines = Lines::default();
        let all = lines.take(LINES).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lines.take(1).map(|_| ()).unwrap_err().kind());
            lines.stop();
            assert_eq!(waiting.join().unwrap(), ErrorKind::Interrupted);
        });
        drop(all);
        assert!(lines.take(1).is_err());
    }
}
