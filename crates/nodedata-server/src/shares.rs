use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{asker::Asker, connections::Connection};

/// Memory of which each asker has a part of its own, so that nobody waits for what another does not finish.
#[derive(Debug)]
pub(crate) struct Shares {
    bytes_max: u64,
    bytes_each_max: u64,
    n_each_max: usize,
    stalled_after: Duration,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    each: BTreeMap<Asker, Used>,
    next_id: u64,
    /// Those that belong to a connection which may be closed for another.
    lent: BTreeMap<u64, (Asker, Arc<Connection>)>,
    /// Who waits because all is given away, and for how much.
    waiting: BTreeMap<u64, (Asker, u64)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    bytes: u64,
    n: usize,
}

/// Memory that was given, until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    asker: Asker,
    bytes: u64,
    id: u64,
}

/// A place among those who wait.
struct Waiting<'a> {
    shares: &'a Shares,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shares.lock().waiting.remove(&self.id);
        // What was promised to it may be another's now.
        self.shares.freed.notify_waiters();
    }
}

/// Why there is none now.
#[derive(Debug, PartialEq, Eq)]
enum Full {
    Own,
    All,
}

impl Shares {
    pub(crate) fn new(
        bytes_max: u64,
        bytes_each_max: u64,
        n_each_max: usize,
        stalled_after: Duration,
    ) -> Arc<Self> {
        let (state, freed) = (Mutex::default(), Notify::new());
        Arc::new(Self { bytes_max, bytes_each_max, n_each_max, stalled_after, state, freed })
    }

    /// Bytes that are given away.
    pub(crate) fn used(&self) -> u64 {
        self.lock().bytes
    }

    /// Memory for somebody, if there is some.
    pub(crate) fn try_take(self: &Arc<Self>, asker: &Asker, bytes: u64) -> Option<Share> {
        self.give(asker, bytes, None).ok()
    }

    /// Memory for somebody, when there is some. It waits for the asker's own first. Where others hold all of it, and
    /// more than the asker would, the one of them that has stood still for longest is closed.
    pub(crate) async fn take(
        self: &Arc<Self>,
        asker: &Asker,
        bytes: u64,
        connection: &Arc<Connection>,
    ) -> Share {
        let mut place = None;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.give(asker, bytes, Some(connection)) {
                Ok(share) => return share,
                Err(Full::Own) => {
                    // What others give back is nothing to whoever may have no more: no part of it is promised meanwhile.
                    place = None;
                    freed.await;
                }
                Err(Full::All) => {
                    place.get_or_insert_with(|| self.wait(asker, bytes));
                    self.close_slowest(asker, bytes, Instant::now());
                    // Who moves now may stand still later.
                    drop(
                        tokio::time::timeout(self.stalled_after.max(Duration::from_millis(10)), freed).await,
                    );
                }
            }
        }
    }

    fn give(
        self: &Arc<Self>,
        asker: &Asker,
        bytes: u64,
        connection: Option<&Arc<Connection>>,
    ) -> Result<Share, Full> {
        let mut state = self.lock();
        let own = state.each.get(asker).copied().unwrap_or_default();
        if own.n >= self.n_each_max || own.bytes.saturating_add(bytes) > self.bytes_each_max {
            return Err(Full::Own);
        }
        // Those who hold less go first: else whoever waits most often would get all that is freed.
        let of = |it: &Asker| state.each.get(it).map_or(0, |it| it.bytes);
        let first = state.waiting.values().filter(|(other, _)| of(other) < own.bytes);
        let promised = first.fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        if state.bytes.saturating_add(bytes).saturating_add(promised) > self.bytes_max {
            return Err(Full::All);
        }
        state.bytes += bytes;
        state.each.insert(asker.clone(), Used { bytes: own.bytes + bytes, n: own.n + 1 });
        let id = state.next_id;
        state.next_id += 1;
        if let Some(connection) = connection {
            state.lent.insert(id, (asker.clone(), Arc::clone(connection)));
        }
        Ok(Share { shares: Arc::clone(self), asker: asker.clone(), bytes, id })
    }

    fn wait(&self, asker: &Asker, bytes: u64) -> Waiting<'_> {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.waiting.insert(id, (asker.clone(), bytes));
        Waiting { shares: self, id }
    }

    fn close_slowest(&self, asker: &Asker, bytes: u64, now: Instant) {
        let state = self.lock();
        let of = |it: &Asker| state.each.get(it).map_or(0, |it| it.bytes);
        let wanted = of(asker).saturating_add(bytes);
        let stalled = state.lent.values().filter_map(|(other, connection)| {
            let since = connection.stalled_since(now, self.stalled_after)?;
            (of(other) >= wanted).then_some((std::cmp::Reverse(of(other)), since, connection))
        });
        if let Some((_, _, slowest)) = stalled.min_by_key(|it| (it.0, it.1)) {
            slowest.end();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// The bytes that the memory was for: it is given back when they are dropped.
    pub(crate) fn holding(self, bytes: Bytes) -> Bytes {
        struct Held {
            bytes: Bytes,
            _share: Share,
        }
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.shares.lock();
        state.bytes = state.bytes.saturating_sub(self.bytes);
        state.lent.remove(&self.id);
        if let Some(own) = state.each.get_mut(&self.asker) {
            own.bytes = own.bytes.saturating_sub(self.bytes);
            own.n = own.n.saturating_sub(1);
            if own.n == 0 {
                state.each.remove(&self.asker);
            }
        }
        drop(state);
        self.shares.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connections::Connections, limits::Limits};

    fn of(account: &str) -> Asker {
        Asker::Account(account.to_owned())
    }

    #[test]
    fn each_has_a_part_of_its_own() {
        let shares = Shares::new(100, 40, 3, Duration::ZERO);
        let first = shares.try_take(&of("a"), 30).unwrap();
        assert!(shares.try_take(&of("a"), 11).is_none(), "its own is used up");
        let second = shares.try_take(&of("a"), 10).unwrap();
        let others = [shares.try_take(&of("b"), 40).unwrap(), shares.try_take(&of("c"), 20).unwrap()];
        assert!(shares.try_take(&of("d"), 1).is_none() && shares.used() == 100);
        drop((first, others));
        assert_eq!(shares.used(), 10);
        let bytes = second.holding(Bytes::from_static(b"ten"));
        let slice = bytes.slice(1..);
        drop(bytes);
        assert_eq!((slice.as_ref(), shares.used()), (&b"en"[..], 10), "as long as any of it is there");
        drop(slice);
        assert_eq!(shares.used(), 0);
        let many: Vec<Share> = (0..3).map(|_| shares.try_take(&of("a"), 1).unwrap()).collect();
        assert!(shares.try_take(&of("a"), 1).is_none(), "by number, too");
        drop(many);
        assert!(shares.lock().each.is_empty() && shares.lock().lent.is_empty());
    }

    #[test]
    fn what_is_freed_goes_to_who_has_least() {
        let shares = Shares::new(100, 100, 9, Duration::ZERO);
        let (held, freed) = (shares.try_take(&of("a"), 60).unwrap(), shares.try_take(&of("a"), 40).unwrap());
        let waiting = shares.wait(&of("b"), 30);
        drop(freed);
        assert!(shares.try_take(&of("a"), 20).is_none(), "30 of 40 are promised");
        let small = shares.try_take(&of("a"), 10).unwrap();
        let given = shares.try_take(&of("b"), 30).unwrap();
        drop((waiting, given, small, held));
        assert!(shares.try_take(&of("a"), 100).is_some() && shares.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_promised_to_who_may_have_no_more() {
        let connections = Connections::new(Limits::default());
        let slot = connections.admit([127, 0, 0, 1].into(), false, Instant::now()).unwrap();
        let shares = Shares::new(100, 100, 2, Duration::from_secs(5));
        let first = shares.try_take(&of("a"), 10).unwrap();
        let (held, freed) = (shares.try_take(&of("b"), 50).unwrap(), shares.try_take(&of("b"), 40).unwrap());
        let (of_all, connection) = (Arc::clone(&shares), Arc::clone(slot.connection()));
        let waiter = tokio::spawn(async move { of_all.take(&of("a"), 30, &connection).await });
        let is_waiting = || !shares.lock().waiting.is_empty();
        while !is_waiting() {
            tokio::task::yield_now().await;
        }
        drop(freed);
        // Its second, which is all that it may have, so that the one that waits cannot go on.
        let second = shares.try_take(&of("a"), 1).unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let given = shares.try_take(&of("b"), 39).expect("it is nobody's");
        drop((second, given));
        let third = waiter.await.unwrap();
        assert_eq!(shares.used(), 90);
        drop((first, held, third));
        assert_eq!((shares.used(), is_waiting()), (0, false));
    }

    #[test]
    fn who_holds_most_and_stands_still_makes_room() {
        let connections = Connections::new(Limits { stalled_after: Duration::ZERO, ..Limits::default() });
        let slots: Vec<_> = (1..=3u8)
            .map(|it| connections.admit([127, 0, 0, it].into(), false, Instant::now()).unwrap())
            .collect();
        let shares = Shares::new(100, 60, 9, Duration::ZERO);
        let take = |asker: &str, bytes, slot: usize| {
            shares.give(&of(asker), bytes, Some(slots[slot].connection())).unwrap()
        };
        let _held = [take("small", 40, 0), take("large", 60, 1)];
        let now = Instant::now() + Duration::from_secs(1);
        let ended = || slots.iter().map(|it| it.connection().is_ended()).collect::<Vec<bool>>();
        shares.close_slowest(&of("new"), 61, now);
        assert_eq!(ended(), [false; 3], "nobody holds more than it asks for");
        slots[1].connection().enter(crate::connections::Phase::Work, now);
        shares.close_slowest(&of("new"), 50, now);
        assert_eq!(ended(), [false; 3], "one that the server works for does not stand still");
        slots[1].connection().enter(crate::connections::Phase::Body, now);
        shares.close_slowest(&of("new"), 50, now);
        assert_eq!(ended(), [false, true, false]);
    }
}
