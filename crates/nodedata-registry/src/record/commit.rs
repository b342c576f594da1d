use nodedata_core::Result;
use serde::{Deserialize, Serialize};

use crate::{
    digest::B3,
    name::DatasetName,
    record::{AttachmentKind, BlobRef, Facts, Sensitivity, from_bytes, to_canonical},
};

/// One entry of a dataset's log: the only thing that ever changes is which number comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// `commit/1`.
    pub nd: String,
    /// Its place in the log, from 0 to [`crate::POSITION_MAX`].
    #[serde(deserialize_with = "crate::bounded::position")]
    pub seq: u64,
    /// Digest of the record before it; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<B3>,
    /// Chosen by whoever asked for it: tells, after an ambiguous answer, whether it was done.
    pub op_id: String,
    /// Who asked for it.
    pub author: String,
    /// When, UTC.
    pub at: String,
    /// What was done.
    #[serde(flatten)]
    pub op: Operation,
    /// What the log adds up to before this record, every now and then: proves a snapshot that saves reading the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateDigest>,
    /// A signature that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig: Option<SignatureRef>,
}

/// The digest of a snapshot of a dataset's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDigest {
    /// Version of the snapshot; one of another version proves nothing.
    pub nd: String,
    /// Of its canonical bytes.
    pub digest: B3,
}

/// What a record does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Operation {
    /// The dataset begins. Always the first record.
    Create {
        /// Who may see it.
        visibility: Visibility,
        /// What personal data it holds; the class may be `undeclared` while it is private.
        sensitivity: Sensitivity,
        /// What is known of it before there is a revision, which the first one takes over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Box<Facts>>,
        /// The card of revisions that bring none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        readme: Option<BlobRef>,
    },
    /// A revision is published.
    Publish {
        /// Its SemVer number.
        revision: String,
        /// How it differs from the revision before it, and the proof.
        bump: Bump,
        /// The blob of its [`crate::record::RevisionManifest`].
        manifest: B3,
        /// Tags that point at it from now on; `latest` is one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
    },
    /// A tag points at another revision, or at none.
    Tag {
        /// The tag.
        tag: String,
        /// Where it points; absent when it is taken away.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<String>,
    },
    /// A document about a revision.
    Attach {
        /// What it is.
        kind: AttachmentKind,
        /// Which revision.
        revision: String,
        /// The revision's manifest, so that the document is bound to bytes.
        manifest: B3,
        /// The document.
        blob: BlobRef,
    },
    /// A revision is no longer to be used. Its bytes stay until they are purged.
    Withdraw {
        /// Which.
        revision: String,
        /// Why, for those who used it.
        reason: String,
    },
    /// Visibility or data class change.
    Declare {
        /// Who may see it from now on.
        visibility: Visibility,
        /// What personal data it holds.
        sensitivity: Sensitivity,
        /// Why; whoever lowers what protects personal data says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Blobs were removed for good, as a law may ask. Revisions that name them answer that they are gone.
    Purge {
        /// Which.
        blobs: Vec<B3>,
        /// Revisions that are not whole any more for it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        revisions: Vec<String>,
        /// Why.
        reason: String,
    },
    /// The dataset has another name from now on, where it goes on with `adopt`. Only another `move` may follow.
    Move {
        /// The name.
        to: DatasetName,
        /// Why.
        reason: String,
    },
    /// The dataset goes on from a name that it had before. Always the first record.
    Adopt {
        /// That name.
        from: DatasetName,
        /// Number of the record there that gave it this one.
        #[serde(deserialize_with = "crate::bounded::position")]
        moved_at: u64,
        /// Its digest.
        last: B3,
    },
    /// The dataset is no more. Its name stays taken. No record follows.
    Delete {
        /// Why.
        reason: String,
    },
}

/// Who may see a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Only those who were let in.
    Private,
    /// Everybody, within the gate that the data class asks for.
    Public,
}

/// How a revision differs from its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bump {
    /// `first`, `patch`, `minor` or `major`.
    pub kind: String,
    /// Counted from content hashes.
    pub proof: BumpProof,
}

/// Episodes of each split of the parent and of the new revision, compared by content hash: one of many streams is one
/// episode. (Records of earlier versions count every stream.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BumpProof {
    /// In both, with everything the parent has unchanged.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub kept: u64,
    /// New.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub added: u64,
    /// In both, with a feature or stream changed or gone.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub changed: u64,
    /// Gone.
    #[serde(deserialize_with = "crate::bounded::position")]
    pub removed: u64,
}

/// Names a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureRef {
    /// `ed25519:` and the key's short digest.
    pub keyid: String,
    /// `dsse`.
    pub alg: String,
}

impl CommitRecord {
    /// The record's bytes in the log.
    ///
    /// # Errors
    /// `Config` when the sensitivity holds what records do not.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        to_canonical(self)
    }

    /// Reads a record of the log.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        from_bytes("commit record", bytes)
    }
}
