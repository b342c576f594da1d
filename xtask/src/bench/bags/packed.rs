//! A bag of SQLite that was compressed as a whole, as `ros2 bag record --compression-mode file` leaves it.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::Path,
};

use crate::workspace::Result;

/// That of the plugin which `ros2 bag` comes with.
const LEVEL: i32 = 1;

/// Compresses the bag at `plain`.
///
/// # Errors
/// When it cannot be read, or the packed one not be written.
#[expect(clippy::disallowed_methods, reason = "making inputs is plain file work, not an input of node-data")]
pub(super) fn write(path: &Path, plain: &Path) -> Result<()> {
    let written = || {
        let source = File::open(plain)?;
        let n_bytes = source.metadata()?.len();
        pack(source, n_bytes, BufWriter::new(File::create(path)?))?.flush()
    };
    written().map_err(|err: io::Error| format!("cannot write {}: {err}", path.display()))
}

/// One frame, in front of which its length stands: the recorder has all of the file at hand.
fn pack<W: Write>(mut source: impl Read, n_bytes: u64, target: W) -> io::Result<W> {
    let mut encoder = zstd::Encoder::new(target, LEVEL)?;
    encoder.set_pledged_src_size(Some(n_bytes))?;
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_file_says_how_long_it_is() {
        let plain: Vec<u8> = (0..300_000_u32).flat_map(|it| (it / 9).to_le_bytes()).collect();
        let packed = pack(&plain[..], plain.len() as u64, Vec::new()).unwrap();
        assert!(packed.len() < plain.len());
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&packed).unwrap(), Some(plain.len() as u64));
        assert!(zstd::decode_all(&packed[..]).unwrap() == plain);
        assert!(pack(&plain[..], 1, Vec::new()).is_err());
    }
}
