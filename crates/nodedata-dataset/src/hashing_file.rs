use std::{
    fs::File,
    io::{self, Write},
    thread::JoinHandle,
};

use crate::digest::{Digests, Hashers};

/// Bytes that are hashed and written at once. The pages of a shard are far smaller, and handing each of them
/// to another thread costs more than hashing it.
const BUFFER_BYTES: usize = 1 << 20;
/// Written bytes that set off writing to the disk, so that little is left to wait for at the end.
const SYNC_BYTES: u64 = 32 << 20;

/// A file that is hashed while it is written.
pub(crate) struct HashingFile {
    file: File,
    hashers: Hashers,
    /// Neither hashed nor written yet.
    buffer: Vec<u8>,
    /// Written since the disk was last told.
    n_unsynced: u64,
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl HashingFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file, hashers: Hashers::default(), buffer: Vec::new(), n_unsynced: 0, syncing: None }
    }

    /// Makes everything written durable and returns its digests. Nothing may be written after.
    pub(crate) fn finish(&mut self) -> io::Result<Digests> {
        self.flush()?;
        self.end_sync()?;
        self.file.sync_all()?;
        Ok(self.hashers.finish())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = &mut self.file;
        self.hashers.update_beside(bytes, || file.write_all(bytes))?;
        self.n_unsynced += bytes.len() as u64;
        if self.n_unsynced >= SYNC_BYTES && self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.start_sync()?;
        }
        Ok(())
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
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        match bytes.len() < BUFFER_BYTES {
            true => self.buffer.extend_from_slice(bytes),
            false => self.put(bytes)?,
        }
        Ok(bytes.len())
    }

    /// Hands everything on, and the buffer back: hundreds of shards may be open at a time.
    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.buffer);
        if bytes.is_empty() {
            return Ok(());
        }
        self.put(&bytes)
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
        let small = [0, 1, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 7, 3 * BUFFER_BYTES];
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
