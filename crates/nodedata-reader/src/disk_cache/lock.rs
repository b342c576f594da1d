use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    time::Duration,
};

/// How often a lock that somebody else has is asked for, and how long is waited between.
const TRIES: u32 = 20;
const TRY: Duration = Duration::from_millis(5);

/// A lock of all processes of the machine, which goes with whoever holds it, however it ends.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock in a file; `None` where others have it for longer than anybody should.
    pub(super) fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        for left in (0..TRIES).rev() {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(std::fs::TryLockError::WouldBlock) if left > 0 => std::thread::sleep(TRY),
                Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
                // A file system without locks: then the count is a little off.
                Err(std::fs::TryLockError::Error(err)) if err.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Some(Self(file)));
                }
                Err(std::fs::TryLockError::Error(err)) => return Err(err),
            }
        }
        Ok(None)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that was forked meanwhile has the same file: closing it here alone would not free it.
        if let Err(err) = self.0.unlock() {
            tracing::debug!(%err, "the lock of the cache goes with its file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_nobody_waits_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::take(&path).unwrap();
        assert!(held.is_some());
        assert!(Lock::take(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::take(&path).unwrap().is_some());
    }
}
