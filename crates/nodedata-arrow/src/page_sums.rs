//! What pages say of their own bytes: a checksum, where their writer made one.

use std::collections::BTreeMap;

use crate::thrift::{I32, Walk};

/// A header that has more says too much of values to be held for what it says of bytes.
const HEADER_BYTES_MAX: usize = 1 << 20;

// Fields of the header of a page.
const BODY_BYTES: i16 = 3;
const CHECKSUM: i16 = 4;

/// The headers of pages that a reader went through, and the checksums that they say.
#[derive(Debug, Default)]
pub(crate) struct PageSums {
    /// The header that is being read: where it begins, and its bytes so far.
    start: u64,
    header: Vec<u8>,
    /// By the place where the bytes of a page begin.
    sums: BTreeMap<u64, u32>,
}

impl PageSums {
    /// A header begins.
    pub(crate) fn begin(&mut self, start: u64) {
        self.settle();
        self.start = start;
    }

    /// More of it.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.header.len() <= HEADER_BYTES_MAX {
            self.header.extend_from_slice(bytes);
        }
    }

    fn settle(&mut self) {
        if let Some(Header { n_bytes, checksum: Some(sum), .. }) = Header::of(&self.header)
            && n_bytes == self.header.len()
        {
            self.sums.insert(self.start + n_bytes as u64, sum);
        }
        self.header.clear();
    }

    /// Whether bytes that lie at a place are those that their page has a checksum of, or no page of any: they are those behind a header, or
    /// of a page with its header.
    pub(crate) fn are_sound(&mut self, start: u64, bytes: &[u8]) -> bool {
        self.settle();
        let (sum, body) = match self.sums.remove(&start) {
            Some(sum) => (sum, bytes),
            None => match Header::of(bytes) {
                Some(Header { n_bytes, n_body: Some(n_body), checksum: Some(sum) })
                    if bytes.len().checked_sub(n_bytes) == Some(n_body) =>
                {
                    (sum, &bytes[n_bytes..])
                }
                _ => return true,
            },
        };
        crc32fast::hash(body) == sum
    }
}

/// The header of a page.
struct Header {
    n_bytes: usize,
    n_body: Option<usize>,
    checksum: Option<u32>,
}

impl Header {
    /// The one that some bytes begin with.
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut walk = Walk { bytes };
        let (mut id, mut n_body, mut checksum) = (0, None, None);
        while let Some(field) = walk.field(&mut id)? {
            match field {
                (BODY_BYTES, I32) => n_body = usize::try_from(walk.signed()?).ok(),
                (CHECKSUM, I32) => checksum = i32::try_from(walk.signed()?).ok().map(i32::cast_unsigned),
                (_, kind) => walk.skip(kind, 0)?,
            }
        }
        Some(Self { n_bytes: bytes.len() - walk.bytes.len(), n_body, checksum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header: type, bytes of the page unpacked and packed, its checksum where there is one, and what kind of page it is.
    fn header(n_body: u8, sum: Option<u32>) -> Vec<u8> {
        let mut bytes = vec![0x15, 0, 0x15, n_body * 2, 0x15, n_body * 2];
        let step = if sum.is_some() { 1 } else { 2 };
        if let Some(sum) = sum {
            let sum = i64::from(sum.cast_signed());
            let mut number = ((sum << 1) ^ (sum >> 63)).cast_unsigned();
            bytes.push(0x15);
            while 0x80 <= number {
                bytes.push((number & 0x7f) as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
        }
        // Values, encodings of these and of the levels.
        bytes.extend([(step << 4) | 0x0c, 0x15, 6, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0]);
        bytes
    }

    #[test]
    fn bytes_are_held_against_the_checksum_of_their_page() {
        let body = b"some body";
        let sum = crc32fast::hash(body);
        for (told, is_sound) in [(Some(sum), true), (Some(sum ^ 1), false), (Some(!sum), false), (None, true)]
        {
            let header = header(body.len() as u8, told);
            // Header and bytes one after the other, the header byte by byte.
            let mut sums = PageSums::default();
            sums.begin(100);
            header.iter().for_each(|it| sums.push(std::slice::from_ref(it)));
            let at = 100 + header.len() as u64;
            assert_eq!(sums.are_sound(at, body), is_sound, "{told:?}");
            // Once more, behind other headers.
            sums.begin(100);
            sums.push(&header);
            sums.begin(500);
            sums.push(&header);
            assert_eq!(sums.are_sound(at, body), is_sound, "{told:?}");
            // Both together.
            assert_eq!(sums.are_sound(7, &[&header[..], body].concat()), is_sound, "{told:?}");
        }
        assert!(PageSums::default().are_sound(0, b"nothing of the kind"));
        assert!(PageSums::default().are_sound(0, &[]));
    }
}
