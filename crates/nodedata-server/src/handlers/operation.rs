//! What the operator asks for: health, metrics, tokens, the audit log.

use axum::http::StatusCode;
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    at_most,
    http::{RotateBody, TokenAnswer, TokenBody, TokenList, WhoamiAnswer},
    layout,
};

use crate::{
    app::App,
    call::Call,
    database::{NewToken, Rotation, TokenAsked},
    handlers::roles::login_groups,
    metrics::Now,
    numbers,
    openapi::openapi,
    principal::Scope,
    refusal::{Answered, Refusal},
    reply::Reply,
};

/// Longest time that a token goes on beside the one in its place: 30 days.
pub(crate) const OVERLAP_SECONDS_MAX: u64 = 30 * 86_400;

pub(crate) fn health(app: &App, _: &Call) -> Answered<Reply> {
    // A store that answers, and a database that takes what is to be noted.
    app.store.head(layout::MARKER)?;
    app.try_database()?;
    Ok(Reply::new("text/plain; charset=utf-8", "ok\n"))
}

pub(crate) fn metrics(app: &App, _: &Call) -> Answered<Reply> {
    let now = Now {
        limits: &app.options.limits,
        quotas: app.options.quotas,
        denials: app.denials.counted(),
        connections: &app.connections,
        bodies_bytes: app.bodies.used(),
        answers_bytes: app.answers.used(),
        letters: app.database.n_letters()?,
        intents: app.database.intents()?.len() as u64,
        revocations: app.database.not_apart()?.len() as u64,
    };
    Ok(Reply::new("text/plain; version=0.0.4; charset=utf-8", app.metrics.render(&now)))
}

pub(crate) fn description(_: &App, _: &Call) -> Answered<Reply> {
    Reply::json(&openapi())
}

/// Whose token came, so that a login can be tried before it is kept.
pub(crate) fn whoami(app: &App, call: &Call) -> Answered<Reply> {
    let scopes = call.principal.scopes.iter().map(ToString::to_string).collect();
    let (account, token) = (call.principal.who().to_owned(), call.principal.token.clone());
    Reply::json(&WhoamiAnswer { account, scopes, groups: login_groups(app, call)?, token })
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
    // What became of records whose requests failed is in it, where that can be known.
    app.settle_left();
    app.settle_denials()?;
    let page = app.database.audit_since(since)?;
    Ok(Reply::new("application/jsonl; charset=utf-8", page))
}

/// Where the audit log ends, signed.
pub(crate) fn audit_head(app: &App, call: &Call) -> Answered<Reply> {
    admin_only(app, call, "audit")?;
    app.settle_left();
    let Some(signed) = app.signed_head()? else {
        let fix = "start it with `--data DIR`";
        return Err(Refusal::new(404, "not-found", "this server keeps no data, and has no key", fix));
    };
    Ok(Reply::bytes("application/json", signed.to_bytes()?.into()))
}

pub(crate) fn create_token(app: &App, call: &Call) -> Answered<Reply> {
    admin_only(app, call, "create-token")?;
    let body: TokenBody = call.json()?;
    let scopes = body.scopes.iter().map(|it| it.parse()).collect::<Result<Vec<Scope>>>();
    let scopes = scopes.map_err(|err| Refusal::invalid(&err))?;
    let asked = TokenAsked { account: &body.account, scopes: &scopes, valid_days: body.valid_days };
    let made = app.database.make_token(call.principal.who(), &asked, app.options.clock.now());
    let made = made
        .map_err(|err| if err.kind() == ErrorKind::Config { Refusal::invalid(&err) } else { err.into() })?;
    told(made)
}

fn told(made: NewToken) -> Answered<Reply> {
    let answer = TokenAnswer { id: made.id, token: made.token.reveal().to_owned(), expires: made.expires };
    Ok(Reply::json(&answer)?.with_status(StatusCode::CREATED))
}

/// All tokens for operators, those of one's own account for others.
pub(crate) fn tokens(app: &App, call: &Call) -> Answered<Reply> {
    let own = Some(call.principal.who()).filter(|_| !call.principal.is_admin());
    Reply::json(&TokenList { tokens: app.database.tokens(own, app.options.clock.now())? })
}

/// A token in the place of another: of any for operators, of the very one that was sent for others, since another one of the
/// account may open more.
pub(crate) fn rotate_token(app: &App, call: &Call) -> Answered<Reply> {
    let id = token_id(call)?;
    let is_own = call.principal.token.as_deref() == Some(id);
    if !is_own {
        admin_only(app, call, "rotate-token")?;
    }
    let body: RotateBody = if call.body.is_empty() { RotateBody::default() } else { call.json()? };
    let overlap = u64::from(body.overlap_seconds.unwrap_or(0));
    at_most("overlap_seconds", overlap, OVERLAP_SECONDS_MAX).map_err(|err| Refusal::invalid(&err))?;
    let rotation = Rotation {
        valid_days: body.valid_days,
        overlap: chrono::TimeDelta::seconds(overlap.cast_signed()),
        is_own,
        may_be_longer: call.principal.is_admin(),
    };
    let made = app.database.rotate_token(call.principal.who(), id, rotation, app.options.clock.now());
    let made = made.map_err(|err| match err.kind() {
        ErrorKind::Config | ErrorKind::Denied => Refusal::invalid(&err),
        _ => err.into(),
    })?;
    let made = made.ok_or_else(|| Refusal::missing("token"))?;
    app.keep_apart()?;
    told(made)
}

fn token_id(call: &Call) -> Answered<&str> {
    let id = call.param("id");
    if id.len() > 64 || !id.bytes().all(|it| it.is_ascii_alphanumeric()) {
        let err = Error::new(ErrorKind::Config, "this is no name of a token");
        return Err(Refusal::invalid(&err.with_hint("use the `id` that came with the token")));
    }
    Ok(id)
}

pub(crate) fn revoke_token(app: &App, call: &Call) -> Answered<Reply> {
    admin_only(app, call, "revoke-token")?;
    let id = token_id(call)?;
    if !app.database.revoke_token(call.principal.who(), id, app.options.clock.now())? {
        return Err(Refusal::missing("token"));
    }
    app.keep_apart()?;
    Ok(Reply::empty())
}
