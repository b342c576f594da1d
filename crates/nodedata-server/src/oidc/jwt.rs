use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::oidc::keys::{Algorithm, KeySet};

/// Longest token that is looked at, in bytes.
pub(crate) const JWT_BYTES_MAX: usize = 16 << 10;
/// By how much the clock of an issuer may be ahead of ours, in seconds. Nothing is added to the end of a token.
pub(crate) const LEEWAY_SECONDS: i64 = 60;
/// Longest text of a claim that names somebody.
const NAME_BYTES_MAX: usize = 512;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// It is no signed JWT, or lacks what every one has.
    Malformed,
    /// It is signed otherwise than by RS256 or ES256, or asks for what we do not know.
    Algorithm,
    /// The issuer has no such key.
    Key,
    /// The key has not signed this.
    Signature,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It was made for another login.
    Nonce,
}

impl Invalid {
    /// What is told of it.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Malformed => "it is no signed token of an issuer",
            Self::Algorithm => "it is not signed by RS256 or ES256",
            Self::Key => "its issuer has no key of that name",
            Self::Signature => "its issuer has not signed it",
            Self::Expired => "its time is over",
            Self::NotYet => "it holds only later than now",
            Self::Nonce => "it was made for another login",
        }
    }
}

/// A token of which nothing is known yet. It tells no more than what is needed to find the keys.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    /// Header and claims as they came.
    signed: &'a str,
    signature: Vec<u8>,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// What a token says, once it was verified.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claims(Map<String, Value>);

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// `Malformed`, `Algorithm`.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.len() > JWT_BYTES_MAX {
            return Err(Invalid::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Invalid::Malformed)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Malformed);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Invalid::Malformed)?;
        let claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| Invalid::Malformed)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(Invalid::Algorithm)?;
        // What must be understood is not (RFC 7515, 4.1.11); and what is meant for something else is no identity.
        let is_jwt = header.typ.as_deref().is_none_or(|it| it.eq_ignore_ascii_case("JWT"));
        if header.crit.is_some() || !is_jwt {
            return Err(Invalid::Algorithm);
        }
        let signature = decoded(signature)?;
        Ok(Self { algorithm, kid: header.kid, signed, signature, claims: Claims(claims) })
    }

    /// Who claims to have made it.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.text("iss")
    }

    /// Whether a set of keys has one that it may be signed with.
    pub(crate) fn is_for(&self, keys: &KeySet) -> bool {
        keys.has(self.algorithm, self.kid.as_deref())
    }

    /// What it says, if its issuer says so now.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn verify(self, keys: &KeySet, now: DateTime<Utc>) -> Result<Claims, Invalid> {
        if !self.is_for(keys) {
            return Err(Invalid::Key);
        }
        if !keys.verify(self.algorithm, self.kid.as_deref(), self.signed.as_bytes(), &self.signature) {
            return Err(Invalid::Signature);
        }
        let now = now.timestamp();
        let (until, made) = (self.claims.seconds("exp"), self.claims.seconds("iat"));
        let (Some(until), Some(made)) = (until?, made?) else { return Err(Invalid::Malformed) };
        if until <= now {
            return Err(Invalid::Expired);
        }
        let latest = now.saturating_add(LEEWAY_SECONDS);
        if made > latest || self.claims.seconds("nbf")?.is_some_and(|it| it > latest) {
            return Err(Invalid::NotYet);
        }
        Ok(self.claims)
    }
}

impl Claims {
    /// A claim that is text, and neither empty nor endless.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|it| (1..=NAME_BYTES_MAX).contains(&it.len()))
    }

    /// A claim of this name, or where there is none, the one that its parts between dots lead to.
    pub(crate) fn at(&self, name: &str) -> Option<&Value> {
        found(&self.0, name)
    }

    /// What a token would say that was verified.
    #[cfg(test)]
    pub(crate) fn verified(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// Whom it is for.
    pub(crate) fn audiences(&self) -> Vec<&str> {
        match self.0.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// When it ends, which every verified one says.
    pub(crate) fn until(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.seconds("exp").ok()??, 0)
    }

    /// Whether it is for a client, and for that alone as far as it says (OpenID Connect Core 1.0, 3.1.3.7).
    pub(crate) fn is_for_client(&self, client_id: &str) -> bool {
        let audiences = self.audiences();
        let party = self.0.get("azp");
        let is_party = party.is_some_and(|it| it.as_str() == Some(client_id));
        audiences.contains(&client_id) && (is_party || party.is_none() && audiences.len() == 1)
    }

    /// Seconds since 1970, rounded down; `None` where there is no such claim.
    ///
    /// # Errors
    /// `Malformed` for what is no time.
    fn seconds(&self, name: &str) -> Result<Option<i64>, Invalid> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let whole = value.as_i64().or_else(|| {
            let float = value.as_f64().filter(|it| it.abs() < 1e15)?;
            Some(float.floor() as i64)
        });
        whole.map(Some).ok_or(Invalid::Malformed)
    }
}

/// Names may hold dots themselves: those of claims that are addresses, and of clients within a claim.
fn found<'a>(within: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    within.get(name).or_else(|| {
        name.match_indices('.').find_map(|(dot, _)| {
            let inner = within.get(&name[..dot])?.as_object()?;
            found(inner, &name[dot + 1..])
        })
    })
}

#[cfg(test)]
mod tests;
