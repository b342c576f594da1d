//! Any bytes as a tar archive of samples, dealt to splits or not, read to the end, and once more from what was learned.
#![no_main]

mod rows;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions, RowDeal, RowKey};
use nodedata_io::MemoryFiles;
use nodedata_webdataset::WEBDATASET;
use rows::read_all;

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (is_dealt, salvage, bytes) = input;
    let files = || Arc::new(MemoryFiles::default().with("a.tar", bytes.to_vec()));
    let fractions = vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)];
    let options = OpenOptions {
        // The shortest stretches there are.
        partition_bytes: 1,
        deal: is_dealt.then(|| RowDeal { fractions, key: RowKey::Row }),
        salvage,
        record_bytes_max: 64 << 10,
        ..OpenOptions::default()
    };
    let Ok(source) = WEBDATASET.open(files(), &options) else { return };
    read_all(source.as_ref());
    let learned = OpenOptions { learned: source.plan().learned.clone(), ..options };
    let again = WEBDATASET.open(files(), &learned).expect("what was learned opens it again");
    assert!(again.plan() == source.plan(), "what was learned is what was seen");
});
