use std::{
    collections::BTreeMap,
    fs::File,
    ops::Range,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use nodedata_core::{ReadAt as _, Result};
use nodedata_io::positioned::{read_cached_at, read_exact_at};

use super::BlobReader;
use crate::{
    digest::B3,
    hash_cache::FileIdentity,
    hashing::open,
    tree::{self, GRAIN_BYTES},
    tree_cache::TreeCache,
};

/// How long a grain counts as verified. A disk may lose what it has shown before, and no time of a file tells; whoever gets
/// such bytes verifies them again and asks anew. So this is for how long such a reader may be sent the same wrong bytes, and a
/// grain that is asked for all the time is hashed once in it.
const HOLDS: TimeDelta = TimeDelta::minutes(5);

/// A file must have been seen so long before what is read of it counts as verified. Times of files come in steps, of two seconds at the
/// most: one that is written to twice within a step looks the same after as between.
const SETTLES: TimeDelta = TimeDelta::seconds(2);

/// Bytes that may be remembered: of a TiB of blobs 512 KiB, and what each blob takes beside its grains.
const BYTES_MAX: usize = 8 << 20;

/// What a blob takes beside its grains.
const BLOB_BYTES: usize = 256;

/// Which grains of the blobs of a folder were verified lately, and their trees: for one who hands out the same blobs again and
/// again, range by range. A clean grain is not hashed for each range of it, and of the file no more is read than is asked for.
///
/// What was found holds for a file as it was found, by its device, inode, length and times: once it is written to, or another one
/// takes its place, all of it is verified anew. A write through a map that was open and dirty before shows in none of them; as with a disk
/// that loses bytes, a time ends what was found.
#[derive(Debug, Default)]
pub struct VerifiedGrains {
    trees: TreeCache,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_blob: BTreeMap<B3, Seen>,
    /// Blobs by their last use.
    order: BTreeMap<u64, B3>,
    n_uses: u64,
    n_bytes: usize,
}

#[derive(Debug)]
struct Seen {
    identity: FileIdentity,
    /// When the file was seen first, as it is.
    first: DateTime<Utc>,
    /// When the first of the grains was verified.
    since: DateTime<Utc>,
    used: u64,
    /// A bit for each grain.
    grains: Vec<u64>,
}

impl VerifiedGrains {
    /// The trees of the blobs that were opened last, for [`BlobReader::open_with`].
    pub fn trees(&self) -> &TreeCache {
        &self.trees
    }

    /// What [`BlobReader::read_at`](nodedata_core::ReadAt::read_at) gives. Where the registry is a folder of this machine, grains
    /// that were verified within the last five minutes, in a file that nobody has touched since, are not verified again.
    ///
    /// # Errors
    /// As `read_at`.
    pub fn read(
        &self,
        reader: &BlobReader,
        range: Range<u64>,
        now: impl Fn() -> DateTime<Utc>,
    ) -> Result<Bytes> {
        match self.read_file(reader, &range, now)? {
            Some(bytes) => Ok(bytes),
            None => reader.read_at(range),
        }
    }

    /// A range of a blob in a folder, if all of it was verified lately and lies in memory: for threads that must not wait for a disk. What
    /// is `None` here, [`Self::read`] gives, or says why not.
    pub fn at_hand(
        &self,
        path: &Path,
        (b3, n_bytes): (&B3, u64),
        range: &Range<u64>,
        now: impl Fn() -> DateTime<Utc>,
    ) -> Option<Bytes> {
        let file = open(path).ok()?;
        let before = identity(&file).filter(|it| it.n_bytes == n_bytes && range.end <= n_bytes)?;
        let grains = range.start / GRAIN_BYTES..range.end.div_ceil(GRAIN_BYTES);
        // As in `read`: behind the look at the file, and before that at its bytes.
        if !self.kept().is_verified(b3, &before, &grains, now()) {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(range.end.checked_sub(range.start)?).ok()?];
        (read_cached_at(&file, &mut bytes, range.start) && identity(&file) == Some(before))
            .then(|| Bytes::from(bytes))
    }

    /// `None` where there is no such file, or it cannot be read: the reader finds out why, in its own words.
    fn read_file(
        &self,
        reader: &BlobReader,
        range: &Range<u64>,
        now: impl Fn() -> DateTime<Utc>,
    ) -> Result<Option<Bytes>> {
        reader.check_range(range)?;
        let Some(file) = reader.remote.local_path(&reader.b3).and_then(|it| open(&it).ok()) else {
            return Ok(None);
        };
        let Some(before) = identity(&file).filter(|it| it.n_bytes == reader.n_bytes) else {
            return Ok(None);
        };
        // Behind the look at the file, and before that at its bytes.
        let now = now();
        let aligned = reader.aligned(range);
        let grains = aligned.start / GRAIN_BYTES..aligned.end.div_ceil(GRAIN_BYTES);
        let is_verified = self.kept().is_verified(&reader.b3, &before, &grains, now);
        if is_verified
            && let Some(bytes) = read_range(&file, range)
            // Who writes to a file changes its time first.
            && identity(&file) == Some(before)
        {
            return Ok(Some(bytes));
        }
        let Some(bytes) = read_range(&file, &aligned) else { return Ok(None) };
        reader.verify(aligned.start, &bytes)?;
        if identity(&file) == Some(before) {
            self.kept().note(reader, before, &grains, now);
        }
        // Both ends lie inside what was read, so they fit memory.
        let slice = (range.start - aligned.start) as usize..(range.end - aligned.start) as usize;
        Ok(Some(bytes.slice(slice)))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The identity of an open file, where it has one that tells.
fn identity(file: &File) -> Option<FileIdentity> {
    file.metadata().ok().and_then(|it| FileIdentity::from_metadata(&it))
}

fn read_range(file: &File, range: &Range<u64>) -> Option<Bytes> {
    // It lies within the file.
    let mut bytes = vec![0; usize::try_from(range.end - range.start).ok()?];
    read_exact_at(file, &mut bytes, range.start).ok()?;
    Some(Bytes::from(bytes))
}

impl Kept {
    fn is_verified(
        &mut self,
        b3: &B3,
        identity: &FileIdentity,
        grains: &Range<u64>,
        now: DateTime<Utc>,
    ) -> bool {
        let Some(seen) = self.by_blob.get_mut(b3).filter(|it| it.identity == *identity) else { return false };
        self.n_uses += 1;
        self.order.remove(&seen.used);
        self.order.insert(self.n_uses, *b3);
        seen.used = self.n_uses;
        seen.holds(now) && !grains.is_empty() && grains.clone().all(|it| seen.has(it))
    }

    /// Takes note that grains are what was published.
    fn note(&mut self, reader: &BlobReader, identity: FileIdentity, grains: &Range<u64>, now: DateTime<Utc>) {
        match self.by_blob.get_mut(&reader.b3).filter(|it| it.identity == identity && it.first <= now) {
            Some(seen) if now - seen.first < SETTLES => {}
            Some(seen) => seen.note(grains, now),
            None => self.see(&reader.b3, identity, now, BYTES_MAX),
        }
    }

    /// Takes note that a file is there, in the place of what was known of the blob; the blobs whose last use lies longest ago go for it.
    fn see(&mut self, b3: &B3, identity: FileIdentity, now: DateTime<Utc>, bytes_max: usize) {
        self.forget(b3);
        let n_words = tree::n_grains(identity.n_bytes).max(1).div_ceil(64);
        let Some(n_bytes) =
            usize::try_from(n_words).ok().and_then(|it| it.checked_mul(8)?.checked_add(BLOB_BYTES))
        else {
            return;
        };
        if n_bytes > bytes_max {
            return;
        }
        while self.n_bytes + n_bytes > bytes_max
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            let oldest = *oldest;
            self.forget(&oldest);
        }
        self.n_uses += 1;
        self.n_bytes += n_bytes;
        self.order.insert(self.n_uses, *b3);
        let grains = vec![0; n_words as usize];
        self.by_blob.insert(*b3, Seen { identity, first: now, since: now, used: self.n_uses, grains });
    }

    fn forget(&mut self, b3: &B3) {
        if let Some(seen) = self.by_blob.remove(b3) {
            self.order.remove(&seen.used);
            self.n_bytes -= seen.grains.len() * 8 + BLOB_BYTES;
        }
    }
}

impl Seen {
    /// Whether what was found counts. A clock that was set back proves nothing.
    fn holds(&self, now: DateTime<Utc>) -> bool {
        self.since <= now && now - self.since < HOLDS
    }

    fn has(&self, grain: u64) -> bool {
        self.grains.get((grain / 64) as usize).is_some_and(|it| it & 1 << (grain % 64) != 0)
    }

    fn note(&mut self, grains: &Range<u64>, now: DateTime<Utc>) {
        if !self.holds(now) || self.grains.iter().all(|it| *it == 0) {
            self.grains.fill(0);
            self.since = now;
        }
        for grain in grains.clone() {
            if let Some(word) = self.grains.get_mut((grain / 64) as usize) {
                *word |= 1 << (grain % 64);
            }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
