//! OpenID issuers, as servers and those who log in to them find them.

use std::fmt;

use nodedata_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use url::Url;

use crate::record::from_bytes;

/// Longest document of an issuer that is read, in bytes.
pub const ISSUER_BYTES_MAX: usize = 256 << 10;

/// An issuer by its address, spelled as its tokens spell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    /// Reads one: `https`, or `http` on this machine.
    ///
    /// # Errors
    /// `Config`.
    pub fn parse(text: &str) -> Result<Self> {
        endpoint("the issuer", text)?;
        if text.contains(['?', '#']) {
            let message = format!("`{text}` is no issuer: it has a query or a fragment");
            return Err(Error::new(ErrorKind::Config, message).with_hint(ISSUER_HINT));
        }
        Ok(Self(text.to_owned()))
    }

    /// As its tokens name it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it describes itself (OpenID Connect Discovery 1.0, 4).
    ///
    /// # Errors
    /// `Config` when no path fits behind it.
    pub fn discovery_url(&self) -> Result<Url> {
        let text = format!("{}/.well-known/openid-configuration", self.0.trim_end_matches('/'));
        endpoint("the issuer", &text)
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const ISSUER_HINT: &str =
    "write it as the issuer's tokens name it: https://HOST/PATH, or http:// on this machine";

/// What an issuer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Where its keys are.
    pub jwks: Url,
    /// Where browsers log in.
    pub authorization: Option<Url>,
    /// Where codes become tokens.
    pub token: Option<Url>,
    /// Where a program without a browser begins (RFC 8628).
    pub device: Option<Url>,
    /// Whether a client tells its secret in the body, and not as HTTP's own password.
    pub secret_in_body: bool,
}

/// The part of the document that is used; issuers write much more.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Discovery {
    /// Reads what came from [`IssuerUrl::discovery_url`].
    ///
    /// # Errors
    /// `Corrupt` for what is no such document, `Config` when it is another issuer's, or names addresses that would be asked in the
    /// clear.
    pub fn parse(issuer: &IssuerUrl, bytes: &[u8]) -> Result<Self> {
        let document: Document = from_bytes("issuer's document", bytes)?;
        // Else one issuer could speak for another (4.3).
        if document.issuer != issuer.0 {
            let message = format!("the document of {issuer} says that it is `{}`'s", shown(&document.issuer));
            return Err(Error::new(ErrorKind::Config, message).with_hint(ISSUER_HINT));
        }
        let optional = |what: &str, text: Option<&String>| text.map(|it| endpoint(what, it)).transpose();
        let methods = document.token_endpoint_auth_methods_supported.unwrap_or_default();
        let has = |name: &str| methods.iter().any(|it| it == name);
        Ok(Self {
            jwks: endpoint("the address of the issuer's keys", &document.jwks_uri)?,
            authorization: optional("where the issuer logs in", document.authorization_endpoint.as_ref())?,
            token: optional("where the issuer gives tokens", document.token_endpoint.as_ref())?,
            device: optional("where devices log in", document.device_authorization_endpoint.as_ref())?,
            secret_in_body: has("client_secret_post") && !has("client_secret_basic"),
        })
    }
}

/// An address that is asked for secrets or keys.
///
/// # Errors
/// `Config` for what could be read or changed on the way, and for one with a password in it.
pub(super) fn endpoint(what: &str, text: &str) -> Result<Url> {
    let is_safe = |it: &Url| match (it.scheme(), it.host()) {
        ("https", Some(_)) => true,
        ("http", Some(url::Host::Domain(name))) => name == "localhost",
        ("http", Some(url::Host::Ipv4(it))) => it.is_loopback(),
        ("http", Some(url::Host::Ipv6(it))) => it.is_loopback(),
        _ => false,
    };
    let url = Url::parse(text).ok().filter(is_safe);
    let url = url.filter(|it| it.username().is_empty() && it.password().is_none());
    url.ok_or_else(|| {
        let message = format!("{what} is `{}`, which is no address that can be trusted", shown(text));
        Error::new(ErrorKind::Config, message).with_hint(ISSUER_HINT)
    })
}

/// Text of somebody else, short and visible.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(200).collect();
    nodedata_core::visible::visible(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_encrypted_or_on_this_machine() {
        for good in
            ["https://id.example", "https://id.example/realms/lab/", "http://127.0.0.1:9", "http://[::1]:9/x"]
        {
            assert_eq!(IssuerUrl::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "http://id.example",
            "ftp://127.0.0.1",
            "id.example",
            "https://a:b@id.example",
            "https://id.example/?a=b",
            "https://id.example/#x",
            "http://127.0.0.1.id.example",
        ] {
            assert_eq!(IssuerUrl::parse(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
        let of = |text: &str| IssuerUrl::parse(text).unwrap().discovery_url().unwrap().to_string();
        assert_eq!(of("https://id.example/realms/lab/"), of("https://id.example/realms/lab"));
        assert_eq!(of("https://id.example"), "https://id.example/.well-known/openid-configuration");
    }

    #[test]
    fn an_issuer_speaks_for_itself_and_never_in_the_clear() {
        let issuer = IssuerUrl::parse("https://id.example").unwrap();
        let document = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut it = serde_json::json!({
                "issuer": "https://id.example", "jwks_uri": "https://keys.example/jwks", "other": [1],
                "token_endpoint": "https://id.example/token",
            });
            change(&mut it);
            Discovery::parse(&issuer, it.to_string().as_bytes())
        };
        let found = document(&|_| ()).unwrap();
        assert_eq!((found.jwks.as_str(), found.device), ("https://keys.example/jwks", None));
        assert!(!found.secret_in_body);
        assert!(
            document(&|it| it["token_endpoint_auth_methods_supported"] = ["client_secret_post"].into())
                .unwrap()
                .secret_in_body
        );
        let other = document(&|it| it["issuer"] = "https://evil.example".into()).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Config);
        assert!(document(&|it| it["issuer"] = "https://id.example/".into()).is_err(), "spelled otherwise");
        assert!(document(&|it| it["jwks_uri"] = "http://keys.example".into()).is_err());
        assert!(document(&|it| it["device_authorization_endpoint"] = "http://x.example/".into()).is_err());
        assert_eq!(Discovery::parse(&issuer, b"<html>").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
