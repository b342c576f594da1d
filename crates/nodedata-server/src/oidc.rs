//! Logins by identity tokens of OpenID issuers: who is believed, and whom that makes somebody here. The server keeps no passwords:
//! an issuer says who somebody is, and the answer is a token like any other, for as long as the issuer says and no longer than
//! [`HOURS_MAX`] hours.

mod code;
mod groups;
mod issuer;
mod jwt;
mod keys;
mod trust;
mod web;

use std::{fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use nodedata_core::{Error, ErrorKind, Result, visible::visible};
use nodedata_registry::http::{IssuerUrl, LoginOffer};

use crate::{
    app::App,
    oidc::{
        issuer::{Issuer, Known},
        jwt::{Claims, Invalid, Unverified},
        web::Web,
    },
    principal::Scope,
    refusal::{Answered, Refusal},
    roles::check_name,
};

pub(crate) use code::{Begun, Returned};
pub(crate) use groups::Groups;
pub use groups::OidcGroups;
pub(crate) use jwt::JWT_BYTES_MAX;
pub use trust::TrustRule;

/// Longest time that a token in the place of an identity token holds, in hours.
const HOURS_MAX: i64 = 12;

/// The issuer that people log in at.
#[derive(Clone)]
pub struct OidcLogin {
    issuer: IssuerUrl,
    client_id: String,
    secret: Option<Arc<str>>,
    account_claim: String,
    scopes: Vec<Scope>,
    groups: Option<OidcGroups>,
}

impl OidcLogin {
    /// Logins at `issuer`, which calls this server `client_id` and knows it by `secret` where it has one. The account is what
    /// `account_claim` of an identity token says; its token may do what `scopes` say.
    ///
    /// # Errors
    /// `Config` for an issuer that is not encrypted, for what is empty, and for the scope `admin`: everybody would have it.
    pub fn new(
        issuer: &str,
        client_id: &str,
        secret: Option<&str>,
        account_claim: &str,
        scopes: &[Scope],
    ) -> Result<Self> {
        let refused = |message: &str, hint: &str| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
        if client_id.is_empty() || account_claim.is_empty() || secret.is_some_and(str::is_empty) {
            let message = "a login needs the name of a client and of a claim, and no empty secret";
            return refused(message, "take what the issuer calls this server");
        }
        if scopes.is_empty() {
            return refused(
                "who logs in could do nothing",
                "name at least one scope; `read` and `roles` are usual",
            );
        }
        if scopes.contains(&Scope::Admin) {
            let message = "with the scope `admin` everybody who logs in would be an operator";
            return refused(
                message,
                "make a token for the operator with `--new-token ACCOUNT --scope admin`",
            );
        }
        Ok(Self {
            issuer: IssuerUrl::parse(issuer)?,
            client_id: client_id.to_owned(),
            secret: secret.map(Into::into),
            account_claim: account_claim.to_owned(),
            scopes: scopes.to_vec(),
            groups: None,
        })
    }

    /// Who logs in is in these groups of the issuer as well, until the token of the login ends. Default in none.
    pub fn with_groups(self, groups: OidcGroups) -> Self {
        Self { groups: Some(groups), ..self }
    }

    /// What the issuer is asked for.
    fn asked(&self) -> Vec<&str> {
        let more = self.groups.as_ref().and_then(|it| it.scope.as_deref());
        SCOPES.into_iter().chain(more.filter(|it| !SCOPES.contains(it))).collect()
    }
}

impl fmt::Debug for OidcLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcLogin")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Who an identity token makes somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) account: String,
    pub(crate) scopes: Vec<Scope>,
    /// What the issuer says of groups, where that is taken over.
    pub(crate) groups: Option<Groups>,
    /// When the token in its place ends.
    pub(crate) until: DateTime<Utc>,
    /// Issuer and subject, for the audit log.
    pub(crate) of: String,
}

/// Everybody whose identity tokens are believed.
#[derive(Debug)]
pub(crate) struct Logins {
    people: Option<(OidcLogin, Arc<Issuer>)>,
    rules: Vec<TrustRule>,
    /// Each once.
    issuers: Vec<Arc<Issuer>>,
    web: Web,
}

impl Logins {
    /// `None` where nobody is believed.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn new(people: Option<OidcLogin>, rules: Vec<TrustRule>) -> Result<Option<Self>> {
        if people.is_none() && rules.is_empty() {
            return Ok(None);
        }
        let mut issuers: Vec<Arc<Issuer>> = Vec::new();
        let mut the = |url: &IssuerUrl| match issuers.iter().find(|it| it.url == *url) {
            Some(it) => Arc::clone(it),
            None => {
                issuers.push(Arc::new(Issuer::new(url.clone())));
                Arc::clone(&issuers[issuers.len() - 1])
            }
        };
        rules.iter().for_each(|it| drop(the(&it.issuer)));
        let people = people.map(|it| {
            let issuer = the(&it.issuer);
            (it, issuer)
        });
        Ok(Some(Self { people, rules, issuers, web: Web::new()? }))
    }

    /// How people log in.
    pub(crate) fn offer(&self) -> Option<LoginOffer> {
        let (login, issuer) = self.people.as_ref()?;
        Some(LoginOffer {
            issuer: issuer.url.as_str().to_owned(),
            client_id: login.client_id.clone(),
            scopes: login.asked().into_iter().map(str::to_owned).collect(),
        })
    }

    /// Who an identity token makes somebody: by the first rule that takes it, or as one of the people.
    ///
    /// # Errors
    /// 401 for one that is not believed, 403 for one that is nobody here, 503 while its issuer does not answer.
    pub(crate) fn identify(&self, app: &App, token: &str) -> Answered<Identity> {
        let now = app.options.clock.now();
        let (issuer, claims) = self.verified(app, token, now)?;
        if let Some(rule) = self.rules.iter().find(|it| it.issuer == issuer.url && it.takes(&claims)) {
            return identity(&issuer, &claims, &rule.account, &rule.scopes, now);
        }
        self.person(&issuer, &claims, now)
    }

    /// Who a login in a browser makes somebody, for which `nonce` was made.
    fn identify_person(&self, app: &App, token: &str, nonce: &str) -> Answered<Identity> {
        let now = app.options.clock.now();
        let (issuer, claims) = self.verified(app, token, now)?;
        if claims.text("nonce") != Some(nonce) {
            return Err(not_believed(Invalid::Nonce));
        }
        self.person(&issuer, &claims, now)
    }

    fn person(&self, issuer: &Issuer, claims: &Claims, now: DateTime<Utc>) -> Answered<Identity> {
        let person = self.people.as_ref().filter(|it| it.1.url == issuer.url);
        let Some((login, _)) = person.filter(|it| claims.is_for_client(&it.0.client_id)) else {
            return Err(nobody());
        };
        let account = claims.text(&login.account_claim).ok_or_else(|| {
            let message = format!("the identity token has no claim `{}`", login.account_claim);
            Refusal::new(403, "identity-account", message, "ask the operator which claim names accounts")
        })?;
        check_name(account).map_err(|_| {
            let message = format!("what the claim `{}` says can be no account here", login.account_claim);
            let fix =
                "accounts are lower-case letters, digits, `-` and `_`; ask the operator for another claim";
            Refusal::new(403, "identity-account", message, fix)
        })?;
        let groups = login.groups.as_ref().map(|it| it.of(claims)).transpose()?;
        Ok(Identity { groups, ..identity(issuer, claims, account, &login.scopes, now)? })
    }

    /// What a token says, once its issuer was found to have said so.
    fn verified(&self, app: &App, token: &str, now: DateTime<Utc>) -> Answered<(Arc<Issuer>, Claims)> {
        let token = Unverified::parse(token).map_err(not_believed)?;
        // Whoever else it names is not asked.
        let issuer =
            self.issuers.iter().find(|it| token.issuer() == Some(it.url.as_str())).ok_or_else(nobody)?;
        let known = self.known(app, issuer, Some(&token))?;
        let claims = token.verify(&known.keys, now).map_err(not_believed)?;
        Ok((Arc::clone(issuer), claims))
    }

    fn known(&self, app: &App, issuer: &Issuer, token: Option<&Unverified<'_>>) -> Answered<Arc<Known>> {
        let failed = |err: Error| tell(app, issuer, &err);
        issuer.known(&self.web, token, app.options.clock.now(), failed).map_err(|_| unavailable())
    }
}

/// Tells the operator what became of asking an issuer.
fn tell(app: &App, issuer: &Issuer, err: &Error) {
    let line = serde_json::json!({
        "event": "issuer", "at": app.options.clock.stamp(), "issuer": issuer.url.as_str(), "why": err.chain(),
    });
    app.options.log.write(&line.to_string());
}

fn unavailable() -> Refusal {
    let message = "the issuer does not answer this server";
    let mut refusal = Refusal::new(503, "issuer-unavailable", message, "try again later");
    refusal.retry_after = Some(5);
    refusal
}

/// What is always asked of an issuer for people.
const SCOPES: [&str; 3] = ["openid", "profile", "email"];

fn identity(
    issuer: &Issuer,
    claims: &Claims,
    account: &str,
    scopes: &[Scope],
    now: DateTime<Utc>,
) -> Answered<Identity> {
    let (Some(subject), Some(until)) = (claims.text("sub"), claims.until()) else {
        return Err(not_believed(Invalid::Malformed));
    };
    Ok(Identity {
        account: account.to_owned(),
        scopes: scopes.to_vec(),
        groups: None,
        until: until.min(now + TimeDelta::hours(HOURS_MAX)),
        of: format!("{} {}", issuer.url, visible(subject)),
    })
}

fn not_believed(invalid: Invalid) -> Refusal {
    let message = format!("the identity token is not believed: {}", invalid.why());
    Refusal::new(401, "identity-invalid", message, "get a new one of the issuer, and send it at once")
}

/// The same whatever it is that does not fit.
fn nobody() -> Refusal {
    let message = "nobody here is known by this identity token";
    let fix = "ask the operator: issuer, audience and claims must be those that the server was told";
    Refusal::new(403, "identity-unknown", message, fix)
}
