//! How a browser logs in and out. It never goes where a request says: to the issuer that the operator named, and to the start.

use std::sync::Arc;

use axum::http::{StatusCode, header};

use crate::{
    app::App,
    call::Call,
    oidc::{Begun, Logins, Returned},
    page::{
        card::server_url,
        session::{Kept, is_encrypted, value_of},
    },
    principal::Principal,
    refusal::{Answered, Refusal},
    reply::Reply,
};

/// Sends a browser to the issuer; where there is none, or with `?with=token`, asks it for a token as a password.
pub(crate) fn login(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    if call.principal.account.is_some() {
        return Ok(to("/"));
    }
    let logins = app.logins.as_ref().filter(|it| it.has_people());
    let Some(logins) = logins.filter(|_| call.said.query.get("with").is_none_or(|it| it != "token")) else {
        let mut refusal = Refusal::no_token();
        refusal.challenge = true;
        return Err(refusal);
    };
    let begun = Begun::fresh()?;
    let address = logins.leave(app, &begun, &callback(app, call)?)?;
    Ok(to(address.as_str()).with_begun(is_encrypted(app, &call.said.headers), &begun.to_text()))
}

/// Takes a browser that comes back from the issuer.
pub(crate) fn login_callback(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let logins: &Logins = app.logins.as_ref().ok_or_else(|| Refusal::missing("path"))?;
    let said = |name: &str| call.said.query.get(name).map(String::as_str);
    let returned = Returned { code: said("code"), state: said("state"), issuer: said("iss") };
    let begun = value_of(app, &call.said.headers, Kept::Begun).and_then(Begun::parse);
    let identity = match logins.come_back(app, begun.as_ref(), &returned, &callback(app, call)?) {
        Ok(identity) => identity,
        Err(refusal) if refusal.problem.status >= 500 => return Err(refusal),
        Err(refusal) => return app.denied(&Principal::anonymous(), "login", None, refusal),
    };
    let made = app.log_in(&identity)?;
    let is_encrypted = is_encrypted(app, &call.said.headers);
    let seconds = (identity.until - app.options.clock.now()).num_seconds();
    Ok(to("/").with_session(is_encrypted, &made.token, seconds).forgetting(is_encrypted, Kept::Begun))
}

/// Ends the login of a browser. A token that was sent as a password is the browser's own affair.
pub(crate) fn logout(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    if let (true, Some(id)) = (call.has_session, call.principal.token.as_deref()) {
        app.database.revoke_token(call.principal.who(), id, app.options.clock.now())?;
        app.keep_apart()?;
    }
    Ok(to("/").forgetting(is_encrypted(app, &call.said.headers), Kept::Session))
}

fn to(address: &str) -> Reply {
    Reply::new("text/plain", "").with_status(StatusCode::SEE_OTHER).with_header(header::LOCATION, address)
}

/// Where the issuer sends browsers back to, which it was told beforehand.
fn callback(app: &App, call: &Call) -> Answered<String> {
    let url = server_url(app, call).ok_or_else(|| {
        let message = "the request does not say how this server is reached";
        Refusal::new(400, "host", message, "tell the operator to start the server with `--public-url`")
    })?;
    Ok(format!("{}/login/callback", url.trim_end_matches('/')))
}
