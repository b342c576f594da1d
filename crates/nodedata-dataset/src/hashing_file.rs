use std::{
    fs::File,
    io::{self, Write},
    thread::JoinHandle,
};

use crate::digest::Digest;

/// Bytes that are hashed and written at once: many, because the pages of a shard are small, and few enough to be still in a
/// core's cache when they are hashed and written.
const PIECE_BYTES: usize = 256 << 10;
/// Written bytes that set off writing to the disk, so that little is left to wait for at the end.
const SYNC_BYTES: u64 = 32 << 20;

/// A file that is hashed while it is written.
pub(crate) struct HashingFile {
    file: File,
    b3: blake3::Hasher,
    n_bytes: u64,
    /// Neither hashed nor written yet; at most a piece.
    buffer: Vec<u8>,
    /// Written since the disk was last told.
    n_unsynced: u64,
    syncing: Option<Syncing>,
}

impl HashingFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file, b3: blake3::Hasher::new(), n_bytes: 0, buffer: Vec::new(), n_unsynced: 0, syncing: None }
    }

    /// Makes everything written durable, while others go on where the system has a handle and a thread for it.
    pub(crate) fn sync_behind(&mut self) -> io::Result<Option<Syncing>> {
        self.flush()?;
        self.end_sync()?;
        match Syncing::start(&self.file, File::sync_all) {
            Ok(syncing) => Ok(Some(syncing)),
            Err(_) => self.file.sync_all().map(|()| None),
        }
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.end_sync()?;
        self.file.sync_all()
    }

    /// The digest of everything written. Nothing may be written after.
    pub(crate) fn finish(&mut self) -> io::Result<Digest> {
        self.flush()?;
        Ok(Digest { b3: self.b3.finalize().to_hex().to_string(), bytes: self.n_bytes })
    }

    /// Hashes and writes some bytes.
    fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.b3.update(bytes);
        self.file.write_all(bytes)?;
        let n_bytes = bytes.len() as u64;
        self.n_bytes += n_bytes;
        self.n_unsynced += n_bytes;
        if self.n_unsynced >= SYNC_BYTES && self.syncing.as_ref().is_none_or(Syncing::is_over) {
            self.end_sync()?;
            // Only time is lost where the system has no handle or no thread left: the end syncs all of it.
            self.syncing = Syncing::start(&self.file, File::sync_data).ok();
        }
        Ok(())
    }

    /// A failure is told once by the system, to whoever asks first: it must not get lost.
    fn end_sync(&mut self) -> io::Result<()> {
        self.n_unsynced = 0;
        self.syncing.take().map_or(Ok(()), Syncing::wait)
    }
}

/// Written bytes on their way to the disk. It is waited for in a thread of its own, none of the workers, because that
/// needs no core.
pub(crate) struct Syncing(JoinHandle<io::Result<()>>);

impl Syncing {
    fn start(file: &File, sync: fn(&File) -> io::Result<()>) -> io::Result<Self> {
        let file = file.try_clone()?;
        std::thread::Builder::new().spawn(move || sync(&file)).map(Self)
    }

    fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits until all of it is durable.
    pub(crate) fn wait(self) -> io::Result<()> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("the thread that waits for the disk panicked")))
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.is_empty() && bytes.len() >= PIECE_BYTES {
            self.piece(&bytes[..PIECE_BYTES])?;
            return Ok(PIECE_BYTES);
        }
        if self.buffer.capacity() == 0 {
            self.buffer = Vec::with_capacity(PIECE_BYTES);
        }
        let n_bytes = bytes.len().min(PIECE_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n_bytes]);
        if self.buffer.len() == PIECE_BYTES {
            let mut buffer = std::mem::take(&mut self.buffer);
            self.piece(&buffer)?;
            buffer.clear();
            self.buffer = buffer;
        }
        Ok(n_bytes)
    }

    /// Hands everything on and lets go of the buffer: hundreds of shards may be open at a time.
    fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() { Ok(()) } else { self.piece(&buffer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_any_pieces_is_there_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        let mut file = HashingFile::new(File::create(&path).unwrap());
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
        file.sync_behind().unwrap().unwrap().wait().unwrap();
        file.sync().unwrap();
        let b3 = blake3::hash(&expected).to_hex().to_string();
        assert_eq!(file.finish().unwrap(), Digest { b3, bytes: expected.len() as u64 });
        assert!(std::fs::read(&path).unwrap() == expected);
    }
}
