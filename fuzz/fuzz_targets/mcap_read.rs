//! Any bytes, opened as an MCAP log to fail and to salvage, and read to the end.
#![no_main]

mod rows;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_mcap::MCAP;
use rows::read_all;

fuzz_target!(|bytes: &[u8]| {
    for salvage in [false, true] {
        let files = Arc::new(MemoryFiles::default().with("a.mcap", bytes.to_vec()));
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        let Ok(source) = MCAP.open(files, &options) else { continue };
        read_all(source.as_ref());
    }
});
