//! The pages for people: read only, no script, no build step. The protocol's own checks stand before them.

mod card;
mod error;
mod html;
mod list;
mod login;
mod markdown;
mod revisions;
mod schema;
mod session;

use std::{fmt::Write as _, sync::Arc};

use crate::{app::App, call::Call, refusal::Answered, reply::Reply};

pub(crate) use card::card;
pub(crate) use error::error_page;
pub(crate) use list::home;
pub(crate) use login::{login, login_callback, logout};
pub(crate) use revisions::revisions;
pub(crate) use session::session_of;

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    html.write_fmt(text).unwrap_or_default();
}

pub(crate) fn style(_: &Arc<App>, _: &Call) -> Answered<Reply> {
    Ok(Reply::new("text/css; charset=utf-8", include_str!("page/style.css")))
}
