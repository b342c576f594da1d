use nodedata_core::{ReadAt, Result};

/// Bytes of a file asked for at once.
const WINDOW_BYTES: usize = 4 << 20;

/// The address of a file and its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    /// BLAKE3-256 as 64 hex digits.
    pub(crate) b3: String,
    pub(crate) bytes: u64,
}

/// `b3:` and the BLAKE3-256 of `bytes` in hex.
pub fn b3_of(bytes: &[u8]) -> String {
    format!("b3:{}", blake3::hash(bytes).to_hex())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |it: u8| char::from(b"0123456789abcdef"[usize::from(it)]);
    bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]).collect()
}

/// BLAKE3-256 of a file, 64 hex digits.
pub(crate) fn b3_of_file(file: &dyn ReadAt) -> Result<String> {
    let mut b3 = blake3::Hasher::new();
    each_window(file, &mut |bytes| {
        b3.update(bytes);
        Ok(())
    })?;
    Ok(b3.finalize().to_hex().to_string())
}

/// Shows all bytes of a file, in order, a few at a time.
///
/// # Errors
/// What reading reports, and what `visit` returns.
pub fn each_window(file: &dyn ReadAt, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let n_bytes = file.n_bytes();
    for start in (0..n_bytes).step_by(WINDOW_BYTES) {
        visit(&file.read_at(start..n_bytes.min(start + WINDOW_BYTES as u64))?)?;
    }
    Ok(())
}
