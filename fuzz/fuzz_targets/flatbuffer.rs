//! Any bytes as a binary FlatBuffers schema and a buffer of it, and as a buffer of joints.
#![no_main]

mod message;

use libfuzzer_sys::fuzz_target;
use message::check;

const JOINTS: &[u8] = include_bytes!("../schemas/joints.bfbs");

fuzz_target!(|input: (&[u8], &[u8])| {
    let (schema, payload) = input;
    check(["flatbuffer", "flatbuffer", "foxglove.JointStates"], JOINTS, payload, 32);
    check(["flatbuffer", "flatbuffer", "foxglove.JointStates"], schema, payload, usize::MAX);
});
