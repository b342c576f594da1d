use std::{collections::BTreeMap, sync::Arc};

use nodedata_core::{Files, InputFile, ReadAt, Result};
use nodedata_dataset::{InputSeen, UnitInput};
use rayon::prelude::*;

/// Bytes hashed at a time: large enough for BLAKE3's wide lanes, small enough for any memory budget.
const PIECE_BYTES: u64 = 4 << 20;

/// Hashes the input files while their pages are warm, in order.
pub(crate) struct InputHashes {
    inputs: Vec<InputFile>,
    files: Vec<Arc<dyn ReadAt>>,
    /// As they were before anything was read.
    stamps: Vec<Option<String>>,
    hashers: Vec<blake3::Hasher>,
    hashed: Vec<u64>,
    /// Digests that need no reading.
    known: Vec<Option<String>>,
}

impl InputHashes {
    pub(crate) fn new(files: &dyn Files, inputs: &[InputFile]) -> Result<Self> {
        let stamps = inputs.par_iter().map(|it| files.stamp(&it.path)).collect();
        let files: Vec<Result<_>> = inputs.par_iter().map(|it| files.open(&it.path)).collect();
        let files: Vec<_> = files.into_iter().collect::<Result<_>>()?;
        let n = files.len();
        Ok(Self {
            inputs: inputs.to_vec(),
            files,
            stamps,
            hashers: vec![blake3::Hasher::new(); n],
            hashed: vec![0; n],
            known: vec![None; n],
        })
    }

    /// Takes over the digests of inputs that look as they did when an earlier run read them.
    pub(crate) fn trust(&mut self, seen: &[InputSeen]) {
        let seen: BTreeMap<&str, &InputSeen> = seen.iter().map(|it| (it.path.as_str(), it)).collect();
        for (idx, input) in self.inputs.iter().enumerate() {
            let before = seen.get(&*input.path.display().to_string());
            if let (Some(before), Some(stamp)) = (before, &self.stamps[idx])
                && before.stamp == *stamp
            {
                self.known[idx] = Some(before.b3.clone());
            }
        }
    }

    /// Hashes one input up to `end`; what was hashed before is not read again.
    pub(crate) fn advance(&mut self, input: usize, end: u64) -> Result<()> {
        if self.known[input].is_some() {
            return Ok(());
        }
        self.read_to(input, end)
    }

    fn read_to(&mut self, input: usize, end: u64) -> Result<()> {
        let n_bytes = self.files[input].n_bytes();
        let end = end.min(n_bytes);
        while self.hashed[input] < end {
            let start = self.hashed[input];
            let stop = end.min(start + PIECE_BYTES);
            self.hashers[input].update(&self.files[input].read_at(start..stop)?);
            self.hashed[input] = stop;
        }
        if self.hashed[input] == n_bytes && self.known[input].is_none() {
            self.known[input] = Some(self.hashers[input].finalize().to_hex().to_string());
        }
        Ok(())
    }

    /// Proof of at least the first `end` bytes of an input.
    pub(crate) fn prove(&mut self, input: usize, end: u64) -> Result<UnitInput> {
        self.advance(input, end)?;
        let path = self.inputs[input].path.display().to_string();
        Ok(match &self.known[input] {
            Some(b3) => UnitInput { path, bytes: self.inputs[input].n_bytes, b3: b3.clone() },
            None => {
                let b3 = self.hashers[input].finalize().to_hex().to_string();
                UnitInput { path, bytes: self.hashed[input], b3 }
            }
        })
    }

    /// Which of the proofs hold for the inputs as they are now, by position.
    pub(crate) fn check(&mut self, proofs: &[&UnitInput]) -> Result<Vec<bool>> {
        let positions: BTreeMap<String, usize> =
            self.inputs.iter().enumerate().map(|(idx, it)| (it.path.display().to_string(), idx)).collect();
        // First bytes of one file are hashed on the way, from few to many.
        let mut order: Vec<usize> = (0..proofs.len()).collect();
        order.sort_by_key(|it| (&proofs[*it].path, proofs[*it].bytes));
        let mut holds = vec![false; proofs.len()];
        let mut again: Option<Again> = None;
        let mut last: Option<(usize, u64, String)> = None;
        for at in order {
            let proof = proofs[at];
            let Some(input) = positions.get(&proof.path).copied() else { continue };
            let n_bytes = self.files[input].n_bytes();
            if proof.bytes > n_bytes {
                continue;
            }
            let b3 = match (&last, &self.known[input]) {
                (_, Some(known)) if proof.bytes == n_bytes => known.clone(),
                (Some((same, bytes, b3)), _) if *same == input && *bytes == proof.bytes => b3.clone(),
                _ if self.hashed[input] > proof.bytes => {
                    let again = match &mut again {
                        Some(it) if it.input == input => it,
                        other => other.insert(Again { input, hasher: blake3::Hasher::new(), hashed: 0 }),
                    };
                    again.read_to(proof.bytes, self.files[input].as_ref())?
                }
                _ => {
                    self.read_to(input, proof.bytes)?;
                    self.hashers[input].finalize().to_hex().to_string()
                }
            };
            holds[at] = b3 == proof.b3;
            last = Some((input, proof.bytes, b3));
        }
        Ok(holds)
    }

    /// Hashes what is left and returns the digests as hex, by input.
    pub(crate) fn digests(&mut self) -> Result<Vec<String>> {
        (0..self.files.len()).map(|input| Ok(self.prove(input, u64::MAX)?.b3)).collect()
    }

    /// What the inputs looked like before they were read, where that can be relied on.
    pub(crate) fn seen(&mut self) -> Result<Vec<InputSeen>> {
        let digests = self.digests()?;
        let all = self.inputs.iter().zip(&self.stamps).zip(digests);
        Ok(all
            .filter_map(|((input, stamp), b3)| {
                Some(InputSeen { path: input.path.display().to_string(), stamp: stamp.clone()?, b3 })
            })
            .collect())
    }
}

/// An input that was hashed beyond what is asked for, hashed once more.
struct Again {
    input: usize,
    hasher: blake3::Hasher,
    hashed: u64,
}

impl Again {
    /// The hash of the first bytes.
    fn read_to(&mut self, end: u64, file: &dyn ReadAt) -> Result<String> {
        while self.hashed < end {
            let stop = end.min(self.hashed + PIECE_BYTES);
            self.hasher.update(&file.read_at(self.hashed..stop)?);
            self.hashed = stop;
        }
        Ok(self.hasher.finalize().to_hex().to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// A file that counts how much of it was read.
    struct Counted(Arc<dyn ReadAt>, Arc<std::sync::atomic::AtomicU64>);

    impl ReadAt for Counted {
        fn n_bytes(&self) -> u64 {
            self.0.n_bytes()
        }

        fn read_at(&self, range: std::ops::Range<u64>) -> Result<bytes::Bytes> {
            self.1.fetch_add(range.end - range.start, std::sync::atomic::Ordering::Relaxed);
            self.0.read_at(range)
        }
    }

    struct OneFile {
        bytes: Vec<u8>,
        stamp: Option<String>,
        n_read: Arc<std::sync::atomic::AtomicU64>,
    }

    impl Files for OneFile {
        fn list(&self) -> Result<Vec<PathBuf>> {
            Ok(vec!["a".into()])
        }

        fn open(&self, _path: &Path) -> Result<Arc<dyn ReadAt>> {
            let files = nodedata_io::MemoryFiles::default().with("a", self.bytes.clone());
            Ok(Arc::new(Counted(files.open(Path::new("a"))?, Arc::clone(&self.n_read))))
        }

        fn stamp(&self, _path: &Path) -> Option<String> {
            self.stamp.clone()
        }
    }

    fn file(bytes: &[u8], stamp: Option<&str>) -> (OneFile, InputHashes) {
        let files =
            OneFile { bytes: bytes.to_vec(), stamp: stamp.map(str::to_owned), n_read: Arc::default() };
        let input = InputFile { path: "a".into(), n_bytes: bytes.len() as u64 };
        let hashes = InputHashes::new(&files, &[input]).unwrap();
        (files, hashes)
    }

    #[test]
    fn proofs_of_first_bytes_hold_until_these_change() {
        let (_, mut hashes) = file(b"hello world", None);
        let short = hashes.prove(0, 5).unwrap();
        let long = hashes.prove(0, 11).unwrap();
        assert_eq!((short.bytes, long.bytes), (5, 11));
        assert_eq!(long.b3, blake3::hash(b"hello world").to_hex().to_string());
        let other = UnitInput { path: "b".to_owned(), ..long.clone() };
        let check = |bytes: &[u8]| file(bytes, None).1.check(&[&long, &short, &other, &short]).unwrap();
        assert_eq!(check(b"hello world"), [true, true, false, true]);
        assert_eq!(check(b"hello there"), [false, true, false, true]);
        assert_eq!(check(b"hello world, and more"), [true, true, false, true]);
        assert_eq!(check(b"hell"), [false; 4]);
        // Also when more than that has been hashed already.
        assert_eq!(hashes.check(&[&short, &long]).unwrap(), [true, true]);
    }

    #[test]
    fn what_looks_the_same_is_not_read_again() {
        let (_, mut hashes) = file(b"hello", Some("1"));
        let seen = hashes.seen().unwrap();
        for (stamp, n_read) in [(Some("1"), 0), (Some("2"), 5), (None, 5)] {
            let (files, mut again) = file(b"hello", stamp);
            again.trust(&seen);
            assert_eq!(again.digests().unwrap(), [seen[0].b3.clone()]);
            assert_eq!(files.n_read.load(std::sync::atomic::Ordering::Relaxed), n_read, "{stamp:?}");
        }
    }
}
