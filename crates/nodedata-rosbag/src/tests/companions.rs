//! Logs and journals beside a database that are broken, or another's.

use nodedata_core::{ErrorKind, OpenOptions};
use rusqlite::Connection;

use super::{
    Snapshot,
    bad::{PAGE, Sample},
    builder, read, salvage,
};
use crate::sqlite::database::Database;

#[test]
fn a_log_with_other_pages_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log_of = |name: &str, page_bytes: u32| {
        let path = folder.path().join(name);
        builder::bag(&path, page_bytes, 20, 20);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
        builder::insert(&connection, 1, 5000, b"late");
        Snapshot::of(&path)
    };
    let (small, large) = (log_of("small.db3", 512), log_of("large.db3", 1024));
    let read_all = |snapshot: &Snapshot, options: &OpenOptions| {
        let (log, facts) = snapshot.open(options).unwrap();
        (read(&*log, &facts, options).messages.len(), facts.damage.len(), facts.warnings.len())
    };
    assert_eq!(read_all(&small, &OpenOptions::default()), (21, 0, 0));
    // The log of another database, where no frame holds page 1 the header is the file's own.
    let mixed = Snapshot { wal: large.wal, ..small.clone() };
    if let Err(err) = mixed.open(&OpenOptions::default()) {
        assert!(err.to_string().contains("bytes"), "{err}");
        assert!(err.locus().path.as_deref().is_some_and(|it| it.ends_with("a.db3-wal")), "{:?}", err.locus());
    } else {
        panic!("pages of two sizes were mixed");
    }
    assert_eq!(read_all(&mixed, &salvage()), (20, 1, 0), "what is left out is told");
    let (_, facts) = mixed.open(&salvage()).unwrap();
    let told = facts.damage[0].error.to_string();
    assert!(told.contains("1024 bytes, but those of the database 512"), "{told}");
    // With other salts no frame counts, and that is how a log is begun anew.
    let mut salted = small.wal.clone().unwrap().to_vec();
    salted[16..24].copy_from_slice(&[7; 8]);
    let mut sums = [0; 2];
    add_checksum(&mut sums, &salted[..24]);
    salted[24..32].copy_from_slice(&words(&sums));
    assert_eq!(
        read_all(&Snapshot { wal: Some(salted.into()), ..small.clone() }, &OpenOptions::default()),
        (20, 0, 0)
    );
    // A torn last frame is told, and what was committed before it counts.
    let mut torn = small.wal.clone().unwrap().to_vec();
    torn.truncate(torn.len() - 7);
    let torn = Snapshot { wal: Some(torn.into()), ..small.clone() };
    assert_eq!(read_all(&torn, &OpenOptions::default()).0, 20);
    assert_eq!(read_all(&torn, &OpenOptions::default()), (20, 0, 1));
    let (_, facts) = torn.open(&OpenOptions::default()).unwrap();
    assert!(facts.warnings[0].to_string().contains("and a torn one"), "{}", facts.warnings[0]);
    assert_eq!(
        read_all(&Snapshot { wal: Some(bytes::Bytes::new()), ..small }, &OpenOptions::default()),
        (20, 0, 0)
    );
}

/// Three transactions in a log, of which the frames are known: where each starts.
fn log_of_three() -> (Snapshot, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    builder::bag(&path, PAGE as u32, 20, 20);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    (0..3).for_each(|it| builder::insert(&connection, 1, 5000 + it, b"late"));
    let snapshot = Snapshot::of(&path);
    let n_bytes = snapshot.wal.as_ref().unwrap().len();
    (snapshot, (32..n_bytes).step_by(PAGE + 24).collect())
}

#[test]
fn transactions_behind_a_damaged_frame_are_lost_and_that_is_told() {
    let (whole, frames) = log_of_three();
    let wal = whole.wal.clone().unwrap();
    let commit_of = |at: &usize| wal[at + 4..at + 8] != [0; 4];
    let commits: Vec<usize> = frames.iter().copied().filter(commit_of).collect();
    assert_eq!(commits.len(), 3);
    let (log, facts) = whole.open(&OpenOptions::default()).unwrap();
    let expected = read(&*log, &facts, &OpenOptions::default()).messages;
    assert_eq!(expected.len(), 23);
    let last = *frames.last().unwrap();
    // Salts, checksum and content of frames; the commit of the first transaction is the only one in front of them.
    for (frame, at, n_kept) in [
        (commits[0] + PAGE + 24, 8, 21),
        (commits[0] + PAGE + 24, 16, 21),
        (commits[1], 100, 21),
        (commits[1], 12, 21),
        (last, 30, 22),
        (last, 8, 22),
        (32, 40, 20),
    ] {
        let mut broken = wal.to_vec();
        broken[frame + at] ^= 1;
        let broken = Snapshot { wal: Some(broken.into()), ..whole.clone() };
        let err =
            broken.open(&OpenOptions::default()).err().unwrap_or_else(|| panic!("byte {at} of {frame}"));
        assert!(err.to_string().contains("of the write-ahead log is damaged"), "{err}");
        assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Corrupt, Some(frame as u64)));
        assert!(err.locus().path.as_deref().is_some_and(|it| it.ends_with("a.db3-wal")));
        assert!(err.hint().is_some_and(|it| it.contains("salvage")));
        // What SQLite finds is what is left.
        let (log, facts) = broken.open(&salvage()).unwrap();
        assert_eq!(read(&*log, &facts, &salvage()).messages, expected[..n_kept], "byte {at} of {frame}");
        assert!(facts.damage.len() == 1 && facts.damage[0].cost.uncounted);
    }
    // A head that nothing can be read by hides all of them.
    let mut broken = wal.to_vec();
    broken[9] ^= 0x10;
    let broken = Snapshot { wal: Some(broken.into()), ..whole.clone() };
    let err = broken.open(&OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("does not have its checksum"), "{err}");
    let (log, facts) = broken.open(&salvage()).unwrap();
    assert_eq!((read(&*log, &facts, &salvage()).messages.len(), facts.damage.len()), (20, 1));
    // One that was never written out hides none.
    let zeros = Snapshot { wal: Some(vec![0; 4096].into()), ..whole };
    let (log, facts) = zeros.open(&OpenOptions::default()).unwrap();
    assert_eq!(read(&*log, &facts, &OpenOptions::default()).messages.len(), 20);
    assert_eq!((facts.damage.len(), facts.warnings.len()), (0, 1));
}

#[test]
fn a_damaged_journal_is_told() {
    let sample = Sample::new();
    let sound = journal_of_one(2, (sample.bytes.len() / PAGE) as u32);
    let of = |journal: Vec<u8>| Snapshot {
        database: sample.bytes.clone().into(),
        journal: Some(journal.into()),
        wal: None,
    };
    let flipped = |at: usize| {
        let mut journal = sound.clone();
        journal[at] ^= 1;
        journal
    };
    let (lost, head) =
        ("of 1 pages in a part of it 0 can be put back", "the head of the rollback journal is damaged");
    // A page, the end, the magic number, and the size of pages.
    for (journal, message, at) in [
        (flipped(512 + 4 + PAGE - 200), lost, 512),
        (sound[..700].to_vec(), lost, 512),
        (flipped(3), head, 0),
        (flipped(26), head, 0),
    ] {
        let snapshot = of(journal);
        let err = snapshot.open(&OpenOptions::default()).err().unwrap();
        assert!(err.to_string().contains(message), "{err}");
        assert!(err.locus().path.as_deref().is_some_and(|it| it.ends_with("a.db3-journal")));
        assert_eq!((err.locus().byte_offset, err.hint().is_some()), (Some(at), true));
        let (log, facts) = snapshot.open(&salvage()).unwrap();
        assert_eq!(read(&*log, &facts, &salvage()).messages, sample.whole.messages);
        assert!(facts.damage.len() == 1 && facts.damage[0].cost.uncounted);
    }
    // One whose transaction ended, and that is kept for the next.
    let mut ended = sound.clone();
    ended[..28].fill(0);
    let (log, facts) = of(ended).open(&OpenOptions::default()).unwrap();
    assert_eq!(read(&*log, &facts, &OpenOptions::default()).messages, sample.whole.messages);
    assert!(facts.damage.is_empty() && facts.warnings.is_empty());
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|it| it.to_be_bytes()).collect()
}

/// Adds bytes to the checksum of a write-ahead log.
fn add_checksum(sums: &mut [u32; 2], bytes: &[u8]) {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| u32::from_le_bytes(pair[at..at + 4].try_into().unwrap());
        sums[0] = sums[0].wrapping_add(word(0)).wrapping_add(sums[1]);
        sums[1] = sums[1].wrapping_add(word(4)).wrapping_add(sums[0]);
    }
}

/// A write-ahead log of one frame, which is sound: a page of a database that is said to have so many.
fn log_of_one(page: u32, n_pages: u32) -> Vec<u8> {
    let add = add_checksum;
    let salts = [1, 2];
    let mut log = words(&[0x377f_0682, 3_007_000, PAGE as u32, 0, salts[0], salts[1]]);
    let mut sums = [0; 2];
    add(&mut sums, &log);
    log.extend(words(&sums));
    let (head, content) = (words(&[page, n_pages]), [0u8; PAGE]);
    add(&mut sums, &head);
    add(&mut sums, &content);
    log.extend(head);
    log.extend(words(&salts));
    log.extend(words(&sums));
    log.extend(content);
    log
}

/// A rollback journal of one page.
fn journal_of_one(page: u32, n_pages: u32) -> Vec<u8> {
    let mut journal: Vec<u8> = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    // Records, nonce, pages of the database, bytes of a sector and of a page.
    journal.extend(words(&[1, 0, n_pages, 512, PAGE as u32]));
    journal.resize(512, 0);
    journal.extend(words(&[page]));
    // The content, and its checksum.
    journal.extend([0u8; PAGE + 4]);
    journal
}

#[test]
fn numbers_of_pages_set_no_memory_aside() {
    let sample = Sample::new();
    let whole = Snapshot { database: sample.bytes.clone().into(), ..Snapshot::default() };
    let wal = Some(log_of_one(u32::MAX, u32::MAX).into());
    let journal = Some(journal_of_one(u32::MAX, u32::MAX).into());
    for snapshot in [Snapshot { wal, ..whole.clone() }, Snapshot { journal, ..whole }] {
        let err = snapshot.open(&OpenOptions::default()).err().unwrap();
        assert!(err.to_string().contains("has 4294967295 pages"), "{err}");
        assert_eq!(err.locus().byte_offset, Some(sample.bytes.len() as u64));
        let n_there = Database::open(&snapshot.stored(), true).unwrap().pages.n_there();
        assert!(n_there < 1 << 21, "{n_there}");
        let (log, facts) = snapshot.open(&salvage()).unwrap();
        let found = read(&*log, &facts, &salvage());
        assert_eq!((found.messages, found.damage.len()), (sample.whole.messages.clone(), 0));
        assert_eq!(facts.damage.len(), 1);
    }
}

#[test]
fn a_log_of_a_cut_file_still_counts() {
    let sample = Sample::new();
    let n_pages = (sample.bytes.len() / PAGE) as u32;
    let cut = sample.bytes[..sample.bytes.len() / 2].to_vec();
    let wal = Some(log_of_one(n_pages, n_pages).into());
    let snapshot = Snapshot { database: cut.into(), wal, ..Snapshot::default() };
    let pages = Database::open(&snapshot.stored(), true).unwrap().pages;
    assert_eq!(pages.read(n_pages).unwrap().place.part, 1);
}
