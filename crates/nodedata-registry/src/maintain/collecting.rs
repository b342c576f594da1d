use std::{
    cell::Cell,
    collections::BTreeSet,
    fs::{File, OpenOptions, TryLockError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_io::io_error;
use serde::{Deserialize, Serialize};

use crate::{
    clock::fresh_id,
    digest::B3,
    record::{from_bytes, to_canonical},
    store::{Created, Store},
};

/// What a collection that is under way is about to remove.
pub(super) const CONDEMNED: &str = "gc/condemned.json";
/// Held by a collection in a folder of this machine for as long as it lives: the system lets go of it when it dies.
const LOCK: &str = "gc/lock";
/// What asks for the store's time.
const CLOCK: &str = "gc/clock-";
/// Where there are no locks, a collection writes its list again so often: then it lives.
const BEAT: Duration = Duration::from_secs(10);
/// A list that was not written again for so long, by the store's clock, belongs to a collection that died.
const DEAD_SECONDS: i64 = 60;
/// The same of lists of earlier versions, which are written once.
const DEAD_SECONDS_BEFORE: i64 = 600;
/// A collection that was held up for so long removes nothing more: others may have taken it for dead.
const HELD_UP: Duration = Duration::from_secs(30);
/// How long a push waits for a collection that removes what it needs.
const WAIT_TRIES: u32 = 2400;
const WAIT: Duration = Duration::from_millis(50);
/// The store's clock costs three requests, so it is asked once in so many tries.
const TRIES_PER_CLOCK: u32 = 20;
/// A push that looks whether a collection lives holds the lock for a moment.
const LOCK_TRIES: u32 = 40;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Condemned {
    pub(super) blobs: Vec<B3>,
    /// Whether whoever wrote it holds the lock while it lives.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    locked: bool,
    /// After how long without being written again it is nobody's; absent in lists of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_seconds: Option<u64>,
}

impl Condemned {
    /// How old a list may be while somebody is at work; one that cannot be read would have been written again by then.
    fn life(list: Option<&Self>) -> TimeDelta {
        let seconds = match list {
            None => DEAD_SECONDS,
            Some(list) => {
                let told = list.dead_seconds.and_then(|it| i64::try_from(it).ok());
                told.unwrap_or(DEAD_SECONDS_BEFORE)
            }
        };
        TimeDelta::seconds(seconds.min(DEAD_SECONDS_BEFORE))
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        from_bytes("list of condemned blobs", bytes)
    }
}

/// A collection at work: one at a time in a store.
pub(super) struct Collecting<'a> {
    store: &'a Store,
    /// Absent where the store has no locks.
    lock: Option<File>,
    /// What is condemned now, and when that was written last.
    list: Cell<Option<(Bytes, Instant)>>,
}

impl<'a> Collecting<'a> {
    /// Begins, unless another one is at work.
    ///
    /// # Errors
    /// `Conflict` when it is; `Io`.
    pub(super) fn begin(store: &'a Store) -> Result<Self> {
        let begun = |lock| Self { store, lock, list: Cell::new(None) };
        for _ in 0..LOCK_TRIES {
            match Lock::take(store)? {
                Lock::Taken(file) => return Ok(begun(Some(file))),
                Lock::None => return Ok(begun(None)),
                Lock::OfAnother => std::thread::sleep(WAIT),
            }
        }
        Err(busy())
    }

    /// Says what is about to be removed. The list of a collection that died is replaced.
    ///
    /// # Errors
    /// `Conflict` when another one is at work; `Io`, `Denied`.
    pub(super) fn condemn(&self, candidates: impl Iterator<Item = B3>) -> Result<()> {
        let list = Condemned {
            blobs: candidates.collect(),
            locked: self.lock.is_some(),
            dead_seconds: Some(DEAD_SECONDS.unsigned_abs()),
        };
        let bytes = Bytes::from(to_canonical(&list)?);
        if self.lock.is_some() {
            self.store.put(CONDEMNED, bytes.clone())?;
        } else if self.store.put_create(CONDEMNED, bytes.clone())? == Created::Exists {
            if !is_dead(self.store)? {
                return Err(busy());
            }
            self.store.put(CONDEMNED, bytes.clone())?;
        }
        self.list.set(Some((bytes, Instant::now())));
        Ok(())
    }

    /// While logs are read again, and before each blob is removed: shows that this collection lives.
    ///
    /// # Errors
    /// `Io` when it was held up for so long that others may have taken it for dead.
    pub(super) fn beat(&self) -> Result<()> {
        let Some((bytes, at)) = self.list.take() else { return Ok(()) };
        if self.lock.is_some() {
            self.list.set(Some((bytes, at)));
            return Ok(());
        }
        if at.elapsed() > HELD_UP {
            return Err(Error::new(ErrorKind::Io, "the collection was held up for too long and stopped")
                .with_hint("run it again; what it had not removed is there"));
        }
        let is_due = at.elapsed() > BEAT;
        self.list.set(Some((bytes.clone(), at)));
        if is_due {
            self.store.put(CONDEMNED, bytes.clone())?;
            self.list.set(Some((bytes, Instant::now())));
        }
        Ok(())
    }

    /// Nothing is condemned any more. After it was held up, the list that lies there may be another's, and stays.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub(super) fn pardon(&self) -> Result<()> {
        match self.list.take() {
            None => Ok(()),
            Some(_) => self.store.delete(CONDEMNED),
        }
    }
}

fn busy() -> Error {
    Error::new(ErrorKind::Conflict, "another collection is under way")
        .with_hint("wait for it; one that died is noticed within a minute")
}

enum Lock {
    Taken(File),
    OfAnother,
    /// There are no locks: the store is no folder of this machine, or its file system has none.
    None,
}

impl Lock {
    fn take(store: &Store) -> Result<Self> {
        let Some(root) = store.folder() else { return Ok(Self::None) };
        let path = root.join(LOCK);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|err| io_error("cannot make the folder", folder, err))?;
        }
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|err| io_error("cannot make the lock", &path, err))?;
        match file.try_lock() {
            Ok(()) => Ok(Self::Taken(file)),
            Err(TryLockError::WouldBlock) => Ok(Self::OfAnother),
            Err(TryLockError::Error(err)) if err.kind() == std::io::ErrorKind::Unsupported => Ok(Self::None),
            Err(TryLockError::Error(err)) => Err(io_error("cannot lock", &path, err)),
        }
    }
}

/// Called by a push that has written its lease: waits until no collection is about to remove its blobs. The list of one that died
/// holds up nobody.
pub(crate) fn wait_for_collection(store: &Store, blobs: &BTreeSet<B3>) -> Result<()> {
    for n_tries in 0..WAIT_TRIES {
        let Some(bytes) = store.get(CONDEMNED)? else { return Ok(()) };
        let list = Condemned::parse(&bytes).ok();
        if list.as_ref().is_some_and(|it| !it.blobs.iter().any(|it| blobs.contains(it))) {
            return Ok(());
        }
        // A list that cannot be read may name anything.
        let is_locked = list.is_none_or(|it| it.locked);
        match if is_locked { Lock::take(store)? } else { Lock::None } {
            Lock::Taken(_held) => {
                // Whoever wrote it is dead, and nobody can begin meanwhile.
                tracing::warn!(store = store.label(), "a collection was killed; its list is taken away");
                return store.delete(CONDEMNED);
            }
            Lock::None if n_tries.is_multiple_of(TRIES_PER_CLOCK) && is_dead(store)? => return Ok(()),
            Lock::OfAnother | Lock::None => {}
        }
        std::thread::sleep(WAIT);
    }
    Err(Error::new(ErrorKind::Io, "a collection is removing blobs that this push needs")
        .at(Locus::path(CONDEMNED))
        .with_hint("try again when `node-data store gc` has ended"))
}

/// Whether the list of condemned blobs belongs to nobody that lives, by the store's clock.
fn is_dead(store: &Store) -> Result<bool> {
    let Some(bytes) = store.get(CONDEMNED)? else { return Ok(true) };
    let life = Condemned::life(Condemned::parse(&bytes).ok().as_ref());
    let Some(found) = store.head(CONDEMNED)? else { return Ok(true) };
    Ok(clock(store)? - found.modified >= life)
}

/// The store's own time: that of this machine may be another.
pub(super) fn clock(store: &Store) -> Result<DateTime<Utc>> {
    let path = format!("{CLOCK}{}", fresh_id());
    store.put(&path, Bytes::from_static(b"now"))?;
    let found = store.head(&path)?;
    store.delete(&path)?;
    found
        .map(|it| it.modified)
        .ok_or_else(|| Error::new(ErrorKind::Io, "the store does not show what was written"))
}

/// Removes what killed collections asked the time with. Returns how much that was.
pub(super) fn remove_clocks(store: &Store, is_old: impl Fn(DateTime<Utc>) -> bool) -> Result<u64> {
    let mut n_removed = 0;
    for object in store.list("gc")? {
        if object.path.starts_with(CLOCK) && is_old(object.modified) {
            store.delete(&object.path)?;
            n_removed += 1;
        }
    }
    Ok(n_removed)
}

/// What is wrong with the list of condemned blobs, if there is one.
pub(super) fn broken_list(store: &Store) -> Result<Option<Error>> {
    let bytes = store.get(CONDEMNED)?;
    Ok(bytes.and_then(|it| Condemned::parse(&it).err()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_up(collecting: &Collecting<'_>) {
        let (bytes, at) = collecting.list.take().unwrap();
        collecting.list.set(Some((bytes, at.checked_sub(HELD_UP + BEAT).unwrap())));
    }

    #[test]
    fn a_collection_that_was_held_up_leaves_the_list_of_another() {
        let store = Store::memory();
        let first = Collecting::begin(&store).unwrap();
        first.condemn([B3::of(b"a")].into_iter()).unwrap();
        first.beat().unwrap();
        held_up(&first);
        // Another one took it for dead.
        store.put(CONDEMNED, Bytes::from_static(b"of another")).unwrap();
        assert_eq!(first.beat().unwrap_err().kind(), ErrorKind::Io);
        first.pardon().unwrap();
        assert_eq!(store.get(CONDEMNED).unwrap().as_deref(), Some(&b"of another"[..]));
    }

    #[test]
    fn a_list_is_gone_once_it_is_pardoned() {
        let store = Store::memory();
        let collecting = Collecting::begin(&store).unwrap();
        collecting.condemn([B3::of(b"a")].into_iter()).unwrap();
        collecting.beat().unwrap();
        collecting.pardon().unwrap();
        assert_eq!(store.get(CONDEMNED).unwrap(), None);
    }
}
