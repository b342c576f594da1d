//! Any bytes, opened as a database of a ROS 2 bag and as the log beside one, to fail and to salvage, and read to the end.
#![no_main]

mod rows;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_rosbag::{RosBag2, SQLITE3};
use rows::read_all;

static BAGS: RosBag2 = RosBag2::with(&[&SQLITE3]);

fuzz_target!(|input: (&[u8], Option<&[u8]>, Option<&[u8]>)| {
    let (database, wal, journal) = input;
    for salvage in [false, true] {
        let mut files = MemoryFiles::default().with("a.db3", database.to_vec());
        for (name, bytes) in [("a.db3-wal", wal), ("a.db3-journal", journal)] {
            if let Some(bytes) = bytes {
                files = files.with(name, bytes.to_vec());
            }
        }
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        let Ok(source) = BAGS.open(Arc::new(files), &options) else { continue };
        read_all(source.as_ref());
    }
});
