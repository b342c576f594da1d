//! What the operator asks for: health, metrics, tokens, the audit log.

use axum::http::StatusCode;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    gate::AuditEvent,
    http::{TokenAnswer, TokenBody, WhoamiAnswer},
    layout,
};

use crate::{
    app::App,
    call::Call,
    numbers,
    openapi::openapi,
    principal::Scope,
    refusal::{Answered, Refusal},
    reply::Reply,
};

pub(crate) fn health(app: &App, _: &Call) -> Answered<Reply> {
    // A store and a database that answer.
    app.store.head(layout::MARKER)?;
    app.database.audit_since(u64::MAX)?;
    Ok(Reply::new("text/plain; charset=utf-8", "ok\n"))
}

pub(crate) fn metrics(app: &App, _: &Call) -> Answered<Reply> {
    Ok(Reply::new("text/plain; version=0.0.4; charset=utf-8", app.metrics.render()))
}

pub(crate) fn description(_: &App, _: &Call) -> Answered<Reply> {
    Reply::json(&openapi())
}

/// Whose token came, so that a login can be tried before it is kept.
pub(crate) fn whoami(_: &App, call: &Call) -> Answered<Reply> {
    let scopes = call.principal.scopes.iter().map(ToString::to_string).collect();
    Reply::json(&WhoamiAnswer { account: call.principal.who().to_owned(), scopes })
}

fn admin_only(app: &App, call: &Call, action: &str) -> Answered<()> {
    match call.principal.is_admin() {
        true => Ok(()),
        false => app.denied(&call.principal, action, None, Refusal::forbidden("admin")),
    }
}

pub(crate) fn audit(app: &App, call: &Call) -> Answered<Reply> {
    admin_only(app, call, "audit")?;
    let since = call.number(&numbers::SINCE)?;
    let page = app.database.audit_since(since)?;
    Ok(Reply::new("application/jsonl; charset=utf-8", page))
}

pub(crate) fn create_token(app: &App, call: &Call) -> Answered<Reply> {
    admin_only(app, call, "create-token")?;
    let body: TokenBody = call.json()?;
    let scopes = body.scopes.iter().map(|it| it.parse()).collect::<Result<Vec<Scope>>>();
    let scopes = scopes.map_err(|err| Refusal::invalid(&err))?;
    let now = app.options.clock.now();
    let made = app.database.create_token(&body.account, &scopes, body.valid_days, now);
    let made = made
        .map_err(|err| if err.kind() == ErrorKind::Config { Refusal::invalid(&err) } else { err.into() })?;
    let event =
        note_of(call, "create-token", format!("{} {} {}", made.id, body.account, body.scopes.join(" ")));
    if let Err(err) = app.note(event) {
        // What cannot be noted is not done.
        app.database.revoke_token(&made.id)?;
        return Err(err.into());
    }
    let answer = TokenAnswer { id: made.id, token: made.token.reveal().to_owned(), expires: made.expires };
    Ok(Reply::json(&answer)?.with_status(StatusCode::CREATED))
}

pub(crate) fn revoke_token(app: &App, call: &Call) -> Answered<Reply> {
    admin_only(app, call, "revoke-token")?;
    let id = call.param("id");
    if id.len() > 64 || !id.bytes().all(|it| it.is_ascii_alphanumeric()) {
        let err = Error::new(ErrorKind::Config, "this is no name of a token");
        return Err(Refusal::invalid(&err.with_hint("use the `id` that came with the token")));
    }
    if !app.database.revoke_token(id)? {
        return Err(Refusal::missing("token"));
    }
    app.note(note_of(call, "revoke-token", id.to_owned()))?;
    Ok(Reply::empty())
}

fn note_of(call: &Call, action: &str, subject: String) -> AuditEvent {
    AuditEvent {
        who: call.principal.who().to_owned(),
        action: action.to_owned(),
        subject: Some(subject),
        ..AuditEvent::default()
    }
}
