//! Logging in with a browser: the code flow (OpenID Connect Core 1.0, 3.1) with PKCE (RFC 7636).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nodedata_core::{Error, ErrorKind, Result};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use serde::Deserialize;
use url::Url;

use crate::{
    app::App,
    oidc::{Identity, Logins, tell, unavailable},
    refusal::{Answered, Refusal},
};

/// A login that a browser is on its way with: three secrets, which the browser alone keeps until it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    /// What comes back with the code: it was this browser that went.
    state: String,
    /// What the identity token must hold: it was made for this login.
    nonce: String,
    /// What the issuer saw only the hash of: the code is worth nothing to others.
    verifier: String,
}

/// What a browser brings back.
pub(crate) struct Returned<'a> {
    pub(crate) code: Option<&'a str>,
    pub(crate) state: Option<&'a str>,
    /// Who sends it, where the issuer says so (RFC 9207).
    pub(crate) issuer: Option<&'a str>,
}

#[derive(Deserialize)]
struct Given {
    id_token: Option<String>,
}

impl Begun {
    /// # Errors
    /// `Io` when the system has no randomness to give.
    pub(crate) fn fresh() -> Result<Self> {
        let random = SystemRandom::new();
        let text = || {
            let mut bits = [0; 32];
            let filled = random.fill(&mut bits);
            filled.map_err(|_| Error::new(ErrorKind::Io, "the system gives no randomness"))?;
            Ok::<_, Error>(URL_SAFE_NO_PAD.encode(bits))
        };
        Ok(Self { state: text()?, nonce: text()?, verifier: text()? })
    }

    /// As the browser keeps it.
    pub(crate) fn to_text(&self) -> String {
        format!("{}.{}.{}", self.state, self.nonce, self.verifier)
    }

    /// What a browser has kept; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [state, nonce, verifier] = parts.as_slice() else { return None };
        let is_ours = |it: &&str| URL_SAFE_NO_PAD.decode(it).is_ok_and(|it| it.len() == 32);
        let [state, nonce, verifier] = [state, nonce, verifier].map(|it| (*it).to_owned());
        parts.iter().all(is_ours).then_some(Self { state, nonce, verifier })
    }
}

impl Logins {
    /// Whether people log in at all.
    pub(crate) fn has_people(&self) -> bool {
        self.people.is_some()
    }

    /// Where a browser goes to log in, and comes back to `callback` from.
    ///
    /// # Errors
    /// 404 when nobody logs in here, 503 while the issuer does not answer.
    pub(crate) fn leave(&self, app: &App, begun: &Begun, callback: &str) -> Answered<Url> {
        let (login, issuer) = self.people.as_ref().ok_or_else(no_browsers)?;
        let known = self.known(app, issuer, None)?;
        let mut url = known.discovery.authorization.clone().ok_or_else(no_browsers)?;
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, begun.verifier.as_bytes()));
        let scope = login.asked().join(" ");
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", login.client_id.as_str()),
            ("redirect_uri", callback),
            ("scope", scope.as_str()),
            ("state", begun.state.as_str()),
            ("nonce", begun.nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        Ok(url)
    }

    /// Who has come back.
    ///
    /// # Errors
    /// 400 for a login that did not begin in this browser, 403 for one that the issuer refused, else as [`Self::identify`].
    pub(crate) fn come_back(
        &self,
        app: &App,
        begun: Option<&Begun>,
        returned: &Returned<'_>,
        callback: &str,
    ) -> Answered<Identity> {
        let (login, issuer) = self.people.as_ref().ok_or_else(no_browsers)?;
        let is_issuer = returned.issuer.is_none_or(|it| it == issuer.url.as_str());
        let begun = begun.filter(|it| returned.state == Some(it.state.as_str()) && is_issuer);
        let begun = begun.ok_or_else(|| {
            let message = "this login did not begin in this browser, or too long ago";
            Refusal::new(400, "login-state", message, "log in again")
        })?;
        let refused =
            || Refusal::new(403, "login-refused", "the issuer did not let you log in", "log in again");
        let code = returned.code.ok_or_else(refused)?;
        let known = self.known(app, issuer, None)?;
        let url = known.discovery.token.as_ref().ok_or_else(no_browsers)?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback),
            ("code_verifier", begun.verifier.as_str()),
            ("client_id", login.client_id.as_str()),
        ];
        let mut basic = None;
        match login.secret.as_deref() {
            Some(secret) if known.discovery.secret_in_body => form.push(("client_secret", secret)),
            Some(secret) => basic = Some((login.client_id.as_str(), secret)),
            None => {}
        }
        let answer = self.web.post(url, &form, basic).map_err(|err| {
            tell(app, issuer, &err);
            if err.kind() == ErrorKind::Denied { refused() } else { unavailable() }
        })?;
        let given: Option<Given> = serde_json::from_slice(&answer).ok();
        let token = given.and_then(|it| it.id_token).ok_or_else(refused)?;
        self.identify_person(app, &token, &begun.nonce)
    }
}

fn no_browsers() -> Refusal {
    Refusal::new(
        404,
        "not-found",
        "nobody logs in here with a browser",
        "log in with a token of the operator",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_keeps_comes_back_as_it_was() {
        let (one, other) = (Begun::fresh().unwrap(), Begun::fresh().unwrap());
        assert_eq!(Begun::parse(&one.to_text()), Some(one.clone()));
        assert!(one.state != other.state && one.state != one.nonce && one.nonce != one.verifier);
        let text = one.to_text();
        for bad in ["", "a.b.c", &text[1..], &format!("{text}."), &format!("{text}.{}", one.state)] {
            assert_eq!(Begun::parse(bad), None, "{bad}");
        }
    }
}
