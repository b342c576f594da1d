//! Blobs that are sent together, in one body: of each its BLAKE3 (32 bytes), its length (8 bytes, the least first) and its bytes.

use bytes::{BufMut as _, Bytes, BytesMut};
use nodedata_core::{Error, ErrorKind, Locus, Result};

use crate::{digest::B3, record::BlobRef};

/// Most blobs of one body.
pub const PACKED_BLOBS_MAX: usize = 1024;

/// What stands before the bytes of each.
const HEAD_BYTES: usize = 40;

/// The body that holds blobs.
pub fn pack(blobs: &[(BlobRef, Bytes)]) -> Bytes {
    let n_bytes = blobs.iter().map(|(_, bytes)| HEAD_BYTES + bytes.len()).sum();
    let mut body = BytesMut::with_capacity(n_bytes);
    for (blob, bytes) in blobs {
        body.put_slice(&blob.b3.0);
        body.put_u64_le(bytes.len() as u64);
        body.put_slice(bytes);
    }
    body.freeze()
}

/// The blobs of a body, as they are said to be: nothing was hashed yet.
///
/// # Errors
/// `Corrupt` when it ends amid one, at the byte where that begins; `Limit` for too many.
pub fn unpack(body: &Bytes) -> Result<Vec<(BlobRef, Bytes)>> {
    let mut blobs = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let place = Locus::byte(at as u64);
        if blobs.len() == PACKED_BLOBS_MAX {
            let message = format!("more than {PACKED_BLOBS_MAX} blobs came together");
            return Err(Error::new(ErrorKind::Limit, message).at(place).with_hint("send fewer at once"));
        }
        let cut = || {
            let err = Error::new(ErrorKind::Corrupt, "the body ends amid a blob").at(place.clone());
            err.with_hint("send of each its BLAKE3, its length in 8 bytes, the least first, and its bytes")
        };
        let (b3, rest) = body[at..].split_first_chunk::<32>().ok_or_else(cut)?;
        let (n_bytes, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let n_bytes = u64::from_le_bytes(*n_bytes);
        let fits = usize::try_from(n_bytes).ok().filter(|it| *it <= rest.len()).ok_or_else(cut)?;
        let start = at + HEAD_BYTES;
        at = start + fits;
        blobs.push((BlobRef { b3: B3(*b3), sha256: String::new(), bytes: n_bytes }, body.slice(start..at)));
    }
    Ok(blobs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob(bytes: &[u8]) -> (BlobRef, Bytes) {
        let blob = BlobRef { b3: B3::of(bytes), sha256: String::new(), bytes: bytes.len() as u64 };
        (blob, Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn a_body_that_ends_amid_a_blob_is_refused() {
        let body = pack(&[blob(b"one"), blob(b""), blob(b"three")]);
        let ends = [0, 43, 83, 128];
        assert_eq!(body.len(), ends[3]);
        for end in 0..body.len() {
            let found = unpack(&body.slice(..end));
            match ends.iter().position(|it| *it == end) {
                Some(n_blobs) => assert_eq!(found.unwrap().len(), n_blobs),
                None => {
                    let err = found.unwrap_err();
                    let begins = ends.iter().rfind(|it| **it < end).map(|it| *it as u64);
                    assert_eq!((err.kind(), err.locus().byte_offset), (ErrorKind::Corrupt, begins), "{end}");
                }
            }
        }
        let mut long = body.to_vec();
        long[32..40].fill(0xff);
        assert_eq!(unpack(&Bytes::from(long)).unwrap_err().kind(), ErrorKind::Corrupt);
        let many = vec![blob(b""); PACKED_BLOBS_MAX + 1];
        assert_eq!(unpack(&pack(&many[1..])).unwrap().len(), PACKED_BLOBS_MAX);
        assert_eq!(unpack(&pack(&many)).unwrap_err().kind(), ErrorKind::Limit);
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let blobs: Vec<_> = all.iter().map(|it| blob(it)).collect();
            prop_assert_eq!(unpack(&pack(&blobs)).unwrap(), blobs);
        }

        #[test]
        fn no_body_is_more_than_it_holds(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let n_bytes = body.len();
            if let Ok(blobs) = unpack(&Bytes::from(body)) {
                let n_held: usize = blobs.iter().map(|(_, bytes)| HEAD_BYTES + bytes.len()).sum();
                prop_assert_eq!(n_held, n_bytes);
            }
        }
    }
}
