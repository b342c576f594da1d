//! Damaged bags, opened to fail and to salvage: each says where it is broken, and what that cost.

use std::collections::BTreeMap;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, OpenOptions, TimeRange};

use super::{
    all_lost, damage, open, read, salvage, undecoded,
    writer::{
        Writer, at, bag_header, chunk, chunk_info, find, message, message_index, record, stored, string,
        strings,
    },
};

const HEADER_END: usize = 13 + 4096;

fn refused(bag: &Bytes, options: &OpenOptions) -> Error {
    let err = open(bag, options).err().expect("refused");
    assert!(err.locus().path.is_some(), "no path: {err}");
    assert!(err.locus().byte_offset.is_some(), "no place: {err}");
    assert!(err.hint().is_some(), "no hint: {err}");
    err
}

/// Opening to fail says this, here.
#[track_caller]
pub(super) fn fails(bag: &Bytes, kind: ErrorKind, byte: usize, message: &str) {
    let err = refused(bag, &undecoded());
    assert_eq!((err.kind(), err.locus().byte_offset), (kind, Some(byte as u64)), "{err}");
    assert!(err.to_string().contains(message), "{err}");
}

/// Salvaging gives these messages of `/a`, and names so many of each topic as lost.
#[track_caller]
pub(super) fn salvages(bag: &Bytes, times: impl IntoIterator<Item = i64>, lost: &[(&str, u64)]) {
    let (source, outcome) = read(bag, &salvage());
    let found = damage(&*source);
    assert_eq!(
        outcome.log_times("/a"),
        times.into_iter().collect::<Vec<_>>(),
        "{found:?} {:?}",
        outcome.errors
    );
    let lost: BTreeMap<String, u64> = lost.iter().map(|(topic, n)| ((*topic).to_owned(), *n)).collect();
    assert_eq!(all_lost(&*source, &outcome), lost, "{found:?} {:?}", outcome.errors);
    assert!(!found.is_empty() || !outcome.errors.is_empty(), "nothing is told");
}

/// Two topics, three chunks: 0..20 and 0..5, 20..40, 40..60.
fn three(compression: &str) -> Writer {
    Writer::new(&[strings(0, "/a"), strings(1, "/b")])
        .chunk(compression, &[at(0, 0..20), at(1, 0..5)].concat())
        .chunk(compression, &at(0, 20..40))
        .chunk(compression, &at(0, 40..60))
}

/// Where the n-th chunk of a bag starts.
fn chunk_at(bag: &Bytes, n: usize) -> usize {
    let mark = b"compression=";
    let places = bag.windows(mark.len()).enumerate().filter(|it| it.1 == mark);
    places.map(|it| it.0 - 8).nth(n).unwrap()
}

pub(super) fn changed(bag: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut changed = bag.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    changed.into()
}

#[test]
fn files_that_are_no_bags() {
    for options in [undecoded(), salvage()] {
        for (bytes, kind, message) in [
            (&b""[..], ErrorKind::Corrupt, "file is empty"),
            (b"#ROSBAG V1.2\nrest", ErrorKind::Unsupported, "a bag of version `1.2`"),
            (b"#ROSBAG V3.0\nrest", ErrorKind::Unsupported, "a bag of version `3.0`"),
            (b"version https://git-lfs.github.com/spec/v1\n", ErrorKind::Corrupt, "Git LFS pointer"),
            (b"PK\x03\x04", ErrorKind::Corrupt, "file starts with `PK"),
        ] {
            let err = refused(&Bytes::from_static(bytes), &options);
            assert_eq!((err.kind(), err.locus().byte_offset), (kind, Some(0)), "{err}");
            assert!(err.to_string().contains(message), "{err}");
        }
    }
    let err = refused(&Bytes::from_static(b"#ROSBAG V1.2\n"), &undecoded());
    assert!(err.hint().unwrap().contains("rosbag fix"), "{:?}", err.hint());
}

#[test]
fn a_header_that_is_cut_or_lies() {
    let bag = three("lz4").close();
    fails(&bag.slice(..13), ErrorKind::Corrupt, 13, "0 bytes are left");
    fails(&bag.slice(..50), ErrorKind::Corrupt, 13, "inside the header of a record");
    fails(&bag.slice(..2000), ErrorKind::Corrupt, 13, "ends inside its bag header");
    for end in [13, 50, 2000] {
        let (source, outcome) = read(&bag.slice(..end), &salvage());
        assert_eq!((outcome.n_rows(), damage(&*source).len()), (0, 1), "cut to {end}");
    }
    let huge = changed(&bag, 13, &u32::MAX.to_le_bytes());
    fails(&huge, ErrorKind::Corrupt, 13, "says it has 4294967295 bytes");
    salvages(&huge, 0..60, &[]);
    let other = Writer::new(&[]).close();
    let other = changed(&other, find(&other, b"op=\x03") + 3, &[2]);
    fails(&other, ErrorKind::Corrupt, 13, "must be the bag header");
    // With a header behind it, a damaged first byte is no other format.
    let bent = changed(&bag, 0, b"?");
    fails(&bent, ErrorKind::Corrupt, 0, "file starts with `?ROSBAG");
    salvages(&bent, 0..60, &[]);
}

#[test]
fn an_index_that_points_nowhere() {
    let whole = three("bz2");
    let n_bytes = whole.bytes.len();
    let bag = whole.close();
    let pointing = |index_pos: u64| {
        let header = bag_header(index_pos, 2, 3, &[]);
        changed(&bag, 13, &header)
    };
    fails(&pointing(13), ErrorKind::Corrupt, 13, "lies in the header itself");
    fails(&pointing(HEADER_END as u64 - 1), ErrorKind::Corrupt, 13, "lies in the header itself");
    fails(
        &pointing(HEADER_END as u64),
        ErrorKind::Corrupt,
        HEADER_END,
        "a record with op 0x05 lies in the index",
    );
    fails(&pointing(n_bytes as u64 + 1), ErrorKind::Corrupt, n_bytes + 1, "");
    fails(&pointing(bag.len() as u64), ErrorKind::Corrupt, bag.len(), "after 0 connections and 0 chunks");
    fails(&pointing(1 << 60), ErrorKind::Corrupt, bag.len(), "the index starts at byte 1152921504606846976");
    for index_pos in [13, HEADER_END as u64, n_bytes as u64 + 1, bag.len() as u64, 1 << 60] {
        salvages(&pointing(index_pos), 0..60, &[]);
    }
    // A chunk info that points at itself, in front of all chunks, or at another one's place.
    let info = |chunk_pos: u64| chunk_info(chunk_pos, (0, 1), &[(0, 1)]);
    let with_info = |chunk_pos: u64| {
        let writer = Writer::new(&[]).raw(&chunk("none", 0, b""));
        let index_pos = writer.bytes.len() as u64;
        let bag = writer.raw(&strings(0, "/a")).raw(&info(chunk_pos)).leave_open();
        (changed(&bag, 13, &bag_header(index_pos, 1, 1, &[])), index_pos as usize)
    };
    let strings_len = strings(0, "/a").len();
    let (bag, index_pos) = with_info(0);
    fails(&bag, ErrorKind::Corrupt, index_pos, "names a chunk at byte 0");
    let itself = (index_pos + strings_len) as u64;
    fails(&with_info(itself).0, ErrorKind::Corrupt, index_pos, "names a chunk at byte");
    fails(&with_info(HEADER_END as u64 + 2).0, ErrorKind::Corrupt, HEADER_END + 2, "");
    for chunk_pos in [0, itself, HEADER_END as u64 + 2] {
        salvages(&with_info(chunk_pos).0, [], &[("/a", 1)]);
    }
}

#[test]
fn a_bag_that_is_cut() {
    for compression in ["none", "bz2", "lz4"] {
        let bag = three(compression).close();
        let (second, third) = (chunk_at(&bag, 1), chunk_at(&bag, 2));
        // In a chunk, in message indexes, and in the index.
        let in_chunk = bag.slice(..third + 100);
        fails(&in_chunk, ErrorKind::Corrupt, in_chunk.len(), "the index starts at byte");
        let (source, outcome) = read(&in_chunk, &salvage());
        let times = outcome.log_times("/a");
        assert!(
            times.iter().copied().eq(0..times.len() as i64) && 40 <= times.len(),
            "{compression}: {times:?}"
        );
        let told_of = damage(&*source);
        let told =
            outcome.errors.iter().filter_map(Error::loss).any(|it| it.uncounted || !it.records.is_empty())
                || told_of.iter().any(|it| it.uncounted || !it.records.is_empty());
        assert!(told, "{compression}: {told_of:?} {:?}", outcome.errors);
        let in_indexes = bag.slice(..third - 5);
        fails(&in_indexes, ErrorKind::Corrupt, in_indexes.len(), "the index starts at byte");
        salvages(&in_indexes, 0..40, &[]);
        let in_index = bag.slice(..bag.len() - 5);
        let info = bag.len() - chunk_info(0, (0, 0), &[(0, 0)]).len();
        fails(&in_index, ErrorKind::Corrupt, info, "ends inside a record of its index");
        salvages(&in_index, 0..60, &[]);
        // The same of one without an index: nothing says that more was there, but where a record is cut.
        let open_bag = three(compression).leave_open();
        let cut = open_bag.slice(..second + 100);
        fails(&cut, ErrorKind::Corrupt, second, "file ends inside a chunk");
        let (_, outcome) = read(&cut, &salvage());
        assert!(20 <= outcome.log_times("/a").len());
    }
}

#[test]
fn chunks_that_lie_about_their_size() {
    for compression in ["none", "bz2", "lz4"] {
        let bag = three(compression).close();
        let second = chunk_at(&bag, 1);
        let size_at = second + find(&bag[second..], b"size=") + 5;
        let size = u32::from_le_bytes(bag[size_at..size_at + 4].try_into().unwrap());
        for lie in [size - 1, size + 1, 0, 1 << 20] {
            let bag = changed(&bag, size_at, &lie.to_le_bytes());
            let (source, outcome) = read(&bag, &undecoded());
            assert!(damage(&*source).is_empty(), "{compression} {lie}");
            assert_eq!(outcome.reasons(), ["damaged_chunk"], "{compression} {lie}: {:?}", outcome.errors);
            assert_eq!(outcome.errors[0].locus().byte_offset, Some(second as u64));
            // Twenty messages, as the indexes count them.
            assert_eq!(outcome.lost(&*source), [("/a".to_owned(), 20)].into(), "{compression} {lie}");
            salvages(&bag, (0..20).chain(40..60), &[("/a", 20)]);
        }
        // Beyond the limit nothing is decompressed at all.
        let bag = changed(&bag, size_at, &u32::MAX.to_le_bytes());
        let (_, outcome) = read(&bag, &undecoded());
        assert_eq!(outcome.errors[0].kind(), ErrorKind::Limit, "{:?}", outcome.errors);
        salvages(&bag, (0..20).chain(40..60), &[("/a", 20)]);
    }
}

#[test]
fn a_chunk_that_grows_past_its_size_is_stopped() {
    let bomb = vec![0; 32 << 20];
    for compression in ["bz2", "lz4"] {
        let bag =
            Writer::new(&[strings(0, "/a")]).raw(&chunk(compression, 1000, &stored(compression, &bomb)));
        fails(&bag.leave_open(), ErrorKind::Corrupt, HEADER_END, "goes on after 1000 uncompressed bytes");
    }
}

#[test]
fn a_chunk_whose_length_is_damaged() {
    for compression in ["none", "bz2", "lz4"] {
        let bag = three(compression).close();
        let second = chunk_at(&bag, 1);
        let header = u32::from_le_bytes(bag[second..second + 4].try_into().unwrap()) as usize;
        let length_at = second + 4 + header;
        for lie in [3u32, 100, 1 << 20, u32::MAX] {
            let bag = changed(&bag, length_at, &lie.to_le_bytes());
            // Where the index tells more than the chunk, reading it shows that.
            let opened = open(&bag, &undecoded());
            assert!(
                opened.is_err_and(|it| it.locus().byte_offset.is_some())
                    || !read(&bag, &undecoded()).1.errors.is_empty()
            );
            salvages(&bag, 0..60, &[]);
        }
    }
}

#[test]
fn a_chunk_whose_header_is_damaged_is_counted_by_the_index() {
    for compression in ["bz2", "lz4"] {
        let bag = three(compression).close();
        let first = chunk_at(&bag, 0);
        for lie in [u32::MAX, 3, 1 << 19] {
            let bag = changed(&bag, first, &lie.to_le_bytes());
            fails(&bag, ErrorKind::Corrupt, first, "");
            // The connections are declared in the index as well.
            salvages(&bag, 20..60, &[("/a", 20), ("/b", 5)]);
            // Without chunk infos the message indexes behind it count them.
            let index_pos = find(&bag, &chunk_info(first as u64, (0, 19), &[(0, 20), (1, 5)]));
            salvages(
                &changed(&bag.slice(..index_pos), 13, &bag_header(0, 0, 0, &[])),
                20..60,
                &[("/a", 20), ("/b", 5)],
            );
        }
    }
    // The records of a chunk that is not compressed are found without it, and nothing is lost but its header.
    let bag = three("none").close();
    let first = chunk_at(&bag, 0);
    salvages(&changed(&bag, first, &u32::MAX.to_le_bytes()), 0..60, &[]);
}

#[test]
fn a_chunk_that_does_not_decompress_costs_itself() {
    for compression in ["bz2", "lz4"] {
        let bag = three(compression).close();
        let first = chunk_at(&bag, 0);
        let middle = changed(&bag, first + 140, &[0x55; 8]);
        let (source, outcome) = read(&middle, &undecoded());
        assert_eq!(outcome.reasons(), ["damaged_chunk"]);
        assert_eq!(outcome.lost(&*source), [("/a".to_owned(), 20), ("/b".to_owned(), 5)].into());
        salvages(&middle, 20..60, &[("/a", 20), ("/b", 5)]);
        // Of a time range only those that it takes are lost.
        let time_range = TimeRange { start_ns: 15, end_ns: Some(25) };
        let (source, outcome) = read(&middle, &OpenOptions { time_range, ..salvage() });
        assert_eq!(outcome.log_times("/a"), (20..25).collect::<Vec<_>>());
        assert_eq!(outcome.lost(&*source), [("/a".to_owned(), 5)].into());
    }
}

/// Chunks have no checksums: what the indexes say of a message is all there is to hold it against.
#[test]
fn flipped_bits_that_the_indexes_show() {
    let bag = three("none").close();
    let eighth = find(&bag, &message(0, 28, &string("message 28")));
    // Its time, its connection, and what it is at all.
    let time = changed(&bag, eighth + 4 + 4 + find(&bag[eighth + 8..], b"time=") + 5 + 4, &[28, 1]);
    let (source, outcome) = read(&time, &undecoded());
    assert_eq!(outcome.reasons(), ["damaged_record"]);
    let err = &outcome.errors[0];
    assert!(
        err.to_string().contains("was logged at 284 ns, but the indexes say that all were from 20 to 39"),
        "{err}"
    );
    assert_eq!(outcome.lost(&*source), [("/a".to_owned(), 1)].into());
    salvages(&time, (0..28).chain(29..60), &[("/a", 1)]);
    let conn = changed(&bag, eighth + find(&bag[eighth..], b"conn=") + 5, &[1]);
    let what = changed(&bag, eighth + find(&bag[eighth..], b"op=") + 3, &[9]);
    for bag in [conn, what] {
        let (source, outcome) = read(&bag, &undecoded());
        assert_eq!(outcome.reasons(), ["damaged_chunk"], "{:?}", outcome.errors);
        assert!(outcome.errors[0].to_string().contains("1 messages that the indexes count are not in"));
        assert_eq!(outcome.lost(&*source), [("/a".to_owned(), 1)].into());
        assert_eq!(outcome.log_times("/a").len(), 59);
        salvages(&bag, (0..28).chain(29..60), &[("/a", 1)]);
    }
}

/// The same where opening walks the bag.
#[test]
fn messages_that_only_the_index_counts_fail_an_open() {
    let bag = three("none").close();
    let eighth = find(&bag, &message(0, 28, &string("message 28")));
    let what = changed(&bag, eighth + find(&bag[eighth..], b"op=") + 3, &[9]);
    let walked = changed(&what, 13, &bag_header(0, 0, 0, &[]));
    let second = chunk_at(&walked, 1);
    fails(&walked, ErrorKind::Corrupt, second, "1 messages that the indexes count are not in their chunk");
    salvages(&walked, (0..28).chain(29..60), &[("/a", 1)]);
    // Of a chunk that the index names where there is none.
    let n_bytes = three("none").bytes.len();
    let info = chunk_info(n_bytes as u64, (60, 62), &[(0, 3)]);
    let missing = three("none").raw(&info).leave_open();
    fails(&missing, ErrorKind::Corrupt, n_bytes, "the index names 1 chunks where none was found");
    salvages(&missing, 0..60, &[("/a", 3)]);
}

#[test]
fn damage_behind_a_message_and_a_chunk_is_none_of_either() {
    for compression in ["none", "lz4"] {
        let without_indexes = |times: std::ops::Range<u64>| {
            let records: Vec<u8> = times.flat_map(|it| message(0, it, &string("x"))).collect();
            chunk(compression, records.len() as u32, &stored(compression, &records))
        };
        let front =
            Writer::new(&[]).raw(&strings(0, "/a")).raw(&message(0, 1, b"x")).raw(&without_indexes(2..5));
        let junk = front.bytes.len();
        let bag = front.raw(&[0xff; 20]).raw(&without_indexes(5..9)).leave_open();
        fails(&bag, ErrorKind::Corrupt, junk, "");
        salvages(&bag, 1..9, &[]);
        let (source, _) = read(&bag, &salvage());
        let found = damage(&*source);
        assert_eq!((found.len(), found[0].byte_range.clone()), (1, Some(junk as u64..junk as u64 + 20)));
        assert_eq!(source.plan().episodes[0].metadata["rosbag1.chunks"].to_string(), "2");
    }
}

#[test]
fn a_message_index_that_is_damaged_costs_no_message() {
    let n_indexes = [20, 5].map(|n| message_index(0, &vec![(0, 0); n]).len()).iter().sum::<usize>();
    for compression in ["none", "bz2", "lz4"] {
        for bag in [three(compression).close(), three(compression).leave_open()] {
            // Behind it comes that of the other topic, of the same sound chunk.
            let first = chunk_at(&bag, 1) - n_indexes;
            salvages(&changed(&bag, first, &u32::MAX.to_le_bytes()), 0..60, &[]);
        }
    }
}

#[test]
fn a_record_whose_op_is_damaged_is_what_its_fields_say() {
    let with_op = |bag: &Bytes, at: usize, op: u8| changed(bag, at + find(&bag[at..], b"op=") + 3, &[op]);
    for op in [0x01, 0x15, 0x85] {
        for compression in ["bz2", "lz4"] {
            let bag = three(compression).leave_open();
            let second = chunk_at(&bag, 1);
            let bag = with_op(&bag, second, op);
            fails(&bag, ErrorKind::Corrupt, second, "has the fields of a chunk");
            salvages(&bag, (0..20).chain(40..60), &[("/a", 20)]);
            let bag = three(compression).close();
            salvages(&with_op(&bag, second, op), (0..20).chain(40..60), &[("/a", 20)]);
        }
        let bag = three("none").leave_open();
        salvages(&with_op(&bag, chunk_at(&bag, 1), op), 0..60, &[]);
    }
    let writer = Writer::new(&[]).raw(&strings(0, "/a"));
    let start = writer.bytes.len();
    let messages: Vec<Vec<u8>> = (0..20).map(|it| message(0, it, b"x")).collect();
    let bag = writer.raw(&messages.concat()).leave_open();
    let eighth = start + 7 * messages[0].len();
    for op in [0x03, 0x06, 0x12] {
        let bag = with_op(&bag, eighth, op);
        assert_eq!(refused(&bag, &undecoded()).locus().byte_offset, Some(eighth as u64));
        salvages(&bag, (0..7).chain(8..20), &[("/a", 1)]);
    }
}

#[test]
fn a_compression_nobody_knows() {
    let bag = three("none").close();
    let second = chunk_at(&bag, 1);
    let bag = changed(&bag, second + find(&bag[second..], b"none"), b"nine");
    let (source, outcome) = read(&bag, &undecoded());
    let err = &outcome.errors[0];
    assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Unsupported, Some(second as u64)));
    assert!(err.to_string().contains("unknown compression `nine`"), "{err}");
    assert_eq!(outcome.lost(&*source), [("/a".to_owned(), 20)].into());
    salvages(&bag, (0..20).chain(40..60), &[("/a", 20)]);
}

#[test]
fn an_encrypted_bag() {
    let cipher = [0xa5; 700];
    let encrypted = |header: &[(&'static str, &'static [u8])]| {
        Writer::new(&[strings(0, "/a")])
            .with_header(header)
            .raw(&chunk("none", 700, &cipher))
            .raw(&message_index(0, &[(1, 0), (2, 30), (3, 60)]))
            .close()
    };
    let bag = encrypted(&[("encryptor", b"rosbag/AesCbcEncryptor")]);
    fails(&bag, ErrorKind::Unsupported, 13, "encrypted");
    assert!(refused(&bag, &undecoded()).hint().unwrap().contains("rosbag decrypt"));
    salvages(&bag, [], &[("/a", 3)]);
    // Connections are encrypted as well, but for their topics.
    let closed = |data: &[u8]| {
        let fields = [("conn", &0u32.to_le_bytes()[..]), ("op", &[7]), ("topic", b"/a")];
        Writer::new(&[record(&fields, data)])
            .with_header(&[("encryptor", b"rosbag/AesCbcEncryptor")])
            .raw(&chunk("none", 700, &cipher))
            .raw(&message_index(0, &[(1, 0), (2, 30), (3, 60)]))
            .close()
    };
    salvages(&closed(&[0x5a; 64]), [], &[("/a", 3)]);
    // An empty name is what recorders write that do not encrypt.
    let plain = three("none").with_header(&[("encryptor", b"")]).close();
    assert_eq!(read(&plain, &undecoded()).1.log_times("/a").len(), 60);
}

#[test]
fn messages_of_a_connection_that_nobody_declared() {
    // In the index: the bag is walked, in case a chunk declares it.
    let bag = Writer::new(&[strings(0, "/a")]).chunk("lz4", &[at(0, 0..5), at(9, 5..8)].concat()).close();
    fails(&bag, ErrorKind::Corrupt, HEADER_END, "connection 9, but no connection record declares it");
    let (source, outcome) = read(&bag, &salvage());
    assert!(damage(&*source).is_empty());
    assert_eq!(outcome.log_times("/a"), (0..5).collect::<Vec<_>>());
    assert_eq!(outcome.reasons(), ["unknown_channel"]);
    assert!(outcome.errors[0].to_string().contains("declares connection 9 (3 of its messages)"));
    assert!(outcome.errors[0].loss().unwrap().uncounted);
    // Without one.
    let lone = Writer::new(&[]).raw(&message(4, 1, b"x")).leave_open();
    fails(&lone, ErrorKind::Corrupt, HEADER_END, "connection 4");
    let (_, outcome) = read(&lone, &salvage());
    assert_eq!(outcome.reasons(), ["unknown_channel"]);
}

#[test]
fn a_connection_that_is_broken_or_means_two_things() {
    let mut bad = strings(0, "/bad");
    let topic_at = find(&bad, b"/bad");
    bad[topic_at] = 0xff;
    let records = [bad, strings(1, "/a"), message(0, 1, b"x"), message(1, 2, &string("x"))].concat();
    let bag = Writer::new(&[]).raw(&chunk("none", records.len() as u32, &records)).leave_open();
    fails(&bag, ErrorKind::Corrupt, HEADER_END, "`topic` of a connection record is not UTF-8");
    let (source, outcome) = read(&bag, &salvage());
    assert_eq!(damage(&*source).len(), 1);
    assert_eq!((outcome.log_times("/a"), outcome.reasons()), (vec![2], vec!["unknown_channel"]));
    // From where the id means something else, nobody knows whose its messages are.
    let first = [strings(0, "/a"), message(0, 1, &string("x"))].concat();
    let second = [strings(0, "/b"), message(0, 2, &string("y"))].concat();
    let bag = Writer::new(&[])
        .raw(&chunk("none", first.len() as u32, &first))
        .raw(&chunk("none", second.len() as u32, &second))
        .leave_open();
    assert!(refused(&bag, &undecoded()).to_string().contains("was declared before as `/a`"));
    let (source, outcome) = read(&bag, &salvage());
    assert_eq!(damage(&*source).len(), 1);
    assert_eq!((outcome.log_times("/a"), outcome.reasons()), (vec![1], vec!["unknown_channel"]));
}

#[test]
fn records_in_a_chunk_that_do_not_hold_together() {
    let sound: Vec<u8> = (0..5).flat_map(|it| message(0, it, &string("x"))).collect();
    let no_time = record(&[("conn", &0u32.to_le_bytes()), ("op", &[2])], b"x");
    let no_op = record(&[("conn", &0u32.to_le_bytes())], b"x");
    let cut = message(0, 9, &string("y"))[..30].to_vec();
    let nested = chunk("none", 0, b"");
    for bad in [no_time, no_op, cut, nested] {
        let records = [strings(0, "/a"), sound.clone(), bad].concat();
        let bag = Writer::new(&[])
            .raw(&chunk("lz4", records.len() as u32, &stored("lz4", &records)))
            .raw(&message_index(0, &[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (9, 0)]))
            .leave_open();
        refused(&bag, &undecoded());
        // What is in front of it is kept; the index counts one more.
        salvages(&bag, 0..5, &[("/a", 1)]);
    }
}

#[test]
fn a_message_outside_of_chunks_whose_length_is_damaged() {
    let messages: Vec<Vec<u8>> = (0..20).map(|it| message(0, it, &[it as u8; 40])).collect();
    let writer = Writer::new(&[]).raw(&strings(0, "/a"));
    let start = writer.bytes.len();
    let bag = writer.raw(&messages.concat()).leave_open();
    let n_message = messages[0].len();
    for lie in [10u32, 39, 41, 200, u32::MAX] {
        let bag = changed(&bag, start + 8 * n_message - 44, &lie.to_le_bytes());
        refused(&bag, &undecoded());
        let (source, outcome) = read(&bag, &salvage());
        let kept: Vec<i64> = outcome.log_times("/a").into_iter().filter(|it| *it != 7).collect();
        assert_eq!(kept, (0..20).filter(|it| *it != 7).collect::<Vec<_>>(), "{lie}: {:?}", damage(&*source));
        assert!(!damage(&*source).is_empty());
        // Units of one message each: what is taken back of one is not taken from the one in front of it.
        let (source, outcome) = read(&bag, &OpenOptions { partition_bytes: 1, ..salvage() });
        let counts = source.plan().partitions.iter().filter_map(|it| it.counts.as_ref());
        let n_planned: u64 = counts.flatten().map(|it| it.1).sum();
        assert_eq!(n_planned, outcome.n_rows() as u64, "{lie}");
    }
    // The last one, cut: it alone is lost, and is counted.
    salvages(&bag.slice(..bag.len() - 10), 0..19, &[("/a", 1)]);
}

#[test]
fn a_compressed_chunk_its_recorder_never_closed() {
    let records = |range: std::ops::Range<u64>| -> Vec<u8> {
        range
            .flat_map(|it| message(0, it, &it.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().repeat(100)))
            .collect()
    };
    for compression in ["bz2", "lz4"] {
        let bytes = [strings(0, "/a"), records(0..400)].concat();
        let stored = stored(compression, &bytes);
        // The head still says that it is empty.
        let bag = Writer::new(&[])
            .chunk(compression, &[])
            .raw(&chunk(compression, 0, b""))
            .raw(&stored[..stored.len() - 40])
            .leave_open();
        refused(&bag, &undecoded());
        let (source, outcome) = read(&bag, &salvage());
        let times = outcome.log_times("/a");
        assert!(times.iter().copied().eq(0..times.len() as i64), "{compression}");
        assert!(compression == "bz2" || 100 < times.len(), "{compression}: {}", times.len());
        assert!(!damage(&*source).is_empty());
        assert!(outcome.errors.iter().filter_map(Error::loss).all(|it| it.uncounted));
    }
}

#[test]
fn one_bag_that_cannot_be_read_does_not_stop_a_salvage() {
    use nodedata_core::Format as _;
    let files = || {
        let sound = three("none").close();
        std::sync::Arc::new(nodedata_io::MemoryFiles::default().with("a.bag", "else").with("b.bag", sound))
    };
    assert!(crate::ROSBAG1.open(files(), &undecoded()).is_err());
    let source = crate::ROSBAG1.open(files(), &salvage()).unwrap();
    let found: Vec<_> = source.plan().findings_of(nodedata_core::FindingKind::Damage).collect();
    assert_eq!((found.len(), found[0].byte_range.clone()), (1, Some(0..4)));
    assert_eq!(super::read_all(&*source).log_times("/a").len(), 60);
}
