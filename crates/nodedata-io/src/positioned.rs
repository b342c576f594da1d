//! Files read and written at a position, by many threads at once: nobody moves the place where another one reads.

use std::{fs::File, io};

/// Fills `bytes` from `offset` on.
///
/// # Errors
/// `UnexpectedEof` when the file ends before; what the system reports.
#[cfg(unix)]
pub fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Fills `bytes` from `offset` on, if all of them are in memory already. Says whether they were: if not, some of `bytes` may be filled. It
/// never waits for a disk, so that a thread may ask which others wait for; where the system cannot be asked so, nothing is in memory.
#[cfg(target_os = "linux")]
pub fn read_cached_at(file: &File, bytes: &mut [u8], offset: u64) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let n_bytes = bytes.len();
    let mut n_read = 0;
    while n_read < n_bytes {
        let Some(offset) = offset.checked_add(n_read as u64) else { return false };
        let mut rest = [io::IoSliceMut::new(&mut bytes[n_read..])];
        match preadv2(file, &mut rest, offset, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(_) => return false,
            Ok(n) => n_read += n,
        }
    }
    true
}

/// Fills `bytes` from `offset` on, if all of them are in memory already. This system cannot be asked so.
#[cfg(not(target_os = "linux"))]
pub fn read_cached_at(_: &File, _: &mut [u8], _: u64) -> bool {
    false
}

/// Writes all of `bytes` from `offset` on, and lengthens the file where it ends before.
///
/// # Errors
/// What the system reports, such as a full disk: then some of the bytes may be there.
#[cfg(unix)]
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Fills `bytes` from `offset` on.
///
/// # Errors
/// `UnexpectedEof` when the file ends before; what the system reports.
#[cfg(windows)]
pub fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                bytes = &mut bytes[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

/// Writes all of `bytes` from `offset` on, and lengthens the file where it ends before.
///
/// # Errors
/// What the system reports, such as a full disk: then some of the bytes may be there.
#[cfg(windows)]
pub fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}
