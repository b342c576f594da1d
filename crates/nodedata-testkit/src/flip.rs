use std::{
    fs::{File, Metadata},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// Writes another byte there, and sets the time of the last write back to what it was: only the time of the last change tells.
///
/// # Panics
/// When there is no such byte, or it cannot be written.
pub fn flip_behind(path: &Path, offset: u64) {
    let mut file = File::options().read(true).write(true).open(path).expect("a file that may be written");
    let before = file.metadata().expect("an open file");
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).expect("a place");
    file.read_exact(&mut byte).expect("a byte at the place");
    file.seek(SeekFrom::Start(offset)).expect("a place");
    file.write_all(&[byte[0] ^ 1]).expect("a byte that may be written");
    let written = before.modified().expect("a time");
    let set_back = || file.set_modified(written).expect("a time that may be set");
    // Times come in steps, and the clock of a test goes faster than that of the file.
    let changed = |it: &Metadata| (it.ctime(), it.ctime_nsec());
    while changed(&file.metadata().expect("an open file")) == changed(&before) {
        set_back();
    }
    set_back();
}
