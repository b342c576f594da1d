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
