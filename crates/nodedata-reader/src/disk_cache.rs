//! Ranges of blobs on the disk of this machine, for all of its processes and for those that come later.
//!
//! A blob has a folder of its own, named by its digest, with its tree and a file for each grain of it that was fetched. Files are
//! made under another name and get theirs by one call, which nothing that is there already gives way to; so no reader sees half of one,
//! whoever is killed when. What is read is verified by the tree again before it is used, so nothing is flushed, and damage costs one
//! more request. A lock that goes with the process guards the count of bytes; nobody waits for it for long. Others tell that somebody
//! fetches a part of a blob, so that processes that start together and read the same do not fetch it each.

mod lock;
mod store;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use nodedata_core::{Error, Result};
use nodedata_registry::B3;

use self::store::{Claim, Store};
use crate::CacheOptions;

/// Grains of a part of a blob that is claimed, 2 MiB: not so few that a process has as many files open as it may.
const CLAIMED_GRAINS: u64 = 8;
/// Parts that are claimed at once, at most. What is fetched beyond that, others may fetch as well.
const CLAIMS_MAX: usize = 64;
/// How often it is looked for others' claims.
const LOOK: Duration = Duration::from_millis(5);

/// How the cache on the disk was used by a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Where it is; `None` where nothing is kept.
    pub folder: Option<PathBuf>,
    /// Bytes that were read from it.
    pub hit_bytes: u64,
    /// Bytes that were not there, and came from the registry.
    pub missed_bytes: u64,
    /// Bytes that were written to it.
    pub written_bytes: u64,
    /// Bytes that were there and were not what they should be; they were fetched anew.
    pub damaged_bytes: u64,
    /// Why nothing is written any more, such as a disk that is full; reading goes on without.
    pub failure: Option<String>,
}

/// The cache, as one reader uses it. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiskCache(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    store: Store,
    hits: AtomicU64,
    misses: AtomicU64,
    written: AtomicU64,
    damaged: AtomicU64,
    is_off: AtomicBool,
    failure: OnceLock<String>,
}

/// What is kept of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Its tree.
    Tree,
    /// One of its grains.
    Grain(u64),
}

/// Parts of a blob that somebody fetches. Others wait until this goes.
#[derive(Default)]
pub(crate) struct Claims {
    _own: Vec<Claim>,
    others: BTreeSet<u64>,
}

impl Claims {
    /// Whether somebody else fetches a grain.
    pub(crate) fn is_others(&self, grain: u64) -> bool {
        self.others.contains(&(grain / CLAIMED_GRAINS))
    }
}

impl DiskCache {
    /// The cache in the folder that is named. One that cannot be made there is none, and that is told.
    pub(crate) fn open(options: &CacheOptions) -> Self {
        let Some((folder, max_bytes)) = options.place() else { return Self(None) };
        let inner = Inner {
            store: Store::new(folder, max_bytes),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            written: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            is_off: AtomicBool::new(false),
            failure: OnceLock::new(),
        };
        let cache = Self(Some(Arc::new(inner)));
        if let Some(inner) = &cache.0 {
            inner.note(inner.store.prepare());
        }
        cache
    }

    /// Whether nothing is kept.
    pub(crate) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// What is kept. It was verified when it was put there, and may have been damaged since.
    pub(crate) fn get(&self, blob: &B3, what: Kept, n_bytes: u64) -> Option<Bytes> {
        let inner = self.0.as_ref()?;
        let found = inner.store.get(blob, what, n_bytes)?;
        inner.hits.fetch_add(n_bytes, Ordering::Relaxed);
        Some(found)
    }

    /// Whether something is kept, as far as the length of its file tells.
    pub(crate) fn has(&self, blob: &B3, what: Kept, n_bytes: u64) -> bool {
        self.0.as_ref().is_some_and(|it| it.store.has(blob, what, n_bytes))
    }

    /// Counts what came from the registry because it was not there.
    pub(crate) fn missed(&self, n_bytes: u64) {
        if let Some(inner) = &self.0 {
            inner.misses.fetch_add(n_bytes, Ordering::Relaxed);
        }
    }

    /// Bytes that there is room for, as long as anything is written; 0 where nothing is.
    pub(crate) fn room_bytes(&self) -> u64 {
        // Where it is full, a tenth is let go of at once.
        self.writing().map_or(0, |it| it.store.max_bytes() / 10 * 9)
    }

    /// Whether what is fetched is kept.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing().is_some()
    }

    /// Claims the parts of a blob that grains lie in, as far as nobody else has.
    pub(crate) fn claim(&self, blob: &B3, grains: impl Iterator<Item = u64>) -> Claims {
        let mut claims = Claims::default();
        let Some(inner) = self.writing() else { return claims };
        let parts: BTreeSet<u64> = grains.map(|it| it / CLAIMED_GRAINS).collect();
        for part in parts.into_iter().take(CLAIMS_MAX) {
            match inner.store.claim(blob, part) {
                Ok(Some(claim)) => claims._own.push(claim),
                Ok(None) => {
                    claims.others.insert(part);
                }
                // Then others may fetch it as well.
                Err(err) => tracing::debug!(%err, "a part of a blob cannot be claimed"),
            }
        }
        claims
    }

    /// Waits until nobody claims the parts of a blob that grains lie in, but not longer than so.
    pub(crate) fn wait(&self, blob: &B3, grains: impl Iterator<Item = u64>, deadline: Instant) {
        let Some(inner) = self.writing() else { return };
        let parts: BTreeSet<u64> = grains.map(|it| it / CLAIMED_GRAINS).collect();
        for part in parts {
            while inner.store.is_claimed(blob, part) && Instant::now() < deadline {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Keeps what was verified. A failure is told once, and from then on nothing is written any more.
    pub(crate) fn put<'a>(&self, blob: &B3, all: impl Iterator<Item = (Kept, &'a [u8])>) {
        let Some(inner) = self.writing() else { return };
        let mut n_written = 0;
        let put = all.into_iter().try_for_each(|(what, bytes)| {
            n_written += inner.store.put(blob, what, bytes)?;
            Ok::<(), Error>(())
        });
        inner.written.fetch_add(n_written, Ordering::Relaxed);
        // What was written before a failure is there, too.
        let counted = inner.store.count(n_written);
        inner.note(put.and(counted));
    }

    /// Lets go of what is damaged.
    pub(crate) fn forget(&self, blob: &B3, what: Kept, n_bytes: u64) {
        if let Some(inner) = &self.0 {
            inner.damaged.fetch_add(n_bytes, Ordering::Relaxed);
            inner.store.remove(blob, what);
        }
    }

    fn writing(&self) -> Option<&Inner> {
        self.0.as_deref().filter(|it| !it.is_off.load(Ordering::Relaxed))
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let Some(inner) = &self.0 else { return CacheStats::default() };
        let count = |it: &AtomicU64| it.load(Ordering::Relaxed);
        CacheStats {
            folder: Some(inner.store.folder().to_owned()),
            hit_bytes: count(&inner.hits),
            missed_bytes: count(&inner.misses),
            written_bytes: count(&inner.written),
            damaged_bytes: count(&inner.damaged),
            failure: inner.failure.get().cloned(),
        }
    }
}

impl Inner {
    fn note(&self, done: Result<()>) {
        let Err(err) = done else { return };
        if !self.is_off.swap(true, Ordering::Relaxed) {
            let told = err.chain();
            let cache = self.store.folder().display();
            tracing::warn!(%cache, err = %told, "nothing more is kept on the disk");
            self.failure.get_or_init(|| told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &std::path::Path, max_bytes: u64) -> DiskCache {
        DiskCache::open(&CacheOptions::At { folder: folder.join("blobs"), max_bytes })
    }

    fn put(cache: &DiskCache, blob: &B3, grain: u64, bytes: &[u8]) {
        cache.put(blob, [(Kept::Grain(grain), bytes)].into_iter());
    }

    /// Bytes of all files below a folder.
    fn used(folder: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let of = |it: std::fs::DirEntry| match it.file_type().unwrap().is_dir() {
            true => used(&it.path()),
            false => it.metadata().unwrap().len(),
        };
        entries.map(of).sum()
    }

    #[test]
    fn what_one_puts_there_another_finds() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (at(folder.path(), 1 << 30), at(folder.path(), 1 << 30));
        let blob = B3::of(b"blob");
        put(&one, &blob, 7, b"grain");
        put(&one, &blob, 7, b"GRAIN");
        one.put(&blob, [(Kept::Tree, &b"tree"[..])].into_iter());
        assert_eq!(
            other.get(&blob, Kept::Grain(7), 5).as_deref(),
            Some(&b"grain"[..]),
            "what is there stays"
        );
        assert_eq!(other.get(&blob, Kept::Tree, 4).as_deref(), Some(&b"tree"[..]));
        assert_eq!(other.get(&blob, Kept::Grain(8), 5), None);
        assert_eq!(other.get(&B3::of(b"other"), Kept::Tree, 4), None);
        other.missed(15);
        let stats = other.stats();
        assert_eq!((stats.hit_bytes, stats.missed_bytes, stats.written_bytes), (9, 15, 0));
        let has = |what, n_bytes| other.has(&blob, what, n_bytes);
        assert!(has(Kept::Grain(7), 5) && has(Kept::Tree, 4));
        assert!(!has(Kept::Grain(7), 6) && !has(Kept::Grain(8), 5));
        assert_eq!((one.stats().written_bytes, one.stats().failure), (9, None));
        other.forget(&blob, Kept::Grain(7), 5);
        assert_eq!((one.get(&blob, Kept::Grain(7), 5), other.stats().damaged_bytes), (None, 5));
        put(&one, &blob, 9, b"grain");
        assert_eq!(other.get(&blob, Kept::Grain(9), 6), None, "of another length");
        assert!(!has(Kept::Grain(9), 5), "and it goes, so that it can be put there again");
    }

    #[test]
    fn one_claims_what_others_wait_for() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (at(folder.path(), 1 << 30), at(folder.path(), 1 << 30));
        let blob = B3::of(b"blob");
        let first = one.claim(&blob, 0..10);
        let second = other.claim(&blob, [3, 15, 16, 40].into_iter());
        assert!([3, 15].iter().all(|it| second.is_others(*it)), "grains of one part");
        assert!([16, 40].iter().all(|it| !second.is_others(*it)) && !first.is_others(3));
        assert!(one.claim(&blob, 40..41).is_others(40));
        let after = |millis| Instant::now() + Duration::from_millis(millis);
        let soon = after(30);
        other.wait(&blob, 3..4, soon);
        assert!(soon <= Instant::now(), "nobody has let go of it");
        let late = after(600_000);
        other.wait(&blob, 300..301, late);
        drop(first);
        other.wait(&blob, 3..16, late);
        assert!(Instant::now() < late);
        assert!(!other.claim(&blob, 3..4).is_others(3));
        drop(second);
        assert_eq!(walk(folder.path()), Vec::<PathBuf>::new(), "no claim stays");
        assert_eq!((one.room_bytes(), DiskCache::default().room_bytes()), ((1 << 30) / 10 * 9, 0));
    }

    #[test]
    fn the_limit_is_kept_and_what_was_used_last_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = at(folder.path(), 100_000);
        let blob = B3::of(b"blob");
        for grain in 0..60 {
            put(&cache, &blob, grain, &[grain as u8; 9000]);
            assert!(used(folder.path()) <= 100_000 + 4096, "{grain}: {}", used(folder.path()));
        }
        assert!(cache.get(&blob, Kept::Grain(59), 9000).is_some());
        assert_eq!(cache.get(&blob, Kept::Grain(0), 9000), None);
        assert_eq!(cache.stats().failure, None);
    }

    /// After a power failure a file may have its name and none of its bytes.
    #[test]
    fn what_has_another_length_is_put_there_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = at(folder.path(), 1 << 30);
        let blob = B3::of(b"blob");
        put(&cache, &blob, 0, b"grain");
        let home = walk(folder.path()).into_iter().find(|it| it.ends_with("0000000000")).unwrap();
        std::fs::write(&home, b"").unwrap();
        assert_eq!(cache.get(&blob, Kept::Grain(0), 5), None);
        put(&cache, &blob, 0, b"grain");
        assert_eq!(cache.get(&blob, Kept::Grain(0), 5).as_deref(), Some(&b"grain"[..]));
    }

    /// Whoever names a folder that holds more than a cache loses nothing of that.
    #[test]
    fn only_files_of_the_cache_go_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let cache = at(folder.path(), 20_000);
        let others = ["mine/of/file", "ab/notes/file", "file"].map(|it| folder.path().join("blobs").join(it));
        for other in &others {
            std::fs::create_dir_all(other.parent().unwrap()).unwrap();
            std::fs::write(other, vec![0; 100_000]).unwrap();
        }
        for grain in 0..9 {
            put(&cache, &B3::of(b"blob"), grain, &[1; 9000]);
        }
        assert!(others.iter().all(|it| it.is_file()));
        assert!(cache.get(&B3::of(b"blob"), Kept::Grain(8), 9000).is_some());
    }

    /// Whether a folder cannot be made or a disk is full: nothing is kept, and that is told once.
    #[test]
    fn without_a_place_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("blobs"), b"a file where the folder should be").unwrap();
        let cache = at(folder.path(), 1 << 30);
        let blob = B3::of(b"blob");
        put(&cache, &blob, 0, b"grain");
        assert_eq!(cache.get(&blob, Kept::Grain(0), 5), None);
        let stats = cache.stats();
        assert!(stats.failure.is_some_and(|it| it.contains("cache")));
        assert_eq!((stats.written_bytes, cache.is_writing(), cache.room_bytes()), (0, false, 0));
        assert!(!cache.claim(&blob, 0..1).is_others(0), "nobody waits for others");
    }

    #[test]
    fn whoever_was_killed_leaves_nothing_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let cache = at(folder.path(), 50_000);
        let blob = B3::of(b"blob");
        put(&cache, &blob, 0, b"grain");
        let home = walk(folder.path()).into_iter().find(|it| it.ends_with("0000000000")).unwrap();
        let partial = home.with_file_name(".nodedata-left.partial");
        std::fs::write(&partial, vec![0; 200_000]).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::OpenOptions::new().write(true).open(&partial).unwrap().set_modified(old).unwrap();
        // Half of the count of bytes.
        std::fs::write(folder.path().join("blobs/bytes"), b"12").unwrap();
        for grain in 1..20 {
            put(&cache, &blob, grain, &[1; 9000]);
        }
        assert!(!partial.exists());
        assert!(used(folder.path()) < 60_000);
    }

    fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let of = |it: std::fs::DirEntry| match it.file_type().unwrap().is_dir() {
            true => walk(&it.path()),
            false => vec![it.path()],
        };
        entries.flat_map(of).collect()
    }
}
