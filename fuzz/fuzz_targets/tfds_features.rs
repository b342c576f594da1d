//! Any bytes as what a dataset says of itself: its features, or its splits.
#![no_main]

mod rlds;
mod rows;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8])| {
    let (is_info, bytes) = input;
    rlds::read_with(if is_info { "dataset_info.json" } else { "features.json" }, bytes);
});
