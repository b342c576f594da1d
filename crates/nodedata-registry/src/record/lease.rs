use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::{
    digest::B3,
    name::DatasetName,
    record::{from_bytes, to_canonical},
};

/// A push that is under way: what it needs must not be collected. Lies at `leases/<push>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// `lease/2`; `lease/1` has no `check`.
    pub nd: String,
    /// The push.
    pub push: String,
    /// Where it will publish.
    pub dataset: DatasetName,
    /// Every blob the revision will name, those that were there before too.
    pub blobs: Vec<B3>,
    /// Seconds it lives from the time the store wrote it, by the store's clock.
    pub seconds: u64,
    /// Digest of all the rest, so that damage shows: a lease that names other blobs protects nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<B3>,
}

impl Lease {
    /// The lease of a push.
    ///
    /// # Errors
    /// None: it holds no floating-point number.
    pub fn new(push: &str, dataset: &DatasetName, blobs: Vec<B3>, seconds: u64) -> Result<Self> {
        let nd = "lease/2".to_owned();
        let lease = Self { nd, push: push.to_owned(), dataset: dataset.clone(), blobs, seconds, check: None };
        Ok(Self { check: Some(lease.digest()?), ..lease })
    }

    /// Reads a lease.
    ///
    /// # Errors
    /// `Corrupt` for what is none, or is not as it was written.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let lease: Self = from_bytes("lease", bytes)?;
        let is_whole = match (lease.nd.as_str(), lease.check) {
            ("lease/1", None) => true,
            ("lease/2", Some(check)) => lease.digest()? == check && to_canonical(&lease)? == bytes,
            _ => false,
        };
        match is_whole {
            true => Ok(lease),
            false => Err(Error::new(ErrorKind::Corrupt, "the lease is not as it was written")),
        }
    }

    fn digest(&self) -> Result<B3> {
        Ok(B3::of(&to_canonical(&Self { check: None, ..self.clone() })?))
    }
}
