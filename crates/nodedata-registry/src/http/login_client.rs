use nodedata_core::{Error, ErrorKind, Result};
use reqwest::Method;

use crate::http::{
    client::HttpRemote,
    exchange::Question,
    wire::{ExchangeAnswer, GRANT_EXCHANGE, JWT, LoginOffer},
};

/// Logging in to a server by an issuer that it trusts.
impl HttpRemote {
    /// How to log in; `None` for a server that knows no issuer for people.
    ///
    /// # Errors
    /// `Io`.
    pub fn login_offer(&self) -> Result<Option<LoginOffer>> {
        let answer = self.exchange.ask_for(&Question::new(Method::GET, "v1/auth/oidc"))?;
        answer.map(|it| it.parse()).transpose()
    }

    /// A token in the place of an identity token.
    ///
    /// # Errors
    /// `Config` for an address to which it would travel in the clear; `Denied` when the server does not trust it; `Io`.
    pub fn exchange_identity(&self, identity: &str) -> Result<ExchangeAnswer> {
        if !self.exchange.is_encrypted_or_local() {
            let err = Error::new(ErrorKind::Config, "the identity token would travel in the clear");
            return Err(err.with_hint("use an https:// address"));
        }
        let form = [("grant_type", GRANT_EXCHANGE), ("subject_token_type", JWT), ("subject_token", identity)];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut question = Question::new(Method::POST, "v1/auth/exchange");
        question.media_type = "application/x-www-form-urlencoded";
        question.body = Some(form.into());
        // Asked twice, the first token is lost with its answer, and ends soon by itself.
        self.exchange.ask(&question)?.parse()
    }
}
