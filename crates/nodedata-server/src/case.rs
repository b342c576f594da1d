use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    B3, DatasetName,
    gate::{Attestation, Purpose, State, Subject, Transition},
};
use semver::{Comparator, Op, Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::{clock::stamp, database::Revoked};

/// An attestation as the server keeps it: nothing happens to it but what may follow, and it alone says what it
/// opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Case(Attestation);

/// What a reviewer does to an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Lets the subject in for so many days.
    Grant {
        /// How long it holds.
        valid_days: u32,
    },
    /// Answers no.
    Deny,
    /// Takes a grant back, at once.
    Revoke,
    /// Lets the subject ask again.
    Reset,
}

/// Why a reader is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
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
    pub(crate) fn code(self) -> &'static str {
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
    pub(crate) fn fix(self) -> &'static str {
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

impl Case {
    /// A request for access to the revisions that share the major number of `revision`.
    ///
    /// # Errors
    /// `Config` when the name or the purpose is empty.
    pub(crate) fn request(
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
        Ok(Self(Attestation {
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
        }))
    }

    /// One that was denied or revoked after the database was backed up: as it was known then, or as little as is kept apart.
    pub(crate) fn taken_back(known: Option<Self>, revoked: &Revoked, now: DateTime<Utc>) -> Option<Self> {
        let Revoked::Attestation { id, dataset, account, revisions, policy, to } = revoked else {
            return None;
        };
        let mut case = known.unwrap_or_else(|| {
            let subject = Subject { user: account.clone(), ..Subject::default() };
            Self(Attestation {
                nd: "attestation/1".to_owned(),
                id: id.clone(),
                dataset: dataset.clone(),
                revisions: revisions.clone(),
                policy: *policy,
                subject,
                purpose: Purpose::default(),
                affirm: Vec::new(),
                state: *to,
                history: Vec::new(),
                expires: None,
            })
        });
        case.0.state = *to;
        let reason = Some("taken back after the backup that was put in".to_owned());
        case.0.history.push(Transition { at: stamp(now), to: *to, by: None, reason });
        Some(case)
    }

    /// Where it stands at a time: a grant whose time is over is expired, whether or not somebody noted it.
    pub(crate) fn state_at(&self, now: DateTime<Utc>) -> State {
        let is_over = || {
            self.0
                .expires
                .as_deref()
                .is_none_or(|it| DateTime::parse_from_rfc3339(it).is_ok_and(|it| it <= now))
        };
        if self.0.state == State::Granted && is_over() { State::Expired } else { self.0.state }
    }

    /// What is told of it.
    pub(crate) fn attestation(&self) -> &Attestation {
        &self.0
    }

    /// Does something to it.
    ///
    /// # Errors
    /// `Conflict` when that cannot be done where it stands; nothing is changed then.
    pub(crate) fn act(
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
            self.0.expires = Some(stamp(until));
        }
        self.0.state = to;
        self.0.history.push(Transition {
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
    pub(crate) fn covers(&self, revision: &Version, policy: &B3, now: DateTime<Utc>) -> Result<(), Refusal> {
        match self.state_at(now) {
            State::Requested => return Err(Refusal::Pending),
            State::Denied => return Err(Refusal::Denied),
            State::Revoked => return Err(Refusal::Revoked),
            State::Expired => return Err(Refusal::Expired),
            State::Reset => return Err(Refusal::Reset),
            State::Granted => {}
        }
        if self.0.policy != *policy {
            return Err(Refusal::OtherText);
        }
        if !in_range(&self.0.revisions, revision) {
            return Err(Refusal::OtherRevision);
        }
        Ok(())
    }
}

/// The case that lets somebody read `revision` while its readers agree to `policy`. `cases` are all of theirs for the
/// dataset, the newest first: of those for this major number the newest counts, but one for another text does not undo
/// what was granted for this one, unless it says no.
///
/// # Errors
/// Why there is none.
pub(crate) fn opening<'a>(
    cases: &'a [Case],
    revision: &Version,
    policy: &B3,
    now: DateTime<Utc>,
) -> Result<&'a Case, Refusal> {
    let mut why = match cases {
        [] => Refusal::NotRequested,
        _ => Refusal::OtherRevision,
    };
    let mut is_first = true;
    for case in cases.iter().filter(|it| in_range(&it.0.revisions, revision)) {
        let refused = match case.covers(revision, policy, now) {
            Ok(()) => return Ok(case),
            Err(refused) => refused,
        };
        let is_no = matches!(refused, Refusal::Denied | Refusal::Revoked);
        if is_no || case.0.policy == *policy {
            return Err(if is_first || is_no { refused } else { why });
        }
        if is_first {
            (why, is_first) = (refused, false);
        }
    }
    Err(why)
}

/// Whether somebody may ask for `revision` under `policy`, whose cases of the dataset are `cases`, the newest first.
/// Requests for other major numbers are left alone. Who was denied, or whose grant was revoked, may ask again after a
/// reset only.
///
/// # Errors
/// `Conflict` when they may not.
pub(crate) fn may_request(cases: &[Case], revision: &Version, policy: &B3, now: DateTime<Utc>) -> Result<()> {
    let refused =
        |message: &str, hint: &str| Err(Error::new(ErrorKind::Conflict, message.to_owned()).with_hint(hint));
    let newest_of_it = cases.iter().find(|it| in_range(&it.0.revisions, revision));
    for newest in [cases.first(), newest_of_it].into_iter().flatten() {
        let hint = "speak to the owner, who may let you ask again";
        match newest.state_at(now) {
            State::Denied => return refused("access was denied", hint),
            State::Revoked => return refused("access was revoked", hint),
            State::Requested | State::Granted | State::Expired | State::Reset => {}
        }
    }
    let same = newest_of_it.filter(|it| it.0.policy == *policy).map(|it| it.state_at(now));
    match same {
        Some(State::Requested) => refused("access was asked for already", "wait for the owner's answer"),
        Some(State::Granted) => refused("access is granted already", "nothing is to be done"),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests;
