//! The records of a registry, as they lie in a store: canonical JSON (RFC 8785) without floating-point
//! numbers, so that equal records are equal bytes.

mod attachment;
mod commit;
mod facts;
mod lease;
mod manifest;
mod sensitivity;

use nodedata_core::{Error, ErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};

pub use attachment::AttachmentKind;
pub use commit::{Bump, BumpProof, CommitRecord, Operation, SignatureRef, StateDigest, Visibility};
pub use facts::Facts;
pub use lease::Lease;
pub use manifest::{
    BlobRef, FileRef, Price, RevisionManifest, SHARDS_INLINE_MAX, SchemaRef, ShardRef, SplitRef, UseTerms,
    check_spelled,
};
pub use sensitivity::{DataClass, Gate, GateKind, Sensitivity, Treatment};

/// Longest record that is read, in bytes.
pub const RECORD_BYTES_MAX: u64 = 64 << 20;

/// The canonical bytes of a record.
///
/// # Errors
/// `Config` when it holds a floating-point number: those are written as decimal text.
pub fn to_canonical(record: &impl Serialize) -> Result<Vec<u8>> {
    let value = serde_json::to_value(record)
        .map_err(|err| Error::new(ErrorKind::Config, "the record cannot be written").with_source(err))?;
    if let Some(number) = first_float(&value) {
        let message = format!("records hold no floating-point numbers, but one is {number}");
        return Err(Error::new(ErrorKind::Config, message).with_hint("write it as decimal text, in quotes"));
    }
    Ok(nodedata_dataset::canonical_json(&value).into_bytes())
}

/// Reads a record.
///
/// # Errors
/// `Corrupt` when the bytes are no such record.
pub fn from_bytes<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|err| Error::new(ErrorKind::Corrupt, format!("the {what} cannot be read")).with_source(err))
}

fn first_float(value: &serde_json::Value) -> Option<&serde_json::Number> {
    match value {
        serde_json::Value::Number(number) => number.is_f64().then_some(number),
        serde_json::Value::Array(items) => items.iter().find_map(first_float),
        serde_json::Value::Object(entries) => entries.values().find_map(first_float),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
