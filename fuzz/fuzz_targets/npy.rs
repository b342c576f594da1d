//! Any bytes as an array of NumPy, or several in an archive of theirs, beside a sound one.
#![no_main]

mod rows;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nodedata_core::{Format as _, OpenOptions};
use nodedata_io::MemoryFiles;
use nodedata_webdataset::WEBDATASET;
use rows::read_all;

const SOUND: &[u8] =
    b"\x93NUMPY\x01\0\x3c\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }\n\0\0\x80\x3f";

fuzz_target!(|input: (bool, &[u8])| {
    let (is_zip, bytes) = input;
    let field = if is_zip { "npz" } else { "npy" };
    let mut archive = Vec::new();
    for (name, contents) in [("a.npy".to_owned(), SOUND), (format!("b.{field}"), bytes)] {
        append(&mut archive, &name, contents);
    }
    archive.resize(archive.len() + 1024, 0);
    let files = Arc::new(MemoryFiles::default().with("a.tar", archive));
    if let Ok(source) = WEBDATASET.open(files, &OpenOptions::default()) {
        read_all(source.as_ref());
    }
});

/// A member of a tar archive.
fn append(archive: &mut Vec<u8>, name: &str, contents: &[u8]) {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
    block[148..156].fill(b' ');
    block[156] = b'0';
    let sum: u32 = block.iter().map(|it| u32::from(*it)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(block);
    archive.extend(contents);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
