use std::path::Path;

use nodedata_pipeline::Rebuilt;
use nodedata_registry::{
    B3, DatasetName,
    gate::{Attestation, AuditHead, AuditLine},
    trust::Verification,
};
use serde::Serialize;

/// A key pair that was made.
#[derive(Serialize)]
pub(crate) struct KeyPair<'a> {
    /// `ed25519:` and the key's short digest.
    pub(crate) keyid: String,
    /// File of the secret key.
    pub(crate) secret: &'a Path,
    /// File of the public key.
    pub(crate) public: &'a Path,
}

/// A signature that was attached.
#[derive(Serialize)]
pub(crate) struct Signed<'a> {
    /// `owner/name`.
    pub(crate) dataset: &'a DatasetName,
    /// Number of the revision.
    pub(crate) revision: &'a str,
    /// Digest of its manifest, which is signed.
    pub(crate) manifest: B3,
    /// By which key.
    pub(crate) keyid: String,
    /// Number of the record.
    pub(crate) seq: u64,
}

/// A revision that was checked.
#[derive(Serialize)]
pub(crate) struct Verified<'a> {
    /// Whether all of it holds.
    pub(crate) sound: bool,
    /// What was looked at, and what is wrong.
    pub(crate) verification: &'a Verification,
    /// What came of running the recipe again; null unless it was asked for.
    pub(crate) rebuild: Option<&'a Rebuilt>,
}

/// The text that readers of a gated dataset agree to.
#[derive(Serialize)]
pub(crate) struct Agreement<'a> {
    /// Its digest, which `dataset attest --agree` takes.
    pub(crate) policy: B3,
    /// The text.
    pub(crate) text: &'a str,
}

/// Requests for access.
#[derive(Serialize)]
pub(crate) struct Attestations<'a> {
    /// The one that was made or answered, or all that may be seen.
    pub(crate) attestations: &'a [Attestation],
}

/// The audit log of a server, once its chain was checked.
#[derive(Serialize)]
pub(crate) struct AuditLog {
    /// Where the chain ends.
    #[serde(flatten)]
    pub(crate) head: AuditHead,
    /// The lines, oldest first. Hashes are over the lines as the server sends them, which `--format text` prints.
    pub(crate) lines: Vec<AuditLine>,
}
