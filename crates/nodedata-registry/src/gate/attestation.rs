use semver::VersionReq;
use serde::{Deserialize, Serialize};

use crate::{digest::B3, name::DatasetName};

/// What somebody says to be let in to a gated dataset, and what became of it, as a server tells it. Which steps may
/// follow each other, and what a grant opens, is the server's to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// `attestation/1`.
    pub nd: String,
    /// Its name.
    pub id: String,
    /// Which dataset.
    pub dataset: DatasetName,
    /// Which revisions: one major number, because a new one is a new dataset to agree about.
    pub revisions: VersionReq,
    /// Digest of the text that was agreed to.
    pub policy: B3,
    /// Who.
    pub subject: Subject,
    /// What for.
    pub purpose: Purpose,
    /// What is promised, such as `no-reidentification`.
    pub affirm: Vec<String>,
    /// Where it stood when something happened to it last: a grant may have run out since.
    pub state: State,
    /// Everything that happened to it, in order; the last is its state.
    pub history: Vec<Transition>,
    /// From when on it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Who attests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The account; the server fills it in.
    #[serde(default)]
    pub user: String,
    /// Full name.
    pub name: String,
    /// For whom they work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// ISO 3166 country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// What access is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// Terms of the Data Use Ontology.
    #[serde(default)]
    pub duo: Vec<String>,
    /// In words.
    pub text: String,
}

/// Where an attestation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nobody has answered yet.
    Requested,
    /// The subject may read.
    Granted,
    /// The answer was no.
    Denied,
    /// It was granted and is no longer.
    Revoked,
    /// It was granted for a time that is over.
    Expired,
    /// It is void, and the subject may ask again.
    Reset,
}

/// Something that happened to an attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When, UTC.
    pub at: String,
    /// What it became.
    pub to: State,
    /// Who did it; absent for the subject, a rule, and time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, where somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
