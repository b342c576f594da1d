//! The connections that are open: who has how many, which of them moves, and which goes when there is no room.

mod connection;
mod watched;

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{asker::Asker, limits::Limits};

pub(crate) use connection::{Connection, Phase};
pub(crate) use watched::{Answer, Watched};

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    table: Mutex<Table>,
    /// Closed because another needed the place.
    pub(crate) displaced: AtomicU64,
    /// Closed because they did not move.
    pub(crate) overdue: AtomicU64,
    /// Refused, for there was no room.
    pub(crate) refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    open: BTreeMap<u64, (Asker, Arc<Connection>)>,
    held: BTreeMap<Asker, usize>,
}

/// A connection's place among the others, until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    /// Whose it is while nobody said more.
    own: Asker,
}

/// There is no room, and nothing stands still that could make some.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Connections {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let (displaced, overdue, refused) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { limits, table: Mutex::default(), displaced, overdue, refused })
    }

    /// How many are open.
    pub(crate) fn n_open(&self) -> u64 {
        self.lock().open.len() as u64
    }

    /// Takes a connection in. `is_proxy` says that its peer is a trusted proxy, whose connections are others'.
    ///
    /// # Errors
    /// [`Full`]: it is to be closed.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr, is_proxy: bool, now: Instant) -> Result<Slot, Full> {
        let own = if is_proxy { Asker::Proxy } else { Asker::at(peer) };
        let mut table = self.lock();
        if !self.has_room(&mut table, &own, now) || !self.has_place(&mut table, &own, now) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Full);
        }
        let id = table.next_id;
        table.next_id += 1;
        let connection = Arc::new(Connection::new(id, peer, now));
        table.open.insert(id, (own.clone(), Arc::clone(&connection)));
        *table.held.entry(own.clone()).or_default() += 1;
        drop(table);
        Ok(Slot { connections: Arc::clone(self), connection, own })
    }

    /// Whether an asker may have one more, if need be for one of its own that stands still.
    fn has_room(&self, table: &mut Table, asker: &Asker, now: Instant) -> bool {
        let max = match asker {
            Asker::Account(_) => self.limits.connections_per_account,
            Asker::Address(_) => self.limits.connections_per_address,
            Asker::Proxy => return true,
        };
        if table.n_of(asker) < max {
            return true;
        }
        let own = table.open.values().filter(|(of, _)| of == asker);
        let stalled = own.filter_map(|(_, it)| Some((it.stalled_since(now, self.limits.stalled_after)?, it)));
        let slowest = stalled.min_by_key(|(since, _)| *since).map(|(_, it)| Arc::clone(it));
        self.displace(table, slowest)
    }

    /// Whether the server has a place for one more of an asker's. Where it has none, one of whoever has most goes: one
    /// that stands still, before one that moves, and that only where its owner keeps more than the asker gets.
    fn has_place(&self, table: &mut Table, asker: &Asker, now: Instant) -> bool {
        if table.open.len() < self.limits.connections {
            return true;
        }
        let n_own = table.n_of(asker);
        let ranked = table.open.values().filter_map(|(of, it)| {
            let n = table.n_of(of);
            let stalled = it.stalled_since(now, self.limits.stalled_after);
            let may_go = if stalled.is_some() { n >= n_own.max(1) } else { n > n_own + 1 };
            // Those that the server works for go last of all.
            may_go.then(|| ((stalled.is_none(), Reverse(n), it.is_worked_for(), it.moved_at()), it))
        });
        let slowest = ranked.min_by_key(|(rank, _)| *rank).map(|(_, it)| Arc::clone(it));
        self.displace(table, slowest)
    }

    fn displace(&self, table: &mut Table, slowest: Option<Arc<Connection>>) -> bool {
        let Some(slowest) = slowest else { return false };
        self.displaced.fetch_add(1, Ordering::Relaxed);
        table.remove(slowest.id());
        slowest.end();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn n_of(&self, asker: &Asker) -> usize {
        self.held.get(asker).copied().unwrap_or_default()
    }

    fn remove(&mut self, id: u64) {
        if let Some((asker, _)) = self.open.remove(&id) {
            self.give_back(&asker);
        }
    }

    fn give_back(&mut self, asker: &Asker) {
        if let Some(n) = self.held.get_mut(asker) {
            *n -= 1;
            if *n == 0 {
                self.held.remove(asker);
            }
        }
    }
}

impl Slot {
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Counts the connection to whoever asks in it from now on.
    ///
    /// # Errors
    /// [`Full`] when the asker has as many as it may, and all of them move.
    pub(crate) fn hold(&self, asker: &Asker, now: Instant) -> Result<(), Full> {
        let id = self.connection.id();
        let mut table = self.connections.lock();
        // One that just had to go takes no place any more.
        let Some((held_by, _)) = table.open.get(&id) else { return Ok(()) };
        if held_by == asker {
            return Ok(());
        }
        let before = held_by.clone();
        if !self.connections.has_room(&mut table, asker, now) {
            self.connections.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Full);
        }
        table.give_back(&before);
        *table.held.entry(asker.clone()).or_default() += 1;
        if let Some((held_by, _)) = table.open.get_mut(&id) {
            *held_by = asker.clone();
        }
        Ok(())
    }

    /// After an answer. The connection of a proxy is its last asker's no longer.
    pub(crate) fn answered(&self, now: Instant) {
        self.connection.enter(Phase::Idle, now);
        if self.own == Asker::Proxy {
            // There is always room for a proxy.
            self.hold(&self.own, now).unwrap_or_default();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.lock().remove(self.connection.id());
    }
}

#[cfg(test)]
mod tests;
