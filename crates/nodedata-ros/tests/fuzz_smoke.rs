//! What the fuzz targets do, for a few thousand seeded mutations on a stable compiler.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use std::sync::Arc;

use nodedata_core::{Columns, Layout};
use nodedata_ros::{Definitions, Dialect, RosPlan};
use nodedata_testkit::{corpus, damaged::Random};
use support::mcap;

/// Damage, and now and then another representation id: all other forms of CDR.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    random.damage(bytes);
    if bytes.len() > 1 && random.below(4) == 0 {
        bytes[1] = random.below(22) as u8;
    }
}

fn recorded() -> Vec<mcap::Message> {
    let mut messages = Vec::new();
    for name in ["teleop", "ros1_profile", "ros2idl_and_bigendian"] {
        let all = mcap::messages(&corpus::recording(name));
        let mut seen = std::collections::BTreeMap::<String, usize>::new();
        messages.extend(all.into_iter().filter(|it| {
            let n = seen.entry(it.channel.clone()).or_default();
            *n += 1;
            *n <= 2
        }));
    }
    messages
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
    let messages = recorded();
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let (mut n_good, mut n_bad) = (0, 0);
    for message in &messages {
        let definitions = definitions(&message.schema, &message.schema.text).unwrap();
        let mut layout = Layout::default();
        let plan = RosPlan::compile(&mut layout, &definitions, &message.schema.name).unwrap();
        let mut columns = Columns::new(Arc::new(layout));
        for _ in 0..400 {
            let mut payload = message.data.clone();
            mutate(&mut random, &mut payload);
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
    let path = corpus::fixtures("ros").join("vectors.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = file["msg"]["lab_msgs/msg/Vec"].as_str().unwrap().to_owned()
        + "================\nMSG: lab_msgs/VecInner\n"
        + file["msg"]["lab_msgs/msg/VecInner"].as_str().unwrap();
    let message = Definitions::from_msg("lab_msgs/Vec", &text, Dialect::Ros2).unwrap();
    let framed = Definitions::from_idl("Root", IDL).unwrap();
    let mut random = Random::new(77);
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
                mutate(&mut random, &mut payload);
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
    let messages = recorded();
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
    let messages = recorded();
    let mut random = Random::new(42);
    let (mut n_good, mut n_bad) = (0, 0);
    for message in &messages {
        for _ in 0..60 {
            let mut text = message.schema.text.clone().into_bytes();
            random.damage(&mut text);
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
