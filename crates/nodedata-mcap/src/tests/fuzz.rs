//! Seeded damage: whatever is done to a file, reading ends, nothing panics and the ledger balances.

use bytes::Bytes;
use nodedata_core::{OpenOptions, ReadOptions};
use nodedata_testkit::damaged::Random;

use super::{open, read_all, recordings, writer};

fn check(bytes: &Bytes) {
    for salvage in [false, true] {
        let options = OpenOptions { salvage, record_bytes_max: 8 << 20, ..OpenOptions::default() };
        if let Ok(source) = open(bytes, &options) {
            read_all(&*source, &ReadOptions::default());
        }
    }
}

fn damage(bytes: &[u8], random: &mut Random) -> Bytes {
    let mut bytes = bytes.to_vec();
    random.damage(&mut bytes);
    bytes.into()
}

#[test]
fn damaged_recordings_end_in_errors() {
    let mut random = Random::new(7);
    for (_, bytes) in recordings() {
        let n_rounds = (2_000_000 / bytes.len()).clamp(8, 100);
        for _ in 0..n_rounds {
            check(&damage(&bytes, &mut random));
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
    let mut random = Random::new(11);
    for _ in 0..4000 {
        check(&damage(&log, &mut random));
    }
    for end in 0..log.len() {
        check(&log.slice(..end));
    }
}
