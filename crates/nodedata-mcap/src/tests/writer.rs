//! Logs built record by record, for what no recorder writes on purpose.

use std::sync::Arc;

use bytes::Bytes;
use nodedata_core::{ErrorKind, Format as _, OnMisfit, OpenOptions, ReadOptions, TimeRange};
use nodedata_io::MemoryFiles;

use super::{damage, open, read, read_all, salvage, undecoded};
use crate::{
    MCAP,
    records::{MAGIC, op},
};

/// A record with its head.
pub(super) fn record(opcode: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![opcode];
    bytes.extend((content.len() as u64).to_le_bytes());
    bytes.extend(content);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    block(text.as_bytes())
}

fn block(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn map(pairs: &[(&str, &str)]) -> Vec<u8> {
    block(&pairs.iter().flat_map(|(key, value)| [text(key), text(value)].concat()).collect::<Vec<u8>>())
}

pub(super) fn schema(id: u16, name: &str, encoding: &str, data: &[u8]) -> Vec<u8> {
    record(op::SCHEMA, &[id.to_le_bytes().to_vec(), text(name), text(encoding), block(data)].concat())
}

pub(super) fn channel(id: u16, schema_id: u16, topic: &str, encoding: &str) -> Vec<u8> {
    let ids = [id.to_le_bytes(), schema_id.to_le_bytes()].concat();
    record(op::CHANNEL, &[ids, text(topic), text(encoding), map(&[])].concat())
}

pub(super) fn message(channel_id: u16, log_time: u64, data: &[u8]) -> Vec<u8> {
    let times = [log_time.to_le_bytes(), log_time.to_le_bytes()].concat();
    record(op::MESSAGE, &[&channel_id.to_le_bytes()[..], &[0; 4], &times, data].concat())
}

/// A chunk of `records`, stored as `stored`.
pub(super) fn chunk(records: &[u8], compression: &str, stored: &[u8]) -> Vec<u8> {
    let content = [
        vec![0; 16],
        (records.len() as u64).to_le_bytes().to_vec(),
        crc32fast::hash(records).to_le_bytes().to_vec(),
        text(compression),
        (stored.len() as u64).to_le_bytes().to_vec(),
        stored.to_vec(),
    ];
    record(op::CHUNK, &content.concat())
}

pub(super) fn metadata(name: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    record(op::METADATA, &[text(name), map(pairs)].concat())
}

/// A whole file without a summary.
pub(super) fn log(records: &[Vec<u8>]) -> Bytes {
    let header = record(op::HEADER, &[text(""), text("test")].concat());
    let end = [record(op::DATA_END, &[0; 4]), record(op::FOOTER, &[0; 20])].concat();
    [&MAGIC[..], &header, &records.concat(), &end, &MAGIC].concat().into()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    // Small blocks, as the LZ4 library writes them when not asked for others.
    let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn chunks_of_several_frames_and_padding() {
    let records = [channel(1, 0, "/a", ""), message(1, 1, &[7; 300]), message(1, 2, &[8; 300])].concat();
    let (front, back) = records.split_at(100);
    let zstd = |it: &[u8]| zstd::encode_all(it, 1).unwrap();
    let skippable = [&0x184d_2a50_u32.to_le_bytes()[..], &4u32.to_le_bytes(), b"skip"].concat();
    let stored: Vec<(&str, Vec<u8>)> = vec![
        ("", records.clone()),
        ("zstd", zstd(&records)),
        ("zstd", [zstd(front), zstd(back)].concat()),
        ("zstd", [zstd(front), skippable, zstd(back)].concat()),
        ("zstd", [zstd(&records), vec![0; 7]].concat()),
        ("lz4", lz4(&records)),
        ("lz4", [lz4(front), lz4(back)].concat()),
        ("lz4", [lz4(&records), vec![0; 5]].concat()),
    ];
    for (compression, stored) in stored {
        let (_, outcome) = read(&log(&[chunk(&records, compression, &stored)]), &undecoded());
        assert_eq!(outcome.topics["/a"].payloads, [vec![7; 300], vec![8; 300]], "{compression}");
        // Whatever is cut from the end, rows are never made up, and the loss is said.
        let cut = &stored[..stored.len() - 20];
        let (source, outcome) =
            read(&log(&[channel(1, 0, "/a", ""), chunk(&records, compression, cut)]), &salvage());
        assert_eq!(outcome.n_rows(), 0, "{compression}");
        assert!(damage(&*source).len() + outcome.errors.len() == 1, "{compression}");
    }
}

#[test]
fn a_chunk_that_grows_past_its_header_is_stopped() {
    let bomb = vec![0; 64 << 20];
    let records = [channel(1, 0, "/a", ""), message(1, 1, b"x")].concat();
    for (compression, stored) in
        [("zstd", zstd::encode_all(bomb.as_slice(), 1).unwrap()), ("lz4", lz4(&bomb))]
    {
        let err = open(&log(&[chunk(&records, compression, &stored)]), &undecoded()).err().unwrap();
        assert_eq!(err.kind(), ErrorKind::Corrupt);
        assert!(err.to_string().contains("goes on after"), "{err}");
    }
    let limited = OpenOptions { record_bytes_max: 1 << 20, ..OpenOptions::default() };
    let err = open(&log(&[chunk(&bomb, "lz4", &lz4(&bomb))]), &limited).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Limit);
}

#[test]
fn a_pointer_instead_of_a_file() {
    let pointer = Bytes::from_static(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n");
    let err = open(&pointer, &OpenOptions::default()).err().unwrap();
    assert_eq!(err.hint(), Some("`git lfs pull` fetches the file"));
    let err = open(&Bytes::from_static(b"PK\x03\x04...."), &OpenOptions::default()).err().unwrap();
    assert_eq!(
        err.to_string(),
        r"file starts with `PK\x03\x04....`, but MCAP files start with `\x89MCAP0\r\n`"
    );
}

#[test]
fn every_metadata_record_of_a_name_is_kept() {
    let records = [
        metadata("rosbag2", &[("count", "0"), ("open", "yes")]),
        metadata("other", &[("a", "b")]),
        metadata("rosbag2", &[("count", "12")]),
    ];
    let source = open(&log(&records), &OpenOptions::default()).unwrap();
    let metadata: Vec<_> =
        source.plan().episodes[0].metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let kept =
        ["mcap.library=test", "other.a=b", "rosbag2#1.count=0", "rosbag2#1.open=yes", "rosbag2.count=12"];
    assert_eq!(metadata, kept);
}

#[test]
fn streams_join_over_files_by_definition() {
    let first = log(&[
        schema(1, "T", "x", b"old"),
        channel(1, 1, "/a", "y"),
        channel(2, 1, "/a", "y"),
        message(1, 1, b"1"),
        message(2, 2, b"2"),
    ]);
    let second = log(&[
        schema(9, "T", "x", b"new"),
        schema(3, "T", "x", b"old"),
        channel(7, 9, "/a", "y"),
        channel(8, 3, "/a", "y"),
        message(7, 3, b"3"),
        message(8, 4, b"4"),
    ]);
    let files = MemoryFiles::default().with("b.mcap", second).with("a.mcap", first);
    let source = MCAP.open(Arc::new(files), &OpenOptions::default()).unwrap();
    let names: Vec<&str> = source.plan().streams.iter().map(|it| &*it.name).collect();
    assert_eq!(names.len(), 2);
    assert_eq!(names[0], "/a");
    assert!(names[1].starts_with("/a#") && names[1].len() == 3 + 8, "{names:?}");
    let outcome = read_all(&*source, &ReadOptions::default());
    assert_eq!(outcome.topics["/a"].log_times, [1, 2, 4]);
    assert_eq!(outcome.topics[names[1]].log_times, [3]);
    let keys: Vec<&str> = source.plan().episodes.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["a.mcap", "b.mcap"]);
    assert_eq!(source.plan().streams[1].metadata["schema"], "new");
}

#[test]
fn one_unreadable_file_does_not_stop_a_salvage() {
    let sound = log(&[channel(1, 0, "/a", ""), message(1, 1, b"1")]);
    let files = || MemoryFiles::default().with("a.mcap", "nothing like it").with("b.mcap", sound.clone());
    assert!(MCAP.open(Arc::new(files()), &undecoded()).is_err());
    let source = MCAP.open(Arc::new(files()), &salvage()).unwrap();
    assert_eq!(damage(&*source).len(), 1);
    assert_eq!(damage(&*source)[0].byte_range, Some(0..15));
    assert_eq!(read_all(&*source, &ReadOptions::default()).n_rows(), 1);
}

#[test]
fn a_schema_that_does_not_parse_costs_only_its_topic() {
    let records = [
        schema(1, "T", "jsonschema", b"{ not json"),
        channel(1, 1, "/bad", "json"),
        channel(2, 0, "/good", ""),
        message(1, 1, b"{}"),
        message(2, 2, b"x"),
    ];
    for options in [OpenOptions::default(), OpenOptions { salvage: true, ..OpenOptions::default() }] {
        let (source, outcome) = read(&log(&records), &options);
        assert_eq!((outcome.n_rows(), outcome.errors.len(), damage(&*source).len()), (2, 0, 0));
        assert_eq!(outcome.topics["/bad"].payloads, [b"{}"]);
    }
    let strict = OpenOptions { on_misfit: OnMisfit::Fail, ..OpenOptions::default() };
    let source = open(&log(&records), &strict).unwrap();
    let err = source.read(0, &ReadOptions::default()).unwrap().next_batch().err().unwrap();
    assert_eq!((err.kind(), err.locus().topic.as_deref()), (ErrorKind::Misfit, Some("/bad")));
    let options = OpenOptions { undecoded: vec!["/bad".to_owned()], ..strict };
    assert_eq!(read(&log(&records), &options).1.n_rows(), 2);
}

#[test]
fn only_what_is_selected_is_read() {
    let records = |id: u16, topic: &str, time: u64| {
        [channel(id, 0, topic, ""), message(id, time, &time.to_le_bytes())].concat()
    };
    let (a, b) = (records(1, "/a", 10), records(2, "/b", 20));
    // The second chunk cannot be decompressed: whoever reads it meets an error.
    let log = log(&[
        channel(2, 0, "/b", ""),
        chunk(&a, "zstd", &zstd::encode_all(a.as_slice(), 1).unwrap()),
        chunk(&b, "zstd", b"junk"),
    ]);
    assert_eq!(read(&log, &salvage()).1.errors.len(), 1);
    let source = open(&log, &OpenOptions { topics: Some(vec!["/a".to_owned()]), ..salvage() }).unwrap();
    assert_eq!(source.plan().unselected, ["/b"]);
    assert_eq!(read_all(&*source, &ReadOptions::default()).topics["/a"].log_times, [10]);
    let err = open(&log, &OpenOptions { topics: Some(vec!["/c".to_owned()]), ..salvage() }).err().unwrap();
    assert_eq!(err.kind(), ErrorKind::Config);
}

#[test]
fn time_ranges_are_half_open() {
    let messages: Vec<Vec<u8>> = (0..10).map(|it| message(1, it, &[it as u8])).collect();
    let log = log(&[channel(1, 0, "/a", ""), messages.concat()]);
    let options = OpenOptions { time_range: TimeRange { start_ns: 3, end_ns: Some(6) }, ..undecoded() };
    assert_eq!(read(&log, &options).1.topics["/a"].log_times, [3, 4, 5]);
}

#[test]
fn compressed_payloads_are_recognised() {
    let packed = zstd::encode_all(&b"\0\x01\0\0\x03\0\0\0ok\0"[..], 1).unwrap();
    let records = [
        schema(1, "std_msgs/msg/String", "ros2msg", b"string data\n"),
        channel(1, 1, "/s", "cdr"),
        message(1, 1, &packed),
    ];
    let (source, outcome) = read(&log(&records), &OpenOptions::default());
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    assert_eq!(outcome.topics["/s"].log_times, [1]);
    assert_eq!(source.plan().streams[0].features[3].name, "data");
    // Undecoded stays as it is.
    let (_, outcome) = read(&log(&records), &undecoded());
    assert_eq!(outcome.topics["/s"].payloads, [packed]);
}

#[test]
fn a_damaged_length_outside_chunks_costs_one_message() {
    let messages: Vec<Vec<u8>> = (0..20).map(|it| message(1, it, &[it as u8; 40])).collect();
    let front = [channel(1, 0, "/a", "")];
    let whole = log(&[front.concat(), messages.concat()]);
    let start = log(&front).len() - (13 + 29 + 8);
    let n_message = messages[0].len();
    // Too short, too long by a bit, and beyond the file.
    for length in [10u64, 63, 200, u64::MAX] {
        let mut bytes = whole.to_vec();
        let at = start + 7 * n_message + 1;
        bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
        assert!(open(&bytes.clone().into(), &undecoded()).is_err(), "{length}");
        let (source, outcome) = read(&bytes.into(), &salvage());
        let times = &outcome.topics["/a"].log_times;
        let others: Vec<i64> = (0..20).filter(|it| *it != 7).collect();
        let kept: Vec<i64> = times.iter().copied().filter(|it| *it != 7).collect();
        assert_eq!(kept, others, "{length}: {:?}", damage(&*source));
        assert!(!damage(&*source).is_empty());
    }
}

#[test]
fn a_schema_with_two_meanings_never_decodes_with_the_wrong_one() {
    let second = [schema(1, "T", "x", b"new"), channel(2, 1, "/b", "y"), message(2, 2, b"2")].concat();
    let log = log(&[
        schema(1, "T", "x", b"old"),
        channel(1, 1, "/a", "y"),
        message(1, 1, b"1"),
        chunk(&second, "", &second),
        message(1, 3, b"3"),
    ]);
    let err = open(&log, &OpenOptions::default()).err().unwrap();
    assert!(err.to_string().contains("schema 1 is `T` here"), "{err}");
    let (source, outcome) = read(&log, &salvage());
    assert_eq!(damage(&*source).len(), 1);
    assert_eq!(outcome.topics["/a"].payloads, [b"1"]);
    assert_eq!(outcome.n_rows(), 1);
    assert_eq!(outcome.reasons(), ["unknown_channel"; 2]);
}

#[test]
fn a_broken_definition_in_a_chunk_does_not_hide_the_others() {
    let mut bad = channel(1, 0, "/bad", "y");
    bad[9 + 4 + 4] = 0xff;
    let records = [bad, channel(2, 0, "/good", "y"), message(1, 1, b"1"), message(2, 2, b"2")].concat();
    let log = log(&[chunk(&records, "", &records)]);
    assert!(open(&log, &OpenOptions::default()).is_err());
    let (source, outcome) = read(&log, &salvage());
    assert_eq!(damage(&*source).len(), 1);
    assert_eq!(outcome.topics["/good"].payloads, [b"2"]);
    assert_eq!(outcome.reasons(), ["unknown_channel"]);
}

#[test]
fn of_a_cut_chunk_the_whole_records_at_its_front_are_kept() {
    // Hashes do not compress, so a third of the bytes is a third of the messages.
    let noise = |it: u64| -> Vec<u8> {
        let mut noise = vec![0; 1000];
        blake3::Hasher::new().update(&it.to_le_bytes()).finalize_xof().fill(&mut noise);
        noise
    };
    let messages: Vec<u8> = (0..1000).flat_map(|it| message(1, it, &noise(it))).collect();
    let records = [channel(1, 0, "/a", ""), messages].concat();
    let zstd = zstd::encode_all(records.as_slice(), 1).unwrap();
    for (compression, stored) in [("", records.clone()), ("zstd", zstd), ("lz4", lz4(&records))] {
        let whole = log(&[chunk(&records, compression, &stored)]);
        let cut = whole.slice(..whole.len() - stored.len() / 3);
        let (source, outcome) = read(&cut, &salvage());
        let Some(rows) = outcome.topics.get("/a") else { panic!("{compression}: {:?}", outcome.errors) };
        let times = &rows.log_times;
        assert!((400..700).contains(&times.len()), "{compression}: {}", times.len());
        assert!(times.iter().copied().eq(0..times.len() as i64), "{compression}");
        assert!(outcome.topics["/a"].payloads.iter().zip(0..).all(|(found, it)| *found == noise(it)));
        assert!(!damage(&*source).is_empty());
        let uncounted =
            |it: &nodedata_core::Error| it.loss().is_some_and(|it| it.uncounted || !it.records.is_empty());
        let at_opening = damage(&*source).iter().any(|it| it.uncounted || !it.records.is_empty());
        assert!(at_opening || outcome.errors.iter().any(uncounted), "{compression}");
    }
}

#[test]
fn a_chunk_with_a_damaged_length_is_read_by_that_of_its_records() {
    let records = |time: u64| [channel(1, 0, "/a", ""), message(1, time, &[1; 200])].concat();
    let chunks: Vec<Vec<u8>> = (0..3).map(|it| chunk(&records(it), "lz4", &lz4(&records(it)))).collect();
    let start = log(&chunks[..1]).len() - (13 + 29 + 8);
    for length in [10u64, 100, 1 << 40, u64::MAX - 1] {
        let mut bytes = log(&chunks).to_vec();
        bytes[start + 1..start + 9].copy_from_slice(&length.to_le_bytes());
        assert!(open(&bytes.clone().into(), &undecoded()).is_err(), "{length}");
        let (source, outcome) = read(&bytes.into(), &salvage());
        assert_eq!(outcome.topics["/a"].log_times, [0, 1, 2], "{length}: {:?}", damage(&*source));
        assert_eq!(damage(&*source).len(), 1, "{length}: {:?}", damage(&*source));
    }
}
