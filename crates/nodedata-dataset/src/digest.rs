use std::{
    fs::File,
    io::{self, Write},
};

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
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// Both hashes, fed in one pass.
#[derive(Default)]
pub(crate) struct Hashers {
    b3: blake3::Hasher,
    sha256: Sha256,
    bytes: u64,
}

impl Hashers {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.b3.update(bytes);
        self.sha256.update(bytes);
    }

    pub(crate) fn finish(&mut self) -> Digests {
        Digests {
            b3: self.b3.finalize().to_hex().to_string(),
            sha256: hex(&self.sha256.finalize_reset()),
            bytes: self.bytes,
        }
    }
}

/// Below this many bytes a write is not worth spreading over threads.
const PARALLEL_BYTES: usize = 64 << 10;

/// A file that is hashed while it is written.
pub(crate) struct HashingFile {
    file: File,
    hashers: Hashers,
}

impl HashingFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file, hashers: Hashers::default() }
    }

    /// Makes everything written durable and returns its digests. Nothing may be written after.
    pub(crate) fn finish(&mut self) -> io::Result<Digests> {
        self.file.sync_all()?;
        Ok(self.hashers.finish())
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() < PARALLEL_BYTES {
            self.hashers.update(bytes);
            self.file.write_all(bytes)?;
            return Ok(bytes.len());
        }
        // SHA-256 costs as much as the write itself: side by side they cost half.
        let Hashers { b3, sha256, bytes: n_bytes } = &mut self.hashers;
        let file = &mut self.file;
        let (written, ()) = rayon::join(
            || {
                b3.update(bytes);
                file.write_all(bytes)
            },
            || sha256.update(bytes),
        );
        written?;
        *n_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
