//! The pages for people: read only, no script, no build step. The protocol's own checks stand before them.

mod card;
mod error;
mod html;
mod list;
mod markdown;
mod revisions;
mod schema;

use std::{fmt::Write as _, sync::Arc};

use axum::http::{StatusCode, header};

use crate::{
    app::App,
    call::Call,
    refusal::{Answered, Refusal},
    reply::Reply,
};

pub(crate) use card::card;
pub(crate) use error::error_page;
pub(crate) use list::home;
pub(crate) use revisions::revisions;

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    html.write_fmt(text).unwrap_or_default();
}

pub(crate) fn style(_: &Arc<App>, _: &Call) -> Answered<Reply> {
    Ok(Reply::new("text/css; charset=utf-8", include_str!("page/style.css")))
}

/// Asks a browser for a token, then shows what it opens.
pub(crate) fn login(_: &Arc<App>, call: &Call) -> Answered<Reply> {
    if call.principal.account.is_none() {
        let mut refusal = Refusal::no_token();
        refusal.challenge = true;
        return Err(refusal);
    }
    Ok(Reply::new("text/plain", "").with_status(StatusCode::SEE_OTHER).with_header(header::LOCATION, "/"))
}
