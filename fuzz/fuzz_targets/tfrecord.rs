//! Any bytes as a file of TFRecords: framing, checksums, and whatever is in the records.
#![no_main]

mod rlds;
mod rows;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rlds::read_with(rlds::Replaced::Shard, bytes));
