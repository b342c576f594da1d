//! What issuers are asked, within a size and a time.

use std::time::Duration;

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::http::ISSUER_BYTES_MAX;
use reqwest::{Client, RequestBuilder, header};
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
    /// `Io` when it does not come, `Limit` when it is too long.
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

/// Waits, on a thread that may.
fn answer(url: &Url, request: RequestBuilder) -> Result<Vec<u8>> {
    let whom = url.host_str().unwrap_or_default().to_owned();
    let failed = |why: String| Error::new(ErrorKind::Io, format!("{whom} does not answer")).with_source(why);
    tokio::runtime::Handle::current().block_on(async {
        let mut response = request.send().await.map_err(|err| failed(err.without_url().to_string()))?;
        if !response.status().is_success() {
            return Err(failed(format!("it answers {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|err| failed(err.without_url().to_string()))? {
            if body.len() + piece.len() > ISSUER_BYTES_MAX {
                let message = format!("{whom} answers with more than {ISSUER_BYTES_MAX} bytes");
                return Err(Error::new(ErrorKind::Limit, message));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    })
}
