//! Any bytes as a set of descriptors and a message of it, and as a message of joints.
#![no_main]

mod message;

use libfuzzer_sys::fuzz_target;
use message::check;

const JOINTS: &[u8] = include_bytes!("../schemas/joints.binpb");

fuzz_target!(|input: (&[u8], &[u8])| {
    let (schema, payload) = input;
    check(["protobuf", "protobuf", "foxglove.JointStates"], JOINTS, payload, 32);
    check(["protobuf", "protobuf", "foxglove.JointStates"], schema, payload, usize::MAX);
});
