//! Any bytes as an ArrayRecord file: blocks, chunks, footers, whatever checksums say of them, and the records.
#![no_main]

mod rlds;
mod rows;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rlds::read_array_record(bytes));
