use std::{fs::OpenOptions, path::PathBuf, sync::Arc};

use nodedata_core::ErrorKind;
use nodedata_testkit::{flip_behind, skipped};
use proptest::prelude::*;

use super::*;
use crate::{
    direct::Direct,
    hashing::blob_of,
    remote::Remote,
    store::{OpenStore, Store, StoreLocation},
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

/// A blob in a folder.
struct Work {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Bytes,
    reader: BlobReader,
    verified: VerifiedGrains,
}

impl Work {
    fn new(n_bytes: u64) -> Self {
        let bytes: Bytes = (0..n_bytes).map(|it| ((it * 2_654_435_761) >> 7) as u8).collect();
        let folder = tempfile::tempdir().unwrap();
        let location = StoreLocation::Folder(folder.path().to_owned());
        let direct = Direct::new(Store::open(&location, &OpenStore::default()).unwrap());
        let blob = blob_of(&bytes);
        direct.upload_part(&blob, 0, bytes.clone()).unwrap();
        let path = direct.local_path(&blob.b3).unwrap();
        let remote: Arc<dyn Remote> = direct.shared();
        let dataset = "acme/x".parse().unwrap();
        let verified = VerifiedGrains::default();
        let reader = BlobReader::open_with(&remote, &dataset, &blob.b3, n_bytes, verified.trees()).unwrap();
        Self { _folder: folder, path, bytes, reader, verified }
    }

    fn read(&self, range: Range<u64>, seconds: i64) -> Result<Bytes> {
        self.verified.read(&self.reader, range, || at(seconds))
    }

    #[track_caller]
    fn check(&self, range: Range<u64>, seconds: i64) {
        let expected = &self.bytes[range.start as usize..range.end as usize];
        assert!(self.read(range, seconds).unwrap() == expected);
    }

    #[track_caller]
    fn check_refused(&self, range: Range<u64>, seconds: i64, grain: u64) {
        let err = self.read(range, seconds).unwrap_err();
        let byte = err.locus().byte_offset;
        assert_eq!((err.kind(), byte), (ErrorKind::Corrupt, Some(grain * GRAIN_BYTES)));
    }

    fn flip(&self, offset: u64) {
        flip_behind(&self.path, offset);
    }

    fn is_verified(&self, grains: Range<u64>, seconds: i64) -> bool {
        let identity = FileIdentity::of(&self.path).unwrap().unwrap();
        self.verified.kept().is_verified(&self.reader.b3, &identity, &grains, at(seconds))
    }

    /// As where a disk loses bytes: what is known of the file stays, and its bytes are others.
    fn take_for_unchanged(&self) {
        let identity = FileIdentity::of(&self.path).unwrap().unwrap();
        self.verified.kept().by_blob.get_mut(&self.reader.b3).unwrap().identity = identity;
    }
}

#[test]
fn what_was_verified_is_not_verified_again_for_a_while() {
    let work = Work::new(3 * GRAIN_BYTES + 9);
    work.check(10..20, 0);
    assert!(!work.is_verified(0..1, 0), "it was seen just now");
    work.check(10..20, 1);
    assert!(!work.is_verified(0..1, 1), "it was seen too shortly ago");
    work.check(GRAIN_BYTES - 1..GRAIN_BYTES + 1, 2);
    assert!(work.is_verified(0..2, 2) && !work.is_verified(1..3, 2));
    work.check(3 * GRAIN_BYTES..3 * GRAIN_BYTES + 9, 200);
    assert!(work.is_verified(3..4, 200) && !work.is_verified(2..4, 200));
    // All end with the first.
    assert!(work.is_verified(0..2, 301) && !work.is_verified(0..2, 302) && !work.is_verified(3..4, 302));
    assert!(!work.is_verified(0..2, 1), "a clock that was set back proves nothing");
    work.check(0..1, 302);
    assert!(work.is_verified(0..1, 601) && !work.is_verified(1..2, 302) && !work.is_verified(3..4, 302));
}

#[test]
fn a_byte_that_a_disk_loses_is_found_when_the_time_is_over() {
    let work = Work::new(2 * GRAIN_BYTES);
    work.check(0..5, 0);
    work.check(0..2 * GRAIN_BYTES, 10);
    work.flip(3);
    work.take_for_unchanged();
    // Nobody looks at it again until then: this is what makes ranges fast.
    assert_eq!(work.read(3..4, 309).unwrap()[0], work.bytes[3] ^ 1);
    work.check_refused(3..4, 310, 0);
    work.check_refused(3..4, 311, 0);
    work.check(GRAIN_BYTES..GRAIN_BYTES + 7, 311);
}

#[test]
fn a_file_that_is_written_to_is_verified_at_once() {
    for n_bytes in [GRAIN_BYTES - 1, 2 * GRAIN_BYTES + 1] {
        let work = Work::new(n_bytes);
        let last = n_bytes - 1;
        for (round, seconds) in [(0, 0), (1, 100), (2, 200)] {
            work.check(0..n_bytes, seconds);
            work.check(0..n_bytes, seconds + 5);
            assert!(work.is_verified(0..1, seconds + 5), "round {round}");
            work.flip(last);
            work.check_refused(last..n_bytes, seconds + 6, last / GRAIN_BYTES);
            work.check_refused(0..n_bytes, seconds + 7, last / GRAIN_BYTES);
            work.flip(last);
        }
        // Another file in its place, of the same bytes or of fewer.
        work.check(0..n_bytes, 300);
        std::fs::write(work.path.with_extension("new"), &work.bytes).unwrap();
        std::fs::rename(work.path.with_extension("new"), &work.path).unwrap();
        assert!(!work.is_verified(0..1, 305));
        work.check(0..n_bytes, 305);
        OpenOptions::new().write(true).open(&work.path).unwrap().set_len(last).unwrap();
        assert!(work.read(0..1, 310).is_err() || n_bytes > GRAIN_BYTES, "a blob of one grain is cut");
        assert!(work.read(last..n_bytes, 310).is_err());
        std::fs::remove_file(&work.path).unwrap();
        let err = work.read(0..1, 311).unwrap_err();
        assert!(err.kind() == ErrorKind::Corrupt && err.to_string().contains("is missing"), "{err}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_at_hand_was_verified_and_is_no_longer_once_a_file_is_another() {
    let work = Work::new(2 * GRAIN_BYTES + 9);
    let n_bytes = work.bytes.len() as u64;
    let file = open(&work.path).unwrap();
    if !read_cached_at(&file, &mut [0; 9], 0) {
        skipped("the file system of this folder does not say what is in memory");
        return;
    }
    let at_hand = |range: Range<u64>, seconds: i64| {
        let blob = (&work.reader.b3, n_bytes);
        work.verified.at_hand(&work.path, blob, &range, || at(seconds))
    };
    assert_eq!(at_hand(0..9, 0), None, "nobody has read it");
    work.check(0..9, 0);
    assert_eq!(at_hand(0..9, 1), None, "it was seen too shortly ago");
    work.check(0..9, 2);
    assert_eq!(at_hand(3..9, 2).as_deref(), Some(&work.bytes[3..9]));
    assert_eq!(at_hand(GRAIN_BYTES - 1..GRAIN_BYTES + 1, 2), None, "of two grains one was not verified");
    work.check(0..n_bytes, 2);
    assert_eq!(at_hand(1..n_bytes, 301).as_deref(), Some(&work.bytes[1..]));
    assert_eq!((at_hand(1..n_bytes + 1, 301), at_hand(0..9, 302)), (None, None), "too long, and too late");
    for change in [
        &(|| work.flip(3)) as &dyn Fn(),
        &|| std::fs::copy(&work.path, work.path.with_extension("new")).map(drop).unwrap(),
        &|| std::fs::rename(work.path.with_extension("new"), &work.path).unwrap(),
        &|| OpenOptions::new().write(true).open(&work.path).unwrap().set_len(9).unwrap(),
        &|| std::fs::remove_file(&work.path).unwrap(),
    ] {
        change();
        assert_eq!(at_hand(0..9, 4), None);
    }
}

#[test]
fn no_more_is_remembered_than_fits_and_the_last_used_stay() {
    let work = Work::new(1);
    let identity = FileIdentity::of(&work.path).unwrap().unwrap();
    let b3 = |idx: u8| B3([idx; 32]);
    let mut kept = Kept::default();
    let each = BLOB_BYTES + 8;
    for idx in 0..3 {
        kept.see(&b3(idx), identity, at(0), 3 * each + 1);
    }
    kept.is_verified(&b3(0), &identity, &(0..1), at(0));
    kept.see(&b3(3), identity, at(0), 3 * each + 1);
    let there = |kept: &Kept| (0..5).filter(|it| kept.by_blob.contains_key(&b3(*it))).collect::<Vec<_>>();
    assert_eq!((there(&kept), kept.n_bytes), (vec![0, 2, 3], 3 * each));
    // Seen anew, it takes no more; what is too large is not kept, and nothing goes for it.
    kept.see(&b3(2), identity, at(0), 3 * each);
    kept.see(&b3(4), identity, at(0), each - 1);
    assert_eq!((there(&kept), kept.n_bytes, kept.order.len()), (vec![0, 2, 3], 3 * each, 3));
}

#[test]
fn other_stores_are_verified_each_time() {
    let bytes = Bytes::from_static(b"in memory");
    let direct = Direct::new(Store::memory());
    let blob = blob_of(&bytes);
    direct.upload_part(&blob, 0, bytes.clone()).unwrap();
    let dataset = "acme/x".parse().unwrap();
    let reader = BlobReader::open(&direct.shared(), &dataset, &blob.b3, blob.bytes).unwrap();
    let verified = VerifiedGrains::default();
    for seconds in [0, 10, 20] {
        assert_eq!(verified.read(&reader, 3..9, || at(seconds)).unwrap(), bytes[3..9]);
    }
    assert!(verified.kept().by_blob.is_empty());
    let err = verified.read(&reader, 3..10, || at(30)).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupt);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was verified before, and whenever.
    #[test]
    fn any_range_is_what_was_stored(
        n_bytes in 0..3 * GRAIN_BYTES,
        asked in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0i64..200), 1..24),
    ) {
        let work = Work::new(n_bytes);
        let mut seconds = 0;
        for (from, to, later) in asked {
            let (from, to) = (from.index(n_bytes as usize + 1) as u64, to.index(n_bytes as usize + 1) as u64);
            seconds += later;
            work.check(from.min(to)..from.max(to), seconds);
        }
    }
}
