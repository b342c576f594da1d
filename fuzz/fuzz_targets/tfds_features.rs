//! Any bytes as what a dataset says of itself: its features, or its splits.
#![no_main]

mod rlds;
mod rows;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    let (is_info, bytes) = input;
    rlds::read_with(if is_info { rlds::Replaced::Info } else { rlds::Replaced::Features }, bytes);
});
