//! Any bytes, opened as an MCAP log to fail and to salvage, and read to the end.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions, ReadOptions};
use nodedata_io::MemoryFiles;
use nodedata_mcap::MCAP;

fuzz_target!(|bytes: &[u8]| {
    for salvage in [false, true] {
        let files = Arc::new(MemoryFiles::default().with("a.mcap", bytes.to_vec()));
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        let Ok(source) = MCAP.open(files, &options) else { continue };
        for partition in 0..source.plan().partitions.len() {
            let mut rows =
                source.read(partition, &ReadOptions::default()).expect("a planned partition opens");
            let mut n_kept = 0;
            loop {
                match rows.next_batch() {
                    Ok(Some(batch)) => n_kept += batch.rows.num_rows() as u64,
                    Ok(None) => break,
                    Err(err) => {
                        let loss = err.loss().expect("damage says what it costs");
                        n_kept += loss.records.iter().map(|it| it.1).sum::<u64>();
                    }
                }
            }
            let n_read: u64 = rows.records_read().iter().map(|it| it.1).sum();
            assert_eq!(n_read, n_kept, "records read are rows and losses");
        }
    }
});
