//! Seeded damage: whatever is done to a file, reading ends, nothing panics and the ledger balances.

use std::path::Path;

use bytes::Bytes;
use nodedata_core::{OpenOptions, ReadOptions};

use super::{open, read_all, writer};

/// A small generator with a fixed seed, so that a failure comes back.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

fn check(bytes: &Bytes) {
    for salvage in [false, true] {
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        if let Ok(source) = open(bytes, &options) {
            read_all(&*source, &ReadOptions::default());
        }
    }
}

fn damage(bytes: &[u8], seeded: &mut Seeded) -> Bytes {
    let mut bytes = bytes.to_vec();
    for _ in 0..=seeded.next(4) {
        let at = seeded.next(bytes.len());
        match seeded.next(5) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] = seeded.next(256) as u8,
            2 => {
                let value = [0u64, u64::MAX, 1 << 62, bytes.len() as u64, 9][seeded.next(5)].to_le_bytes();
                let end = bytes.len().min(at + 8);
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
            3 => {
                let end = bytes.len().min(at + seeded.next(64));
                bytes.drain(at..end);
            }
            _ => bytes[at] ^= 1 << seeded.next(8),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes.into()
}

#[test]
fn damaged_recordings_end_in_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mcap");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    let mut seeded = Seeded(7);
    for path in paths.iter().filter(|it| it.extension().is_some_and(|it| it == "mcap")) {
        let bytes = std::fs::read(path).unwrap();
        let n_rounds = (2_000_000 / bytes.len()).clamp(8, 100);
        for _ in 0..n_rounds {
            check(&damage(&bytes, &mut seeded));
        }
    }
}

#[test]
fn damaged_small_logs_end_in_errors() {
    let records = [writer::channel(1, 0, "/a", "json"), writer::message(1, 5, b"{\"a\":1}")].concat();
    let log = writer::log(&[
        writer::schema(1, "T", "jsonschema", b"{\"type\":\"object\"}"),
        writer::channel(2, 1, "/b", "json"),
        writer::message(2, 1, b"{}"),
        writer::chunk(&records, "", &records),
        writer::metadata("m", &[("k", "v")]),
        writer::message(2, 2, b"{}"),
    ]);
    let mut seeded = Seeded(11);
    for _ in 0..4000 {
        check(&damage(&log, &mut seeded));
    }
    for end in 0..log.len() {
        check(&log.slice(..end));
    }
}
