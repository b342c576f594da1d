//! Grains of a blob that somebody in this process has in memory, or waits for: who needs them too takes them from there. Where there is
//! a cache on the disk they are taken from that.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use nodedata_io::PerProcess;
use nodedata_registry::pieces::{Pieces, WeakPieces};

/// The grains of one blob, each by where it begins.
#[derive(Default)]
pub(crate) struct Live(PerProcess<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where those are that somebody has, as long as he has them.
    there: BTreeMap<u64, WeakPieces>,
    /// Those that somebody fetches.
    coming: BTreeSet<u64>,
}

/// What becomes of grains that somebody needs.
pub(crate) struct Turn<'a> {
    shared: &'a Shared,
    /// Somebody has them. They are copies, so that nobody keeps more in memory than he counts.
    pub(crate) found: Vec<(u64, Bytes)>,
    /// Nobody fetches them: whoever has this does, and others wait until it goes.
    pub(crate) own: Vec<Range<u64>>,
    /// Somebody fetches them.
    pub(crate) others: Vec<Range<u64>>,
}

impl Live {
    /// Settles who fetches some grains.
    pub(crate) fn turn(&self, grains: Vec<Range<u64>>) -> Turn<'_> {
        let shared = self.shared();
        let mut turn = Turn { shared, found: Vec::new(), own: Vec::new(), others: Vec::new() };
        let mut holders = Vec::new();
        let mut state = shared.lock();
        for grain in grains {
            if let Some(pieces) = state.there.get(&grain.start).and_then(WeakPieces::upgrade) {
                holders.push((grain, pieces));
            } else if state.coming.insert(grain.start) {
                turn.own.push(grain);
            } else {
                turn.others.push(grain);
            }
        }
        drop(state);
        // Not under the lock: it is work, and whoever has let go of them meanwhile leaves them to be dropped here.
        let copies = holders.into_iter().filter_map(|(grain, pieces)| {
            let bytes = pieces.get(&grain)?;
            Some((grain.start, Bytes::copy_from_slice(&bytes)))
        });
        turn.found = copies.collect();
        turn
    }

    /// Tells of grains that were verified and that somebody has.
    pub(crate) fn tell(&self, pieces: &Pieces, starts: impl Iterator<Item = u64>) {
        let mut state = self.shared().lock();
        state.there.retain(|_, it| it.is_alive());
        state.there.extend(starts.map(|it| (it, pieces.downgrade())));
    }

    /// Waits until nobody fetches any of these, but not longer than so.
    pub(crate) fn wait(&self, grains: &[Range<u64>], deadline: Instant) {
        let (shared, patience) = (self.shared(), deadline.saturating_duration_since(Instant::now()));
        let is_coming = |state: &mut State| grains.iter().any(|it| state.coming.contains(&it.start));
        drop(shared.changed.wait_timeout_while(shared.lock(), patience, is_coming));
    }

    fn shared(&self) -> &Shared {
        self.0.get(Shared::default)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is half done when somebody panics: a grain is noted or it is not.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        for grain in &self.own {
            state.coming.remove(&grain.start);
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn grains(starts: &[u64]) -> Vec<Range<u64>> {
        starts.iter().map(|it| *it..*it + 10).collect()
    }

    fn pieces(start: u64, n: usize) -> Pieces {
        Pieces::of(vec![(start, Bytes::from(vec![start as u8; n]))])
    }

    #[test]
    fn what_somebody_has_is_there_as_long_as_he_has_it() {
        let live = Live::default();
        let held = pieces(10, 20);
        live.tell(&held, [10, 20].into_iter());
        let turn = live.turn(grains(&[0, 10, 20]));
        assert_eq!(turn.own, grains(&[0]));
        assert_eq!(
            turn.found.iter().map(|(start, it)| (*start, it.len())).collect::<Vec<_>>(),
            [(10, 10), (20, 10)]
        );
        drop((turn, held));
        let turn = live.turn(grains(&[10]));
        assert_eq!((turn.found.len(), turn.own.as_slice()), (0, &grains(&[10])[..]));
    }

    #[test]
    fn one_fetches_and_others_wait_for_him() {
        let live = Live::default();
        let first = live.turn(grains(&[0, 10]));
        let second = live.turn(grains(&[10, 20]));
        assert_eq!(
            (second.own.as_slice(), second.others.as_slice()),
            (&grains(&[20])[..], &grains(&[10])[..])
        );
        let after = |millis| Instant::now() + Duration::from_millis(millis);
        let soon = after(5);
        live.wait(&second.others, soon);
        assert!(soon <= Instant::now());
        let held = pieces(0, 20);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                live.wait(&second.others, after(600_000));
                live.turn(grains(&[10])).found.len()
            });
            live.tell(&held, [0, 10].into_iter());
            drop(first);
            assert_eq!(waiting.join().unwrap(), 1);
        });
    }

    /// Whoever fails lets others try.
    #[test]
    fn who_gave_up_leaves_it_to_others() {
        let live = Live::default();
        drop(live.turn(grains(&[0])));
        assert_eq!(live.turn(grains(&[0])).own, grains(&[0]));
    }
}
