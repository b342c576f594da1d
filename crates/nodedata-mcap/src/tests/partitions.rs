//! Rows do not depend on how a log was written, planned or cut into partitions.

use std::{borrow::Cow, collections::BTreeMap, io::Cursor, sync::Arc};

use bytes::Bytes;
use mcap::{Channel, Compression, Message, Schema, WriteOptions};
use nodedata_core::{OpenOptions, ReadOptions};
use proptest::prelude::*;

use super::{TopicRows, damage, open, read_all, recordings, undecoded};

#[derive(Debug, Clone)]
struct Written {
    channel: usize,
    log_time: u32,
    sequence: u32,
    data: Vec<u8>,
}

fn messages() -> impl Strategy<Value = Vec<Written>> {
    let one = (0..4usize, any::<u32>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..200));
    let one =
        one.prop_map(|(channel, log_time, sequence, data)| Written { channel, log_time, sequence, data });
    proptest::collection::vec(one, 0..60)
}

/// Bits choose what the writer leaves out.
fn options(bits: u16) -> WriteOptions {
    let bit = |idx: u16| bits & (1 << idx) == 0;
    let compression = match bits >> 12 & 3 {
        0 => None,
        1 => Some(Compression::Zstd),
        _ => Some(Compression::Lz4),
    };
    WriteOptions::new()
        .compression(compression)
        .chunk_size(Some(300))
        .use_chunks(bit(0))
        .emit_statistics(bit(1))
        .emit_summary_offsets(bit(2))
        .emit_message_indexes(bit(3))
        .emit_chunk_indexes(bit(4))
        .repeat_channels(bit(5))
        .repeat_schemas(bit(6))
        .calculate_chunk_crcs(bit(7))
        // The `mcap` crate (0.26) leaves the bytes of chunks out of this CRC when chunks have none of
        // their own, so that combination is never right.
        .calculate_data_section_crc(bit(7) && bit(8))
        .calculate_summary_section_crc(bit(9))
        .calculate_attachment_crcs(bit(10))
        .emit_attachment_indexes(bit(11))
}

fn write(messages: &[Written], bits: u16) -> Bytes {
    let mut writer = options(bits).create(Cursor::new(Vec::new())).unwrap();
    let schema =
        Arc::new(Schema { id: 1, name: "T".into(), encoding: "x".into(), data: Cow::Borrowed(b"s") });
    for (idx, it) in messages.iter().enumerate() {
        let channel = Channel {
            id: it.channel as u16 + 1,
            topic: format!("/{}", it.channel),
            schema: (it.channel != 0).then(|| Arc::clone(&schema)),
            message_encoding: "y".into(),
            metadata: BTreeMap::new(),
        };
        let message = Message {
            channel: Arc::new(channel),
            sequence: it.sequence,
            log_time: it.log_time.into(),
            publish_time: 5,
            data: Cow::Borrowed(&it.data),
        };
        writer.write(&message).unwrap();
        if idx % 16 == 7 {
            let attachment = mcap::Attachment {
                log_time: 1,
                create_time: 2,
                name: format!("{idx}"),
                media_type: "text/plain".into(),
                data: Cow::Borrowed(b"hello"),
            };
            writer.attach(&attachment).unwrap();
        }
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner().into()
}

fn rows_of(messages: &[Written]) -> BTreeMap<String, TopicRows> {
    let mut topics: BTreeMap<String, TopicRows> = BTreeMap::new();
    for it in messages {
        let rows = topics.entry(format!("/{}", it.channel)).or_default();
        rows.log_times.push(it.log_time.into());
        rows.publish_times.push(5);
        rows.sequences.push(it.sequence);
        rows.payloads.push(it.data.clone());
    }
    topics
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_written_is_read(messages in messages(), bits in any::<u16>(), partition_bytes in 1u64..3000) {
        let log = write(&messages, bits);
        let expected = rows_of(&messages);
        for salvage in [false, true] {
            let options = OpenOptions { partition_bytes, salvage, ..OpenOptions::default() };
            let source = open(&log, &options).unwrap();
            let outcome = read_all(&*source, &ReadOptions { batch_bytes_max: 100, ..ReadOptions::default() });
            prop_assert!(outcome.errors.is_empty() && damage(&*source).is_empty(), "{:?}", outcome.errors);
            prop_assert_eq!(&outcome.topics, &expected);
            prop_assert_eq!(source.plan().attachments.len(), (messages.len() + 8) / 16);
        }
    }
}

#[test]
fn partitions_of_any_size_give_the_same_rows() {
    for (name, bytes) in recordings() {
        let mut seen = None;
        for partition_bytes in [1, 8 << 20, u64::MAX] {
            let source = open(&bytes, &OpenOptions { partition_bytes, ..undecoded() }).unwrap();
            let ranges: Vec<_> =
                source.plan().partitions.iter().map(|it| it.reads[0].byte_range.clone()).collect();
            assert!(ranges.windows(2).all(|it| it[0].end <= it[1].start), "{name}");
            if partition_bytes == u64::MAX {
                assert_eq!(ranges.len(), 1, "{name}");
            }
            let topics = read_all(&*source, &ReadOptions::default()).topics;
            assert_eq!(*seen.get_or_insert_with(|| topics.clone()), topics, "{name} {partition_bytes}");
        }
    }
}
