use std::{convert::Infallible, mem::forget, process, sync::OnceLock};

/// A value that each process makes for itself.
///
/// A fork copies the memory of a process and one of its threads. What other threads look after, a pool, a runtime, a
/// connection, is there in the child and dead: whoever asks it waits for ever, and so does whoever drops it, for threads
/// that are not there. So the child makes its own, and forgets what it has inherited.
#[derive(Debug)]
pub struct PerProcess<T> {
    /// One after the other: that of the first process, of its child, of the child of that. Only the last can be one's own.
    first: OnceLock<Box<Link<T>>>,
}

#[derive(Debug)]
struct Link<T> {
    pid: u32,
    /// Taken only when it is dropped.
    value: Option<T>,
    next: OnceLock<Box<Self>>,
}

impl<T> PerProcess<T> {
    /// None yet.
    pub const fn new() -> Self {
        Self { first: OnceLock::new() }
    }

    /// That of this process, made when it is asked for first.
    pub fn get(&self, make: impl FnOnce() -> T) -> &T {
        let Ok(value) = self.get_or_try(|| Ok::<_, Infallible>(make()));
        value
    }

    /// The same where making it may fail; the next one tries again.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or_try<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        self.of(process::id(), make)
    }

    fn of<E>(&self, pid: u32, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let (mut last, mut place) = (None, &self.first);
        while let Some(link) = place.get() {
            (last, place) = (Some(link), &link.next);
        }
        if let Some(link) = last.filter(|it| it.pid == pid) {
            return Ok(link.value());
        }
        // Made before its place is taken, which is done in a moment then: nobody who is forked meanwhile finds it half
        // taken. Of several threads that make one, the first has its place; what the others made goes.
        let mine = Box::new(Link { pid, value: Some(make()?), next: OnceLock::new() });
        Ok(place.get_or_init(|| mine).value())
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Link<T> {
    fn value(&self) -> &T {
        self.value.as_ref().expect("it is taken only when it is dropped")
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        if self.pid != process::id() {
            forget(self.value.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Counts how often it is dropped.
    struct Counted(u32, Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Processes are told apart by their number alone, so that other numbers stand for children here.
    #[test]
    fn a_child_makes_its_own_and_never_drops_what_it_inherits() {
        let n_dropped = Arc::new(AtomicUsize::new(0));
        let values = PerProcess::new();
        let made = |it: u32| Ok::<_, Infallible>(Counted(it, Arc::clone(&n_dropped)));
        let of = |pid: u32, value: u32| {
            let Ok(found) = values.of(pid, || made(value));
            found.0
        };
        let me = process::id();
        let (parent, grandchild) = (me.wrapping_add(1), me.wrapping_add(2));
        assert_eq!([of(parent, 1), of(parent, 2)], [1, 1]);
        assert_eq!([of(me, 3), of(me, 4)], [3, 3]);
        assert_eq!([of(grandchild, 5), of(grandchild, 6)], [5, 5]);
        // A number that comes again is another process: nothing of the first one lives.
        assert_eq!([of(parent, 7), of(parent, 8)], [7, 7]);
        assert_eq!(n_dropped.load(Ordering::Relaxed), 0);
        drop(values);
        assert_eq!(n_dropped.load(Ordering::Relaxed), 1, "only what this process made");
    }

    #[test]
    fn what_could_not_be_made_is_tried_again() {
        let value = PerProcess::new();
        assert_eq!(value.get_or_try(|| Err::<u8, _>("no")), Err("no"));
        assert_eq!(value.get_or_try(|| Ok::<_, &str>(1)), Ok(&1));
        assert_eq!(value.get(|| 2), &1);
    }

    #[test]
    fn threads_share_one() {
        let (value, barrier) = (PerProcess::new(), Barrier::new(8));
        let found: Vec<usize> = std::thread::scope(|scope| {
            let get = |it: usize| {
                barrier.wait();
                *value.get(|| it)
            };
            let threads: Vec<_> = (0..8).map(|it| scope.spawn(move || get(it))).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(found.iter().all(|it| *it == found[0]), "{found:?}");
    }
}
