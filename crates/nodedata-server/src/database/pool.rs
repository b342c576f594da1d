//! Connections to a Postgres database. They are for blocking threads: whoever asks waits for the answer.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nodedata_core::{Error, ErrorKind, Result};
use postgres::{
    Client,
    error::{DbError, Severity},
};

use crate::database::address::DatabaseAddress;

/// Connections of one node at once: what is noted waits for a disk, and who asks who somebody is must not wait for that.
const CLIENTS_MAX: usize = 8;
/// How long a free connection is waited for, and how long Postgres may wait for a lock of ours.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// A connection that was used so lately is believed to be there.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// How long a connection has to show that it is still there.
const SIGN_TIMEOUT: Duration = Duration::from_secs(5);

/// Held by whoever does several things at once: the audit log is one chain, whichever node adds to it. With the isolation that
/// is named here each statement behind the lock sees what the one before has committed.
const BEGIN: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock(7954889216730210)";
/// Held by a node that starts.
const LOCK_START: &str =
    "SET lock_timeout = '120s'; SET statement_timeout = 0; SELECT pg_advisory_lock(7954889216730211)";

/// A node that stands still while it holds the lock loses it. What was committed must be on the disk, as a grant that was taken
/// back must not come back after a power cut.
const SETTINGS: &str = "
SET lock_timeout = '10s';
SET statement_timeout = '60s';
SET idle_in_transaction_session_timeout = '30s';
SET client_min_messages = 'warning';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

/// Connections that are made when they are needed, and made anew when they have ended.
pub(super) struct Pool {
    address: DatabaseAddress,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// Each with when it was used last; the one that was used last is at the end.
    idle: Vec<(Box<Client>, Instant)>,
    n_leased: usize,
}

/// A connection that nobody else uses meanwhile.
pub(super) struct Leased<'a> {
    pool: &'a Pool,
    client: Option<Box<Client>>,
    /// Whether something was begun and is neither committed nor undone.
    is_open: bool,
    /// Whether a statement failed since: then Postgres commits nothing, and says so to nobody.
    has_failed: bool,
    /// Whether it is of no use any more.
    is_gone: bool,
}

impl Pool {
    pub(super) fn new(address: DatabaseAddress) -> Self {
        Self { address, state: Mutex::default(), freed: Condvar::new() }
    }

    /// A connection that was there a moment ago, or a new one.
    pub(super) fn lease(&self) -> Result<Leased<'_>> {
        let until = Instant::now() + WAIT_MAX;
        let mut state = self.lock();
        while state.n_leased >= CLIENTS_MAX {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.address.failed("has been busy for too long"));
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.n_leased += 1;
        drop(state);
        // Counted from here on, whatever becomes of it.
        let mut leased =
            Leased { pool: self, client: None, is_open: false, has_failed: false, is_gone: false };
        leased.client = Some(self.client()?);
        Ok(leased)
    }

    fn client(&self) -> Result<Box<Client>> {
        loop {
            let kept = self.lock().idle.pop();
            let Some((mut client, used)) = kept else { return self.connect().map(Box::new) };
            if client.is_closed() {
                continue;
            }
            // Nothing was asked yet, so nothing is asked twice.
            if used.elapsed() < BELIEVED_FOR || client.is_valid(SIGN_TIMEOUT).is_ok() {
                return Ok(client);
            }
        }
    }

    fn connect(&self) -> Result<Client> {
        let mut client = self.address.connect()?;
        client.batch_execute(SETTINGS).map_err(|err| self.address.told(err))?;
        Ok(client)
    }

    /// Does something while no other node does the like, over a connection of its own.
    pub(super) fn while_none_starts<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut client = self.connect()?;
        client.batch_execute(LOCK_START).map_err(|err| self.address.told(err))?;
        let done = act();
        // The lock ends with its connection.
        drop(client);
        done
    }

    fn give_back(&self, client: Option<Box<Client>>) {
        let mut state = self.lock();
        state.n_leased -= 1;
        state.idle.extend(client.map(|it| (it, Instant::now())));
        drop(state);
        self.freed.notify_one();
    }

    fn forget_idle(&self) {
        let idle = std::mem::take(&mut self.lock().idle);
        drop(idle);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut self.lock().idle);
        if idle.is_empty() {
            return;
        }
        // A connection waits for its end, which a thread of the server's runtime must not. Where there are no threads left, the
        // process is about to end as well.
        drop(std::thread::Builder::new().spawn(move || drop(idle)).map(std::thread::JoinHandle::join));
    }
}

impl Leased<'_> {
    /// Asks something of Postgres.
    pub(super) fn ask<T>(
        &mut self,
        act: impl FnOnce(&mut Client) -> std::result::Result<T, postgres::Error>,
    ) -> Result<T> {
        let Some(client) = &mut self.client else { return Err(self.pool.address.failed("is not connected")) };
        act(client).map_err(|err| {
            self.has_failed = true;
            // What is no answer of Postgres, or its last one.
            let is_last =
                |it: &DbError| matches!(it.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
            if client.is_closed() || err.as_db_error().is_none_or(is_last) {
                self.is_gone = true;
                // What ended this one has most likely ended the others.
                self.pool.forget_idle();
            }
            self.pool.address.told(err)
        })
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        (self.is_open, self.has_failed) = (true, false);
        self.ask(|it| it.batch_execute(BEGIN))
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        if self.has_failed {
            return Err(Error::new(ErrorKind::Io, "a statement failed, so nothing was done"));
        }
        self.ask(|it| it.batch_execute("COMMIT"))?;
        self.is_open = false;
        Ok(())
    }

    /// Undoes what was begun. Where that fails, the connection is not used again, and Postgres undoes it.
    pub(super) fn roll_back(&mut self) {
        if self.is_open && self.ask(|it| it.batch_execute("ROLLBACK")).is_ok() {
            self.is_open = false;
        }
    }
}

impl Drop for Leased<'_> {
    fn drop(&mut self) {
        let client = self.client.take().filter(|it| !self.is_open && !self.is_gone && !it.is_closed());
        self.pool.give_back(client);
    }
}
