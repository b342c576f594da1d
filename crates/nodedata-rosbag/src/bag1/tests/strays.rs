//! Records in chunks whose op is damaged.

use nodedata_core::ErrorKind;

use super::{
    broken::{changed, fails, salvages},
    damage, read, salvage, undecoded,
    writer::{Writer, bag_header, chunk, chunk_info, find, message, record, stored, string, strings},
};

/// In a chunk, nothing but the op says what a record is where no index counts it.
#[test]
fn a_record_in_a_chunk_whose_op_is_damaged_is_counted() {
    let messages: Vec<Vec<u8>> = (0..5).map(|it| message(0, it, &string("x"))).collect();
    let sound = [&[strings(0, "/a")][..], &messages].concat();
    let n_front: usize = sound[..3].iter().map(Vec::len).sum();
    let bag_of = |records: &[u8]| {
        let writer = Writer::new(&[]);
        let chunk_at = writer.bytes.len();
        (writer.raw(&chunk("lz4", records.len() as u32, &stored("lz4", records))).leave_open(), chunk_at)
    };
    let op_at = n_front + find(&sound.concat()[n_front..], b"op=") + 3;
    // Ops that no record has, and those of records that lie elsewhere.
    for op in [0x00, 0x0a, 0x82, 0x03, 0x04, 0x06, 0x07] {
        let mut records = sound.concat();
        records[op_at] = op;
        let (bag, chunk_at) = bag_of(&records);
        fails(&bag, ErrorKind::Corrupt, chunk_at, "1 records in the chunk have an op");
        salvages(&bag, (0..2).chain(3..5), &[("/a", 1)]);
    }
    // In a chunk that breaks further on, all in front of the break is there.
    let mut records = [sound.concat(), vec![0xff; 3]].concat();
    records[op_at] = 0x0a;
    let (bag, _) = bag_of(&records);
    salvages(&bag, (0..2).chain(3..5), &[]);
    // A record of which nothing is known may have been a message.
    let foreign = record(&[("op", &[0x42]), ("what", b"ever")], b"x");
    let (bag, chunk_at) = bag_of(&[sound.concat(), foreign.clone()].concat());
    fails(&bag, ErrorKind::Corrupt, chunk_at, "1 records in the chunk have an op");
    let (source, outcome) = read(&bag, &salvage());
    assert_eq!(outcome.log_times("/a"), [0, 1, 2, 3, 4]);
    assert_eq!(damage(&*source).iter().map(|it| it.uncounted).collect::<Vec<_>>(), [true]);
    // Outside of chunks as well.
    let writer = Writer::new(&[]).raw(&sound.concat());
    let at = writer.bytes.len();
    let bag = writer.raw(&foreign).leave_open();
    fails(&bag, ErrorKind::Corrupt, at, "no known fields, but its op is 0x42");
    let (source, outcome) = read(&bag, &salvage());
    assert_eq!((outcome.n_rows(), damage(&*source)[0].uncounted), (5, true));
    // An index that does not agree with the other is not believed, so that only the record itself tells.
    let mut records = sound.concat();
    records[op_at] = 0x0a;
    let writer = Writer::new(&[]);
    let chunk_at = writer.bytes.len();
    let writer = writer.raw(&chunk("lz4", records.len() as u32, &stored("lz4", &records)));
    let index_pos = writer.bytes.len() as u64;
    let index = [strings(0, "/a"), chunk_info(chunk_at as u64, (0, 9), &[(0, 7)])].concat();
    let bag = changed(&writer.raw(&index).leave_open(), 13, &bag_header(index_pos, 1, 1, &[]));
    let (_, outcome) = read(&bag, &undecoded());
    assert!(outcome.errors[0].chain().contains("a message of connection 0, but its op is 0x0a"));
    salvages(&bag, (0..2).chain(3..5), &[("/a", 1)]);
}

/// A message whose op is damaged.
fn stray(conn: u32, nanos: u64) -> Vec<u8> {
    let mut bytes = message(conn, nanos, b"");
    let op_at = find(&bytes, b"op=") + 3;
    bytes[op_at] = 0x0a;
    bytes
}

/// However many there are, they are counted and not kept, and their connections are told apart up to a limit.
#[test]
fn many_damaged_ops_are_counted_and_not_kept() {
    const N_NAMED_MAX: u32 = 1 << 16;
    let bag_of = |chunks: &[Vec<u8>]| {
        let compressed = |it: &Vec<u8>| chunk("lz4", it.len() as u32, &stored("lz4", it));
        Writer::new(&[]).raw(&chunks.iter().flat_map(compressed).collect::<Vec<u8>>()).leave_open()
    };
    let declared = [strings(0, "/a"), message(0, 1, &string("x"))].concat();
    let of_one: Vec<u8> = (0..100_000).flat_map(|it| stray(0, it)).collect();
    let bag = bag_of(&[declared.clone(), of_one.clone()]);
    salvages(&bag, [1], &[("/a", 100_000)]);
    let (source, _) = read(&bag, &salvage());
    let found = damage(&*source);
    assert_eq!((found.len(), found[0].uncounted), (1, false));
    assert!(found[0].message.starts_with("100000 records in the chunk have an op"), "{}", found[0].message);
    // As many connections as records, over two chunks: those that are told apart are counted, and of the others it is said that
    // they are there.
    let half = N_NAMED_MAX / 2;
    let of_many = |conns: std::ops::Range<u32>| conns.flat_map(|it| stray(it, 0)).collect::<Vec<u8>>();
    let bag = bag_of(&[declared, of_many(1..half), [of_one, of_many(half..N_NAMED_MAX + 10)].concat()]);
    let (source, outcome) = read(&bag, &salvage());
    assert_eq!(outcome.log_times("/a"), [1]);
    let found = damage(&*source);
    assert_eq!(found.iter().map(|it| it.uncounted).collect::<Vec<_>>(), [false, true]);
    let n = 100_000 + N_NAMED_MAX + 10 - half;
    assert!(found[1].message.starts_with(&format!("{n} records in the chunk")), "{}", found[1].message);
    assert_eq!(found[1].records, [("/a".to_owned(), 100_000)].into());
}

/// One damaged connection record stands for all of its chunk.
#[test]
fn many_damaged_connections_of_a_chunk_are_told_once() {
    let mut bad = strings(0, "/bad");
    let topic_at = find(&bad, b"/bad");
    bad[topic_at] = 0xff;
    let records = [bad.repeat(3), strings(1, "/a"), message(1, 2, &string("x"))].concat();
    let bag =
        Writer::new(&[]).raw(&chunk("lz4", records.len() as u32, &stored("lz4", &records))).leave_open();
    let (source, outcome) = read(&bag, &salvage());
    assert_eq!(outcome.log_times("/a"), [2]);
    let [found] = &damage(&*source)[..] else { panic!("{:?}", damage(&*source)) };
    assert!(found.message.contains("3 connection records of the chunk are damaged"), "{}", found.message);
    assert!(found.message.contains("`topic` of a connection record is not UTF-8"), "{}", found.message);
}
