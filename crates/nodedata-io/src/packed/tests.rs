use std::{
    io::{Read as _, Write as _},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, ReadAt, Result};

use super::*;
use crate::memory::WholeFile;

const ALL: [Packing; 4] = [Packing::Gzip, Packing::Zstd, Packing::Bzip2, Packing::Xz];

/// One member that holds `plain`.
fn packed(packing: Packing, plain: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        Packing::Zstd => zstd::encode_all(plain, 1).unwrap(),
        Packing::Bzip2 => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        Packing::Xz => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
    }
}

/// Bytes that do not pack well, and differ from each other.
fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..n).map(step).collect()
}

fn file(bytes: impl Into<Bytes>) -> Arc<dyn ReadAt> {
    Arc::new(WholeFile(bytes.into()))
}

fn unpacked(bytes: Vec<u8>, packing: Packing) -> Spool {
    spool(file(bytes), packing, 1 << 30, None).unwrap()
}

fn all_of(spool: &Spool) -> Bytes {
    spool.read_at(0..spool.n_bytes()).unwrap()
}

#[test]
fn members_come_out_one_after_the_other_each_with_its_place() {
    let parts = [noise(100_000, 1), noise(300_000, 2), noise(70_000, 3)];
    for packing in ALL {
        let members = parts.each_ref().map(|it| packed(packing, it));
        let spool = unpacked(members.concat(), packing);
        assert_eq!(Packing::of(&members[0][..8]), Some(packing));
        assert!(spool.damage().is_none() && all_of(&spool) == parts.concat(), "{packing:?}");
        let (mut at, mut plain_at) = (0, 0);
        let expected: Vec<Member> = (0..3)
            .map(|idx| {
                let (start, plain) = (at, plain_at);
                at += members[idx].len() as u64;
                plain_at += parts[idx].len() as u64;
                Member { packed: start..at, unpacked: plain..plain_at }
            })
            .collect();
        assert_eq!(spool.members(), expected, "{packing:?}");
        let second = expected[1].packed.clone();
        assert_eq!(spool.packed_range(&(100_000..400_000)), second);
        assert_eq!(spool.packed_range(&(399_999..400_001)), second.start..at);
        assert_eq!(spool.packed_range(&(0..470_000)), 0..at);
        assert_eq!(spool.packed_range(&(470_000..470_000)), expected[2].packed);
    }
}

#[test]
fn small_members_are_told_as_one() {
    for packing in ALL {
        let empty = packed(packing, b"");
        let bytes: Vec<u8> = (0..200).flat_map(|it| packed(packing, &[it])).chain(empty.clone()).collect();
        let spool = unpacked(bytes.clone(), packing);
        assert_eq!(all_of(&spool), (0..200).collect::<Vec<u8>>(), "{packing:?}");
        assert_eq!(spool.members(), [Member { packed: 0..bytes.len() as u64, unpacked: 0..200 }]);
        let nothing = unpacked(empty, packing);
        assert_eq!((nothing.n_bytes(), nothing.damage().is_none()), (0, true), "{packing:?}");
    }
}

#[test]
fn what_is_cut_keeps_what_came_before_and_tells_of_the_member() {
    let parts = [noise(100_000, 4), noise(2_000_000, 5)];
    for packing in ALL {
        let members = parts.each_ref().map(|it| packed(packing, it));
        let whole = members.concat();
        for end in [whole.len() / 2, whole.len() - 1, members[0].len() + 4] {
            let spool = unpacked(whole[..end].to_vec(), packing);
            let damage = spool.damage().expect("it is cut");
            let at = damage.locus().byte_offset;
            assert_eq!(
                (damage.kind(), at),
                (ErrorKind::Corrupt, Some(members[0].len() as u64)),
                "{packing:?} {end}"
            );
            assert!(damage.hint().is_some());
            let out = all_of(&spool);
            assert!(out.len() >= parts[0].len() && parts.concat().starts_with(&out), "{packing:?} {end}");
            assert!(
                end != whole.len() / 2 || out.len() > 500_000 || packing == Packing::Xz,
                "{packing:?}: {}",
                out.len()
            );
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed() {
    let plain = noise(200_000, 6);
    for packing in ALL {
        // A frame of zstd has a checksum only where it was asked for.
        let whole = match packing {
            Packing::Zstd => {
                let mut out = zstd::Encoder::new(Vec::new(), 1).unwrap();
                out.include_checksum(true).unwrap();
                out.write_all(&plain).unwrap();
                out.finish().unwrap()
            }
            _ => packed(packing, &plain),
        };
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 8;
        let spool = unpacked(flipped, packing);
        let damage = spool.damage().expect("it is damaged");
        assert_eq!((damage.kind(), damage.locus().byte_offset), (ErrorKind::Corrupt, Some(0)), "{packing:?}");
    }
}

#[test]
fn what_follows_is_padding_or_damage_at_its_place() {
    let plain = noise(40_000, 7);
    for packing in ALL {
        let member = packed(packing, &plain);
        let end = member.len() as u64;
        let garbage = unpacked([&member[..], b"garbage after"].concat(), packing);
        let damage = garbage.damage().expect("it is no member");
        assert_eq!(damage.to_string(), format!("13 bytes follow that are not {}", packing.name()));
        assert_eq!(damage.locus().byte_offset, Some(end));
        assert_eq!(all_of(&garbage), plain);
        let padded = unpacked([&member[..], &[0; 2048]].concat(), packing);
        assert_eq!(padded.damage().is_none(), packing.is_padded(), "{packing:?}");
        assert_eq!(all_of(&padded), plain);
    }
    let other = unpacked(b"no gzip at all".to_vec(), Packing::Gzip);
    assert_eq!(other.damage().expect("it is none").locus().byte_offset, Some(0));
}

#[test]
fn what_grows_beyond_the_bound_is_refused() {
    for packing in ALL {
        let bomb = packed(packing, &vec![0; 100 << 20]);
        let bytes_max = unpacked_max(bomb.len() as u64, 10);
        assert!(bytes_max < 100 << 20, "{packing:?}");
        let err = spool(file(bomb), packing, bytes_max, None).expect_err("it is refused");
        assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Limit, Some(0)), "{packing:?}");
        assert!(err.hint().is_some_and(|it| it.contains(packing.command())));
    }
    assert_eq!(unpacked_max(u64::MAX / 2, 1000), u64::MAX);
}

/// Such as `xz --lzma2=dict=1GiB` and `zstd --ultra --long=31` write.
#[test]
fn a_stream_that_asks_for_much_memory_is_refused() {
    let mut small = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    small.dict_size(1 << 16);
    // An encoder would take the memory itself: the size stands in the header of the only block, six bits of it.
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&small);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::None).unwrap();
    let mut out = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    out.write_all(b"little").unwrap();
    let mut bytes = out.finish().unwrap();
    // Block header: size, flags, filter 0x21, one byte of properties, which is the dictionary; then padding and a CRC.
    assert_eq!(bytes[14..16], [0x21, 1]);
    bytes[16] = 36;
    let n_header = (usize::from(bytes[12]) + 1) * 4;
    let crc = crc32(&bytes[12..12 + n_header - 4]);
    bytes[12 + n_header - 4..12 + n_header].copy_from_slice(&crc.to_le_bytes());
    let err = spool(file(bytes), Packing::Xz, 1 << 30, None).expect_err("it is refused");
    assert_eq!(err.kind(), ErrorKind::Limit, "{}", err.chain());

    let mut out = zstd::Encoder::new(Vec::new(), 1).unwrap();
    out.window_log(28).unwrap();
    out.include_contentsize(false).unwrap();
    out.write_all(&noise(300_000, 8)).unwrap();
    let err = spool(file(out.finish().unwrap()), Packing::Zstd, 1 << 30, None).expect_err("it is refused");
    assert_eq!(err.kind(), ErrorKind::Limit, "{}", err.chain());
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn a_file_that_cannot_be_read_is_no_damage() {
    struct Broken;
    impl ReadAt for Broken {
        fn n_bytes(&self) -> u64 {
            3 << 20
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            if range.start > 0 {
                return Err(Error::new(ErrorKind::Io, "the line is cut"));
            }
            Ok(packed(Packing::Gzip, &noise(3 << 20, 9))[..range.end as usize].to_vec().into())
        }
    }
    let err = spool(Arc::new(Broken), Packing::Gzip, 1 << 30, None).expect_err("it is cut");
    assert_eq!((err.kind(), err.to_string().as_str()), (ErrorKind::Io, "the line is cut"));
    let mut text = Vec::new();
    let err = Unpacker::new(Arc::new(Broken), Packing::Gzip, 1 << 30).read_to_end(&mut text).unwrap_err();
    assert_eq!(Error::from(err).to_string(), "the line is cut");
}

#[test]
fn names_say_how_a_file_is_packed() {
    assert_eq!(Packing::of_name("a.jsonl.gz"), Some(("a.jsonl", Packing::Gzip)));
    assert_eq!(Packing::of_name("a.tfrecord-00000-of-00002.zst").map(|it| it.1), Some(Packing::Zstd));
    assert_eq!(Packing::of_name("a.jsonl"), None);
    assert_eq!(Packing::of(b"{\"a\": 1}"), None);
    assert_eq!(Packing::of(b"BZh you"), None);
    assert_eq!(Packing::of(&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]), Some(Packing::Zstd));
}
