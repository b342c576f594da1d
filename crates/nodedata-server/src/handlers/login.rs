//! How people and CI get tokens without an operator: by identity tokens of issuers that the server trusts.

use std::collections::BTreeMap;

use nodedata_registry::http::{ACCESS_TOKEN, ExchangeAnswer, GRANT_EXCHANGE, ID_TOKEN, JWT};

use crate::{
    app::App,
    call::Call,
    database::NewToken,
    oidc::{Identity, Logins},
    principal::Principal,
    refusal::{Answered, Refusal},
    reply::Reply,
};

/// How people log in.
pub(crate) fn offer(app: &App, _: &Call) -> Answered<Reply> {
    let offer = app.logins.as_ref().and_then(Logins::offer);
    Reply::json(&offer.ok_or_else(|| Refusal::missing("way to log in: tokens are the operator's to make"))?)
}

/// A token in the place of an identity token.
pub(crate) fn exchange(app: &App, call: &Call) -> Answered<Reply> {
    let Some(logins) = &app.logins else {
        return Err(Refusal::missing("issuer that this server trusts"));
    };
    let form = form(call)?;
    let identity = match logins.identify(app, &form["subject_token"]) {
        Ok(identity) => identity,
        Err(refusal) if refusal.problem.status >= 500 => return Err(refusal),
        Err(refusal) => return app.denied(&Principal::anonymous(), "exchange-token", None, refusal),
    };
    let made = app.log_in(&identity)?;
    let seconds = (identity.until - app.options.clock.now()).num_seconds();
    let scopes: Vec<String> = identity.scopes.iter().map(ToString::to_string).collect();
    Reply::json(&ExchangeAnswer {
        access_token: made.token.reveal().to_owned(),
        issued_token_type: ACCESS_TOKEN.to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: u64::try_from(seconds).unwrap_or(0),
        scope: scopes.join(" "),
        account: identity.account,
        expires: made.expires,
        id: made.id,
    })
}

/// The fields of the form, each known, once, and with a value that is taken.
fn form(call: &Call) -> Answered<BTreeMap<String, String>> {
    let refused = |message: &str| Refusal::new(422, "exchange-form", message, "see openapi.json");
    let mut form = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(&call.body) {
        let is_taken = match &*name {
            "grant_type" => value == GRANT_EXCHANGE,
            "subject_token_type" => value == ID_TOKEN || value == JWT,
            "requested_token_type" => value == ACCESS_TOKEN,
            "subject_token" => !value.is_empty(),
            // What is sent, also as a name, may be secret.
            _ => return Err(refused("the form has a field that this does not take")),
        };
        if !is_taken {
            return Err(refused(&format!("`{name}` has a value that this does not take")));
        }
        if form.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            return Err(refused(&format!("`{name}` stands twice in the form")));
        }
    }
    for name in ["grant_type", "subject_token", "subject_token_type"] {
        if !form.contains_key(name) {
            return Err(refused(&format!("the form has no `{name}`")));
        }
    }
    Ok(form)
}

impl App {
    /// Makes the token of a login, with its line.
    pub(crate) fn log_in(&self, identity: &Identity) -> Answered<NewToken> {
        Ok(self.noted(self.database.exchange_token(identity, self.options.clock.now()))?)
    }
}
