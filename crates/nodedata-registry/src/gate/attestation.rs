use chrono::{DateTime, SecondsFormat, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use semver::{Comparator, Op, Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::{digest::B3, name::DatasetName};

/// What somebody says to be let in to a gated dataset, and what became of it.
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
    /// Where it stands; [`Self::state_at`] tells with the time taken into account.
    state: State,
    /// Everything that happened to it, in order; the last is its state.
    history: Vec<Transition>,
    /// From when on it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
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

/// What a reviewer, or time, does to an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Lets the subject in for so many days.
    Grant {
        /// How long it holds.
        valid_days: u32,
    },
    /// Answers no.
    Deny,
    /// Takes a grant back, at once.
    Revoke,
    /// Notes that the time is over.
    Expire,
    /// Lets the subject ask again.
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

/// Why a reader is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing was asked for.
    NotRequested,
    /// Nobody has answered yet.
    Pending,
    /// The answer was no.
    Denied,
    /// The grant was taken back.
    Revoked,
    /// The grant's time is over.
    Expired,
    /// The grant is void.
    Reset,
    /// The text has changed since.
    OtherText,
    /// The grant is for other revisions.
    OtherRevision,
}

impl Refusal {
    /// Short stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotRequested => "attestation-required",
            Self::Pending => "attestation-pending",
            Self::Denied => "attestation-denied",
            Self::Revoked => "attestation-revoked",
            Self::Expired => "attestation-expired",
            Self::Reset => "attestation-reset",
            Self::OtherText => "attestation-outdated",
            Self::OtherRevision => "attestation-other-revision",
        }
    }

    /// What the reader can do.
    pub fn fix(self) -> &'static str {
        match self {
            Self::NotRequested | Self::Expired | Self::Reset => "ask with `node-data dataset attest`",
            Self::OtherText => {
                "the agreement has changed: read it and attest again with `node-data dataset attest`"
            }
            Self::OtherRevision => "a new major revision is attested anew: `node-data dataset attest`",
            Self::Pending => "wait for the owner's answer",
            Self::Denied | Self::Revoked => "speak to the owner, who may let you ask again",
        }
    }
}

impl Attestation {
    /// A request for access to the revisions that share the major number of `revision`.
    ///
    /// # Errors
    /// `Config` when the name or the purpose is empty.
    pub fn request(
        id: String,
        dataset: DatasetName,
        revision: &Version,
        policy: B3,
        asked: (Subject, Purpose, Vec<String>),
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let (subject, purpose, affirm) = asked;
        for (what, text) in [("name", &subject.name), ("purpose", &purpose.text)] {
            if text.trim().is_empty() {
                return Err(Error::new(ErrorKind::Config, format!("an attestation needs a {what}"))
                    .with_hint(format!("say it with `--{what}`")));
            }
        }
        Ok(Self {
            nd: "attestation/1".to_owned(),
            id,
            dataset,
            revisions: same_major(revision),
            policy,
            subject,
            purpose,
            affirm,
            state: State::Requested,
            history: vec![Transition { at: stamp(now), to: State::Requested, by: None, reason: None }],
            expires: None,
        })
    }

    /// Where it stands at a time: a grant whose time is over is expired, whether or not somebody noted it.
    pub fn state_at(&self, now: DateTime<Utc>) -> State {
        let is_over = || {
            self.expires
                .as_deref()
                .is_none_or(|it| DateTime::parse_from_rfc3339(it).is_ok_and(|it| it <= now))
        };
        if self.state == State::Granted && is_over() { State::Expired } else { self.state }
    }

    /// Everything that happened to it, in order.
    pub fn history(&self) -> &[Transition] {
        &self.history
    }

    /// From when on a grant no longer holds.
    pub fn expires(&self) -> Option<&str> {
        self.expires.as_deref()
    }

    /// Does something to it.
    ///
    /// # Errors
    /// `Conflict` when that cannot be done where it stands; nothing is changed then.
    pub fn act(
        &mut self,
        action: Action,
        by: Option<&str>,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        use State as S;
        let (from, may, to) = match (action, self.state_at(now)) {
            (Action::Grant { .. }, from) => (from, from == S::Requested, S::Granted),
            (Action::Deny, from) => (from, from == S::Requested, S::Denied),
            (Action::Revoke, from) => (from, from == S::Granted, S::Revoked),
            // Noting it twice would say that it happened twice.
            (Action::Expire, from) => (from, from == S::Expired && self.state == S::Granted, S::Expired),
            (Action::Reset, from) => (from, from != S::Reset, S::Reset),
        };
        if !may {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("an attestation that is {from:?} cannot become {to:?}").to_lowercase(),
            )
            .with_hint("look at it again with `node-data dataset attestations`"));
        }
        if let Action::Grant { valid_days } = action {
            let until = now.checked_add_days(chrono::Days::new(u64::from(valid_days)));
            let until = until.ok_or_else(|| Error::new(ErrorKind::Config, "the grant would never end"))?;
            self.expires = Some(stamp(until));
        }
        self.state = to;
        self.history.push(Transition {
            at: stamp(now),
            to,
            by: by.map(str::to_owned),
            reason: reason.map(str::to_owned),
        });
        Ok(())
    }

    /// Whether it lets its subject read `revision` while readers agree to `policy`.
    ///
    /// # Errors
    /// Why not.
    pub fn covers(&self, revision: &Version, policy: &B3, now: DateTime<Utc>) -> Result<(), Refusal> {
        match self.state_at(now) {
            State::Requested => return Err(Refusal::Pending),
            State::Denied => return Err(Refusal::Denied),
            State::Revoked => return Err(Refusal::Revoked),
            State::Expired => return Err(Refusal::Expired),
            State::Reset => return Err(Refusal::Reset),
            State::Granted => {}
        }
        if self.policy != *policy {
            return Err(Refusal::OtherText);
        }
        if !in_range(&self.revisions, revision) {
            return Err(Refusal::OtherRevision);
        }
        Ok(())
    }
}

/// Whether somebody whose newest attestation of a dataset is `newest` may ask for `revision` under `policy`.
/// Who was denied, or whose grant was revoked, may ask again after a reset only.
///
/// # Errors
/// `Conflict` when they may not.
pub fn may_request(
    newest: Option<&Attestation>,
    revision: &Version,
    policy: &B3,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(newest) = newest else { return Ok(()) };
    let is_same = newest.policy == *policy && in_range(&newest.revisions, revision);
    let (message, hint) = match newest.state_at(now) {
        State::Expired | State::Reset => return Ok(()),
        State::Requested | State::Granted if !is_same => return Ok(()),
        State::Requested => ("access was asked for already", "wait for the owner's answer"),
        State::Granted => ("access is granted already", "nothing is to be done"),
        State::Denied => ("access was denied", "speak to the owner, who may let you ask again"),
        State::Revoked => ("access was revoked", "speak to the owner, who may let you ask again"),
    };
    Err(Error::new(ErrorKind::Conflict, message).with_hint(hint))
}

/// `>=MAJOR.0.0, <MAJOR+1.0.0`.
fn same_major(revision: &Version) -> VersionReq {
    let comparator =
        |op, major| Comparator { op, major, minor: Some(0), patch: Some(0), pre: semver::Prerelease::EMPTY };
    let comparators = vec![
        comparator(Op::GreaterEq, revision.major),
        comparator(Op::Less, revision.major.saturating_add(1)),
    ];
    VersionReq { comparators }
}

/// Pre-releases belong to the revision they come before.
fn in_range(range: &VersionReq, revision: &Version) -> bool {
    range.matches(&Version { pre: semver::Prerelease::EMPTY, ..revision.clone() })
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
