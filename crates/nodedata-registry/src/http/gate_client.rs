use nodedata_core::{Error, ErrorKind, Result};
use reqwest::Method;

use crate::{
    gate::Attestation,
    http::{
        client::HttpRemote,
        exchange::Question,
        wire::{
            AttestBody, AttestationList, DecisionBody, RotateBody, TokenAnswer, TokenBody, TokenInfo,
            TokenList, WhoamiAnswer,
        },
    },
    name::DatasetName,
    trust::SignedAuditHead,
};

/// What only a server can do: let people in, and tell who was.
impl HttpRemote {
    /// The text that readers of a gated dataset agree to.
    ///
    /// # Errors
    /// `Config` when the dataset has none; `Io`, `Denied`.
    pub fn agreement(&self, dataset: &DatasetName) -> Result<String> {
        text_of(&self.get(Self::dataset(dataset, "agreement"))?.body)
    }

    /// The text that readers of one revision agree to, which may be an older one. `revision` is what stands behind the
    /// `@` of a reference.
    ///
    /// # Errors
    /// As [`Self::agreement`].
    pub fn agreement_of(&self, dataset: &DatasetName, revision: &str) -> Result<String> {
        let path = format!("v1/d/{}/{}@{revision}/agreement", dataset.owner(), dataset.name());
        text_of(&self.get(path)?.body)
    }

    /// Asks for access.
    ///
    /// # Errors
    /// `Conflict` when it was asked for or answered already, or when the text is another by now; `Io`,
    /// `Denied`, `Config`.
    pub fn attest(&self, dataset: &DatasetName, body: &AttestBody) -> Result<Attestation> {
        self.post(Self::dataset(dataset, "attest"), body)?.parse()
    }

    /// All attestations of a dataset for its reviewers, one's own for others.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn attestations(&self, dataset: &DatasetName) -> Result<Vec<Attestation>> {
        Ok(self.get(Self::dataset(dataset, "attest"))?.parse::<AttestationList>()?.attestations)
    }

    /// Answers a request: `action` is `grant`, `deny`, `revoke` or `reset`.
    ///
    /// # Errors
    /// `Conflict` when that cannot be done where it stands; `Io`, `Denied`.
    pub fn decide(
        &self,
        dataset: &DatasetName,
        id: &str,
        action: &str,
        reason: Option<&str>,
    ) -> Result<Attestation> {
        let body = DecisionBody { reason: reason.map(str::to_owned) };
        self.post(Self::dataset(dataset, &format!("attest/{id}:{action}")), &body)?.parse()
    }

    /// Lines of the audit log from a number on.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn audit(&self, since: u64) -> Result<String> {
        let (mut text, mut from) = (String::new(), since);
        loop {
            let answer = self.get(format!("v1/audit?since={from}"))?;
            if answer.body.is_empty() {
                return Ok(text);
            }
            let page = std::str::from_utf8(&answer.body).map_err(|err| {
                Error::new(ErrorKind::Corrupt, "the audit log is not UTF-8").with_source(err)
            })?;
            from = from.saturating_add(page.lines().count() as u64);
            text.push_str(page);
        }
    }

    /// Where the audit log ends, signed: kept elsewhere, it shows a log that was cut later.
    ///
    /// # Errors
    /// `Io`, `Denied`; `Config` for a server that keeps no data, and so has no key.
    pub fn audit_head(&self) -> Result<SignedAuditHead> {
        self.get("v1/audit/head".to_owned())?.parse()
    }

    /// Whose token is sent.
    ///
    /// # Errors
    /// `Denied` without one, and for one that the server does not know or no longer takes; `Io`.
    pub fn whoami(&self) -> Result<WhoamiAnswer> {
        self.get("v1/whoami".to_owned())?.parse()
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `Config` for scopes that are none; `Io`, `Denied`.
    pub fn create_token(&self, body: &TokenBody) -> Result<TokenAnswer> {
        // Asked twice, it would be made twice, and the first would be lost with its answer.
        let question = Question::new(Method::POST, "v1/tokens".to_owned()).json(body)?;
        self.exchange.ask_once_only(&question)?.parse()
    }

    /// The tokens of all accounts for operators, of one's own account for others.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn tokens(&self) -> Result<Vec<TokenInfo>> {
        Ok(self.get("v1/tokens".to_owned())?.parse::<TokenList>()?.tokens)
    }

    /// Makes a token in the place of another: of any for operators, of the very one that is sent for others.
    ///
    /// # Errors
    /// `Config` when there is none of that name that holds; `Io`, `Denied`.
    pub fn rotate_token(&self, id: &str, body: &RotateBody) -> Result<TokenAnswer> {
        // As when one is made.
        let question = Question::new(Method::POST, format!("v1/tokens/{id}/rotate")).json(body)?;
        self.exchange.ask_once_only(&question)?.parse()
    }

    /// Takes a token back; says whether there was one that held.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn revoke_token(&self, id: &str) -> Result<bool> {
        let answer = self.exchange.ask_for(&Question::new(Method::DELETE, format!("v1/tokens/{id}")))?;
        Ok(answer.is_some())
    }
}

fn text_of(agreement: &[u8]) -> Result<String> {
    String::from_utf8(agreement.to_vec())
        .map_err(|err| Error::new(ErrorKind::Corrupt, "the agreement is not UTF-8").with_source(err))
}
