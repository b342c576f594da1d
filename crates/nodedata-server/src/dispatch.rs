use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{FromRequestParts as _, Query, RawPathParams, Request},
    http::{HeaderMap, Method, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind};
use nodedata_registry::http::Token;
use tokio::time::timeout;

use crate::{
    app::{App, BODY_PERMIT_BYTES},
    call::Call,
    log::RequestLine,
    numbers::Said,
    page::error_page,
    principal::Principal,
    refusal::{Answered, Refusal},
    routes::{self, ROUTES, Route},
};

/// Bytes of a refused request that are read and dropped, so that its sender gets to read the answer.
const DRAINED_BYTES_MAX: usize = 16 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The router over the table of routes.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let filter = match route.method {
            "POST" => MethodFilter::POST,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        let app = Arc::clone(app);
        router = router.route(route.path, on(filter, move |request: Request| dispatch(app, route, request)));
    }
    router
        .fallback(|headers: HeaderMap| async move { refused(Refusal::missing("path"), wants_page(&headers)) })
        .method_not_allowed_fallback(|headers: HeaderMap| async move {
            let fix = "see /openapi.json";
            let refusal = Refusal::new(405, "method", "this is not asked by that method", fix);
            refused(refusal, wants_page(&headers))
        })
}

/// Whether a page is wanted: browsers say so, and programs take what comes.
fn wants_page(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    accepted.any(|it| it.split(',').any(|it| it.trim_start().starts_with("text/html")))
}

/// A refusal, to be read by people or by programs.
fn refused(refusal: Refusal, as_page: bool) -> Response {
    if as_page { error_page(&refusal).into_response() } else { refusal.into_response() }
}

async fn dispatch(app: Arc<App>, route: &'static Route, request: Request) -> Response {
    let started = Instant::now();
    let method = if request.method() == Method::HEAD { "HEAD" } else { route.method };
    app.metrics.in_flight.fetch_add(1, Ordering::Relaxed);
    let (mut parts, body) = request.into_parts();
    let as_page = wants_page(&parts.headers);
    let mut who = "anonymous".to_owned();
    let answered = answer(&app, route, &mut parts, body, &mut who).await;
    let response = answered.map_or_else(|it| refused(it, as_page), IntoResponse::into_response);
    app.metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
    let (took, status) = (started.elapsed(), response.status().as_u16());
    app.metrics.request(method, route.path, status, took);
    app.options.log.request(&RequestLine {
        at: app.options.clock.stamp(),
        method,
        route: route.path,
        status,
        millis: took.as_millis() as u64,
        who: &who,
    });
    response
}

async fn answer(
    app: &Arc<App>,
    route: &'static Route,
    parts: &mut Parts,
    body: Body,
    who: &mut String,
) -> Answered<crate::reply::Reply> {
    let principal = match identify(app, route, parts).await {
        Ok(principal) => principal,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    principal.who().clone_into(who);
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params: BTreeMap<String, String> = match &params {
        Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(_) => return Err(Refusal::missing("path")),
    };
    let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
    let query = query.map_err(|_| Refusal::missing("query"))?.0;
    let is_head = parts.method == Method::HEAD;
    let said = Said { params, query, headers: std::mem::take(&mut parts.headers) };
    if let Some(refusal) = route.numbers.iter().find_map(|it| it.of(&said).err()) {
        drain(body).await;
        return Err(refusal);
    }
    let limit = app.options.request_timeout;
    // Held until the handler is done with the body.
    let (body, _permit) = match timeout(limit, read(app, route, &said.headers, body)).await {
        Ok(read) => read?,
        Err(_) => return Err(Refusal::new(408, "slow", "the body did not come in time", "send it again")),
    };
    let call = Call { principal, said, body, is_head };
    let app = Arc::clone(app);
    let handled = tokio::task::spawn_blocking(move || (route.handler)(&app, &call));
    match timeout(limit, handled).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(_)) => {
            let message = "the server failed on this request";
            Err(Refusal::new(500, "internal", message, "tell the operator the time and what was asked"))
        }
        Err(_) => Err(Refusal::new(503, "slow", "this took too long", "try again later")),
    }
}

/// Who asks, within their rate.
async fn identify(app: &Arc<App>, route: &'static Route, parts: &Parts) -> Answered<Principal> {
    let peer = parts.extensions.get::<SocketAddr>().map_or_else(String::new, |it| it.ip().to_string());
    let token = token_of(&parts.headers, route.is_page)?;
    let Some(token) = token else {
        within_rate(app, &peer)?;
        return if route.needs_token() { Err(Refusal::no_token()) } else { Ok(Principal::anonymous()) };
    };
    let asked = Arc::clone(app);
    let found =
        tokio::task::spawn_blocking(move || asked.database.principal_of(&token, asked.options.clock.now()));
    let found = found.await.map_err(|_| Error::new(ErrorKind::Io, "the server failed on this request"))??;
    let Some(principal) = found else {
        // Guesses count for their address.
        within_rate(app, &peer)?;
        let fix = "ask the operator for a new one";
        let mut refusal =
            Refusal::new(401, "token-unknown", "the token is unknown, taken back, or over", fix);
        refusal.challenge = route.is_page;
        let asked = Arc::clone(app);
        let noted = tokio::task::spawn_blocking(move || {
            asked.denied::<Principal>(&Principal::anonymous(), "token", None, refusal)
        });
        return noted.await.map_err(|_| Error::new(ErrorKind::Io, "the server failed on this request"))?;
    };
    within_rate(app, principal.who())?;
    Ok(principal)
}

fn within_rate(app: &App, asker: &str) -> Answered<()> {
    app.limiter.admit(asker, Instant::now()).map_err(|seconds| {
        let mut refusal =
            Refusal::new(429, "rate", "too many requests", "wait as long as `Retry-After` says");
        refusal.retry_after = Some(seconds);
        refusal
    })
}

/// The token of a request. As a password it is taken on pages only: browsers send passwords along with
/// requests that other sites make them send.
fn token_of(headers: &HeaderMap, is_page: bool) -> Answered<Option<Token>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let refused = || {
        let mut refusal =
            Refusal::new(401, "token-malformed", "this is no token", "send `Authorization: Bearer ndp_…`");
        refusal.challenge = is_page;
        refusal
    };
    let text = value.to_str().map_err(|_| refused())?;
    let (scheme, rest) = text.split_once(' ').ok_or_else(refused)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Token::parse(rest).map(Some).map_err(|_| refused());
    }
    if is_page && scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(rest.trim()).ok().and_then(|it| String::from_utf8(it).ok());
        let password = decoded.as_deref().and_then(|it| it.split_once(':')).map(|it| it.1);
        return Token::parse(password.unwrap_or_default()).map(Some).map_err(|_| refused());
    }
    Err(refused())
}

/// The body, and the permit for the memory it takes.
async fn read(
    app: &App,
    route: &Route,
    headers: &HeaderMap,
    body: Body,
) -> Answered<(Bytes, Option<tokio::sync::OwnedSemaphorePermit>)> {
    if route.body == routes::Body::Nothing {
        return Ok((Bytes::new(), None));
    }
    let max = app.options.body_bytes_max;
    let too_long = || {
        let err = Error::new(ErrorKind::Limit, format!("the body has more than {max} bytes"));
        Refusal::of(413, "body-length", &err.with_hint("send less at once"))
    };
    let said = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|it| it > max) || body.size_hint().lower() > max {
        drain(body).await;
        return Err(too_long());
    }
    let n_permits = said.unwrap_or(max).div_ceil(BODY_PERMIT_BYTES).max(1);
    let n_permits = u32::try_from(n_permits).unwrap_or(u32::MAX);
    let permit = Arc::clone(&app.bodies).acquire_many_owned(n_permits).await.ok();
    let bytes = axum::body::to_bytes(body, usize::try_from(max).unwrap_or(usize::MAX)).await;
    let bytes = bytes.map_err(|err| {
        let is_length =
            std::error::Error::source(&err).is_some_and(|it| it.is::<http_body_util::LengthLimitError>());
        match is_length {
            true => too_long(),
            false => Refusal::new(400, "body", "the body did not come to its end", "send it again"),
        }
    })?;
    Ok((bytes, permit))
}

async fn drain(body: Body) {
    // Whatever comes of it: the request is refused.
    drop(timeout(DRAIN_TIMEOUT, axum::body::to_bytes(body, DRAINED_BYTES_MAX)).await);
}
