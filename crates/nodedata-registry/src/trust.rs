//! What makes a revision believable: one root over its provenance, and one signature over its manifest.

mod audit_head;
mod blobs;
mod dsse;
mod key;
mod merkle;
mod rows;
mod sample;
mod verify;

pub use audit_head::{AuditStatement, SignedAuditHead};
pub use dsse::{Envelope, RevisionStatement, Signed, sign_revision, verify_revision};
pub use key::{KEY_TEXT_BYTES_MAX, PublicKey, SecretKey};
pub use merkle::{MerkleStep, Side, merkle_proof, merkle_root, verify_merkle_proof};
pub use sample::ByteSample;
pub use verify::{Verification, VerifyFinding, VerifyOptions, verify_published};
