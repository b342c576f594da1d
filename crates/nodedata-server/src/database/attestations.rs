use chrono::{DateTime, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    DatasetName,
    gate::{Attestation, AuditEvent, State},
};
use serde::de::DeserializeOwned;

use crate::{
    case::Case,
    clock::stamp,
    database::{
        Database,
        audit::append_line,
        revocations::{Revoked, note_revoked},
        session::Session,
    },
};

impl Database {
    /// The attestations of an account for a dataset, the newest first.
    pub(crate) fn cases(&self, dataset: &DatasetName, account: &str) -> Result<Vec<Case>> {
        cases_of(&self.session()?, &dataset.to_string(), account)
    }

    /// All attestations of a dataset, or those of one account, oldest first.
    pub(crate) fn attestations(
        &self,
        dataset: &DatasetName,
        account: Option<&str>,
    ) -> Result<Vec<Attestation>> {
        self.session()?.rows(
            "SELECT body FROM attestations WHERE dataset = ?1 AND (?2 IS NULL OR account = ?2) ORDER BY seq",
            &[(&dataset.to_string()).into(), account.into()],
            |row| parse(&row.get::<String>(0)?),
        )
    }

    /// Adds an attestation, and its line of the audit log, when `admit` agrees, given those of the same account and dataset,
    /// the newest first; nobody else adds one in between.
    pub(crate) fn add_case(
        &self,
        case: &Case,
        line: (String, AuditEvent),
        admit: impl FnOnce(&[Case]) -> Result<()>,
    ) -> Result<()> {
        let attestation = case.attestation();
        self.at_once(|it| {
            admit(&cases_of(it, &attestation.dataset.to_string(), &attestation.subject.user)?)?;
            put(it, case)?;
            append_line(it, line.0, line.1)
        })
    }

    /// Changes an attestation of a dataset, with its line of the audit log; `None` when there is none of that name. What is
    /// denied or revoked counts as taken back.
    pub(crate) fn change_case(
        &self,
        (dataset, id): (&DatasetName, &str),
        now: DateTime<Utc>,
        event: AuditEvent,
        change: impl FnOnce(&mut Case) -> Result<()>,
    ) -> Result<Option<Case>> {
        self.at_once(|it| {
            let Some(mut case) = find(it, dataset, id)? else { return Ok(None) };
            change(&mut case)?;
            put(it, &case)?;
            let attestation = case.attestation();
            if matches!(attestation.state, State::Denied | State::Revoked) {
                let revoked = Revoked::Attestation {
                    id: id.to_owned(),
                    dataset: dataset.clone(),
                    account: attestation.subject.user.clone(),
                    revisions: attestation.revisions.clone(),
                    policy: attestation.policy,
                    to: attestation.state,
                };
                note_revoked(it, revoked, now)?;
            }
            append_line(it, stamp(now), event)?;
            Ok(Some(case))
        })
    }
}

fn cases_of(session: &Session<'_>, dataset: &str, account: &str) -> Result<Vec<Case>> {
    session.rows(
        "SELECT body FROM attestations WHERE dataset = ?1 AND account = ?2 ORDER BY seq DESC",
        &[dataset.into(), account.into()],
        |row| parse(&row.get::<String>(0)?),
    )
}

/// Writes an attestation, over what was there of that name.
pub(super) fn put(at_once: &Session<'_>, case: &Case) -> Result<()> {
    let attestation = case.attestation();
    let (dataset, body) = (attestation.dataset.to_string(), text_of(attestation)?);
    at_once
        .execute(
            "INSERT INTO attestations (id, dataset, account, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            &[
                (&attestation.id).into(),
                (&dataset).into(),
                (&attestation.subject.user).into(),
                (&body).into(),
            ],
        )
        .map(drop)
}

pub(super) fn find(at_once: &Session<'_>, dataset: &DatasetName, id: &str) -> Result<Option<Case>> {
    at_once.row(
        "SELECT body FROM attestations WHERE dataset = ?1 AND id = ?2",
        &[(&dataset.to_string()).into(), id.into()],
        |row| parse(&row.get::<String>(0)?),
    )
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "an attestation in the database cannot be read").with_source(err)
    })
}

fn text_of(attestation: &Attestation) -> Result<String> {
    Ok(serde_json::to_string(attestation).map_err(std::io::Error::from)?)
}
