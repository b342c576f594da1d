use std::ops::Range;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Locus, Loss, ReadAt, Result};
use nodedata_steps::SALVAGE_HINT;

use crate::{
    container::{Container, Frame, Frames, Place},
    foreign::foreign,
};

/// Bytes before a record: its length, and the checksum of that.
const HEAD_BYTES: u64 = 12;
/// Bytes after a record: its checksum.
const TAIL_BYTES: u64 = 4;
/// Bytes of a record beside its own.
pub(crate) const FRAMING_BYTES: u64 = HEAD_BYTES + TAIL_BYTES;

/// A record of so many bytes or more is alone in what a far file fetches around its head.
const PEEKED_BYTES: u64 = 64 << 10;

/// A record of fewer bytes is fetched as fast as its head alone is.
const SMALL_BYTES: u64 = 256 << 10;
/// So many of these in a row tell that others follow.
const SMALL_RECORDS_MAX: u32 = 4;

/// What bounds and proves what is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) record_bytes_max: u64,
    pub(crate) verify_checksums: bool,
}

/// The reason of a file that ends where it should not.
pub(crate) const TRUNCATED: &str = "truncated";

/// Walks the framing of a file. Lengths that their checksum does not vouch for end it: nothing else tells where the next
/// record begins. A record that is too large is stepped over. `locate` says where in the input bytes of this file are, which may be
/// unpacked from it.
///
/// # Errors
/// `Io`.
pub(crate) fn walk(
    file: &dyn ReadAt,
    within: Range<u64>,
    limits: Limits,
    locate: &dyn Fn(&Range<u64>) -> Range<u64>,
) -> Result<Frames> {
    let mut walk = Walk::of(file, within, limits);
    while walk.step(locate)? {}
    Ok(walk.frames)
}

/// A walk, record by record.
pub(crate) struct Walk<'a> {
    heads: Heads<'a>,
    limits: Limits,
    left: Range<u64>,
    /// Whether nothing is fetched but heads.
    is_peek: bool,
    /// Records that came one after the other and are small.
    n_small: u32,
    pub(crate) frames: Frames,
}

impl<'a> Walk<'a> {
    pub(crate) fn of(file: &'a dyn ReadAt, within: Range<u64>, limits: Limits) -> Self {
        let (heads, frames) = (Heads::of(file), Frames::default());
        Self { heads, limits, left: within, is_peek: false, n_small: 0, frames }
    }

    /// Fetches nothing but heads, however close together they lie, for as long as it is open whether to fetch all of the file.
    pub(crate) fn only_peek(&mut self, is_peek: bool) {
        self.is_peek = is_peek;
        self.heads.is_alone |= is_peek;
    }

    /// Whether heads lie so close together that fetching all of the file takes fewer requests than fetching them.
    pub(crate) fn is_dense(&self) -> bool {
        SMALL_RECORDS_MAX <= self.n_small
    }

    /// Goes over the next record; false where there is none.
    ///
    /// # Errors
    /// As [`walk`].
    pub(crate) fn step(&mut self, locate: &dyn Fn(&Range<u64>) -> Range<u64>) -> Result<bool> {
        let rest = self.left.clone();
        if rest.is_empty() {
            return Ok(false);
        }
        let Limits { record_bytes_max: max, verify_checksums } = self.limits;
        let start = rest.start;
        let n_payload = match self.heads.at(&rest, verify_checksums)? {
            Head::Record { n_payload } => n_payload,
            Head::Cut(message) => {
                self.frames.damage.push(damaged(message, locate(&rest), TRUNCATED));
                self.left.start = rest.end;
                return Ok(false);
            }
            Head::Broken => {
                self.frames.damage.push(broken_head(self.heads.file, start, locate(&rest))?);
                self.left.start = rest.end;
                return Ok(false);
            }
        };
        let end = start + n_payload + FRAMING_BYTES;
        let byte_range = locate(&(start..end));
        if n_payload > max {
            let message = format!("a record has {n_payload} bytes, but at most {max} are read");
            let err = Error::new(ErrorKind::Limit, message);
            self.frames.damage.push(lost(err, byte_range, "too_large"));
        } else {
            let place = Place::Plain(start + HEAD_BYTES);
            self.frames.records.push(Frame { byte_range, n_bytes: n_payload, place });
        }
        self.heads.is_alone = self.is_peek || n_payload >= PEEKED_BYTES;
        self.n_small = if n_payload < SMALL_BYTES { self.n_small.saturating_add(1) } else { 0 };
        self.left.start = end;
        Ok(true)
    }
}

/// What stands where a record should begin.
enum Head {
    /// One of so many bytes, and they are there.
    Record { n_payload: u64 },
    /// The end of the file.
    Cut(String),
    /// Something else.
    Broken,
}

/// Whether bytes begin a record, as far as their checksum tells.
pub(crate) fn is_head(bytes: &[u8]) -> bool {
    bytes.len() >= HEAD_BYTES as usize && masked_crc(&bytes[..8]) == bytes[8..HEAD_BYTES as usize]
}

/// Reads the heads of records: at no cost where the file is in memory, and with little around them where records are large.
struct Heads<'a> {
    file: &'a dyn ReadAt,
    whole: Option<Bytes>,
    is_alone: bool,
}

impl<'a> Heads<'a> {
    fn of(file: &'a dyn ReadAt) -> Self {
        Self { file, whole: file.in_memory(), is_alone: true }
    }

    /// What stands at the beginning of what is left.
    fn at(&self, rest: &Range<u64>, verify_checksums: bool) -> Result<Head> {
        let start = rest.start;
        let n_left = rest.end - start;
        if n_left < HEAD_BYTES {
            return Ok(Head::Cut("the file ends within the head of a record".to_owned()));
        }
        let range = start..start + HEAD_BYTES;
        let mut head = [0; HEAD_BYTES as usize];
        if let Some(whole) = &self.whole {
            // A file in memory has no offset that does not fit.
            head.copy_from_slice(&whole[range.start as usize..range.end as usize]);
        } else if self.is_alone {
            head.copy_from_slice(&self.file.peek_at(range)?);
        } else {
            head.copy_from_slice(&self.file.read_at(range)?);
        }
        if verify_checksums && !is_head(&head) {
            return Ok(Head::Broken);
        }
        let [length @ .., _, _, _, _] = head;
        let n_payload = u64::from_le_bytes(length);
        let is_there = n_payload.checked_add(FRAMING_BYTES).is_some_and(|it| it <= n_left);
        Ok(match is_there {
            true => Head::Record { n_payload },
            false => Head::Cut(format!("the file ends within a record of {n_payload} bytes")),
        })
    }
}

/// The bytes of a record that begins at `start`, held against their checksum.
///
/// # Errors
/// `Io`; `Corrupt` when they are not there any more or are others.
pub(crate) fn payload(file: &dyn ReadAt, start: u64, n_bytes: u64, verify_checksums: bool) -> Result<Bytes> {
    match payload_and_damage(file, start, n_bytes, verify_checksums)? {
        (payload, None) => Ok(payload),
        (_, Some(damage)) => Err(damage),
    }
}

/// The bytes of a record that begins at `start`, and whether they are others than their checksum says.
///
/// # Errors
/// `Io`; `Corrupt` when they are not there any more.
pub(crate) fn payload_and_damage(
    file: &dyn ReadAt,
    start: u64,
    n_bytes: u64,
    verify_checksums: bool,
) -> Result<(Bytes, Option<Error>)> {
    let bytes = file.read_at(start..start + n_bytes + TAIL_BYTES)?;
    let at = bytes.len().checked_sub(TAIL_BYTES as usize);
    let at = at.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the record has no checksum"))?;
    let (payload, checksum) = (bytes.slice(..at), &bytes[at..]);
    let is_sound = !verify_checksums || masked_crc(&payload) == checksum;
    Ok((payload, (!is_sound).then(wrong_checksum)))
}

/// Where a record lies whose bytes begin at `start`, with head and tail.
pub(crate) fn framed(start: u64, n_bytes: u64) -> Range<u64> {
    start - HEAD_BYTES..start + n_bytes + TAIL_BYTES
}

/// The checksum of a record that begins at `start`, as it is stored behind it.
///
/// # Errors
/// `Io`.
pub(crate) fn stored_checksum(file: &dyn ReadAt, start: u64, n_bytes: u64) -> Result<Bytes> {
    let tail = start + n_bytes;
    file.peek_at(tail..tail + TAIL_BYTES)
}

/// What a record with another checksum than the stored one is.
pub(crate) fn wrong_checksum() -> Error {
    Error::new(ErrorKind::Corrupt, "the record is not what its checksum says")
}

fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    masked(crc_fast::crc32_iscsi(bytes))
}

/// CRC-32C, turned and moved so that the checksum of data with checksums in it is a sound one; as stored.
fn masked(crc: u32) -> [u8; 4] {
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The checksum of bytes that come one after the other.
pub(crate) struct Checksum(crc_fast::Digest);

impl Default for Checksum {
    fn default() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl Checksum {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As stored.
    pub(crate) fn masked(&self) -> [u8; 4] {
        // It has 32 bits.
        masked(self.0.finalize() as u32)
    }
}

/// What begins where a record should.
fn broken_head(file: &dyn ReadAt, start: u64, lost_bytes: Range<u64>) -> Result<Error> {
    let found = if start == 0 { foreign(file, Container::TfRecord)? } else { None };
    let message = "the length of a record is not what its checksum says";
    let err = found.unwrap_or_else(|| Error::new(ErrorKind::Corrupt, message));
    Ok(lost(err, lost_bytes, "damaged_framing"))
}

fn damaged(message: impl Into<String>, lost_bytes: Range<u64>, reason: &'static str) -> Error {
    lost(Error::new(ErrorKind::Corrupt, message), lost_bytes, reason)
}

/// A file without a byte is one that was never written, or not to its end, where no metadata says that it is to be so.
pub(crate) fn empty_file() -> Error {
    lost(Error::new(ErrorKind::Corrupt, "the file is empty"), 0..0, "empty_file")
}

/// An error that costs records whose steps nothing counts.
pub(crate) fn lost(err: Error, byte_range: Range<u64>, reason: &'static str) -> Error {
    let err = if err.hint().is_some() { err } else { err.with_hint(SALVAGE_HINT) };
    let loss = Loss { byte_range: Some(byte_range.clone()), records: Vec::new(), uncounted: true, reason };
    err.at(Locus::byte(byte_range.start)).with_loss(loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { record_bytes_max: 100, verify_checksums: true };

    struct Memory(Bytes);

    impl ReadAt for Memory {
        fn n_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, range: Range<u64>) -> Result<Bytes> {
            Ok(self.0.slice(range.start as usize..range.end as usize))
        }
    }

    fn frame(length: u64, payload: &[u8]) -> Vec<u8> {
        let length = length.to_le_bytes();
        [&length[..], &masked_crc(&length), payload, &masked_crc(payload)].concat()
    }

    /// Where each record starts and ends, and what is told of the damage.
    fn walked(bytes: Vec<u8>) -> (Vec<(u64, u64)>, Vec<String>) {
        let frames = {
            let file = Memory(bytes.into());
            walk(&file, 0..file.n_bytes(), LIMITS, &Range::clone)
        }
        .unwrap();
        let told =
            |it: &Error| format!("{} ({:?})", it.chain(), it.loss().unwrap().byte_range.clone().unwrap());
        let records = frames.records.iter().map(|it| (it.byte_range.start, it.byte_range.end)).collect();
        (records, frames.damage.iter().map(told).collect())
    }

    /// As TensorFlow writes the record `abc`.
    #[test]
    fn checksums_are_those_of_tensorflow() {
        assert_eq!(
            masked_crc(b"123456789"),
            0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
        );
        let bytes = frame(3, b"abc");
        let (records, damage) = walked(bytes.clone());
        assert_eq!((records, damage.len()), (vec![(0, 19)], 0));
        assert_eq!(payload(&Memory(bytes.clone().into()), 12, 3, true).unwrap(), &b"abc"[..]);
        let mut flipped = bytes;
        flipped[13] ^= 1;
        assert!(payload(&Memory(flipped.clone().into()), 12, 3, true).is_err());
        assert!(payload(&Memory(flipped.into()), 12, 3, false).is_ok());
    }

    #[test]
    fn a_length_that_lies_ends_the_walk() {
        let sound = frame(3, b"abc");
        for (second, told) in [
            (frame(u64::MAX, b"abc"), "the file ends within a record of 18446744073709551615 bytes (19..38)"),
            (frame(1 << 63, b""), "the file ends within a record of 9223372036854775808 bytes (19..35)"),
            (sound[..11].to_vec(), "the file ends within the head of a record (19..30)"),
            (sound[..18].to_vec(), "the file ends within a record of 3 bytes (19..37)"),
            (
                [vec![4], sound[1..].to_vec()].concat(),
                "the length of a record is not what its checksum says (19..38)",
            ),
        ] {
            let found = walked([sound.clone(), second].concat());
            assert_eq!(found, (vec![(0, 19)], vec![told.to_owned()]));
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_stepped_over() {
        let found = walked([frame(200, &[0; 200]), frame(3, b"abc")].concat());
        assert_eq!(found.0, [(216, 235)]);
        assert_eq!(found.1, ["a record has 200 bytes, but at most 100 are read (0..216)"]);
    }
}
