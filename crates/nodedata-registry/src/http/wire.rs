use serde::{Deserialize, Serialize};

use crate::{
    digest::B3,
    gate::{Attestation, Purpose, Subject},
    name::DatasetName,
    record::{BlobRef, CommitRecord, Sensitivity, Visibility},
    remote::LogEntry,
};

/// Header with the length of the blob that a part belongs to.
pub const BLOB_BYTES: &str = "nd-bytes";
/// Header with the chaining value of a part, 64 hex digits: damage on the way is noticed at once.
pub const PART_CV: &str = "nd-cv";

/// Header with the push that a part belongs to, as it was announced: parts of one push are never mixed with those of
/// another.
pub const PUSH: &str = "nd-push";

/// The kind of grant that exchanges tokens (RFC 8693).
pub const GRANT_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// An identity token of OpenID Connect, as what is exchanged.
pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// Any JWT, as what is exchanged.
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// What a server gives for it.
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A page of the datasets that the asker may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetList {
    /// In order of name; found by words, in the order in which the server came to know them.
    pub datasets: Vec<DatasetSummary>,
    /// What to send as `after` for the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One dataset of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetSummary {
    /// Which.
    pub name: DatasetName,
    /// Who may see it.
    pub visibility: Visibility,
    /// What personal data it holds, and its gate.
    pub sensitivity: Sensitivity,
    /// The newest revision that is not withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// Revisions, withdrawn ones too.
    pub revisions: u64,
}

/// What must be sent for a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAnswer {
    /// The push.
    pub push: String,
    /// Bytes of a part of a blob up to 64 GiB; larger blobs have larger parts.
    pub part: u64,
    /// The blobs that must be sent.
    pub need: Vec<NeededBody>,
    /// How long the push is protected without a word.
    pub lease_seconds: u64,
}

/// A blob that must be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeededBody {
    /// Which.
    #[serde(flatten)]
    pub blob: BlobRef,
    /// The parts that are there already, see [`crate::http::bitmap_of`].
    pub parts: String,
}

/// The parts of a blob that are there: all of resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartsAnswer {
    /// Parts of the blob.
    pub n_parts: u32,
    /// Those that are there, see [`crate::http::bitmap_of`].
    pub parts: String,
}

/// A record of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryBody {
    /// Digest of the record's bytes.
    pub digest: B3,
    /// The record.
    pub record: CommitRecord,
}

/// Records of a log, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAnswer {
    /// The records.
    pub entries: Vec<EntryBody>,
    /// Whether more follow: ask again from the next number.
    pub more: bool,
}

/// A record is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitAnswer {
    /// Its number.
    pub seq: u64,
    /// Digest of its bytes.
    pub digest: B3,
}

/// A request for access to a gated dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestBody {
    /// Digest of the text that was read and is agreed to.
    pub policy: B3,
    /// The revision it is for; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Who asks.
    pub subject: Subject,
    /// What for.
    pub purpose: Purpose,
    /// What is promised.
    #[serde(default)]
    pub affirm: Vec<String>,
}

/// Whose token was sent, and what it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoamiAnswer {
    /// The account.
    pub account: String,
    /// What the token may do.
    pub scopes: Vec<String>,
    /// Groups of the issuer that a login put this token into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Name of the token; servers of earlier versions do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Attestations, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationList {
    /// All of them for a reviewer, one's own for others.
    pub attestations: Vec<Attestation>,
}

/// Why a reviewer decides so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// In words, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Asks for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// For which account; it is made when it is not there.
    pub account: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// How long it holds, in days.
    pub valid_days: u32,
}

/// A fresh token: the only time that it is told.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// Its name, for taking it back.
    pub id: String,
    /// The secret.
    pub token: String,
    /// When it ends.
    pub expires: String,
}

/// Asks for a token in the place of another, for the same account with the same scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateBody {
    /// How long the new one holds, in days; as long as the old one held when absent, and no longer than that unless an
    /// operator asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_days: Option<u32>,
    /// How long the old one goes on beside it, in seconds; it ends at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u32>,
}

/// How to log in to a server: what whoever asks the issuer must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginOffer {
    /// Whom the server trusts, as its tokens name it.
    pub issuer: String,
    /// What the issuer calls the server.
    pub client_id: String,
    /// What is asked of the issuer.
    pub scopes: Vec<String>,
}

/// A token in the place of an identity token: the only time that it is told (RFC 8693, 2.2.1).
#[derive(Clone, Serialize, Deserialize)]
pub struct ExchangeAnswer {
    /// The secret.
    pub access_token: String,
    /// [`ACCESS_TOKEN`].
    pub issued_token_type: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// What it may do, a space between two scopes.
    pub scope: String,
    /// Whose it is.
    pub account: String,
    /// When it ends, UTC.
    pub expires: String,
    /// Its name, for taking it back.
    pub id: String,
}

impl std::fmt::Debug for ExchangeAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeAnswer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Gives a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// `reader`, `pusher`, `steward`, `reviewer` or `admin`.
    pub role: String,
}

/// Roles, by where they hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleList {
    /// The roles.
    pub roles: Vec<RoleInfo>,
}

/// A role that somebody has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleInfo {
    /// `account:NAME` or `group:NAME`.
    pub who: String,
    /// `OWNER/NAME` or `OWNER/*`.
    pub on: String,
    /// `reader`, `pusher`, `steward`, `reviewer` or `admin`.
    pub role: String,
}

/// Groups, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupList {
    /// The groups.
    pub groups: Vec<GroupInfo>,
}

/// A group of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// Accounts in it; of one that is told to a member, that member alone.
    pub members: Vec<String>,
}

/// Tokens, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// All of them for operators, one's own account's for others.
    pub tokens: Vec<TokenInfo>,
}

/// What is told of a token: everything but the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its name, for rotating it and for taking it back.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Groups of the issuer that its login put it into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When it was made, UTC.
    pub created: String,
    /// When it ends, UTC.
    pub expires: String,
    /// When it was used last, UTC, to the hour; absent while it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// `active`, `expired` or `revoked`.
    pub state: String,
}

impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAnswer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl From<LogEntry> for EntryBody {
    fn from(entry: LogEntry) -> Self {
        Self { digest: entry.digest, record: entry.record }
    }
}

impl From<EntryBody> for LogEntry {
    fn from(body: EntryBody) -> Self {
        Self { digest: body.digest, record: body.record }
    }
}
