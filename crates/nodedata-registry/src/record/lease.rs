use serde::{Deserialize, Serialize};

use crate::{digest::B3, name::DatasetName};

/// A push that is under way: what it needs must not be collected. Lies at `leases/<push>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// `lease/1`.
    pub nd: String,
    /// The push.
    pub push: String,
    /// Where it will publish.
    pub dataset: DatasetName,
    /// Every blob the revision will name, those that were there before too.
    pub blobs: Vec<B3>,
    /// Seconds it lives from the time the store wrote it, by the store's clock.
    pub seconds: u64,
}
