//! What the fuzz targets `protobuf`, `flatbuffer` and `json_cbor` do, for a few thousand seeded mutations on a stable
//! compiler.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::{collections::BTreeMap, sync::Arc};

use nodedata_core::{Columns, Layout, LeafId};
use nodedata_message::{JsonInference, MessageDecoder, MessageSchema, Pixels, Place};
use nodedata_testkit::{corpus, damaged::Random};

/// What a recording says of one channel, and its first messages.
#[derive(Debug, Default)]
struct Channel {
    message_encoding: String,
    schema_encoding: String,
    schema_name: String,
    schema: Vec<u8>,
    payloads: Vec<Vec<u8>>,
}

impl Channel {
    fn decoder(&self, schema: &[u8], layout: &mut Layout) -> nodedata_core::Result<MessageDecoder> {
        let schema = MessageSchema {
            message_encoding: &self.message_encoding,
            schema_encoding: &self.schema_encoding,
            schema_name: &self.schema_name,
            schema,
        };
        if !schema.needs_inference() {
            return MessageDecoder::compile(layout, &schema);
        }
        let mut inference =
            if self.message_encoding == "cbor" { JsonInference::cbor() } else { JsonInference::default() };
        for (at, payload) in self.payloads.iter().enumerate() {
            drop(inference.observe(payload, Place { input: 0, at: at as u64 }));
        }
        inference.compile(layout)
    }
}

/// Channels of the encodings, with up to three messages each.
fn channels(recording: &str, encodings: &[&str]) -> Vec<Channel> {
    let log = std::fs::read(corpus::recording(recording)).unwrap();
    let mut channels: BTreeMap<u16, Channel> = BTreeMap::new();
    for message in mcap::MessageStream::new(&log).unwrap().map(Result::unwrap) {
        let encoding = &message.channel.message_encoding;
        if !encodings.contains(&encoding.as_str()) {
            continue;
        }
        let channel = channels.entry(message.channel.id).or_insert_with(|| {
            let mut channel = Channel { message_encoding: encoding.clone(), ..Channel::default() };
            if let Some(schema) = &message.channel.schema {
                channel.schema_name.clone_from(&schema.name);
                channel.schema_encoding.clone_from(&schema.encoding);
                channel.schema = schema.data.to_vec();
            }
            channel
        });
        if channel.payloads.len() < 3 {
            channel.payloads.push(message.data.to_vec());
        }
    }
    let channels: Vec<Channel> = channels.into_values().collect();
    assert!(!channels.is_empty(), "{recording} has messages of {encodings:?}");
    channels
}

/// Inputs that were taken and refused.
#[derive(Debug, Default, Clone, Copy)]
struct Outcomes {
    n_good: usize,
    n_bad: usize,
}

/// Decodes damaged payloads: a row is there or it is not, and no payload takes more than `base` bytes and 32 for each
/// of its own.
fn decode_damaged(channel: &Channel, random: &mut Random, n_rounds: usize, base: usize) -> Outcomes {
    let mut layout = Layout::default();
    let decoder = channel.decoder(&channel.schema, &mut layout).unwrap();
    let mut columns = Columns::new(Arc::new(layout));
    let mut pixels = Pixels::default();
    let mut outcomes = Outcomes::default();
    for payload in channel.payloads.iter().cycle().take(n_rounds) {
        let mut payload = payload.clone();
        random.damage(&mut payload);
        let before = columns.n_bytes();
        let result = decoder.decode(&payload, &mut columns, &mut pixels);
        let grown = columns.n_bytes() - before;
        assert!(grown <= 32 * payload.len() + base, "{grown} bytes from {}", payload.len());
        match result {
            Ok(_) => {
                columns.end_row();
                outcomes.n_good += 1;
            }
            Err(err) => {
                columns.abort_row();
                assert_eq!(columns.n_bytes(), before, "{err}");
                outcomes.n_bad += 1;
            }
        }
    }
    // Arrow checks offsets and text again: rows that came out of damage are still well formed.
    columns.finish();
    outcomes
}

/// Compiles damaged schemas; one that still compiles meets payloads that it does not describe.
fn compile_damaged(channel: &Channel, random: &mut Random, n_rounds: usize) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for _ in 0..n_rounds {
        let mut schema = channel.schema.clone();
        random.damage(&mut schema);
        let mut layout = Layout::default();
        let Ok(decoder) = channel.decoder(&schema, &mut layout) else {
            outcomes.n_bad += 1;
            continue;
        };
        outcomes.n_good += 1;
        let mut columns = Columns::new(Arc::new(layout));
        for payload in &channel.payloads {
            match decoder.decode(payload, &mut columns, &mut Pixels::default()) {
                Ok(_) => columns.end_row(),
                Err(_) => columns.abort_row(),
            }
        }
        columns.finish();
    }
    outcomes
}

/// Small columns of a row, and offsets of its lists.
const BASE_BYTES: usize = 4096;
/// Offsets of FlatBuffers may share what they point at: what small buffers bring has a budget.
const FLATBUFFER_BYTES: usize = 64 << 20;

#[test]
fn damaged_protobuf_messages_and_descriptors() {
    let mut random = Random::new(3);
    for channel in channels("foxglove_protobuf_none", &["protobuf"]) {
        let found = decode_damaged(&channel, &mut random, 400, BASE_BYTES);
        assert!(found.n_good > 20 && found.n_bad > 20, "{}: {found:?}", channel.schema_name);
        let found = compile_damaged(&channel, &mut random, 200);
        assert!(found.n_good > 5 && found.n_bad > 20, "{}: {found:?}", channel.schema_name);
    }
}

#[test]
fn damaged_flatbuffers_and_their_schemas() {
    let mut random = Random::new(5);
    for channel in channels("foxglove_flatbuffer", &["flatbuffer"]) {
        let found = decode_damaged(&channel, &mut random, 400, FLATBUFFER_BYTES);
        assert!(found.n_good > 20 && found.n_bad > 20, "{}: {found:?}", channel.schema_name);
        let found = compile_damaged(&channel, &mut random, 200);
        assert!(found.n_good > 5 && found.n_bad > 20, "{}: {found:?}", channel.schema_name);
    }
}

#[test]
fn damaged_json_and_cbor() {
    let mut random = Random::new(11);
    let (mut n_good, mut n_bad) = (0, 0);
    for channel in channels("json_and_cbor", &["json", "cbor"]) {
        let found = decode_damaged(&channel, &mut random, 600, BASE_BYTES);
        (n_good, n_bad) = (n_good + found.n_good, n_bad + found.n_bad);
        if !channel.schema.is_empty() {
            compile_damaged(&channel, &mut random, 200);
        }
    }
    assert!(n_good > 100 && n_bad > 100, "{n_good} decoded, {n_bad} refused");
}

/// Topics of which one message did not fit: every payload gives a row, of columns, of text, or of its bytes.
#[test]
fn damaged_messages_of_topics_that_hold_misfits() {
    let mut random = Random::new(13);
    let (mut n_whole, mut n_bytes) = (0, 0);
    for (recording, encodings) in [
        ("json_and_cbor", &["json", "cbor"][..]),
        ("foxglove_protobuf_none", &["protobuf"]),
        ("foxglove_flatbuffer", &["flatbuffer"]),
    ] {
        for channel in channels(recording, encodings).iter().filter(|it| !it.schema.is_empty()) {
            let schema = MessageSchema {
                message_encoding: &channel.message_encoding,
                schema_encoding: &channel.schema_encoding,
                schema_name: &channel.schema_name,
                schema: &channel.schema,
            };
            let mut layout = Layout::default();
            let decoder = MessageDecoder::compile_loose(&mut layout, &schema).unwrap();
            if decoder.is_opaque() {
                continue;
            }
            let unknown = decoder.hold_misfits(&mut layout, LeafId(0));
            let mut columns = Columns::new(Arc::new(layout));
            let mut pixels = Pixels::default();
            let n_rows = 200;
            for payload in channel.payloads.iter().cycle().take(n_rows) {
                let mut payload = payload.clone();
                random.damage(&mut payload);
                let mut decoded = decoder.decode(&payload, &mut columns, &mut pixels);
                if decoded.is_err()
                    && let Some(respelled) = decoder.respelled(&payload)
                {
                    columns.abort_row();
                    decoded = decoder.decode(&respelled, &mut columns, &mut pixels);
                }
                if decoded.is_ok() {
                    if !decoder.fills(unknown) {
                        columns.push_null(unknown);
                    }
                    n_whole += 1;
                } else {
                    columns.abort_row();
                    columns.push_absent_but(unknown);
                    columns.push_bytes(unknown, &payload);
                    columns.push_valid(unknown);
                    n_bytes += 1;
                }
                columns.end_row();
            }
            assert!(columns.finish().iter().all(|it| it.len() == n_rows));
        }
    }
    assert!(100 < n_whole && 100 < n_bytes, "{n_whole} decoded, {n_bytes} kept as bytes");
}
