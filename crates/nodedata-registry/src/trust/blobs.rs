//! The bytes of a revision: all of them, or those that are drawn.

use std::{ops::Range, sync::Arc};

use nodedata_core::{ErrorKind, ReadAt as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    blob_reader::BlobReader,
    digest::B3,
    hashing::hex,
    name::DatasetName,
    record::BlobRef,
    remote::Remote,
    tree::GRAIN_BYTES,
    trust::{sample::ByteSample, verify::Verification},
};

/// What is read at once; a multiple of a grain.
const WINDOW_BYTES: u64 = 8 << 20;

/// The blobs of a revision, and how much of them is read.
pub(super) struct Blobs<'a> {
    pub(super) remote: &'a Arc<dyn Remote>,
    pub(super) dataset: &'a DatasetName,
    pub(super) sample: &'a ByteSample,
    pub(super) manifest: &'a B3,
}

impl Blobs<'_> {
    /// Looks at one of them, and counts it.
    ///
    /// # Errors
    /// `Io`, `Denied`. Damage is a finding.
    pub(super) fn check(&self, blob: &BlobRef, is_shard: bool, found: &mut Verification) -> Result<()> {
        found.blobs += 1;
        found.total_bytes += blob.bytes;
        let at = blob.b3.to_string();
        match self.remote.blob_bytes(self.dataset, &blob.b3)? {
            None => found.add("missing-blob", at, "the manifest names it, but it is not there"),
            Some(n_bytes) if n_bytes != blob.bytes => {
                let message = format!("{n_bytes} bytes, but the manifest says {}", blob.bytes);
                found.add("damaged-blob", at, message);
            }
            Some(_) if self.sample.is_none() => {}
            // A blob of one grain is read whole in any case.
            Some(_) if is_shard && !self.sample.is_all() && blob.bytes > GRAIN_BYTES => {
                let drawn = self.read_drawn(blob, &mut found.bytes);
                told_damage(drawn, at, found)?;
            }
            Some(_) => {
                let sha256 = told_damage(self.sha256_of(blob), at.clone(), found)?;
                let Some(sha256) = sha256 else { return Ok(()) };
                found.bytes += blob.bytes;
                if sha256 != blob.sha256 {
                    let message = format!("its SHA-256 is {sha256}, but the manifest says {}", blob.sha256);
                    found.add("sha256-mismatch", at, message);
                }
            }
        }
        Ok(())
    }

    /// Reads the grains that are drawn, some at a time in one round: the reader verifies each. Counts those that hold.
    fn read_drawn(&self, blob: &BlobRef, n_read: &mut u64) -> Result<()> {
        let reader = BlobReader::open(self.remote, self.dataset, &blob.b3, blob.bytes)?;
        let drawn: Vec<Range<u64>> = self.sample.grains(self.manifest, &blob.b3, blob.bytes).collect();
        for some in drawn.chunks((WINDOW_BYTES / GRAIN_BYTES) as usize) {
            drop(reader.prefetch(some)?);
            *n_read += some.iter().map(|it| it.end - it.start).sum::<u64>();
        }
        Ok(())
    }

    /// The SHA-256 of a blob whose BLAKE3 holds: the reader verifies that.
    fn sha256_of(&self, blob: &BlobRef) -> Result<String> {
        let reader = BlobReader::open(self.remote, self.dataset, &blob.b3, blob.bytes)?;
        let mut sha = Sha256::new();
        let mut start = 0;
        loop {
            let end = (start + WINDOW_BYTES).min(blob.bytes);
            sha.update(&reader.read_at(start..end)?);
            if end == blob.bytes {
                return Ok(hex(&sha.finalize()));
            }
            start = end;
        }
    }
}

/// What was read; `None` where the blob is damaged, which is told.
fn told_damage<T>(read: Result<T>, at: String, found: &mut Verification) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(err) if err.kind() == ErrorKind::Corrupt => {
            found.add("damaged-blob", at, err.chain());
            Ok(None)
        }
        Err(err) => Err(err),
    }
}
