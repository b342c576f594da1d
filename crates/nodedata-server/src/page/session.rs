//! What a browser keeps of a login: cookies that no script sees, that no other site sends along with what it makes a browser post,
//! and that are taken by pages only.

use axum::http::{HeaderMap, header};
use nodedata_registry::http::Token;

use crate::{app::App, reply::Reply};

/// How long a login may be on its way at the issuer, in seconds.
const BEGUN_SECONDS_MAX: i64 = 600;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The token of a login.
    Session,
    /// The secrets of one that has begun.
    Begun,
}

/// How a browser reaches the server: whether what it sends can be read on the way.
pub(crate) fn is_encrypted(app: &App, headers: &HeaderMap) -> bool {
    match &app.options.public_url {
        Some(url) => url.starts_with("https://"),
        None => {
            let is_forwarded = headers.get("x-forwarded-proto").is_some_and(|it| it.as_bytes() == b"https");
            app.options.tls.is_some() || is_forwarded
        }
    }
}

/// The token of a browser that has logged in.
pub(crate) fn session_of(app: &App, headers: &HeaderMap) -> Option<Token> {
    Token::parse(value_of(app, headers, Kept::Session)?).ok()
}

/// What is kept under a name; `None` also where it stands twice, since another site may have put in the second.
pub(super) fn value_of<'a>(app: &App, headers: &'a HeaderMap, kept: Kept) -> Option<&'a str> {
    let name = kept.name(is_encrypted(app, headers));
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let pairs = lines.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    let mut values = pairs.filter(|(it, _)| *it == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

impl Kept {
    /// With the prefix, browsers take it from this host alone, and only encrypted.
    fn name(self, is_encrypted: bool) -> &'static str {
        match (self, is_encrypted) {
            (Self::Session, true) => "__Host-nodedata-session",
            (Self::Session, false) => "nodedata-session",
            (Self::Begun, true) => "__Host-nodedata-login",
            (Self::Begun, false) => "nodedata-login",
        }
    }

    /// Lets a browser keep a value for so many seconds; none: forget it.
    fn cookie(self, is_encrypted: bool, value: &str, seconds: i64) -> String {
        let secure = if is_encrypted { "; Secure" } else { "" };
        let name = self.name(is_encrypted);
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

impl Reply {
    /// Lets the browser keep the token of a login until that ends.
    pub(super) fn with_session(self, is_encrypted: bool, token: &Token, seconds: i64) -> Self {
        self.with_cookie(&Kept::Session.cookie(is_encrypted, token.reveal(), seconds))
    }

    pub(super) fn with_begun(self, is_encrypted: bool, text: &str) -> Self {
        self.with_cookie(&Kept::Begun.cookie(is_encrypted, text, BEGUN_SECONDS_MAX))
    }

    pub(super) fn forgetting(self, is_encrypted: bool, kept: Kept) -> Self {
        self.with_cookie(&kept.cookie(is_encrypted, "", 0))
    }
}
