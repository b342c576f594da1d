//! The conformance data of the MCAP specification: every file, read record by record and as a source.

use std::{collections::BTreeMap, io::Read as _};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{corpus, damage, open, read_all, salvage, undecoded};
use crate::{
    chunk::ChunkDecoder,
    fields::Fields,
    records::{self, MAGIC, RECORD_HEAD_BYTES, op},
    walk::next_record,
};

/// Name, log and expectation of every case.
fn cases() -> Vec<(String, Bytes, Value)> {
    let Some(path) = corpus::folder("logs/public/mcap-conformance.tar.zst") else { return Vec::new() };
    let packed = std::fs::read(path).unwrap();
    let tar = zstd::decode_all(packed.as_slice()).unwrap();
    let mut files = untar(&tar);
    let names: Vec<String> = files.keys().filter(|it| it.ends_with(".mcap")).cloned().collect();
    let case = |name: String| {
        let log = files.remove(&name).unwrap();
        let expected = files.remove(&name.replace(".mcap", ".json")).unwrap();
        (name, Bytes::from(log), serde_json::from_slice(&expected).unwrap())
    };
    names.into_iter().map(case).collect()
}

/// The plain files of a tar archive.
fn untar(mut tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    while let Some((header, rest)) = tar.split_first_chunk::<512>() {
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field.iter().position(|it| matches!(it, 0 | b' ')).unwrap_or(field.len());
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        if header.iter().all(|it| *it == 0) {
            break;
        }
        let n_bytes = usize::from_str_radix(&text(124..136), 8).unwrap();
        let mut content = Vec::new();
        (&rest[..n_bytes]).read_to_end(&mut content).unwrap();
        if matches!(header[156], b'0' | 0) {
            files.insert(format!("{}{}", text(345..500), text(0..100)), content);
        }
        tar = &rest[n_bytes.next_multiple_of(512)..];
    }
    files
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and text alike, in a map")]
fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

fn byte_list(bytes: &[u8]) -> Value {
    Value::Array(bytes.iter().map(text).collect())
}

fn text_map<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Value {
    Value::Object(pairs.into_iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect())
}

fn count_map<'a>(pairs: impl IntoIterator<Item = &'a (u16, u64)>) -> Value {
    Value::Object(pairs.into_iter().map(|(key, value)| (key.to_string(), text(value))).collect())
}

/// A record as the expectations spell it.
fn spelled(opcode: u8, content: &[u8]) -> Option<(&'static str, Value)> {
    Some(match opcode {
        op::HEADER => {
            let it = records::Header::parse(content).unwrap();
            ("Header", json!({"profile": it.profile, "library": it.library}))
        }
        op::FOOTER => {
            let it = records::Footer::parse(content).unwrap();
            (
                "Footer",
                json!({"summary_start": text(it.summary_start), "summary_crc": text(it.summary_crc),
                    "summary_offset_start": text(it.summary_offset_start)}),
            )
        }
        op::SCHEMA => {
            let it = records::Schema::parse(content).unwrap();
            (
                "Schema",
                json!({"id": text(it.id), "name": it.name, "encoding": it.encoding, "data": byte_list(it.data)}),
            )
        }
        op::CHANNEL => {
            let it = records::Channel::parse(content).unwrap();
            (
                "Channel",
                json!({"id": text(it.id), "schema_id": text(it.schema_id), "topic": it.topic,
                    "message_encoding": it.message_encoding, "metadata": text_map(&it.metadata)}),
            )
        }
        op::MESSAGE => {
            let it = records::Message::parse(content).unwrap();
            (
                "Message",
                json!({"channel_id": text(it.channel_id), "sequence": text(it.sequence),
                    "log_time": text(it.log_time), "publish_time": text(it.publish_time),
                    "data": byte_list(it.data)}),
            )
        }
        op::ATTACHMENT => {
            let it = records::Attachment::parse(content).unwrap();
            assert_eq!(crc32fast::hash(&content[..it.n_covered]), it.crc);
            (
                "Attachment",
                json!({"log_time": text(it.log_time), "create_time": text(it.create_time), "name": it.name,
                    "media_type": it.media_type, "data": byte_list(it.data)}),
            )
        }
        op::METADATA => {
            let it = records::Metadata::parse(content).unwrap();
            ("Metadata", json!({"name": it.name, "metadata": text_map(&it.entries)}))
        }
        op::DATA_END => {
            ("DataEnd", json!({"data_section_crc": text(records::parse_data_end(content).unwrap())}))
        }
        _ => return spelled_summary(opcode, content),
    })
}

fn spelled_summary(opcode: u8, content: &[u8]) -> Option<(&'static str, Value)> {
    Some(match opcode {
        op::CHUNK_INDEX => {
            let it = records::ChunkIndex::parse(content).unwrap();
            (
                "ChunkIndex",
                json!({"message_start_time": text(it.start_time), "message_end_time": text(it.end_time),
                    "chunk_start_offset": text(it.chunk_start_offset), "chunk_length": text(it.chunk_length),
                    "message_index_offsets": count_map(&it.message_index_offsets),
                    "message_index_length": text(it.message_index_length), "compression": it.compression,
                    "compressed_size": text(it.compressed_size),
                    "uncompressed_size": text(it.uncompressed_size)}),
            )
        }
        op::STATISTICS => {
            let it = records::Statistics::parse(content).unwrap();
            (
                "Statistics",
                json!({"message_count": text(it.message_count), "schema_count": text(it.schema_count),
                    "channel_count": text(it.channel_count), "attachment_count": text(it.attachment_count),
                    "metadata_count": text(it.metadata_count), "chunk_count": text(it.chunk_count),
                    "message_start_time": text(it.start_time), "message_end_time": text(it.end_time),
                    "channel_message_counts": count_map(&it.channel_message_counts)}),
            )
        }
        0x0a => {
            let mut it = Fields::new("AttachmentIndex", content);
            let mut fields = Map::new();
            for name in ["offset", "length", "log_time", "create_time", "data_size"] {
                fields.insert(name.to_owned(), text(it.u64(name).unwrap()));
            }
            for name in ["name", "media_type"] {
                fields.insert(name.to_owned(), text(it.text(name).unwrap()));
            }
            ("AttachmentIndex", Value::Object(fields))
        }
        0x0d => {
            let mut it = Fields::new("MetadataIndex", content);
            (
                "MetadataIndex",
                json!({"offset": text(it.u64("offset").unwrap()), "length": text(it.u64("length").unwrap()),
                    "name": it.text("name").unwrap()}),
            )
        }
        0x0e => {
            let mut it = Fields::new("SummaryOffset", content);
            (
                "SummaryOffset",
                json!({"group_opcode": text(it.bytes(1, "group_opcode").unwrap()[0]),
                    "group_start": text(it.u64("group_start").unwrap()),
                    "group_length": text(it.u64("group_length").unwrap())}),
            )
        }
        op::CHUNK | op::MESSAGE_INDEX => return None,
        other => panic!("opcode {other:#x}"),
    })
}

/// Every record of a file with its chunks opened.
fn spelled_records(log: &Bytes) -> Vec<Value> {
    let mut spelled_records = Vec::new();
    let mut put = |opcode: u8, content: &[u8]| {
        if let Some((kind, fields)) = spelled(opcode, content) {
            let Value::Object(fields) = fields else { panic!("{kind} is an object") };
            let fields: Vec<Value> = fields.into_iter().map(|(key, value)| json!([key, value])).collect();
            spelled_records.push(json!({"type": kind, "fields": fields}));
        }
    };
    let body = &log[MAGIC.len()..log.len() - MAGIC.len()];
    let mut at = 0;
    while let Some((opcode, content)) = next_record(body, &mut at).unwrap() {
        if opcode == op::CHUNK {
            let mut decoder = ChunkDecoder::new(1 << 20, true);
            decoder.decode(&log.slice_ref(content)).unwrap();
            let mut inner = 0;
            while let Some((opcode, content)) = next_record(decoder.records(), &mut inner).unwrap() {
                put(opcode, content);
            }
        }
        put(opcode, content);
    }
    assert_eq!(RECORD_HEAD_BYTES, 9);
    spelled_records
}

#[test]
fn every_record_is_what_the_expectation_says() {
    let cases = cases();
    for (name, log, expected) in &cases {
        let found = spelled_records(log);
        let expected = expected["records"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            let sorted = |it: &Value| {
                let mut fields = it["fields"].as_array().unwrap().clone();
                fields.sort_by_key(|it| it[0].as_str().unwrap().to_owned());
                (it["type"].clone(), fields)
            };
            assert_eq!(sorted(found), sorted(expected), "{name}");
        }
    }
    assert!(cases.is_empty() || cases.len() == 416, "{} cases", cases.len());
}

/// Fields of the expected records of one type.
fn expected_of<'a>(expected: &'a Value, kind: &str) -> Vec<BTreeMap<&'a str, &'a Value>> {
    let records = expected["records"].as_array().unwrap().iter();
    let fields = |it: &'a Value| {
        let pairs = it["fields"].as_array().unwrap().iter();
        pairs.map(|it| (it[0].as_str().unwrap(), &it[1])).collect()
    };
    records.filter(|it| it["type"] == kind).map(fields).collect()
}

fn bytes_of(list: &Value) -> Vec<u8> {
    let number = |it: &Value| it.as_str().unwrap().parse().unwrap();
    list.as_array().unwrap().iter().map(number).collect()
}

fn check_source(name: &str, log: &Bytes, expected: &Value, options: &nodedata_core::OpenOptions) {
    let source = open(log, options).unwrap_or_else(|err| panic!("{name}: {err}"));
    let outcome = read_all(&*source, &nodedata_core::ReadOptions::default());
    assert!(
        outcome.errors.is_empty() && damage(&*source).is_empty(),
        "{name}: {:?} {:?}",
        outcome.errors,
        damage(&*source)
    );
    assert_eq!(source.plan().findings, [], "{name}");

    let messages = expected_of(expected, "Message");
    assert_eq!(outcome.n_rows(), messages.len(), "{name}");
    let number = |it: &Value| it.as_str().unwrap().parse::<i64>().unwrap();
    if let Some(rows) = outcome.topics.values().next() {
        assert_eq!(outcome.topics.len(), 1);
        assert_eq!(rows.log_times, messages.iter().map(|it| number(it["log_time"])).collect::<Vec<_>>());
        assert_eq!(
            rows.publish_times,
            messages.iter().map(|it| number(it["publish_time"])).collect::<Vec<_>>()
        );
        let sequences: Vec<i64> = rows.sequences.iter().map(|it| i64::from(*it)).collect();
        assert_eq!(sequences, messages.iter().map(|it| number(it["sequence"])).collect::<Vec<_>>());
        assert_eq!(rows.payloads, messages.iter().map(|it| bytes_of(it["data"])).collect::<Vec<_>>());
    }
    for channel in expected_of(expected, "Channel") {
        let stream =
            source.plan().streams.iter().find(|it| *it.name == *channel["topic"].as_str().unwrap()).unwrap();
        assert_eq!(stream.metadata["message_encoding"], channel["message_encoding"].as_str().unwrap());
        for (key, value) in channel["metadata"].as_object().unwrap() {
            assert_eq!(stream.metadata[&format!("channel.{key}")], value.as_str().unwrap());
        }
        let schema_id = channel["schema_id"];
        if let Some(schema) = expected_of(expected, "Schema").iter().find(|it| it["id"] == schema_id) {
            assert_eq!(stream.metadata["schema_name"], schema["name"].as_str().unwrap());
            assert_eq!(stream.metadata["schema_encoding"], schema["encoding"].as_str().unwrap());
            assert_eq!(stream.metadata["schema"].as_bytes(), bytes_of(schema["data"]));
        }
    }
    let attachments = expected_of(expected, "Attachment");
    assert_eq!(source.plan().attachments.len(), attachments.len(), "{name}");
    for (found, expected) in source.plan().attachments.iter().zip(attachments) {
        assert_eq!(found.name, expected["name"].as_str().unwrap());
        assert_eq!(found.media_type, expected["media_type"].as_str().unwrap());
        assert_eq!(found.log_time_ns, number(expected["log_time"]));
        assert_eq!(found.create_time_ns, number(expected["create_time"]));
        let content = &found.content.byte_range;
        assert_eq!(log[content.start as usize..content.end as usize], bytes_of(expected["data"]));
    }
    for record in expected_of(expected, "Metadata") {
        for (key, value) in record["metadata"].as_object().unwrap() {
            let key = format!("{}.{key}", record["name"].as_str().unwrap());
            let found = &source.plan().episodes[0].metadata[key.as_str()];
            assert_eq!(found.to_string(), value.as_str().unwrap(), "{name}");
        }
    }
}

#[test]
fn every_case_as_a_source() {
    for (name, log, expected) in &cases() {
        // With the summary where there is a sound one, and by walking the file.
        check_source(name, log, expected, &undecoded());
        check_source(name, log, expected, &salvage());
    }
}
