use std::sync::Arc;

use nodedata_core::{Files, InputFile, ReadAt, Result};

/// Bytes hashed at a time: large enough for BLAKE3's wide lanes, small enough for any memory budget.
const PIECE_BYTES: u64 = 4 << 20;

/// Hashes the input files while their pages are warm, in order.
pub(crate) struct InputHashes {
    files: Vec<Arc<dyn ReadAt>>,
    hashers: Vec<blake3::Hasher>,
    hashed: Vec<u64>,
}

impl InputHashes {
    pub(crate) fn new(files: &dyn Files, inputs: &[InputFile]) -> Result<Self> {
        let files: Vec<_> = inputs.iter().map(|it| files.open(&it.path)).collect::<Result<_>>()?;
        let n = files.len();
        Ok(Self { files, hashers: vec![blake3::Hasher::new(); n], hashed: vec![0; n] })
    }

    /// Hashes one input up to `end`; what was hashed before is not read again.
    pub(crate) fn advance(&mut self, input: usize, end: u64) -> Result<()> {
        let end = end.min(self.files[input].n_bytes());
        while self.hashed[input] < end {
            let start = self.hashed[input];
            let stop = end.min(start + PIECE_BYTES);
            self.hashers[input].update(&self.files[input].read_at(start..stop)?);
            self.hashed[input] = stop;
        }
        Ok(())
    }

    /// Hashes what is left and returns the digests as hex, by input.
    pub(crate) fn finish(mut self) -> Result<Vec<String>> {
        for input in 0..self.files.len() {
            self.advance(input, u64::MAX)?;
        }
        Ok(self.hashers.iter().map(|it| it.finalize().to_hex().to_string()).collect())
    }
}
