//! What issuers are asked, within a size and a time.

use std::time::Duration;

use nodedata_core::{Error, ErrorKind, Result, visible::visible};
use nodedata_registry::http::ISSUER_BYTES_MAX;
use reqwest::{Client, RequestBuilder, header};
use serde::Deserialize;
use url::Url;

use crate::outgoing;

/// Longest time that one answer of an issuer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks issuers.
#[derive(Debug, Clone)]
pub(crate) struct Web(Client);

impl Web {
    /// A client that follows nobody elsewhere.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn new() -> Result<Self> {
        outgoing::client(ANSWER_TIMEOUT).map(Self)
    }

    /// A document.
    ///
    /// # Errors
    /// `Io` when it does not come, `Denied` when the issuer refuses it, `Limit` when it is too long.
    pub(crate) fn get(&self, url: &Url) -> Result<Vec<u8>> {
        answer(url, self.0.get(url.clone()))
    }

    /// What comes for a form, with the client's secret as HTTP's own password where there is one.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn post(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<Vec<u8>> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.0.post(url.clone());
        let mut request =
            request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        if let Some((name, password)) = basic {
            // Each encoded by itself first (RFC 6749, 2.3.1).
            let encoded = |it: &str| url::form_urlencoded::byte_serialize(it.as_bytes()).collect::<String>();
            request = request.basic_auth(encoded(name), Some(encoded(password)));
        }
        answer(url, request)
    }
}

/// A refusal of an issuer (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Waits, on a thread that may.
///
/// # Errors
/// `Io` when nothing comes, or the issuer fails; `Denied` when it refuses; `Limit` when too much comes.
fn answer(url: &Url, request: RequestBuilder) -> Result<Vec<u8>> {
    let whom = url.host_str().unwrap_or_default().to_owned();
    let failed = |err: reqwest::Error| {
        let why = err.without_url().to_string();
        Error::new(ErrorKind::Io, format!("{whom} does not answer")).with_source(why)
    };
    let (status, body) = tokio::runtime::Handle::current().block_on(async {
        let mut response = request.send().await.map_err(&failed)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(&failed)? {
            if body.len() + piece.len() > ISSUER_BYTES_MAX {
                let message = format!("{whom} answers with more than {ISSUER_BYTES_MAX} bytes");
                return Err(Error::new(ErrorKind::Limit, message));
            }
            body.extend_from_slice(&piece);
        }
        Ok((response.status(), body))
    })?;
    if status.is_success() {
        return Ok(body);
    }
    let code = serde_json::from_slice(&body).map_or_else(|_| String::new(), |it: Refused| it.error);
    let code: String = code.chars().take(100).collect();
    let kind = if status.is_client_error() { ErrorKind::Denied } else { ErrorKind::Io };
    Err(Error::new(kind, format!("{whom} answers {status} {}", visible(&code))))
}
