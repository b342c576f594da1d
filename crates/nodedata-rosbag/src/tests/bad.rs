//! Databases that are broken in one place each: an error that says where, and no more lost than that.

use nodedata_core::{ErrorKind, OpenOptions};
use rusqlite::Connection;

use super::{Outcome, Snapshot, builder, read, salvage};

pub(super) const PAGE: usize = 512;
const N: usize = 120;

/// A database whose tree of messages has interior pages, and overflow chains.
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    root: usize,
    pub(super) whole: Outcome,
}

impl Sample {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db3");
        builder::bag(&path, PAGE as u32, N, 12);
        let connection = Connection::open(&path).unwrap();
        let sql = "SELECT rootpage FROM sqlite_master WHERE name = 'messages'";
        let root: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        let snapshot = Snapshot::of(&path);
        let (log, facts) = snapshot.open(&OpenOptions::default()).unwrap();
        let whole = read(&*log, &facts, &OpenOptions::default());
        assert_eq!((whole.messages.len(), whole.damage.len()), (N, 0));
        Self { bytes: snapshot.database.to_vec(), root: root as usize, whole }
    }

    fn page(&self, no: usize) -> &[u8] {
        &self.bytes[(no - 1) * PAGE..no * PAGE]
    }

    fn u16(&self, no: usize, at: usize) -> usize {
        usize::from(u16::from_be_bytes([self.page(no)[at], self.page(no)[at + 1]]))
    }

    fn u32(&self, no: usize, at: usize) -> usize {
        u32::from_be_bytes(self.page(no)[at..at + 4].try_into().unwrap()) as usize
    }

    /// Children of an interior page.
    fn children(&self, no: usize) -> Vec<usize> {
        assert_eq!(self.page(no)[0], 5);
        let cells = (0..self.u16(no, 3)).map(|it| self.u32(no, self.u16(no, 12 + 2 * it)));
        cells.chain([self.u32(no, 8)]).collect()
    }

    /// All leaves, in order.
    fn leaves(&self) -> Vec<usize> {
        let mut to_do = vec![self.root];
        let mut leaves = Vec::new();
        while let Some(no) = to_do.pop() {
            match self.page(no)[0] {
                5 => to_do.extend(self.children(no).into_iter().rev()),
                _ => leaves.push(no),
            }
        }
        leaves
    }

    /// Messages of the leaves of an order.
    fn n_in(&self, leaves: &[usize]) -> usize {
        leaves.iter().map(|it| self.u16(*it, 3)).sum()
    }

    /// The leaf and the place in it of the pointer to the first overflow page of a message.
    fn spilled(&self) -> (usize, usize) {
        let leaves = self.leaves();
        let leaf = leaves[leaves.len() / 2];
        // A payload of two bytes of length, a rowid of one, and what is left in the leaf.
        let at = self.u16(leaf, 8);
        let n = usize::from(self.page(leaf)[at] & 0x7f) << 7 | usize::from(self.page(leaf)[at + 1]);
        let (most, least) = (PAGE - 35, (PAGE - 12) * 32 / 255 - 23);
        assert!(most < n, "{n}");
        let local = least + (n - least) % (PAGE - 4);
        (leaf, at + 3 + if local <= most { local } else { least })
    }

    fn with(&self, no: usize, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut copy = self.bytes.clone();
        copy[(no - 1) * PAGE + at..][..bytes.len()].copy_from_slice(bytes);
        copy
    }
}

/// What a broken copy says where it is refused, and gives where it is salvaged: how many messages, and how many damages.
#[track_caller]
fn check(bytes: &[u8], refused: &str, at: u64, n_messages: usize) -> Outcome {
    let snapshot = Snapshot { database: bytes.to_vec().into(), ..Snapshot::default() };
    let strict = OpenOptions::default();
    let error = match snapshot.open(&strict) {
        Err(err) => err,
        Ok((log, facts)) => {
            let mut found = read(&*log, &facts, &strict);
            assert!(!found.damage.is_empty(), "nothing is wrong with it");
            found.damage.swap_remove(0).0
        }
    };
    assert!(error.chain().contains(refused), "{}", error.chain());
    assert_eq!(
        (error.kind(), error.locus().byte_offset),
        (ErrorKind::Corrupt, Some(at)),
        "{}",
        error.chain()
    );
    assert!(error.hint().is_some());
    let (log, facts) = snapshot.open(&salvage()).unwrap();
    let mut found = read(&*log, &facts, &salvage());
    let planned = facts.damage.into_iter();
    found.damage.extend(planned.map(|it| (it.error, Vec::new(), it.cost.uncounted)));
    assert_eq!(found.messages.len(), n_messages, "{:?}", found.reasons());
    assert!(!found.damage.is_empty());
    found
}

#[test]
fn what_is_no_database_is_refused() {
    let sample = Sample::new();
    let cases: [(&[u8], &str); 5] = [
        (b"", "file is empty"),
        (b"not a database at all, just text", "starts with `not a database a`"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (&sample.bytes[..60], "inside the header"),
        (&sample.bytes[..16], "inside the header"),
    ];
    for (bytes, message) in cases {
        let snapshot = Snapshot { database: bytes.to_vec().into(), ..Snapshot::default() };
        for options in [OpenOptions::default(), salvage()] {
            let err = snapshot.open(&options).err().unwrap();
            assert!(err.to_string().contains(message), "{err}");
            assert_eq!((err.locus().byte_offset, err.hint().is_some()), (Some(0), true), "{err}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db3");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE photos(x)").unwrap();
    let err = Snapshot::of(&path).open(&OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("it has `photos`, but no table `messages`"), "{err}");
}

#[test]
fn a_cut_file_keeps_what_is_in_front() {
    let sample = Sample::new();
    for n_bytes in [sample.bytes.len() - 1, sample.bytes.len() / 2, sample.bytes.len() / 3 + 100] {
        let first_missing = n_bytes / PAGE * PAGE;
        let snapshot = Snapshot { database: sample.bytes[..n_bytes].to_vec().into(), ..Snapshot::default() };
        let err = snapshot.open(&OpenOptions::default()).err().unwrap();
        assert!(err.to_string().contains("are missing"), "{err}");
        assert_eq!(err.locus().byte_offset, Some(first_missing as u64));
        let (log, facts) = snapshot.open(&salvage()).unwrap();
        let found = read(&*log, &facts, &salvage());
        assert!(found.messages.iter().all(|it| sample.whole.messages.contains(it)));
        assert!(!found.messages.is_empty() && found.messages.len() < N);
        let mut planned = facts.damage.iter();
        assert!(planned.any(|it| it.cost.uncounted && it.error.to_string().contains("are missing")));
    }
}

#[test]
fn a_leaf_of_another_type_costs_its_rows() {
    let sample = Sample::new();
    let leaves = sample.leaves();
    let leaf = leaves[3];
    let n = sample.n_in(&[leaf]);
    let at = (leaf - 1) * PAGE;
    let found = check(&sample.with(leaf, 0, &[0x0a]), "its type is 0x0a", at as u64, N - n);
    assert!(found.damage.iter().any(|it| it.2), "its rows are not counted");
}

#[test]
fn leaves_below_a_broken_page_are_found_again() {
    let sample = Sample::new();
    let interior = sample.children(sample.root)[0];
    assert_eq!(sample.page(interior)[0], 5, "the tree is not deep enough");
    let at = ((interior - 1) * PAGE) as u64;
    let found = check(&sample.with(interior, 0, &[0]), "its type is 0x00", at, N);
    let sort = |mut all: Vec<super::Stored>| {
        all.sort_by_key(|it| it.time);
        all
    };
    assert_eq!(sort(found.messages), sort(sample.whole.messages), "each row once");
    // The root as well.
    let sample = Sample::new();
    let at = ((sample.root - 1) * PAGE) as u64;
    check(&sample.with(sample.root, 0, &[0x77]), "its type is 0x77", at, N);
}

#[test]
fn leaves_that_are_not_equally_deep_hide_no_rows() {
    let sample = Sample::new();
    let of_root = sample.children(sample.root);
    let place = |no: usize| ((no - 1) * PAGE) as u64;
    // The first way leads to a leaf too early: all others would be taken for leaves.
    let leaf = sample.children(of_root[0])[1];
    let pointer = sample.u16(sample.root, 12);
    let broken = sample.with(sample.root, pointer, &(leaf as u32).to_be_bytes());
    check(&broken, "holds no rows, where the tree has a leaf", place(of_root[1]), N);
    // The last way does, and nothing else is wrong with what it leads to.
    let leaf = sample.children(of_root[of_root.len() - 1])[0];
    let broken = sample.with(sample.root, 8, &(leaf as u32).to_be_bytes());
    let message = format!("page {} leads to page {leaf}, whose rows are not as deep", sample.root);
    check(&broken, &message, place(sample.root), N);
}

#[test]
fn ways_to_nowhere_are_told_once_a_page() {
    let sample = Sample::new();
    let interior = sample.children(sample.root)[0];
    let n_cells = sample.u16(interior, 3);
    assert!(2 < n_cells, "{n_cells}");
    let place = (interior - 1) * PAGE;
    for child in [sample.root, 0] {
        let mut bytes = sample.bytes.clone();
        for idx in 0..n_cells {
            let at = place + sample.u16(interior, 12 + 2 * idx);
            bytes[at..at + 4].copy_from_slice(&(child as u32).to_be_bytes());
        }
        let message = format!("page {interior} leads to page {child}, ");
        let found = check(&bytes, &message, place as u64, N);
        assert_eq!(found.damage.len(), 1, "{:?}", found.reasons());
    }
}

#[test]
fn what_was_deleted_stays_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    builder::bag(&path, PAGE as u32, N, 3);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("DELETE FROM messages WHERE id BETWEEN 20 AND 80").unwrap();
    let sql = "SELECT rootpage FROM sqlite_master WHERE name = 'messages'";
    let root: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(root as usize - 1) * PAGE] = 0;
    let snapshot = Snapshot { database: bytes.into(), ..Snapshot::default() };
    let (log, facts) = snapshot.open(&salvage()).unwrap();
    let found = read(&*log, &facts, &salvage());
    assert_eq!(found.messages.len(), N - 61);
}

#[test]
fn loops_and_ways_out_of_the_file_end() {
    let sample = Sample::new();
    let interior = sample.children(sample.root)[0];
    let first_cell = sample.u16(interior, 12);
    let place = |no: usize| ((no - 1) * PAGE) as u64;
    // A child that is the page itself, one that is the root, one that is not there.
    for child in [interior, sample.root] {
        let broken = sample.with(interior, first_cell, &(child as u32).to_be_bytes());
        let message = format!("page {interior} leads to page {child}, which a tree leads to already");
        // The leaf that nothing leads to is found.
        check(&broken, &message, place(interior), N);
    }
    for behind in [0, sample.bytes.len() / PAGE + 1, u32::MAX as usize] {
        let broken = sample.with(interior, first_cell, &(behind as u32).to_be_bytes());
        check(
            &broken,
            &format!("page {interior} leads to page {behind}, but the database has"),
            place(interior),
            N,
        );
    }
}

#[test]
fn a_broken_chain_costs_one_message() {
    let sample = Sample::new();
    let (leaf, at) = sample.spilled();
    let first = sample.u32(leaf, at);
    let cell = ((leaf - 1) * PAGE + sample.u16(leaf, 8)) as u64;
    let behind = (sample.bytes.len() / PAGE + 7) as u32;
    let cases = [
        (sample.with(first, 0, &(first as u32).to_be_bytes()), "goes on"),
        (sample.with(first, 0, &0u32.to_be_bytes()), "leads to page 0"),
        (sample.with(first, 0, &behind.to_be_bytes()), "leads to page"),
        (sample.with(leaf, at, &behind.to_be_bytes()), "is named, but the database has"),
        (sample.with(leaf, at, &0u32.to_be_bytes()), "page 0 is named"),
    ];
    for (idx, (bytes, message)) in cases.into_iter().enumerate() {
        let n_pages = sample.u32(first, 0);
        if n_pages == 0 && (1..3).contains(&idx) {
            // The chain has one page, whose end is right to be 0.
            continue;
        }
        let found = check(&bytes, message, cell, N - 1);
        let [(error, lost, uncounted)] = &found.damage[..] else { panic!("{:?}", found.reasons()) };
        assert!(error.to_string().contains("row ") && error.to_string().contains(&format!("page {leaf}")));
        assert_eq!((lost.len(), lost[0].1, *uncounted), (1, 1, false), "one message of a known topic");
    }
}

#[test]
fn cells_outside_their_page_cost_their_rows() {
    let sample = Sample::new();
    let leaf = sample.leaves()[2];
    let at = ((leaf - 1) * PAGE) as u64;
    check(&sample.with(leaf, 8, &[0xff, 0xff]), "is not among its content", at, N - 1);
    check(&sample.with(leaf, 8, &[0, 3]), "is not among its content", at, N - 1);
    check(&sample.with(leaf, 8, &[1, 0xff]), "of page", at, N - 1);
    let n = sample.n_in(&[leaf]);
    check(&sample.with(leaf, 3, &[0xff, 0xff]), "for which it has no room", at, N - n);
}

/// A bag into which rows were put that no recorder writes.
fn odd(sql: &str) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db3");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(builder::SCHEMAS[0]).unwrap();
    connection.execute_batch(sql).unwrap();
    let topics = "INSERT INTO topics VALUES (1, '/a', 'std_msgs/String', 'cdr'), (2, '/b', 'p/B', 'odd')";
    connection.execute_batch(topics).unwrap();
    drop(connection);
    Snapshot::of(&path)
}

#[test]
fn rows_that_say_too_little_are_counted() {
    let snapshot = odd("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data);
         INSERT INTO messages(topic_id, timestamp, data) VALUES
         (1, 10, x'00'), (1, -5, x'01'), (1, 11, NULL), (2, NULL, x'02'), (9, 12, x'03'), (NULL, 13, x'04'), (2, 14, 'text')");
    let (log, facts) = snapshot.open(&OpenOptions::default()).unwrap();
    let names: Vec<&str> = facts.definitions.schemas.values().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["std_msgs/msg/String", "p/msg/B"]);
    assert_eq!(facts.definitions.channels[&2].message_encoding, "odd");
    let found = read(&*log, &facts, &OpenOptions::default());
    let told: Vec<(&[u8], u64)> = found.messages.iter().map(|it| (&it.data[..], it.time)).collect();
    assert_eq!(told, [(&[0][..], 10), (b"text", 14)]);
    let reasons = found.reasons();
    let expected = [
        "timestamp is -5 ns",
        "message has no data",
        "message has no timestamp",
        "message names no topic",
        "declares topic 9 (1 of its messages)",
    ];
    assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.contains(expected), "{reason}");
    }
    let lost: Vec<&[(u32, u64)]> = found.damage.iter().map(|it| &it.1[..]).collect();
    assert_eq!(lost, [&[(1, 1)][..], &[(1, 1)], &[(2, 1)], &[], &[]]);
}

#[test]
fn tables_that_lie_are_met() {
    // Rows made before a column was there, and a table without the columns that are needed.
    let short = "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp);
         INSERT INTO messages VALUES (1, 1, 5); ALTER TABLE messages ADD COLUMN data BLOB;
         INSERT INTO messages VALUES (2, 1, 6, x'aa')";
    let snapshot = odd(short);
    let (log, facts) = snapshot.open(&OpenOptions::default()).unwrap();
    let found = read(&*log, &facts, &OpenOptions::default());
    assert_eq!((found.messages.len(), found.damage.len()), (1, 1));
    assert_eq!(found.damage[0].1, [(1, 1)]);
    for (sql, message) in [
        ("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp)", "has no column `data`"),
        (
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data) WITHOUT ROWID",
            "has no rowids",
        ),
    ] {
        let err = odd(sql).open(&salvage()).err().unwrap();
        assert!(err.to_string().contains(message), "{err}");
        assert!(err.hint().is_some() && err.locus().byte_offset.is_some());
    }
}
