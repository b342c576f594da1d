//! What the fuzz targets do, for a few thousand seeded mutations on a stable compiler.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use std::sync::Arc;

use nodedata_core::{Columns, Layout};
use nodedata_ros::{Definitions, Dialect, RosPlan};
use support::{corpus, mcap};

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                3 if bytes.len() > at + 4 => {
                    let value = [0u32, 1, 0x7fff_ffff, u32::MAX, 0x0100_0000][self.below(5)];
                    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                }
                4 => {
                    let end = at + self.below(bytes.len() - at);
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                // The representation id: all other forms of CDR.
                _ if bytes.len() > 1 => bytes[1] = self.below(22) as u8,
                _ => bytes.push(self.below(256) as u8),
            }
        }
    }
}

fn recorded() -> Option<Vec<mcap::Message>> {
    let mut messages = Vec::new();
    for name in ["teleop_none", "ros1_profile", "ros2idl_and_bigendian"] {
        let all = mcap::messages(&corpus(&format!("mcap/{name}.mcap"))?);
        let mut seen = std::collections::BTreeMap::<String, usize>::new();
        messages.extend(all.into_iter().filter(|it| {
            let n = seen.entry(it.channel.clone()).or_default();
            *n += 1;
            *n <= 2
        }));
    }
    Some(messages)
}

fn definitions(schema: &mcap::Schema, text: &str) -> nodedata_core::Result<Definitions> {
    match schema.encoding.as_str() {
        "ros1msg" => Definitions::from_msg(&schema.name, text, Dialect::Ros1),
        "ros2msg" => Definitions::from_msg(&schema.name, text, Dialect::Ros2),
        _ => Definitions::from_idl(&schema.name, text),
    }
}

#[test]
fn damaged_payloads_are_errors_and_cost_little() {
    let Some(messages) = recorded() else { return };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut n_good, mut n_bad) = (0, 0);
    for message in &messages {
        let definitions = definitions(&message.schema, &message.schema.text).unwrap();
        let mut layout = Layout::default();
        let plan = RosPlan::compile(&mut layout, &definitions, &message.schema.name).unwrap();
        let mut columns = Columns::new(Arc::new(layout));
        for _ in 0..400 {
            let mut payload = message.data.clone();
            random.mutate(&mut payload);
            let before = columns.n_bytes();
            let result = if message.encoding == "cdr" {
                plan.decode_cdr(&payload, &mut columns)
            } else {
                plan.decode_ros1(&payload, &mut columns)
            };
            let grown = columns.n_bytes() - before;
            assert!(grown <= 2 * payload.len() + 4096, "{grown} bytes from {}", payload.len());
            match result {
                Ok(()) => {
                    columns.end_row();
                    n_good += 1;
                }
                Err(err) => {
                    columns.abort_row();
                    assert_eq!(columns.n_bytes(), before, "{err}");
                    n_bad += 1;
                }
            }
        }
        // Arrow checks offsets and text again: rows that came out of damage are still well formed.
        columns.finish();
    }
    eprintln!("{n_good} decoded, {n_bad} refused");
    assert!(n_good > 100 && n_bad > 1000, "{n_good} decoded, {n_bad} refused");
}

/// Kinds of framing that recordings do not have; also in the fuzz target `ros_cdr`.
const IDL: &str = "enum Kind { A, B };
    @final struct Fin { octet o; @optional double d; @optional sequence<long> l; @optional string s[2]; };
    @appendable struct App { long a; Kind k; sequence<Kind> ks; sequence<Fin> fins; Kind pair[2]; };
    @mutable struct Mut { @id(7) long m; @optional App app; sequence<App> apps; @optional wstring s; };
    @mutable struct Root { Mut m; sequence<Mut> ms; @optional Fin f; string text; };";

#[test]
fn framed_payloads_never_panic() {
    let Some(path) = corpus("cdr/vectors.json") else { return };
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = file["msg"]["lab_msgs/msg/Vec"].as_str().unwrap().to_owned()
        + "================\nMSG: lab_msgs/VecInner\n"
        + file["msg"]["lab_msgs/msg/VecInner"].as_str().unwrap();
    let message = Definitions::from_msg("lab_msgs/Vec", &text, Dialect::Ros2).unwrap();
    let framed = Definitions::from_idl("Root", IDL).unwrap();
    let mut random = Random(77);
    let (mut n_good, mut n_bad) = (0, 0);
    for (definitions, root) in [(&message, "lab_msgs/Vec"), (&framed, "Root"), (&framed, "App")] {
        let mut layout = Layout::default();
        let plan = RosPlan::compile(&mut layout, definitions, root).unwrap();
        let mut columns = Columns::new(Arc::new(layout));
        for vector in file["vectors"].as_array().unwrap() {
            let hex = vector["hex"].as_str().unwrap();
            let whole: Vec<u8> = (0..hex.len() / 2)
                .map(|it| u8::from_str_radix(&hex[it * 2..it * 2 + 2], 16).unwrap())
                .collect();
            for _ in 0..200 {
                let mut payload = whole.clone();
                random.mutate(&mut payload);
                match plan.decode_cdr(&payload, &mut columns) {
                    Ok(()) => {
                        columns.end_row();
                        n_good += 1;
                    }
                    Err(_) => {
                        columns.abort_row();
                        n_bad += 1;
                    }
                }
            }
        }
        columns.finish();
    }
    assert!(n_good > 100 && n_bad > 1000, "{n_good} decoded, {n_bad} refused");
}

#[test]
fn every_single_flip_and_cut() {
    let Some(messages) = recorded() else { return };
    for message in messages.iter().filter(|it| it.data.len() < 500) {
        let definitions = definitions(&message.schema, &message.schema.text).unwrap();
        let mut layout = Layout::default();
        let plan = RosPlan::compile(&mut layout, &definitions, &message.schema.name).unwrap();
        let mut columns = Columns::new(Arc::new(layout));
        let mut decode = |payload: &[u8]| {
            let result = match message.encoding.as_str() {
                "cdr" => plan.decode_cdr(payload, &mut columns),
                _ => plan.decode_ros1(payload, &mut columns),
            };
            match result {
                Ok(()) => columns.end_row(),
                Err(_) => columns.abort_row(),
            }
        };
        for at in 0..message.data.len() {
            decode(&message.data[..at]);
            for flip in [0x01, 0x80, 0xff] {
                let mut payload = message.data.clone();
                payload[at] ^= flip;
                decode(&payload);
            }
        }
        columns.finish();
    }
}

#[test]
fn damaged_definitions_never_panic() {
    let Some(messages) = recorded() else { return };
    let mut random = Random(42);
    let (mut n_good, mut n_bad) = (0, 0);
    for message in &messages {
        for _ in 0..60 {
            let mut text = message.schema.text.clone().into_bytes();
            random.mutate(&mut text);
            let text = String::from_utf8_lossy(&text);
            let mut layout = Layout::default();
            let plan = definitions(&message.schema, &text)
                .and_then(|it| RosPlan::compile(&mut layout, &it, &message.schema.name));
            let Ok(plan) = plan else {
                n_bad += 1;
                continue;
            };
            n_good += 1;
            let mut columns = Columns::new(Arc::new(layout));
            // A definition that still compiles meets a payload it does not describe.
            match plan.decode_cdr(&message.data, &mut columns) {
                Ok(()) => columns.end_row(),
                Err(_) => columns.abort_row(),
            }
            columns.finish();
        }
    }
    eprintln!("{n_good} compiled, {n_bad} refused");
    assert!(n_good > 100 && n_bad > 100, "{n_good} compiled, {n_bad} refused");
}
