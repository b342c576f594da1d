use std::{fmt, str::FromStr};

use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// BLAKE3-256 of some bytes: their address. Written `b3:` and 64 hex digits; the prefix may be missing
/// where it is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct B3(pub [u8; 32]);

impl B3 {
    /// The address of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// 64 hex digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl fmt::Display for B3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b3:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for B3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for B3 {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("b3:").unwrap_or(text);
        let is_hex = hex.len() == 64 && hex.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        match blake3::Hash::from_hex(hex) {
            Ok(hash) if is_hex => Ok(Self(*hash.as_bytes())),
            _ => Err(Error::new(ErrorKind::Corrupt, format!("`{text}` is no BLAKE3 digest"))
                .with_hint("a digest is `b3:` and 64 lower-case hex digits")),
        }
    }
}

impl Serialize for B3 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for B3 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// For fields that are called `b3` already: without the prefix.
pub(crate) mod plain_hex {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(digest: &B3, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.hex())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<B3, D::Error> {
        B3::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = B3::of(b"x");
        assert_eq!(digest.to_string().parse::<B3>().unwrap(), digest);
        assert_eq!(digest.hex().parse::<B3>().unwrap(), digest);
        for bad in ["", "b3:", "b3:12", &digest.hex().to_uppercase(), &format!("{digest}0")] {
            assert!(bad.parse::<B3>().is_err(), "{bad}");
        }
    }
}
