use nodedata_core::{Error, ErrorKind};

use super::*;
use crate::container::Frame;

/// How the data of a chunk is to be compressed.
#[derive(Clone, Copy)]
enum How {
    Plain,
    Zstd,
    /// Some other, by its letter.
    Other(u8),
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn stored(bytes: &[u8], how: How) -> Vec<u8> {
    match how {
        How::Plain | How::Other(_) => bytes.to_vec(),
        How::Zstd => [varint(bytes.len() as u64), zstd::encode_all(bytes, 3).unwrap()].concat(),
    }
}

/// The data of a simple chunk.
fn simple(records: &[Vec<u8>], how: How) -> Vec<u8> {
    let letter = match how {
        How::Plain => 0,
        How::Zstd => b'z',
        How::Other(letter) => letter,
    };
    let lengths: Vec<u8> = records.iter().flat_map(|it| varint(it.len() as u64)).collect();
    let lengths = stored(&lengths, how);
    [vec![letter], varint(lengths.len() as u64), lengths, stored(&records.concat(), how)].concat()
}

/// Writes a file as the official writer does, as far as anything reads it: nobody reads what headers of blocks say.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    /// Of the footer: place, bytes and records of each chunk.
    chunks: Vec<[u64; 3]>,
}

impl File {
    fn new() -> Self {
        let mut file = Self::default();
        file.chunk(b's', &[], 0, 0);
        file
    }

    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.bytes.len().is_multiple_of(blocks::BLOCK_BYTES as usize) {
                self.bytes.extend_from_slice(&[0xee; 24]);
            }
            self.bytes.push(*byte);
        }
    }

    fn chunk(&mut self, kind: u8, data: &[u8], n_records: u64, n_decoded: u64) -> u64 {
        let start = self.bytes.len() as u64;
        let numbers = [data.len() as u64, chunk::hash(data), u64::from(kind) | n_records << 8, n_decoded];
        let rest: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.push(&chunk::hash(&rest).to_le_bytes());
        self.push(&rest);
        self.push(data);
        let end = blocks::chunk_start(start + n_records).unwrap();
        while (self.bytes.len() as u64) < end {
            self.push(&[0]);
        }
        start
    }

    fn records(&mut self, records: &[Vec<u8>], how: How) {
        let n_decoded = records.iter().map(Vec::len).sum::<usize>() as u64;
        let n_records = records.len() as u64;
        let start = self.chunk(b'r', &simple(records, how), n_records, n_decoded);
        self.chunks.push([start, n_decoded, n_records]);
    }

    fn padding(&mut self) {
        let in_block = self.bytes.len() as u64 % blocks::BLOCK_BYTES;
        let n = (blocks::BLOCK_BYTES - in_block).saturating_sub(40) as usize;
        self.chunk(b'p', &vec![0; n], 0, 0);
        assert!(self.bytes.len().is_multiple_of(blocks::BLOCK_BYTES as usize));
    }

    fn numbers(all: &[u64]) -> Vec<u8> {
        let field = |(idx, it): (usize, &u64)| [varint((idx as u64 + 1) << 3), varint(*it)].concat();
        all.iter().enumerate().flat_map(field).collect()
    }

    /// The footer as a chunk of records.
    fn footer(&mut self, how: How) -> u64 {
        let n_records = self.chunks.iter().map(|it| it[2]).sum();
        let totals = Self::numbers(&[1, self.chunks.len() as u64, n_records]);
        let first = [varint(1 << 3 | 2), varint(totals.len() as u64), totals].concat();
        let records: Vec<Vec<u8>> =
            std::iter::once(first).chain(self.chunks.iter().map(|it| Self::numbers(it))).collect();
        let n_decoded = records.iter().map(Vec::len).sum::<usize>() as u64;
        self.chunk(b'r', &simple(&records, how), records.len() as u64, n_decoded)
    }

    fn finish(mut self, how: How) -> Bytes {
        let footer = self.footer(how);
        self.padding();
        let postscript = Self::numbers(&[footer, 0x7193_0e70_4fda_e05e]);
        let n_decoded = postscript.len() as u64;
        self.chunk(b'r', &simple(&[postscript], How::Plain), 1, n_decoded);
        self.padding();
        self.bytes.into()
    }
}

struct Memory(Bytes);

impl ReadAt for Memory {
    fn n_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

const MAX: u64 = 1 << 20;

/// Records and damage.
fn read(bytes: &Bytes) -> (Vec<Bytes>, Vec<Error>) {
    let file = Memory(bytes.clone());
    let frames = walk(&file, MAX, true).unwrap();
    let mut damage = frames.damage;
    let mut records = Vec::new();
    for Frame { byte_range, place, .. } in &frames.records {
        let Place::Chunk { idx, n_records } = place else { panic!("{place:?}") };
        match chunk(&file, byte_range, MAX, true, None) {
            Ok(all) if all.len() as u64 == *n_records => records.push(all[*idx as usize].clone()),
            Ok(all) => damage.push(corrupt(format!("{} records, not {n_records}", all.len()))),
            Err(err) => damage.push(err),
        }
    }
    (records, damage)
}

/// Records of many lengths, some of several blocks.
fn samples() -> Vec<Vec<u8>> {
    let lengths = [0, 1, 40, 65_400, 65_473, 65_536, 200_000, 3, 0, 131_000];
    lengths.iter().enumerate().map(|(idx, n)| (0..*n).map(|it| (it * 7 + idx) as u8).collect()).collect()
}

fn file_of(records: &[Vec<u8>], per_chunk: usize, how: How) -> File {
    let mut file = File::new();
    records.chunks(per_chunk).for_each(|it| file.records(it, how));
    file
}

#[test]
fn records_are_read_and_what_follows_them_is_none() {
    let records = samples();
    for how in [How::Plain, How::Zstd] {
        for per_chunk in [1, 3, 100] {
            let (found, damage) = read(&file_of(&records, per_chunk, how).finish(how));
            assert!(damage.is_empty(), "{damage:?}");
            assert_eq!(found, records, "{per_chunk} a chunk");
        }
    }
    let (found, damage) = read(&File::new().finish(How::Zstd));
    assert!(found.is_empty() && damage.is_empty(), "{damage:?}");
}

/// Whatever comes out of a chunk lies in memory or in a file, and what is wrong with one is told in the same words.
#[test]
fn large_chunks_are_read_as_others_are() {
    let folder = std::env::temp_dir();
    let records = samples();
    for how in [How::Plain, How::Zstd, How::Other(b'b')] {
        for per_chunk in [1, 4] {
            let whole = file_of(&records, per_chunk, how).finish(How::Zstd);
            let frames = walk(&Memory(whole.clone()), MAX, true).unwrap().records;
            for (idx, frame) in frames.iter().enumerate().step_by(per_chunk) {
                let range = &frame.byte_range;
                let flips = [None, Some(3), Some(41), Some(43), Some(range.end - range.start - 1)];
                for flip in flips {
                    let mut bytes = whole.to_vec();
                    let at = flip.map(|it| (range.start + it) as usize).filter(|it| *it < range.end as usize);
                    if let Some(at) = at {
                        bytes[at] ^= 1;
                    }
                    let file = Memory(bytes.into());
                    let told = |it: Result<Vec<Bytes>>| it.map_err(|err| (err.kind(), err.to_string()));
                    let small = told(chunk(&file, range, MAX, true, None));
                    let large = told(chunk(&file, range, MAX, true, Some(&folder)));
                    assert_eq!(large, small, "{flip:?} of chunk {idx} at {range:?}");
                    assert!(large.is_ok() || at.is_some() || matches!(how, How::Other(_)));
                }
            }
        }
    }
}

/// What a footer has is of no record, so it may be as large as it likes.
#[test]
fn a_footer_is_no_record_however_large_it_is() {
    let records: Vec<Vec<u8>> = (0..40).map(|it| vec![it; 4]).collect();
    let whole = file_of(&records, 1, How::Plain).finish(How::Plain);
    let frames = walk(&Memory(whole.clone()), 5, true).unwrap();
    assert_eq!((frames.records.len(), frames.damage.len()), (40, 0), "{:?}", frames.damage);
    // Nor where the end of the file is lost.
    let frames = walk(&Memory(whole.slice(..whole.len() - 1)), 5, true).unwrap();
    let reasons: Vec<_> = frames.damage.iter().map(|it| it.loss().unwrap().reason).collect();
    assert_eq!((frames.records.len(), reasons), (40, vec!["truncated"]));
    // Nor where it is damaged itself, which is told.
    let footer = frames.damage[0].loss().unwrap().byte_range.clone().unwrap().start;
    let mut flipped = whole.to_vec();
    flipped[footer as usize + 60] ^= 1;
    let (found, damage) = read(&flipped.into());
    assert_eq!((found, damage.len()), (records.iter().map(|it| Bytes::from(it.clone())).collect(), 1));
    assert_eq!(damage[0].kind(), ErrorKind::Corrupt);
}

/// What stands in the place of the last block's record, and says of itself that it has more than that may, is none.
#[test]
fn a_last_block_that_has_too_much_costs_no_record() {
    let records = samples();
    let mut file = file_of(&records, 2, How::Zstd);
    let footer = file.footer(How::Zstd);
    file.padding();
    let postscript = File::numbers(&[footer, 0x7193_0e70_4fda_e05e]);
    file.chunk(b'r', &simple(&[postscript], How::Plain), 1, 65 << 20);
    file.padding();
    let (found, damage) = read(&file.bytes.into());
    assert_eq!((found.len(), damage.len()), (records.len(), 1), "{damage:?}");
    assert_eq!(damage[0].loss().unwrap().reason, "truncated");
}

/// A footer that tells of more chunks than are listed: each chunk tells of itself.
#[test]
fn a_footer_of_too_many_records_is_gone_around() {
    let records = samples();
    let whole = |file: File| {
        let mut file = file;
        let n_records = chunk::CHUNK_RECORDS_MAX + 1;
        let footer = file.chunk(b'r', &simple(&[vec![0; 9]], How::Plain), n_records, 9);
        file.padding();
        let postscript = File::numbers(&[footer, 0x7193_0e70_4fda_e05e]);
        let n_decoded = postscript.len() as u64;
        file.chunk(b'r', &simple(&[postscript], How::Plain), 1, n_decoded);
        file.padding();
        Bytes::from(file.bytes)
    };
    let bytes = whole(file_of(&records, 2, How::Zstd));
    let (found, damage) = read(&bytes);
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(found, records);
    // What lies between is not lost without a word.
    let frames = walk(&Memory(bytes.clone()), MAX, true).unwrap().records;
    let mut flipped = bytes.to_vec();
    flipped[frames[4].byte_range.start as usize + 20] ^= 1;
    let (found, damage) = read(&flipped.into());
    assert_eq!((found.len(), damage.len()), (4, 1), "{damage:?}");
    assert_eq!(damage[0].loss().unwrap().reason, "damaged_framing");
}

/// The writer may have been asked to begin each chunk in a block of its own.
#[test]
fn padding_between_chunks_is_passed_over() {
    let mut file = File::new();
    let records = samples();
    for record in &records {
        file.records(std::slice::from_ref(record), How::Zstd);
        file.padding();
    }
    assert_eq!(read(&file.finish(How::Zstd)).0, records);
}

#[test]
fn a_file_that_is_cut_gives_the_chunks_that_are_whole() {
    let records = samples();
    let whole = file_of(&records, 1, How::Zstd).finish(How::Zstd);
    let data_end = {
        let frames = walk(&Memory(whole.clone()), MAX, true).unwrap();
        frames.records.last().unwrap().byte_range.end as usize
    };
    for end in [whole.len() - 1, whole.len() - 65_536, whole.len() - 70_000, data_end + 10, data_end] {
        let (found, damage) = read(&whole.slice(..end));
        let [err] = &damage[..] else { panic!("{end}: {damage:?}") };
        assert_eq!((err.kind(), err.loss().unwrap().reason), (ErrorKind::Corrupt, "truncated"), "{end}");
        assert!(err.to_string().contains("before its footer") && err.hint().is_some(), "{end}: {err}");
        // The footer itself, where it is there, is no record.
        assert_eq!(found, records, "{end}");
    }
    let (found, damage) = read(&whole.slice(..data_end - 1));
    assert_eq!((found, damage.len()), (records[..9].iter().map(|it| Bytes::from(it.clone())).collect(), 1));
}

#[test]
fn a_flipped_bit_costs_its_chunk() {
    let records = samples();
    let whole = file_of(&records, 1, How::Plain).finish(How::Plain);
    let frames = walk(&Memory(whole.clone()), MAX, true).unwrap().records;
    for at in [frames[6].byte_range.start + 20, frames[6].byte_range.end - 10] {
        let mut flipped = whole.to_vec();
        flipped[at as usize] ^= 16;
        let (found, damage) = read(&flipped.into());
        assert_eq!((found.len(), damage.len()), (9, 1));
        assert!(damage[0].to_string().contains("is not what its checksum says"), "{}", damage[0]);
    }
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    for (letter, name) in [(b'b', "Brotli"), (b's', "Snappy")] {
        let bytes = file_of(&samples(), 1, How::Other(letter)).finish(How::Other(letter));
        let err = walk(&Memory(bytes), MAX, true).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Unsupported);
        assert!(
            err.to_string().contains(name) && err.hint().is_some_and(|it| it.contains("zstd:3")),
            "{err}"
        );
    }
    let mut file = File::new();
    let start = file.chunk(b't', b"z", 1, 1);
    file.chunks.push([start, 1, 1]);
    let (found, damage) = read(&file.finish(How::Plain));
    assert!(found.is_empty() && damage[0].to_string().contains("transposed"), "{damage:?}");
}

/// Behind checksums that vouch for them.
#[test]
fn numbers_that_lie_are_damage_and_nothing_is_allocated_for_them() {
    type Lie = Box<dyn Fn(&mut File)>;
    let cases: [(&str, Lie); 9] = [
        ("more records than bytes", Box::new(|file| file.chunks[0][2] = 1 << 50)),
        ("a chunk before the first", Box::new(|file| file.chunks[0][0] = 3)),
        ("chunks out of order", Box::new(|file| file.chunks.swap(0, 1))),
        ("a chunk behind the footer", Box::new(|file| file.chunks[1][0] = 1 << 60)),
        ("a chunk where none is", Box::new(|file| file.chunks[1][0] += 1)),
        ("another number of records", Box::new(|file| file.chunks[1][2] = 2)),
        (
            "records beyond all",
            Box::new(|file| {
                let start = file.chunk(b'r', &[0, 1, 100], 1, 100);
                file.chunks.push([start, 100, 1]);
            }),
        ),
        (
            "lengths that are too long",
            Box::new(|file| {
                let data = [&[b'z'][..], &varint(12), &varint(1 << 40), &[0; 6], &varint(1 << 50)].concat();
                let start = file.chunk(b'r', &data, 1, 1);
                file.chunks.push([start, 1, 1]);
            }),
        ),
        (
            "a number of eleven bytes",
            Box::new(|file| {
                let start = file.chunk(b'r', &[&[0][..], &[0xff; 10], &[1]].concat(), 1, 1);
                file.chunks.push([start, 1, 1]);
            }),
        ),
    ];
    for (told, lie) in cases {
        let mut file = file_of(&samples()[..2], 1, How::Plain);
        lie(&mut file);
        let (found, damage) = read(&file.finish(How::Plain));
        assert!(!damage.is_empty() && found.len() <= 2, "{told}");
        assert!(damage.iter().all(|it| it.kind() == ErrorKind::Corrupt), "{told}: {damage:?}");
    }
}

#[test]
fn chunks_that_are_too_large_are_stepped_over() {
    let mut file = file_of(&[vec![1; 10]], 1, How::Zstd);
    file.records(&[vec![0; MAX as usize], vec![0]], How::Zstd);
    file.records(&[vec![2; 10]], How::Zstd);
    let (found, damage) = read(&file.finish(How::Zstd));
    assert_eq!(found, [vec![1; 10], vec![2; 10]]);
    assert_eq!((damage.len(), damage[0].kind()), (1, ErrorKind::Limit));
    assert_eq!(damage[0].loss().unwrap().reason, "too_large");
}

#[test]
fn other_files_are_told_by_what_they_are() {
    for (bytes, told) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"[..], "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "a web page (HTML)"),
        (b"PAR1", "Parquet"),
        (b"\x10\0\0\0\0\0\0\0", "does not begin as ArrayRecord files do"),
        (b"", "does not begin as ArrayRecord files do"),
    ] {
        let (found, damage) = read(&Bytes::copy_from_slice(bytes));
        assert!(found.is_empty() && damage.len() == 1 && damage[0].to_string().contains(told), "{damage:?}");
        assert!(damage[0].hint().is_some());
    }
}
