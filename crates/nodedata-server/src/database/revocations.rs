//! What was taken back, numbered: the epoch of a database is how many such things it knows. Each is kept apart as well, so that
//! a backup that is put in learns what was taken back since.

use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    B3, DatasetName,
    gate::{AuditEvent, State},
};
use semver::VersionReq;
use serde::{Deserialize, Serialize};

use crate::{
    case::Case,
    clock::stamp,
    database::{Database, attestations, audit::append_line, roles, session::Session},
};

/// One thing that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revocation {
    /// `revocation/1`.
    pub(crate) nd: String,
    /// Its number, from 0.
    pub(crate) epoch: u64,
    /// When, UTC.
    pub(crate) at: String,
    /// What.
    #[serde(flatten)]
    pub(crate) revoked: Revoked,
}

/// What was taken back. It holds what is needed to take it back again, and no names or purposes of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Revoked {
    /// A token, from some time on.
    Token {
        id: String,
        /// Seconds since 1970; at once when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
    /// A request for access was denied, or a grant revoked.
    Attestation {
        id: String,
        dataset: DatasetName,
        account: String,
        revisions: VersionReq,
        policy: B3,
        to: State,
    },
    /// A role was taken away, or another given in its place.
    Role {
        /// `account:NAME` or `group:NAME`.
        holder: String,
        /// `OWNER/NAME` or `OWNER/*`.
        on: String,
    },
    /// An account was taken out of a group.
    Member { group: String, account: String },
}

impl Revoked {
    /// For the audit log.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Token { id, .. } | Self::Attestation { id, .. } => id.clone(),
            Self::Role { holder, on } => format!("{holder} {on}"),
            Self::Member { group, account } => format!("{group} {account}"),
        }
    }
}

impl Database {
    /// Number of the next thing that is taken back.
    pub(crate) fn epoch(&self) -> Result<u64> {
        epoch(&self.session()?)
    }

    /// What was taken back and is not kept apart yet, in order.
    pub(crate) fn not_apart(&self) -> Result<Vec<Revocation>> {
        let sql = "SELECT body FROM revocations WHERE is_apart = 0 ORDER BY epoch";
        self.session()?.rows(sql, &[], |row| {
            serde_json::from_str(&row.get::<String>(0)?).map_err(|err| {
                Error::new(ErrorKind::Corrupt, "a revocation in the database cannot be read").with_source(err)
            })
        })
    }

    /// Notes that what was taken back is kept apart.
    pub(crate) fn is_apart(&self, epoch: u64) -> Result<()> {
        let sql = "UPDATE revocations SET is_apart = 1 WHERE epoch = ?1";
        self.session()?.execute(sql, &[epoch.cast_signed().into()]).map(drop)
    }

    /// Takes back again what was taken back after this database was backed up.
    pub(crate) fn take_back_again(&self, revocation: &Revocation, now: DateTime<Utc>) -> Result<()> {
        self.at_once(|it| {
            let next = epoch(it)?;
            if revocation.epoch != next {
                let message = format!("revocation {} is numbered {}", next, revocation.epoch);
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
            match &revocation.revoked {
                Revoked::Token { id, until } => end_token(it, id, *until).map(drop)?,
                Revoked::Attestation { id, dataset, .. } => {
                    let known = attestations::find(it, dataset, id)?;
                    if let Some(case) = Case::taken_back(known, &revocation.revoked, now) {
                        attestations::put(it, &case)?;
                    }
                }
                Revoked::Role { holder, on } => roles::remove_role(it, holder, on)?,
                Revoked::Member { group, account } => roles::leave(it, group, account).map(drop)?,
            }
            insert(it, revocation, true)?;
            let event = AuditEvent {
                who: SERVER.to_owned(),
                action: "revoke-again".to_owned(),
                subject: Some(revocation.revoked.subject()),
                reason: Some(format!("epoch {}", revocation.epoch)),
                ..AuditEvent::default()
            };
            append_line(it, stamp(now), event)
        })
    }
}

/// Who does what the server does by itself; no account has a space in its name.
pub(crate) const SERVER: &str = "the server";

/// Numbers what is taken back, in one step with the taking.
pub(super) fn note_revoked(at_once: &Session<'_>, revoked: Revoked, now: DateTime<Utc>) -> Result<()> {
    let epoch = epoch(at_once)?;
    let revocation = Revocation { nd: "revocation/1".to_owned(), epoch, at: stamp(now), revoked };
    insert(at_once, &revocation, false)
}

/// Ends a token: from some time on, or at once. Says whether that ends it earlier.
pub(super) fn end_token(at_once: &Session<'_>, id: &str, until: Option<i64>) -> Result<bool> {
    let n = match until {
        Some(until) => at_once.execute(
            "UPDATE tokens SET expires = ?2 WHERE id = ?1 AND revoked = 0 AND expires > ?2",
            &[id.into(), until.into()],
        )?,
        None => {
            at_once.execute("UPDATE tokens SET revoked = 1 WHERE id = ?1 AND revoked = 0", &[id.into()])?
        }
    };
    Ok(n == 1)
}

fn insert(at_once: &Session<'_>, revocation: &Revocation, is_apart: bool) -> Result<()> {
    let text = serde_json::to_string(revocation).map_err(std::io::Error::from)?;
    at_once
        .execute(
            "INSERT INTO revocations (epoch, body, is_apart) VALUES (?1, ?2, ?3)",
            &[revocation.epoch.cast_signed().into(), (&text).into(), is_apart.into()],
        )
        .map(drop)
}

pub(super) fn epoch(session: &Session<'_>) -> Result<u64> {
    let last = session.row("SELECT max(epoch) FROM revocations", &[], |row| row.get::<Option<i64>>(0))?;
    Ok(last.flatten().map_or(0, |it| it.unsigned_abs() + 1))
}
