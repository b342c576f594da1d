//! A blob that is far away: ranges of it come from the cache on the disk, and what is not there in one round from the registry. Every
//! byte is verified by the tree before it is handed out, wherever it came from.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt, Result};
use nodedata_registry::{
    B3, DatasetName, Remote, grains,
    pieces::{Pieces, cut, joined},
    tree::{GRAIN_BYTES, Tree, n_grains},
};

use crate::{
    disk_cache::{DiskCache, Kept},
    live::Live,
};

/// Where a blob is, and which it is.
#[derive(Clone)]
pub(crate) struct BlobPlace {
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) dataset: DatasetName,
    pub(crate) b3: B3,
    pub(crate) n_bytes: u64,
    pub(crate) cache: DiskCache,
}

/// A blob whose tree is known.
#[derive(Clone)]
pub(crate) struct RemoteBlob {
    place: BlobPlace,
    /// `None` for a blob of one grain, which is verified whole.
    tree: Option<Arc<Tree>>,
    live: Arc<Live>,
}

/// What becomes of bytes that somebody else fetches just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// They are waited for.
    Awaited,
    /// They are fetched all the same.
    Ignored,
}

/// Who fetches for longer than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Some grains of a blob that nobody has verified.
#[derive(Default)]
struct Unverified {
    /// From the disk, one by one.
    kept: Vec<(u64, Bytes)>,
    /// From the registry, several grains each.
    fetched: Vec<(u64, Bytes)>,
}

impl RemoteBlob {
    /// Opens a blob, and reads ranges of it in the round that brings its tree.
    ///
    /// # Errors
    /// `Io`, `Denied`; `Corrupt` when its tree is missing or is another blob's, and as [`Self::read`].
    pub(crate) fn open(place: BlobPlace, first: &[Range<u64>]) -> Result<(Self, Pieces)> {
        let wanted = place.grains_of(first)?;
        let (tree, read) = if n_grains(place.n_bytes) == 0 {
            (None, place.gather(&wanted)?)
        } else if let Some(tree) = place.kept_tree() {
            (Some(tree), place.gather(&wanted)?)
        } else {
            let (tree, read) = std::thread::scope(|scope| {
                let fetching = std::thread::Builder::new().spawn_scoped(scope, || place.fetch_tree());
                let read = place.gather(&wanted);
                let gave_up = |_| Err(Error::new(ErrorKind::Io, "the thread that reads a tree gave up"));
                let tree = match fetching {
                    Ok(thread) => thread.join().unwrap_or_else(gave_up),
                    // Where the system has no more threads, one thing comes after the other.
                    Err(_) => place.fetch_tree(),
                };
                (tree, read)
            });
            (Some(tree?), read?)
        };
        let blob = Self { place, tree, live: Arc::default() };
        let pieces = Pieces::of(blob.verified(read)?);
        Ok((blob, pieces))
    }

    /// Ranges of the blob, in one round, and in a second one what others fetch meanwhile. What two of them have in common, or is on the
    /// disk, or somebody in this process has in memory, is not fetched.
    ///
    /// # Errors
    /// `Corrupt` when bytes are not those that were published, or a range lies outside of the blob; `Io`, `Denied`.
    pub(crate) fn read(&self, ranges: &[Range<u64>], others: Others) -> Result<Pieces> {
        let wanted = self.place.grains_of(ranges)?;
        match others {
            Others::Ignored => Ok(Pieces::of(self.verified(self.place.gather(&wanted)?)?)),
            Others::Awaited if self.place.cache.is_writing() => self.read_by_disk(&wanted),
            Others::Awaited => self.read_by_memory(&wanted),
        }
    }

    /// Brings ranges to the disk that are not there.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn keep(&self, ranges: &[Range<u64>]) -> Result<()> {
        let wanted = self.place.grains_of(ranges)?;
        let is_missing = |grain: &Range<u64>| {
            let what = Kept::Grain(grain.start / GRAIN_BYTES);
            !self.place.cache.has(&self.place.b3, what, grain.end - grain.start)
        };
        let missing: Vec<Range<u64>> = self.place.grains(&wanted).filter(is_missing).collect();
        if !missing.is_empty() && self.place.cache.is_writing() {
            self.read_by_disk(&joined(missing, 0))?;
        }
        Ok(())
    }

    /// The range that is fetched for one.
    pub(crate) fn aligned(&self, range: &Range<u64>) -> Range<u64> {
        self.place.aligned(range)
    }

    /// Bytes that it has in memory itself.
    pub(crate) fn held_bytes(&self) -> u64 {
        32 * self.tree.as_ref().map_or(0, |_| n_grains(self.place.n_bytes))
    }

    /// Grains that all processes of this machine share by the disk.
    fn read_by_disk(&self, wanted: &[Range<u64>]) -> Result<Pieces> {
        let BlobPlace { b3, cache, .. } = &self.place;
        let number = |it: &Range<u64>| it.start / GRAIN_BYTES;
        let deadline = Instant::now() + PATIENCE;
        let (mut pieces, mut wanted) = (Vec::new(), wanted.to_vec());
        loop {
            let (kept, missing) = self.place.kept(&wanted);
            pieces.extend(self.verified(Unverified { kept, fetched: Vec::new() })?);
            let claims = cache.claim(b3, missing.iter().map(number));
            let is_late = deadline <= Instant::now();
            let is_left = |it: &Range<u64>| claims.is_others(number(it)) && !is_late;
            let (left, own): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_left);
            // Whoever had claimed them before may have kept them since: the disk is looked at again.
            pieces.extend(self.verified(self.place.gather(&joined(own, 0))?)?);
            drop(claims);
            if left.is_empty() {
                return Ok(Pieces::of(pieces));
            }
            cache.wait(b3, left.iter().map(number), deadline);
            wanted = joined(left, 0);
        }
    }

    /// Grains that the threads of this process share by memory, because nothing is kept on the disk.
    fn read_by_memory(&self, wanted: &[Range<u64>]) -> Result<Pieces> {
        let deadline = Instant::now() + PATIENCE;
        let mut grains: Vec<Range<u64>> = self.place.grains(wanted).collect();
        let (mut pieces, mut held) = (Vec::new(), Vec::new());
        loop {
            let mut turn = self.live.turn(grains);
            pieces.append(&mut turn.found);
            let (mut own, mut others) = (turn.own.clone(), std::mem::take(&mut turn.others));
            if deadline <= Instant::now() {
                own.append(&mut others);
            }
            pieces.extend(self.verified(self.place.gather(&joined(own, 0))?)?);
            let all = Pieces::of(pieces.clone());
            self.live.tell(&all, pieces.iter().flat_map(starts));
            drop(turn);
            if others.is_empty() {
                return Ok(all);
            }
            // Others may take it from here meanwhile.
            held.push(all);
            self.live.wait(&others, deadline);
            grains = others;
        }
    }

    /// Holds all of it against the tree, and keeps what came from far away. What was kept and is damaged is fetched anew.
    fn verified(&self, read: Unverified) -> Result<Vec<(u64, Bytes)>> {
        let Unverified { kept, mut fetched } = read;
        let mut pieces = Vec::with_capacity(kept.len() + fetched.len());
        let mut damaged = Vec::new();
        for (start, bytes) in kept {
            match self.verify(start, &bytes) {
                Ok(()) => pieces.push((start, bytes)),
                Err(_) => {
                    let grain = Kept::Grain(start / GRAIN_BYTES);
                    self.place.cache.forget(&self.place.b3, grain, bytes.len() as u64);
                    damaged.push(start..start + bytes.len() as u64);
                }
            }
        }
        if !damaged.is_empty() {
            fetched.extend(self.place.fetch(joined(damaged, 0))?);
        }
        for (start, bytes) in &fetched {
            self.verify(*start, bytes)?;
        }
        let grains = fetched.iter().flat_map(|(start, bytes)| {
            let first = start / GRAIN_BYTES;
            let numbered = (first..).zip(bytes.chunks(GRAIN_BYTES as usize));
            numbered.map(|(idx, grain)| (Kept::Grain(idx), grain))
        });
        self.place.cache.put(&self.place.b3, grains);
        pieces.extend(fetched);
        Ok(pieces)
    }

    fn verify(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        grains::check(self.tree.as_deref(), &self.place.b3, offset, bytes)
    }
}

/// Where the grains of a stretch begin.
fn starts((start, bytes): &(u64, Bytes)) -> impl Iterator<Item = u64> + use<> {
    (*start..*start + bytes.len() as u64).step_by(GRAIN_BYTES as usize)
}

impl ReadAt for RemoteBlob {
    fn n_bytes(&self) -> u64 {
        self.place.n_bytes
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        let pieces = self.read(std::slice::from_ref(&range), Others::Awaited)?;
        pieces.get(&range).ok_or_else(|| grains::outside(&self.place.b3, self.place.n_bytes, &range))
    }
}

impl BlobPlace {
    /// The bytes of the blob that the ranges are verified with: whole grains, in order.
    fn grains_of(&self, ranges: &[Range<u64>]) -> Result<Vec<Range<u64>>> {
        ranges.iter().try_for_each(|it| grains::check_range(&self.b3, self.n_bytes, it))?;
        let some = ranges.iter().filter(|it| !it.is_empty());
        Ok(joined(some.map(|it| self.aligned(it)).collect(), 0))
    }

    fn aligned(&self, range: &Range<u64>) -> Range<u64> {
        let start = range.start / GRAIN_BYTES * GRAIN_BYTES;
        start..range.end.div_ceil(GRAIN_BYTES).saturating_mul(GRAIN_BYTES).min(self.n_bytes)
    }

    /// The tree that is kept on the disk, where it is that of the blob.
    fn kept_tree(&self) -> Option<Arc<Tree>> {
        let n_bytes = 32 * n_grains(self.n_bytes);
        let bytes = self.cache.get(&self.b3, Kept::Tree, n_bytes)?;
        match Tree::parse(&self.b3, self.n_bytes, &bytes) {
            Ok(tree) => Some(Arc::new(tree)),
            Err(_) => {
                self.cache.forget(&self.b3, Kept::Tree, n_bytes);
                None
            }
        }
    }

    fn fetch_tree(&self) -> Result<Arc<Tree>> {
        let bytes = grains::read_tree(&*self.remote, &self.dataset, &self.b3)?;
        let tree = Tree::parse(&self.b3, self.n_bytes, &bytes)?;
        self.cache.missed(bytes.len() as u64);
        self.cache.put(&self.b3, std::iter::once((Kept::Tree, &bytes[..])));
        Ok(Arc::new(tree))
    }

    /// The grains of whole ranges.
    fn grains(&self, wanted: &[Range<u64>]) -> impl Iterator<Item = Range<u64>> {
        let starts = wanted.iter().flat_map(|it| (it.start..it.end).step_by(GRAIN_BYTES as usize));
        starts.map(move |start| start..start.saturating_add(GRAIN_BYTES).min(self.n_bytes))
    }

    /// Grains that are on the disk, and those that are not.
    fn kept(&self, wanted: &[Range<u64>]) -> (Vec<(u64, Bytes)>, Vec<Range<u64>>) {
        let (mut kept, mut missing) = (Vec::new(), Vec::new());
        for grain in self.grains(wanted) {
            let what = Kept::Grain(grain.start / GRAIN_BYTES);
            match self.cache.get(&self.b3, what, grain.end - grain.start) {
                Some(bytes) => kept.push((grain.start, bytes)),
                None => missing.push(grain),
            }
        }
        (kept, missing)
    }

    /// Whole grains, from the disk or from the registry.
    fn gather(&self, wanted: &[Range<u64>]) -> Result<Unverified> {
        let (kept, missing) = self.kept(wanted);
        let fetched = if missing.is_empty() { Vec::new() } else { self.fetch(joined(missing, 0))? };
        Ok(Unverified { kept, fetched })
    }

    /// Ranges from the registry, side by side where it can; what is long is cut for that.
    fn fetch(&self, runs: Vec<Range<u64>>) -> Result<Vec<(u64, Bytes)>> {
        let ranges = cut(runs);
        let read = self.remote.read_ranges(&self.dataset, &self.b3, &ranges);
        let read = read.map_err(|err| grains::missing_or(&*self.remote, &self.dataset, &self.b3, err))?;
        self.cache.missed(read.iter().map(|it| it.len() as u64).sum());
        Ok(ranges.into_iter().map(|it| it.start).zip(read).collect())
    }
}
