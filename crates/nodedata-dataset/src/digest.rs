use sha2::{Digest as _, Sha256};

/// The two hashes of a file and its length: BLAKE3 is the address, SHA-256 is carried for tools that
/// speak nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// BLAKE3-256 as 64 hex digits.
    pub b3: String,
    /// SHA-256 as 64 hex digits.
    pub sha256: String,
    /// Length in bytes.
    pub bytes: u64,
}

impl Digests {
    /// The digests of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hashers = Hashers::default();
        hashers.update(bytes);
        hashers.finish()
    }
}

/// `b3:` and the BLAKE3-256 of `bytes` in hex.
pub fn b3_of(bytes: &[u8]) -> String {
    format!("b3:{}", blake3::hash(bytes).to_hex())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |it: u8| char::from(b"0123456789abcdef"[usize::from(it)]);
    bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]).collect()
}

/// Below this many bytes hashing is not worth spreading over threads.
const PARALLEL_BYTES: usize = 64 << 10;

/// Both hashes, fed in one pass.
#[derive(Default)]
pub(crate) struct Hashers {
    b3: blake3::Hasher,
    sha256: Sha256,
    bytes: u64,
}

impl Hashers {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let Self { b3, sha256, bytes: n_bytes } = self;
        *n_bytes += bytes.len() as u64;
        if bytes.len() < PARALLEL_BYTES {
            sha256.update(bytes);
            b3.update(bytes);
        } else {
            rayon::join(|| b3.update(bytes), || sha256.update(bytes));
        }
    }

    pub(crate) fn finish(&mut self) -> Digests {
        Digests {
            b3: self.b3.finalize().to_hex().to_string(),
            sha256: hex(&self.sha256.finalize_reset()),
            bytes: self.bytes,
        }
    }
}
