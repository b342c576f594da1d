use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use nodedata_registry::http::PROBLEM_MEDIA_TYPE;
use serde::Serialize;

use crate::refusal::{Answered, Refusal};

/// What a handler answers.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl Reply {
    pub(crate) fn new(media_type: &'static str, body: impl Into<Body>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        Self { status: StatusCode::OK, headers, body: body.into() }
    }

    pub(crate) fn json(body: &impl Serialize) -> Answered<Self> {
        let bytes = serde_json::to_vec(body)
            .map_err(|err| Refusal::from(nodedata_core::Error::from(std::io::Error::from(err))))?;
        Ok(Self::new("application/json", bytes))
    }

    pub(crate) fn bytes(media_type: &'static str, body: Bytes) -> Self {
        Self::new(media_type, body)
    }

    pub(crate) fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Body::empty() }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Another cookie for the browser.
    pub(crate) fn with_cookie(mut self, cookie: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            self.headers.append(header::SET_COOKIE, value);
        }
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        // What we put into headers are digests, numbers and names of ours.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        secured(response)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.reply().into_response()
    }
}

impl Refusal {
    /// The answer for programs.
    pub(crate) fn reply(&self) -> Reply {
        let body = serde_json::to_vec(&*self.problem).unwrap_or_default();
        self.told_by(Reply::new(PROBLEM_MEDIA_TYPE, body))
    }

    /// The answer with the refusal's status and headers, whatever form its words have.
    pub(crate) fn told_by(&self, reply: Reply) -> Reply {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = reply.with_status(status);
        if let Some(seconds) = self.retry_after {
            reply = reply.with_header(header::RETRY_AFTER, &seconds.to_string());
        }
        if let Some(n_bytes) = self.n_bytes {
            reply = reply.with_header(header::CONTENT_RANGE, &format!("bytes */{n_bytes}"));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = if self.challenge { "Basic realm=\"node-data\"" } else { "Bearer" };
            reply = reply.with_header(header::WWW_AUTHENTICATE, challenge);
        }
        reply
    }
}

/// Nothing that we answer may run, be framed, be guessed at, or be kept by what stands between.
fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    response
}
