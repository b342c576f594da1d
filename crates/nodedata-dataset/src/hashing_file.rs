use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
    thread::JoinHandle,
};

use crate::{
    digest::{Digests, hex},
    sha256_queue::{Pieces, Sha256Queue},
};

/// Bytes that are hashed and written at once. The pages of a shard are far smaller, and handing each of them
/// to another thread costs more than hashing it.
const PIECE_BYTES: usize = 1 << 20;
/// Written bytes that set off writing to the disk, so that little is left to wait for at the end.
const SYNC_BYTES: u64 = 32 << 20;

/// A file that is hashed while it is written.
pub(crate) struct HashingFile {
    file: File,
    b3: blake3::Hasher,
    sha256: Arc<Sha256Queue>,
    n_bytes: u64,
    pieces: Arc<Pieces>,
    /// Neither hashed nor written yet; at most a piece.
    buffer: Vec<u8>,
    /// Written since the disk was last told.
    n_unsynced: u64,
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl HashingFile {
    pub(crate) fn new(file: File, pieces: Arc<Pieces>) -> Self {
        Self {
            file,
            b3: blake3::Hasher::new(),
            sha256: Arc::default(),
            n_bytes: 0,
            pieces,
            buffer: Vec::new(),
            n_unsynced: 0,
            syncing: None,
        }
    }

    /// Makes everything written durable and returns its digests. Nothing may be written after.
    pub(crate) fn finish(&mut self) -> io::Result<Digests> {
        self.flush()?;
        self.end_sync()?;
        let (synced, sha256) = rayon::join(|| self.file.sync_all(), || self.sha256.finish());
        synced?;
        Ok(Digests {
            b3: self.b3.finalize().to_hex().to_string(),
            sha256: hex(&sha256),
            bytes: self.n_bytes,
        })
    }

    fn start_sync(&mut self) -> io::Result<()> {
        self.end_sync()?;
        self.n_unsynced = 0;
        // Only time is lost where the system has no handle or no thread left: the end syncs all of it.
        let Ok(file) = self.file.try_clone() else { return Ok(()) };
        // It waits for the disk and needs no core, so it is none of the workers.
        self.syncing = std::thread::Builder::new().spawn(move || file.sync_data()).ok();
        Ok(())
    }

    /// A failure is told once by the system, to whoever asks first: it must not get lost.
    fn end_sync(&mut self) -> io::Result<()> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        syncing
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that waits for the disk panicked")))
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        if self.buffer.capacity() == 0 {
            self.buffer = self.pieces.buffer(PIECE_BYTES);
        }
        let n_bytes = bytes.len().min(PIECE_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n_bytes]);
        Ok(n_bytes)
    }

    /// Hands everything on, and the buffer with it: hundreds of shards may be open at a time.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.pieces.piece(std::mem::take(&mut self.buffer));
        self.sha256.push(Arc::clone(&piece));
        self.b3.update(piece.bytes());
        self.file.write_all(piece.bytes())?;
        let n_bytes = piece.bytes().len() as u64;
        self.n_bytes += n_bytes;
        self.n_unsynced += n_bytes;
        if self.n_unsynced >= SYNC_BYTES && self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.start_sync()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_any_pieces_is_there_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        let mut file = HashingFile::new(File::create(&path).unwrap(), Arc::default());
        let mut expected: Vec<u8> = Vec::new();
        let small = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 7, 3 * PIECE_BYTES];
        // The last but one is enough to set off a sync.
        for n_bytes in small.into_iter().chain([SYNC_BYTES as usize, 5]) {
            let piece: Vec<u8> = (0..n_bytes).map(|it| (it * 7 + expected.len()) as u8).collect();
            file.write_all(&piece).unwrap();
            expected.extend(piece);
            if n_bytes == 7 {
                file.flush().unwrap();
            }
        }
        assert!(file.syncing.is_some() && !file.buffer.is_empty());
        assert_eq!(file.finish().unwrap(), Digests::of(&expected));
        assert!(std::fs::read(&path).unwrap() == expected);
    }
}
