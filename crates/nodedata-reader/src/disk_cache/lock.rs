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
        Self::take_in(path, TRIES)
    }

    /// Takes the lock in a file; `None` where others have it.
    pub(super) fn take_at_once(path: &Path) -> io::Result<Option<Self>> {
        Self::take_in(path, 1)
    }

    /// Whether others have the lock in a file, which need not be there.
    pub(super) fn is_taken(path: &Path) -> bool {
        let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return false };
        match file.try_lock() {
            Ok(()) => {
                drop(Self(file));
                false
            }
            Err(err) => matches!(err, std::fs::TryLockError::WouldBlock),
        }
    }

    fn take_in(path: &Path, n_tries: u32) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        for left in (0..n_tries).rev() {
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
        assert!(held.is_some() && Lock::is_taken(&path));
        assert!(Lock::take(&path).unwrap().is_none() && Lock::take_at_once(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::take(&path).unwrap().is_some());
        assert!(Lock::take_at_once(&path).unwrap().is_some() && !Lock::is_taken(&path));
        assert!(!Lock::is_taken(&folder.path().join("none")));
    }
}
