//! Writes ArrayRecord files, each record a chunk that is not compressed, or all of them one that is.

use highway::{HighwayHash as _, HighwayHasher, Key};

use crate::built::varint;

const BLOCK_BYTES: usize = 64 << 10;
const KEY: [u64; 4] =
    [0x2f69_6c65_6765_6952, 0x0a73_6472_6f63_6572, 0x2f69_6c65_6765_6952, 0x0a73_6472_6f63_6572];

fn hash(bytes: &[u8]) -> u64 {
    HighwayHasher::new(Key(KEY)).hash64(bytes)
}

/// Nobody reads what the headers of blocks say.
fn push(file: &mut Vec<u8>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        if file.len().is_multiple_of(BLOCK_BYTES) {
            file.extend_from_slice(&[0; 24]);
        }
        let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - file.len() % BLOCK_BYTES));
        file.extend_from_slice(now);
        bytes = later;
    }
}

/// Returns where it begins.
fn chunk(file: &mut Vec<u8>, kind: u8, data: &[u8], n_records: usize, n_decoded: usize) -> u64 {
    let start = file.len() as u64;
    let numbers =
        [data.len() as u64, hash(data), u64::from(kind) | (n_records as u64) << 8, n_decoded as u64];
    let rest: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
    push(file, &[&hash(&rest).to_le_bytes()[..], &rest, data].concat());
    start
}

/// A chunk of records; its place, bytes and records.
fn records(file: &mut Vec<u8>, records: &[Vec<u8>], is_packed: bool) -> [u64; 3] {
    let stored = |bytes: Vec<u8>| match is_packed {
        true => [varint(bytes.len() as u64), zstd::encode_all(&bytes[..], 1).expect("zstd works")].concat(),
        false => bytes,
    };
    let n_decoded = records.iter().map(Vec::len).sum();
    let lengths = stored(records.iter().flat_map(|it| varint(it.len() as u64)).collect());
    let letter = if is_packed { b'z' } else { 0 };
    let data = [vec![letter], varint(lengths.len() as u64), lengths, stored(records.concat())].concat();
    let start = chunk(file, b'r', &data, records.len(), n_decoded);
    [start, n_decoded as u64, records.len() as u64]
}

fn numbers(all: &[u64]) -> Vec<u8> {
    let field = |(idx, it): (usize, &u64)| [varint((idx as u64 + 1) << 3), varint(*it)].concat();
    all.iter().enumerate().flat_map(field).collect()
}

/// To the end of the block.
fn padding(file: &mut Vec<u8>) {
    let left = BLOCK_BYTES - file.len() % BLOCK_BYTES;
    assert!(64 < left, "a chunk of padding has a head");
    let n = left - 40;
    chunk(file, b'p', &vec![0; n], 0, 0);
}

/// A file of records.
pub(crate) fn array_record(all: &[Vec<u8>], is_packed: bool) -> Vec<u8> {
    let mut file = Vec::new();
    chunk(&mut file, b's', &[], 0, 0);
    let per_chunk = if is_packed { all.len().max(1) } else { 1 };
    let places: Vec<[u64; 3]> = all.chunks(per_chunk).map(|it| records(&mut file, it, is_packed)).collect();
    let totals = numbers(&[1, places.len() as u64, all.len() as u64]);
    let first = [varint(1 << 3 | 2), varint(totals.len() as u64), totals].concat();
    let told: Vec<Vec<u8>> = std::iter::once(first).chain(places.iter().map(|it| numbers(it))).collect();
    let [footer, ..] = records(&mut file, &told, true);
    padding(&mut file);
    records(&mut file, &[numbers(&[footer, 0x7193_0e70_4fda_e05e])], false);
    padding(&mut file);
    file
}
