use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{DatasetName, gate::Attestation};
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::de::DeserializeOwned;

use crate::{
    case::Case,
    database::{Database, failed},
};

impl Database {
    /// The newest attestation of an account for a dataset.
    pub(crate) fn newest_case(&self, dataset: &DatasetName, account: &str) -> Result<Option<Case>> {
        let text: Option<String> = self
            .lock()
            .prepare_cached(
                "SELECT body FROM attestations WHERE dataset = ?1 AND account = ?2 ORDER BY seq DESC LIMIT 1",
            )
            .and_then(|mut it| {
                it.query_row(params![dataset.to_string(), account], |row| row.get(0)).optional()
            })
            .map_err(failed)?;
        text.map(|it| parse(&it)).transpose()
    }

    /// All attestations of a dataset, or those of one account, oldest first.
    pub(crate) fn attestations(
        &self,
        dataset: &DatasetName,
        account: Option<&str>,
    ) -> Result<Vec<Attestation>> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached(
                "SELECT body FROM attestations WHERE dataset = ?1 AND (?2 IS NULL OR account = ?2) ORDER BY seq",
            )
            .map_err(failed)?;
        let rows = query
            .query_map(params![dataset.to_string(), account], |row| row.get::<_, String>(0))
            .map_err(failed)?;
        rows.map(|it| parse(&it.map_err(failed)?)).collect()
    }

    /// Adds an attestation when `admit` agrees, given the newest of the same account and dataset; nobody
    /// else adds one in between.
    pub(crate) fn add_case(
        &self,
        case: &Case,
        admit: impl FnOnce(Option<&Case>) -> Result<()>,
    ) -> Result<()> {
        let attestation = case.attestation();
        let mut connection = self.lock();
        let at_once = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let (dataset, account) = (attestation.dataset.to_string(), &attestation.subject.user);
        let newest: Option<String> = at_once
            .query_row(
                "SELECT body FROM attestations WHERE dataset = ?1 AND account = ?2 ORDER BY seq DESC LIMIT 1",
                params![dataset, account],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed)?;
        admit(newest.map(|it| parse::<Case>(&it)).transpose()?.as_ref())?;
        at_once
            .execute(
                "INSERT INTO attestations (id, dataset, account, body) VALUES (?1, ?2, ?3, ?4)",
                params![attestation.id, dataset, account, text_of(attestation)?],
            )
            .map_err(failed)?;
        at_once.commit().map_err(failed)
    }

    /// Changes an attestation of a dataset; `None` when there is none of that name.
    pub(crate) fn change_case(
        &self,
        dataset: &DatasetName,
        id: &str,
        change: impl FnOnce(&mut Case) -> Result<()>,
    ) -> Result<Option<Case>> {
        let mut connection = self.lock();
        let at_once = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let Some(mut case) = find(&at_once, dataset, id)? else { return Ok(None) };
        change(&mut case)?;
        at_once
            .execute(
                "UPDATE attestations SET body = ?2 WHERE id = ?1",
                params![id, text_of(case.attestation())?],
            )
            .map_err(failed)?;
        at_once.commit().map_err(failed)?;
        Ok(Some(case))
    }
}

fn find(at_once: &Transaction<'_>, dataset: &DatasetName, id: &str) -> Result<Option<Case>> {
    let text: Option<String> = at_once
        .query_row(
            "SELECT body FROM attestations WHERE dataset = ?1 AND id = ?2",
            params![dataset.to_string(), id],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed)?;
    text.map(|it| parse(&it)).transpose()
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|err| {
        Error::new(ErrorKind::Corrupt, "an attestation in the database cannot be read").with_source(err)
    })
}

fn text_of(attestation: &Attestation) -> Result<String> {
    Ok(serde_json::to_string(attestation).map_err(std::io::Error::from)?)
}
