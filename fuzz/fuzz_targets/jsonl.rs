//! Any bytes as JSON Lines or a list in JSON, cut into stretches and dealt to splits, read to the end, and once more from what was
//! learned.
#![no_main]

mod rows;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions, OptionValue, Reference, RowDeal, RowKey};
use nodedata_io::MemoryFiles;
use nodedata_jsonl::JSONL;
use rows::read_all;

fuzz_target!(|input: (bool, bool, bool, &[u8])| {
    let (is_dealt, keeps_raw, embeds, bytes) = input;
    let files = || Arc::new(MemoryFiles::default().with("a.json", bytes.to_vec()));
    let fractions = vec![("train".to_owned(), 0.8), ("val".to_owned(), 0.2)];
    let mut options = OpenOptions {
        // The shortest stretches there are.
        partition_bytes: 1,
        deal: is_dealt.then(|| RowDeal { fractions, key: RowKey::Row }),
        record_bytes_max: 64 << 10,
        salvage: true,
        ..OpenOptions::default()
    };
    if keeps_raw {
        options.options.insert("mixed".to_owned(), OptionValue::Text("text".to_owned()));
    }
    if embeds {
        options.embed.insert("a".to_owned(), Reference::Path);
    }
    let Ok(source) = JSONL.open(files(), &options) else { return };
    read_all(source.as_ref());
    let learned = OpenOptions { learned: source.plan().learned.clone(), ..options };
    let again = JSONL.open(files(), &learned).expect("what was learned opens it again");
    assert!(again.plan() == source.plan(), "what was learned is what was seen");
});
