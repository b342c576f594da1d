//! Numbers that come from outside. Each has a declared maximum, which readers of requests, records and tables hold it
//! against before anything is allocated, multiplied or looped by it, and which a server's description tells.

use nodedata_core::{Error, ErrorKind, Locus, Result};
use serde::{Deserialize, Deserializer};

/// Longest blob, in bytes: 4 TiB, so that its parts are no longer than S3 takes them.
pub const BLOB_BYTES_MAX: u64 = 1 << 42;

/// Greatest position in a log, a list or a table, and greatest count: what JSON holds exactly in every language.
pub const POSITION_MAX: u64 = (1 << 53) - 1;

/// Most blobs that one push announces at once.
pub const PUSH_BLOBS_MAX: u64 = 1 << 20;

/// Most parts that the blobs of one push have together: 128 TiB of parts of 8 MiB.
pub const PUSH_PARTS_MAX: u64 = 1 << 24;

/// A whole number from 0 to `MAX`: whoever holds one may count on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounded<const MAX: u64>(u64);

/// Length of a blob.
pub type BlobBytes = Bounded<BLOB_BYTES_MAX>;
/// A position, or a count.
pub type Position = Bounded<POSITION_MAX>;

impl<const MAX: u64> Bounded<MAX> {
    /// A number that is called `name` where it comes from.
    ///
    /// # Errors
    /// `Limit` above the maximum.
    pub fn new(name: &str, number: u64) -> Result<Self> {
        at_most(name, number, MAX).map(Self)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A number that is at most `max`, whose maximum is only known when it is asked.
///
/// # Errors
/// `Limit` above it.
pub fn at_most(name: &str, number: u64, max: u64) -> Result<u64> {
    if number <= max {
        return Ok(number);
    }
    let message = format!("`{name}` is {number}, and at most {max} is taken");
    let hint = format!("write a whole number from 0 to {max}");
    Err(Error::new(ErrorKind::Limit, message).at(Locus::feature(name)).with_hint(hint))
}

/// The length of a blob, wherever JSON says one.
pub(crate) fn blob_bytes<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<u64, D::Error> {
    bounded::<D, BLOB_BYTES_MAX>("bytes", from)
}

/// A position or a count in JSON.
pub(crate) fn position<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<u64, D::Error> {
    bounded::<D, POSITION_MAX>("number", from)
}

fn bounded<'de, D: Deserializer<'de>, const MAX: u64>(
    name: &str,
    from: D,
) -> std::result::Result<u64, D::Error> {
    let number = u64::deserialize(from)?;
    Bounded::<MAX>::new(name, number).map(Bounded::get).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::B3,
        record::{BlobRef, CommitRecord, ShardRef},
    };

    #[test]
    fn a_number_is_taken_up_to_its_maximum_and_no_further() {
        for number in [0, 1, BLOB_BYTES_MAX - 1, BLOB_BYTES_MAX] {
            assert_eq!(BlobBytes::new("bytes", number).unwrap().get(), number);
        }
        for number in [BLOB_BYTES_MAX + 1, 1 << 63, u64::MAX] {
            let err = BlobBytes::new("bytes", number).unwrap_err();
            assert_eq!((err.kind(), err.locus().feature.as_deref()), (ErrorKind::Limit, Some("bytes")));
            assert!(err.hint().unwrap().contains(&BLOB_BYTES_MAX.to_string()), "{err}");
        }
    }

    /// Blobs are named in requests, records, manifests, leases: all of them are read through one type.
    #[test]
    fn no_json_brings_a_number_past_its_maximum() {
        let hex = "0".repeat(64);
        let blob = |bytes: u64| format!(r#""b3":"{hex}","sha256":"","bytes":{bytes}"#);
        let shard = |bytes| {
            let root = B3([0; 32]);
            format!(
                r#"{{"path":"p","stream":"s","split":"t",{},"rows":1,"row_groups":1,"episodes":[0,0],"content":"{root}","provenance":"{root}"}}"#,
                blob(bytes)
            )
        };
        let record = |seq: u64| {
            format!(
                r#"{{"nd":"commit/1","seq":{seq},"op_id":"o","author":"a","at":"","op":"tag","tag":"t"}}"#
            )
        };
        for number in [0, 1, BLOB_BYTES_MAX - 1, BLOB_BYTES_MAX] {
            let read: BlobRef = serde_json::from_str(&format!("{{{}}}", blob(number))).unwrap();
            assert_eq!(read.bytes, number);
            assert_eq!(serde_json::from_str::<ShardRef>(&shard(number)).unwrap().blob.bytes, number);
        }
        for number in [BLOB_BYTES_MAX + 1, 1 << 56, 1 << 63, u64::MAX] {
            serde_json::from_str::<BlobRef>(&format!("{{{}}}", blob(number))).unwrap_err();
            serde_json::from_str::<ShardRef>(&shard(number)).unwrap_err();
        }
        for number in [0, 1, POSITION_MAX - 1, POSITION_MAX] {
            assert_eq!(serde_json::from_str::<CommitRecord>(&record(number)).unwrap().seq, number);
        }
        for number in [POSITION_MAX + 1, 1 << 63, u64::MAX] {
            serde_json::from_str::<CommitRecord>(&record(number)).unwrap_err();
        }
    }
}
