use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use nodedata_core::{Error, ErrorKind, Result};

/// Ranges of stores that are under way at once, of all fetches together.
pub(crate) const LINES: usize = 16;

/// Keeps how many ranges are under way below [`LINES`], but for those that are so slow that they are asked for once more. Whoever comes
/// first is let in first: otherwise many small rounds would keep a large one waiting, and with it all samples that come behind it.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    n_taken: usize,
    /// How many have come, and how many of them were let in.
    n_come: u64,
    n_let_in: u64,
    is_stopped: bool,
}

/// How many lines a request has.
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicUsize);

/// The lines, as one request takes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    lines: &'a Lines,
    held: &'a Held,
}

/// Lines that are taken, until this is dropped or somebody else gives them back.
#[derive(Debug)]
pub(crate) struct Taken<'a>(Line<'a>);

impl<'a> Line<'a> {
    /// Waits until so many ranges may be under way: all of them, or as many as a round has at once.
    ///
    /// # Errors
    /// `Interrupted` when the stream is stopped.
    pub(crate) fn take(self, n_ranges: usize) -> Result<Taken<'a>> {
        let n_taken = n_ranges.min(LINES);
        let Lines { changed, .. } = self.lines;
        let mut state = self.lines.state();
        if n_taken == 0 && !state.is_stopped {
            // It asks for nothing, and waits for nobody.
            return Ok(Taken(self));
        }
        let number = state.n_come;
        state.n_come += 1;
        while !state.is_stopped && (state.n_let_in != number || state.n_taken + n_taken > LINES) {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_stopped {
            return Err(Error::new(ErrorKind::Interrupted, "the stream was stopped"));
        }
        state.n_taken += n_taken;
        state.n_let_in += 1;
        self.held.0.fetch_add(n_taken, Ordering::SeqCst);
        drop(state);
        // The next one may have room as well.
        changed.notify_all();
        Ok(Taken(self))
    }
}

impl Lines {
    /// The lines for a request.
    pub(crate) fn of<'a>(&'a self, held: &'a Held) -> Line<'a> {
        Line { lines: self, held }
    }

    /// Gives the lines of a request back, whether it has ended or is so slow that the same is asked for once more.
    pub(crate) fn give_back(&self, held: &Held) {
        self.state().n_taken -= held.0.swap(0, Ordering::SeqCst);
        self.changed.notify_all();
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
        self.0.lines.give_back(self.0.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_under_way_than_there_are_lines() {
        let (lines, n_now, n_most) = (Lines::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for nth in 0..24 {
                let (lines, n_now, n_most) = (&lines, &n_now, &n_most);
                scope.spawn(move || {
                    let n_ranges = [1, 3, 7, 100][nth % 4];
                    let held = Held::default();
                    let taken = lines.of(&held).take(n_ranges).unwrap();
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
    fn who_comes_first_is_let_in_first() {
        let (lines, order) = (Lines::default(), Mutex::new(Vec::new()));
        let first = Held::default();
        let one = lines.of(&first).take(1).unwrap();
        std::thread::scope(|scope| {
            for (nth, n_ranges) in [(1, LINES), (2, 1)] {
                let (lines, order) = (&lines, &order);
                scope.spawn(move || {
                    let held = Held::default();
                    let taken = lines.of(&held).take(n_ranges).unwrap();
                    order.lock().unwrap().push(n_ranges);
                    drop(taken);
                });
                while lines.state().n_come <= nth {
                    std::thread::yield_now();
                }
            }
            // What asks for nothing waits for nobody.
            assert!(lines.of(&Held::default()).take(0).is_ok());
            drop(one);
        });
        assert_eq!(order.into_inner().unwrap(), [LINES, 1]);
    }

    #[test]
    fn what_is_asked_for_once_more_waits_for_no_lines_of_the_first() {
        let (lines, first, again) = (Lines::default(), Held::default(), Held::default());
        let slow = lines.of(&first).take(LINES).unwrap();
        lines.give_back(&first);
        let quick = lines.of(&again).take(LINES).unwrap();
        // They go back once.
        drop(slow);
        assert_eq!(lines.state().n_taken, LINES);
        drop(quick);
        assert_eq!(lines.state().n_taken, 0);
    }

    #[test]
    fn who_waits_is_told_of_the_end() {
        let (lines, first) = (Lines::default(), Held::default());
        let all = lines.of(&first).take(LINES).unwrap();
        let kind = || {
            let held = Held::default();
            lines.of(&held).take(1).map(|_| ()).unwrap_err().kind()
        };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(kind);
            lines.stop();
            assert_eq!(waiting.join().unwrap(), ErrorKind::Interrupted);
        });
        drop(all);
        assert_eq!(kind(), ErrorKind::Interrupted);
    }
}
