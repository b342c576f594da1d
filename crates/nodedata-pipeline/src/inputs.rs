use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::Path,
    sync::Arc,
};

use nodedata_core::{Error, ErrorKind, Files, InputFile, InputRange, Locus, ReadAt, Result};
use nodedata_dataset::{InputSeen, UnitInput};
use rayon::prelude::*;

mod seen;
mod tree;
mod watched;

pub(crate) use self::watched::WatchedFiles;
use self::{
    seen::{Next, Seen},
    tree::Tree,
};

/// Bytes hashed at a time: large enough for BLAKE3's wide lanes, small enough for any memory budget.
const PIECE_BYTES: u64 = 4 << 20;

/// Hashes the input files while their pages are warm, in order. Of files that are far away only what nobody has read is read.
pub(crate) struct InputHashes {
    files: Arc<dyn Files>,
    /// Which tell what was read.
    watched: Option<Arc<WatchedFiles>>,
    inputs: Vec<InputFile>,
    /// As they were before anything was read.
    stamps: Vec<Option<String>>,
    /// Those that are hashed in part.
    begun: BTreeMap<usize, Hashing>,
    /// Digests that need no reading.
    known: Vec<Option<String>>,
    /// By input, lengths at which proofs will be asked for, and the digests of so many first bytes once they are
    /// hashed. A proof of more bytes than decide a unit would not hold any more when the others change.
    marks: Vec<BTreeMap<u64, Option<String>>>,
    /// By input, ranges that were expected and of which no rows have been made yet.
    n_awaited: Vec<u64>,
}

impl InputHashes {
    pub(crate) fn new(files: Arc<dyn Files>, inputs: &[InputFile]) -> Self {
        let stamps = inputs.par_iter().map(|it| files.stamp(&it.path)).collect();
        let known = vec![None; inputs.len()];
        let marks = vec![BTreeMap::new(); inputs.len()];
        let n_awaited = vec![0; inputs.len()];
        let inputs = inputs.to_vec();
        Self { files, watched: None, inputs, stamps, begun: BTreeMap::new(), known, marks, n_awaited }
    }

    /// Of files that are watched while they are read.
    pub(crate) fn watching(watched: &Arc<WatchedFiles>, inputs: &[InputFile]) -> Self {
        let files = Arc::clone(watched.unwatched());
        Self { watched: Some(Arc::clone(watched)), ..Self::new(files, inputs) }
    }

    /// What was seen of an input when it was read for something else.
    fn seen_of(&self, input: usize) -> Option<Arc<Seen>> {
        self.watched.as_ref()?.seen(&self.inputs[input].path)
    }

    /// Says that a proof of the bytes up to the end of each range will be asked for, so that hashing remembers it on
    /// its way. What is behind it already is not hashed again: a proof will be of a few bytes more.
    pub(crate) fn expect<'a>(&mut self, reads: impl IntoIterator<Item = &'a InputRange>) {
        let mut more = BTreeSet::new();
        for InputRange { input, byte_range } in reads {
            self.n_awaited[*input] += 1;
            if let Entry::Vacant(new) = self.marks[*input].entry(byte_range.end) {
                new.insert(None);
                more.insert(*input);
            }
        }
        for input in more {
            if let Some(seen) = self.seen_of(input) {
                seen.expect(self.marks[input].keys().copied().collect());
            }
        }
    }

    /// Says that nobody makes rows of some ranges that were expected, because they are there already or others make them: with the last of
    /// those that are made, a file is let go of all the same.
    pub(crate) fn forgo<'a>(&mut self, reads: impl IntoIterator<Item = &'a InputRange>) {
        for InputRange { input, .. } in reads {
            self.n_awaited[*input] = self.n_awaited[*input].saturating_sub(1);
        }
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
            // Nobody takes what was seen of it.
            if let Some(seen) = self.seen_of(input) {
                seen.forget(u64::MAX);
            }
            return Ok(());
        }
        self.read_to(input, end)
    }

    /// Hashes an input up to the end of a range that was expected, when its rows have been made. After the last of them the rest is hashed,
    /// and nothing of a file that was brought is kept.
    pub(crate) fn take_in(&mut self, range: &InputRange) -> Result<()> {
        let input = range.input;
        self.advance(input, range.byte_range.end)?;
        self.n_awaited[input] = self.n_awaited[input].saturating_sub(1);
        if self.n_awaited[input] == 0 {
            self.advance(input, u64::MAX)?;
            self.files.let_go(&self.inputs[input].path);
        }
        Ok(())
    }

    fn read_to(&mut self, input: usize, end: u64) -> Result<()> {
        let seen = self.seen_of(input);
        let begun = match self.begun.entry(input) {
            Entry::Occupied(begun) => begun.into_mut(),
            Entry::Vacant(new) => new.insert(Hashing::new(&*self.files, &self.inputs[input])?),
        };
        begun.seen = seen;
        if begun.n_hashed() < end {
            for (mark, b3) in self.marks[input].range_mut(begun.n_hashed() + 1..=end) {
                begun.read_to(*mark)?;
                *b3 = Some(begun.b3());
            }
        }
        begun.read_to(end)?;
        if begun.n_hashed() == self.inputs[input].n_bytes {
            if let Some(seen) = &begun.seen {
                seen.forget(u64::MAX);
            }
            let b3 = begun.b3();
            self.known[input].get_or_insert(b3);
            // With it goes the file: a dataset may have more of them than a process can hold open.
            self.begun.remove(&input);
        }
        Ok(())
    }

    /// Proof of the first `end` bytes of an input where these are expected, else of a few more.
    pub(crate) fn prove(&mut self, input: usize, end: u64) -> Result<UnitInput> {
        self.advance(input, end)?;
        let InputFile { path, n_bytes } = &self.inputs[input];
        let marked = self.marks[input].range(end..).find_map(|(mark, b3)| Some((*mark, b3.clone()?)));
        let (bytes, b3) = match (marked, &self.known[input], self.begun.get(&input)) {
            (Some((mark, b3)), ..) => (mark.min(*n_bytes), b3),
            (None, None, Some(begun)) => (begun.n_hashed(), begun.b3()),
            (None, known, _) => (*n_bytes, known.clone().expect("an input is begun or known by now")),
        };
        Ok(UnitInput { path: path.display().to_string(), bytes, b3 })
    }

    /// Which of the proofs hold for the inputs as they are now, by position.
    pub(crate) fn check(&mut self, proofs: &[&UnitInput]) -> Result<Vec<bool>> {
        let positions: BTreeMap<String, usize> =
            self.inputs.iter().enumerate().map(|(idx, it)| (it.path.display().to_string(), idx)).collect();
        // First bytes of one file are hashed on the way, from few to many.
        let mut order: Vec<usize> = (0..proofs.len()).collect();
        order.sort_by_key(|it| (&proofs[*it].path, proofs[*it].bytes));
        let mut holds = vec![false; proofs.len()];
        let mut again: Option<(usize, Hashing)> = None;
        let mut last: Option<(usize, u64, String)> = None;
        for at in order {
            let proof = proofs[at];
            let Some(input) = positions.get(&proof.path).copied() else { continue };
            let n_bytes = self.inputs[input].n_bytes;
            if proof.bytes > n_bytes {
                continue;
            }
            let n_hashed = self.begun.get(&input).map(Hashing::n_hashed);
            let b3 = match (&last, &self.known[input]) {
                (_, Some(known)) if proof.bytes == n_bytes => known.clone(),
                (Some((same, bytes, b3)), _) if *same == input && *bytes == proof.bytes => b3.clone(),
                (_, None) if n_hashed.is_none_or(|it| it <= proof.bytes) => {
                    self.prove(input, proof.bytes)?.b3
                }
                _ => {
                    let again = match &mut again {
                        Some((same, it)) if *same == input => it,
                        other => {
                            let hashing = Hashing::new(&*self.files, &self.inputs[input])?;
                            &mut other.insert((input, hashing)).1
                        }
                    };
                    again.read_to(proof.bytes)?;
                    again.b3()
                }
            };
            holds[at] = b3 == proof.b3;
            last = Some((input, proof.bytes, b3));
        }
        Ok(holds)
    }

    /// Hashes what is left and returns the digests as hex, by input.
    pub(crate) fn digests(&mut self) -> Result<Vec<String>> {
        (0..self.inputs.len()).map(|input| Ok(self.prove(input, u64::MAX)?.b3)).collect()
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

/// The digest of a whole file, as hex.
pub(crate) fn hash_of(files: &dyn Files, path: &Path) -> Result<String> {
    let input = InputFile { path: path.to_owned(), n_bytes: files.open(path)?.n_bytes() };
    let mut hashing = Hashing::new(files, &input)?;
    hashing.read_to(u64::MAX)?;
    Ok(hashing.b3())
}

/// An input, hashed up to some byte.
struct Hashing {
    file: Arc<dyn ReadAt>,
    tree: Tree,
    seen: Option<Arc<Seen>>,
}

impl Hashing {
    fn new(files: &dyn Files, input: &InputFile) -> Result<Self> {
        let file = files.open(&input.path)?;
        if file.n_bytes() != input.n_bytes {
            let message = format!("the file had {} bytes and now has {}", input.n_bytes, file.n_bytes());
            return Err(Error::new(ErrorKind::Corrupt, message)
                .at(Locus::path(&input.path))
                .with_hint("convert recordings that nobody writes to"));
        }
        Ok(Self { file, tree: Tree::default(), seen: None })
    }

    fn n_hashed(&self) -> u64 {
        self.tree.n_bytes()
    }

    fn read_to(&mut self, end: u64) -> Result<()> {
        let end = end.min(self.file.n_bytes());
        while self.n_hashed() < end {
            let next = self.seen.as_ref().map_or(Next::Unseen(end), |it| it.go_on(&mut self.tree, end));
            let Next::Unseen(unseen) = next else { continue };
            let start = self.n_hashed();
            let range = start..unseen.min(start + PIECE_BYTES);
            // What lies around it was seen.
            let bytes = if unseen < end { self.file.peek_at(range)? } else { self.file.read_at(range)? };
            self.tree.update(&bytes);
        }
        Ok(())
    }

    /// The hash of the bytes so far, as hex.
    fn b3(&self) -> String {
        self.tree.b3()
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
        n_let_go: std::sync::atomic::AtomicU64,
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

        fn let_go(&self, _path: &Path) {
            self.n_let_go.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn file(bytes: &[u8], stamp: Option<&str>) -> (Arc<OneFile>, InputHashes) {
        let (bytes, stamp) = (bytes.to_vec(), stamp.map(str::to_owned));
        let (n_read, n_let_go) = Default::default();
        let files = Arc::new(OneFile { bytes, stamp, n_read, n_let_go });
        let input = InputFile { path: "a".into(), n_bytes: files.bytes.len() as u64 };
        let hashes = InputHashes::new(Arc::clone(&files) as Arc<dyn Files>, &[input]);
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

    /// Units are proved after others were read: by their own bytes, and not by those of the others as well.
    #[test]
    fn a_proof_does_not_grow_with_what_else_was_read() {
        let reads = [5, 8].map(|end| InputRange { input: 0, byte_range: 0..end });
        for hashed in [9, 11] {
            let (_, mut hashes) = file(b"hello world", None);
            hashes.expect(&reads);
            hashes.advance(0, hashed).unwrap();
            let proof = |hashes: &mut InputHashes, end| hashes.prove(0, end).unwrap();
            let found = [3, 5, 6, 8].map(|end| proof(&mut hashes, end).bytes);
            assert_eq!(found, [5, 5, 8, 8], "{hashed} bytes were hashed");
            assert_eq!(proof(&mut hashes, 5).b3, blake3::hash(b"hello").to_hex().to_string());
            // What nobody expected is proved with what comes before it.
            assert_eq!(proof(&mut hashes, 9).bytes, hashed);
            assert_eq!(proof(&mut hashes, u64::MAX).bytes, 11);
        }
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

    /// A file whose rows have all been made: the rest of it is hashed, and it is let go of.
    #[test]
    fn with_the_last_of_its_rows_a_file_is_let_go_of() {
        let (files, mut hashes) = file(b"hello world", None);
        let reads = [2, 8, 8].map(|end| InputRange { input: 0, byte_range: 0..end });
        hashes.expect(&reads);
        let n_let_go = || files.n_let_go.load(std::sync::atomic::Ordering::Relaxed);
        for (idx, range) in reads.iter().enumerate() {
            assert_eq!(n_let_go(), 0, "{idx}");
            hashes.take_in(range).unwrap();
        }
        assert_eq!(n_let_go(), 1);
        assert_eq!(files.n_read.load(std::sync::atomic::Ordering::Relaxed), 11);
        assert_eq!(hashes.digests().unwrap(), [blake3::hash(b"hello world").to_hex().to_string()]);
    }

    /// What a run goes on from, and what other workers make, is waited for by nobody.
    #[test]
    fn rows_that_are_there_already_keep_no_file() {
        let (files, mut hashes) = file(b"hello world", None);
        let reads = [2, 8, 8].map(|end| InputRange { input: 0, byte_range: 0..end });
        hashes.expect(&reads);
        hashes.forgo(&reads[..2]);
        let n_let_go = || files.n_let_go.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(n_let_go(), 0);
        hashes.take_in(&reads[2]).unwrap();
        assert_eq!(n_let_go(), 1);
        assert_eq!(hashes.digests().unwrap(), [blake3::hash(b"hello world").to_hex().to_string()]);
    }

    /// Rows of a bucket are read in any order, and their bytes are fetched once.
    #[test]
    fn of_a_far_file_only_what_nobody_read_is_read() {
        let bytes: Vec<u8> = (0..5_000_005u32).map(|it| (it % 253) as u8).collect();
        let n_all = bytes.len() as u64;
        for (reads, n_unread) in [
            (vec![3_000_000..n_all, 12..1_234_567, 1_234_567..3_000_000, 0..12], 0),
            // The short gap comes with what is read behind it.
            (vec![2_000_000..n_all, 0..1_000_000, 1_000_012..1_500_000], 500_000),
            (vec![0..2_000_000, 2_100_000..n_all], 100_000),
            (vec![], n_all),
        ] {
            let (files, _) = file(&bytes, None);
            let watched = Arc::new(WatchedFiles::over(Arc::clone(&files) as Arc<dyn Files>));
            let source = watched.open(Path::new("a")).unwrap();
            let input = InputFile { path: "a".into(), n_bytes: n_all };
            let mut hashes = InputHashes::watching(&watched, &[input]);
            hashes.expect(
                &reads.iter().map(|it| InputRange { input: 0, byte_range: it.clone() }).collect::<Vec<_>>(),
            );
            reads.iter().for_each(|it| drop(source.read_at(it.clone()).unwrap()));
            let n_read = || files.n_read.load(std::sync::atomic::Ordering::Relaxed);
            let before = n_read();
            assert_eq!(hashes.digests().unwrap(), [blake3::hash(&bytes).to_hex().to_string()], "{reads:?}");
            assert_eq!(n_read() - before, n_unread, "{reads:?}");
        }
    }

    #[test]
    fn a_file_is_let_go_of_once_all_of_it_is_hashed() {
        let (_, mut hashes) = file(b"hello", None);
        assert!(hashes.begun.is_empty());
        hashes.advance(0, 3).unwrap();
        assert_eq!(hashes.begun.len(), 1);
        hashes.advance(0, 5).unwrap();
        assert!(hashes.begun.is_empty());
    }

    #[test]
    fn a_file_that_has_another_length_by_now_is_refused() {
        let (files, _) = file(b"hello", None);
        let input = InputFile { path: "a".into(), n_bytes: 6 };
        let err = InputHashes::new(files, &[input]).digests().unwrap_err();
        assert_eq!(
            (err.kind(), err.to_string().contains("had 6 bytes and now has 5")),
            (ErrorKind::Corrupt, true)
        );
    }
}
