//! Bags of which one index alone says something: those that were not closed, and those of which one index is damaged.

use bytes::Bytes;
use nodedata_core::{ErrorKind, FindingKind};

use super::{
    broken::{changed, fails, salvages},
    damage, found, read, salvage, undecoded,
    writer::{Writer, bag_header, chunk, chunk_info, find, message, message_index, stored, string, strings},
};

/// The message index of a connection: the times that it says.
type Index<'a> = (u32, &'a [u64]);

/// What is warned of, but that the bag was not closed.
fn warnings(bag: &Bytes, options: &nodedata_core::OpenOptions) -> Vec<String> {
    let (source, _) = read(bag, options);
    let warnings = found(&*source, FindingKind::Warning).into_iter();
    warnings.map(|it| it.message).filter(|it| !it.contains("did not close the bag")).collect()
}

/// A chunk of the messages of `/a` at these times, and of `/b` at those, with message indexes that count others.
fn chunk_of(a: &[u64], b: &[u64], indexes: &[Index<'_>]) -> (Vec<u8>, Vec<u8>) {
    let of = |conn: u32, times: &[u64]| -> Vec<u8> {
        times.iter().flat_map(|it| message(conn, *it, &string(&format!("message {it}")))).collect()
    };
    let records = [strings(0, "/a"), strings(1, "/b"), of(0, a), of(1, b)].concat();
    let index = |(conn, times): &Index<'_>| {
        message_index(*conn, &times.iter().map(|it| (*it, 0)).collect::<Vec<_>>())
    };
    let indexes = indexes.iter().flat_map(index).collect();
    (chunk("lz4", records.len() as u32, &stored("lz4", &records)), indexes)
}

fn unclosed((chunk, indexes): (Vec<u8>, Vec<u8>)) -> (Bytes, usize) {
    let writer = Writer::new(&[]);
    let start = writer.bytes.len();
    (writer.raw(&chunk).raw(&indexes).leave_open(), start)
}

#[test]
fn messages_that_only_message_indexes_count_are_lost() {
    // A length that was damaged made of three messages one.
    let (bag, start) = unclosed(chunk_of(&[0, 3], &[5], &[(0, &[0, 1, 2, 3]), (1, &[5])]));
    fails(
        &bag,
        ErrorKind::Corrupt,
        start,
        "2 messages that the message indexes behind the chunk count are not",
    );
    salvages(&bag, [0, 3], &[("/a", 2)]);
    let (source, _) = read(&bag, &salvage());
    let lost = damage(&*source);
    assert_eq!((lost.len(), &*lost[0].reason, lost[0].uncounted), (1, "damaged_chunk", false));
    // Of several topics, and of one that the chunk has no message of.
    let (bag, _) = unclosed(chunk_of(&[0], &[], &[(0, &[0, 1]), (1, &[5])]));
    salvages(&bag, [0], &[("/a", 1), ("/b", 1)]);
    // A message whose op is damaged is one of those that the index counts, and is not counted twice.
    let records = [strings(0, "/a"), message(0, 0, b""), message(0, 1, b"")].concat();
    let mut bent = records.clone();
    let last = records.len() - message(0, 1, b"").len();
    let op_at = last + find(&records[last..], b"op=") + 3;
    bent[op_at] = 0x0a;
    let chunk = chunk("lz4", bent.len() as u32, &stored("lz4", &bent));
    let (bag, start) = unclosed((chunk, message_index(0, &[(0, 0), (1, 0)])));
    fails(
        &bag,
        ErrorKind::Corrupt,
        start,
        "1 messages that the message indexes behind the chunk count are not",
    );
    salvages(&bag, [0], &[("/a", 1)]);
}

#[test]
fn as_many_messages_of_others_are_told() {
    // One changed its connection, or its time: nobody knows whether in the message or in the index.
    let cases: [&[Index<'_>]; 2] = [&[(0, &[0, 1, 2])], &[(0, &[0, 1]), (1, &[9])]];
    for indexes in cases {
        let (bag, start) = unclosed(chunk_of(&[0, 1], &[2], indexes));
        for options in [undecoded(), salvage()] {
            let (source, outcome) = read(&bag, &options);
            assert!(damage(&*source).is_empty() && outcome.errors.is_empty());
            assert_eq!((outcome.log_times("/a"), outcome.log_times("/b")), (vec![0, 1], vec![2]));
            let told = found(&*source, FindingKind::Warning);
            let [told] =
                &told.iter().filter(|it| it.at.byte_offset == Some(start as u64)).collect::<Vec<_>>()[..]
            else {
                panic!("{told:?}")
            };
            assert!(told.message.contains("say other connections or times"), "{}", told.message);
            assert!(told.hint.is_some() && told.at.path.is_some());
        }
    }
}

/// A recorder that is killed while it writes them leaves message indexes of some topics alone.
#[test]
fn message_indexes_that_are_not_all_there_cost_nothing() {
    let cases: [&[Index<'_>]; 4] = [&[], &[(0, &[0, 1])], &[(1, &[5])], &[(0, &[0, 1]), (1, &[5])]];
    for indexes in cases {
        let (bag, _) = unclosed(chunk_of(&[0, 1], &[5], indexes));
        for options in [undecoded(), salvage()] {
            let (source, outcome) = read(&bag, &options);
            assert!(damage(&*source).is_empty() && outcome.errors.is_empty(), "{:?}", damage(&*source));
            assert_eq!(outcome.n_rows(), 3);
            assert_eq!(warnings(&bag, &options), [] as [String; 0]);
        }
    }
}

/// A bag that is closed, with what its index says of its one chunk.
fn closed((chunk, indexes): (Vec<u8>, Vec<u8>), times: (u64, u64), counts: &[(u32, u32)]) -> (Bytes, usize) {
    let writer = Writer::new(&[]);
    let start = writer.bytes.len();
    let writer = writer.raw(&chunk).raw(&indexes);
    let index_pos = writer.bytes.len() as u64;
    let index = [strings(0, "/a"), strings(1, "/b"), chunk_info(start as u64, times, counts)].concat();
    let bag = writer.raw(&index).leave_open();
    (changed(&bag, 13, &bag_header(index_pos, 2, 1, &[])), start)
}

#[test]
fn indexes_that_do_not_say_the_same_are_told() {
    let sound = || chunk_of(&[0, 1], &[5], &[(0, &[0, 1]), (1, &[5])]);
    let (bag, _) = closed(sound(), (0, 5), &[(0, 2), (1, 1)]);
    for options in [undecoded(), salvage()] {
        assert_eq!(warnings(&bag, &options), [] as [String; 0]);
    }
    // The one behind the chunk and the messages say the same, so that the other one is wrong.
    let (bag, start) = closed(sound(), (0, 5), &[(0, 3), (1, 1)]);
    assert_eq!(warnings(&bag, &salvage()), [] as [String; 0]);
    // Who does not read the messages to plan cannot know that.
    let told = warnings(&bag, &undecoded());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("message indexes behind 1 of its chunks do not say the same"), "{told:?}");
    let (source, outcome) = read(&bag, &undecoded());
    let at = found(&*source, FindingKind::Warning)[0].at.byte_offset;
    assert_eq!((outcome.n_rows(), at), (3, Some(start as u64)));
    // No message index at all: that of the bag is alone.
    let bare = || (sound().0, Vec::new());
    let (bag, _) = closed(bare(), (0, 5), &[(0, 2), (1, 1)]);
    assert_eq!(warnings(&bag, &salvage()), [] as [String; 0]);
    let (bag, start) = closed(bare(), (0, 5), &[(0, 4), (1, 1)]);
    let (source, outcome) = read(&bag, &salvage());
    assert!(damage(&*source).is_empty() && outcome.errors.is_empty());
    let told = found(&*source, FindingKind::Warning);
    assert!(told[0].message.contains("counts more messages in 1 chunks than there are"), "{told:?}");
    assert_eq!((told.len(), told[0].at.byte_offset), (1, Some(start as u64)));
    // All three say something else: more entries than messages are messages that are gone.
    let short = chunk_of(&[0, 1], &[5], &[(0, &[0, 1, 2]), (1, &[5])]);
    let (bag, _) = closed(short, (0, 5), &[(0, 9), (1, 1)]);
    let (source, outcome) = read(&bag, &salvage());
    assert_eq!(outcome.n_rows(), 3);
    assert_eq!(damage(&*source)[0].records, [("/a".to_owned(), 1)].into());
    // The index of the bag and the messages say the same, so that those behind the chunk are wrong.
    let (bag, _) = closed(chunk_of(&[0, 1], &[5], &[(0, &[0, 1, 2]), (1, &[5])]), (0, 5), &[(0, 2), (1, 1)]);
    let (source, _) = read(&bag, &salvage());
    assert!(damage(&*source).is_empty(), "{:?}", damage(&*source));
}
