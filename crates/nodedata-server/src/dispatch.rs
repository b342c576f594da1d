use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts as _, Query, RawPathParams, Request},
    http::{HeaderMap, Method, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use nodedata_core::{Error, ErrorKind};
use nodedata_registry::http::Token;
use tokio::{sync::SemaphorePermit, task::JoinHandle, time::timeout};

use crate::{
    app::App,
    asker::Asker,
    call::Call,
    intake::Intake,
    log::RequestLine,
    manners::validated,
    numbers::Said,
    page::{error_page, session_of},
    principal::Principal,
    refusal::{Answered, Refusal},
    reply::Reply,
    routes::{self, ROUTES, Route},
};

/// What a guess at a token costs whoever makes it.
const GUESS_COST: u64 = 100;
/// How long a request waits for a turn, which others have for some ten microseconds each.
const TURN_PATIENCE: Duration = Duration::from_millis(1);

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

/// Counts a request as under way, until this is dropped: with its answer, or when its connection ends before that.
struct UnderWay(Arc<App>);

impl UnderWay {
    fn of(app: &Arc<App>) -> Self {
        app.metrics.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(app))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn dispatch(app: Arc<App>, route: &'static Route, request: Request) -> Response {
    let started = Instant::now();
    let method = if request.method() == Method::HEAD { "HEAD" } else { route.method };
    let under_way = UnderWay::of(&app);
    let (mut parts, body) = request.into_parts();
    let as_page = wants_page(&parts.headers);
    let mut who = "anonymous".to_owned();
    let answered = answer(&app, route, &mut parts, body, &mut who).await;
    let response = answered.map_or_else(|it| refused(it, as_page), IntoResponse::into_response);
    drop(under_way);
    let (took, status) = (started.elapsed(), response.status().as_u16());
    app.metrics.request(method, route.path, status, took);
    app.options.log.request(|| RequestLine {
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
) -> Answered<Reply> {
    let intake = Arc::new(Intake::new(app, parts));
    let cost = route.cost_of(intake.body_bytes(&body));
    let asking = match Asking::of(app, route, parts, &intake, cost) {
        Ok(it) => it,
        Err(refusal) => {
            intake.drain(body).await;
            return Err(refusal);
        }
    };
    if route.body == routes::Body::Nothing && (asking.token.is_some() || route.at_once.is_some()) {
        let said = said_of(parts).await;
        let (asked_by, answered) = answer_bodiless(app, asking, said).await?;
        *who = asked_by;
        if answered.is_err() {
            intake.drain(body).await;
        }
        return answered;
    }
    let found = if asking.token.is_some() {
        let found = tokio::task::spawn_blocking(move || asking.identify()).await;
        found.unwrap_or_else(|_| Err(failed().into()))
    } else {
        asking.identify()
    };
    let (principal, asker) = match found {
        Ok(it) => it,
        Err(refusal) => {
            intake.drain(body).await;
            return Err(refusal);
        }
    };
    principal.who().clone_into(who);
    let asked = said_of(parts).await?;
    if let Err(refusal) = asked.check_numbers(route) {
        intake.drain(body).await;
        return Err(refusal);
    }
    let limit = app.options.limits.request_timeout;
    let (body, share) = match timeout(limit, intake.read(route, &asker, body)).await {
        Ok(read) => read?,
        Err(_) => return Err(Refusal::slow_body()),
    };
    let call = asked.call(principal, asker, body);
    let app = Arc::clone(app);
    let handled = tokio::task::spawn_blocking(move || {
        // Held until the handler is done with the body, whoever still waits for it.
        let _share = share;
        handle(&app, route, &call)
    });
    in_time(limit, handled).await?
}

/// Answers a request without a body. Where nobody need be waited for, the thread of the runtime that has read it does; else another one,
/// which finds out who asks as well: for a short range, the way from thread to thread is much of what it costs. Says who asked, where
/// that was found out.
async fn answer_bodiless(
    app: &Arc<App>,
    asking: Asking,
    said: Answered<AskedFor>,
) -> Answered<(String, Answered<Reply>)> {
    let (route, limit) = (asking.route, app.options.limits.request_timeout);
    let turn = if route.at_once.is_some() { turn(app).await } else { None };
    let begun = match begin_at_once(app, turn, asking, said) {
        ControlFlow::Break(done) => return Ok(done),
        ControlFlow::Continue(begun) => begun,
    };
    let app = Arc::clone(app);
    let handled = tokio::task::spawn_blocking(move || {
        let called = match begun {
            Begun::Nothing(asking, said) => called(route, asking.identify(), said),
            Begun::Called(call) => Ok(call),
        };
        match called {
            Ok(call) => (call.principal.who().to_owned(), handle(&app, route, &call)),
            Err((who, refusal)) => (who, Err(refusal)),
        }
    });
    in_time(limit, handled).await
}

/// How far a request without a body has come that is not answered yet.
enum Begun {
    Nothing(Asking, Answered<AskedFor>),
    /// It was admitted, and counted to whoever asks.
    Called(Call),
}

/// A turn to look at files; `None` where they are all taken for longer than it takes to give a range to another thread.
async fn turn(app: &App) -> Option<SemaphorePermit<'_>> {
    match app.turns.try_acquire() {
        Ok(turn) => Some(turn),
        Err(_) => timeout(TURN_PATIENCE, app.turns.acquire()).await.ok()?.ok(),
    }
}

/// As much of an answer as needs no waiting, for whoever has a turn.
fn begin_at_once(
    app: &Arc<App>,
    turn: Option<SemaphorePermit<'_>>,
    asking: Asking,
    said: Answered<AskedFor>,
) -> ControlFlow<(String, Answered<Reply>), Begun> {
    let route = asking.route;
    let (Some(at_once), Some(_turn)) = (route.at_once, turn) else {
        return ControlFlow::Continue(Begun::Nothing(asking, said));
    };
    let Some(found) = asking.identify_at_once() else {
        return ControlFlow::Continue(Begun::Nothing(asking, said));
    };
    match called(route, found, said) {
        Ok(call) => match at_once(app, &call) {
            Some(answered) => {
                app.metrics.at_once.fetch_add(1, Ordering::Relaxed);
                ControlFlow::Break((call.principal.who().to_owned(), answered))
            }
            None => ControlFlow::Continue(Begun::Called(call)),
        },
        Err((who, refusal)) => ControlFlow::Break((who, Err(refusal))),
    }
}

/// What somebody who was found out asks for; or who asks, and why that is nothing.
fn called(
    route: &Route,
    found: Answered<(Principal, Asker)>,
    said: Answered<AskedFor>,
) -> Result<Call, (String, Refusal)> {
    let (principal, asker) = found.map_err(|it| ("anonymous".to_owned(), it))?;
    let checked = said.and_then(|asked| asked.check_numbers(route).map(|()| asked));
    match checked {
        Ok(asked) => Ok(asked.call(principal, asker, Bytes::new())),
        Err(refusal) => Err((principal.who().to_owned(), refusal)),
    }
}

fn handle(app: &Arc<App>, route: &Route, call: &Call) -> Answered<Reply> {
    if route.method != "GET" {
        app.expect_notes()?;
    }
    let reply = (route.handler)(app, call)?;
    Ok(if route.method == "GET" { validated(reply, &call.said.headers) } else { reply })
}

/// What a thread came to, where it ends in time.
async fn in_time<T>(limit: Duration, handled: JoinHandle<T>) -> Answered<T> {
    match timeout(limit, handled).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => {
            let message = "the server failed on this request";
            Err(Refusal::new(500, "internal", message, "tell the operator the time and what was asked"))
        }
        Err(_) => Err(Refusal::new(503, "slow", "this took too long", "try again later")),
    }
}

/// What a request asks for, as its head says it.
struct AskedFor {
    said: Said,
    has_authorization: bool,
    is_head: bool,
}

async fn said_of(parts: &mut Parts) -> Answered<AskedFor> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params: BTreeMap<String, String> = match &params {
        Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(_) => return Err(Refusal::missing("path")),
    };
    let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
    let query = query.map_err(|_| Refusal::missing("query"))?.0;
    let has_authorization = parts.headers.contains_key(header::AUTHORIZATION);
    let said = Said { params, query, headers: std::mem::take(&mut parts.headers) };
    Ok(AskedFor { said, has_authorization, is_head: parts.method == Method::HEAD })
}

impl AskedFor {
    fn check_numbers(&self, route: &Route) -> Answered<()> {
        route.numbers.iter().try_for_each(|it| it.of(&self.said).map(drop))
    }

    fn call(self, principal: Principal, asker: Asker, body: Bytes) -> Call {
        // Without that header it is a cookie that says who asks.
        let has_session = principal.account.is_some() && !self.has_authorization;
        Call { principal, asker, said: self.said, body, has_session, is_head: self.is_head }
    }
}

/// A request of somebody who is to be found out.
struct Asking {
    app: Arc<App>,
    route: &'static Route,
    intake: Arc<Intake>,
    cost: u64,
    address: Asker,
    token: Option<Token>,
    /// Whether a cookie holds the token.
    is_session: bool,
}

impl Asking {
    fn of(
        app: &Arc<App>,
        route: &'static Route,
        parts: &Parts,
        intake: &Arc<Intake>,
        cost: u64,
    ) -> Answered<Self> {
        let address = Asker::at(intake.client(&parts.headers));
        let sent = token_of(&parts.headers, route.is_page)?;
        let is_session = sent.is_none();
        let token = sent.or_else(|| session_of(app, &parts.headers).filter(|_| route.is_page));
        let (app, intake) = (Arc::clone(app), Arc::clone(intake));
        Ok(Self { app, route, intake, cost, address, token, is_session })
    }

    /// Who asks, and whom limits count a request of so many units to, within those limits. With a token, the database is asked.
    fn identify(&self) -> Answered<(Principal, Asker)> {
        let Self { app, route, intake, cost, address, token, is_session } = self;
        let Some(token) = token else {
            intake.admit(address, *cost)?;
            return if route.needs_token() {
                Err(Refusal::no_token())
            } else {
                Ok((Principal::anonymous(), address.clone()))
            };
        };
        app.expect_whole()?;
        let Some(principal) = app.database.principal_of(token, app.options.clock.now())? else {
            // Guesses count for their address.
            intake.admit(address, *cost + GUESS_COST)?;
            if *is_session && !route.needs_token() {
                // A login that is over is none, and no mistake of whoever asks.
                return Ok((Principal::anonymous(), address.clone()));
            }
            let fix = "ask the operator for a new one";
            let mut refusal =
                Refusal::new(401, "token-unknown", "the token is unknown, taken back, or over", fix);
            refusal.challenge = route.is_page;
            return app.denied(&Principal::anonymous(), "token", None, refusal);
        };
        self.admitted(principal)
    }

    /// The same, where nobody need be waited for to know it.
    fn identify_at_once(&self) -> Option<Answered<(Principal, Asker)>> {
        let Some(token) = &self.token else { return Some(self.identify()) };
        if let Err(err) = self.app.expect_whole() {
            return Some(Err(err.into()));
        }
        let principal = self.app.database.known_principal(token, self.app.options.clock.now())?;
        Some(self.admitted(principal))
    }

    fn admitted(&self, principal: Principal) -> Answered<(Principal, Asker)> {
        let asker = Asker::Account(principal.who().to_owned());
        self.intake.admit(&asker, self.cost)?;
        Ok((principal, asker))
    }
}

fn failed() -> Error {
    Error::new(ErrorKind::Io, "the server failed on this request")
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
