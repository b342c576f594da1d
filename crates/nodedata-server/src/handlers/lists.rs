//! Lists of datasets: paged, filtered and searched.

use nodedata_core::{Error, ErrorKind, Locus, nearest};
use nodedata_registry::{DataClass, http::DatasetList};

use crate::{
    app::App,
    call::Call,
    catalog::Query,
    numbers,
    refusal::{Answered, Refusal},
    reply::Reply,
};

/// The texts that a list takes, and what they are.
pub(crate) const TEXTS: &[(&str, &str)] = &[
    ("q", "Words to find: of the name, title, tags, modality and robot, each whole or the beginning of one"),
    ("owner", "Only those of this owner"),
    ("class", "Only those of this data class"),
    ("gated", "`true`: only those behind a gate; `false`: only the others"),
    ("after", "`next` of the page before"),
];

/// Longest text that is looked for, in bytes.
const TEXT_BYTES_MAX: usize = 256;

pub(crate) fn list(app: &App, call: &Call) -> Answered<Reply> {
    let limit = call.number(&numbers::LIMIT)?;
    let listed = app.listed(&query_of(call, usize::try_from(limit).unwrap_or(usize::MAX))?)?;
    let datasets = listed.datasets.into_iter().map(|(it, _)| it).collect();
    Reply::json(&DatasetList { datasets, next: listed.next })
}

/// What a request asks for.
pub(crate) fn query_of(call: &Call, limit: usize) -> Answered<Query> {
    let names = || TEXTS.iter().map(|it| it.0).chain([numbers::LIMIT.name]);
    if let Some(odd) = call.said.query.keys().find(|it| !names().any(|known| known == it.as_str())) {
        let near = nearest(odd, names()).map_or_else(String::new, |it| format!("did you mean `{it}`? "));
        let known = names().collect::<Vec<_>>().join(", ");
        // Without the name that was sent: people paste all sorts of things.
        return Err(refused("the query has an unknown name", None, &format!("{near}known are {known}")));
    }
    let text = |name: &'static str| match call.said.query.get(name).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(text) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text.to_owned())),
        Some(_) => {
            let hint = format!("write at most {TEXT_BYTES_MAX} bytes");
            Err(refused("a text of the query is too long", Some(name), &hint))
        }
    };
    let class = text("class")?;
    if let Some(class) = &class {
        let parsed = serde_json::from_value::<DataClass>(class.as_str().into());
        let hint = "write undeclared, none, pseudonymous, identifying, biometric or special-category";
        parsed.map_err(|_| refused("this is no data class", Some("class"), hint))?;
    }
    let is_gated = match text("gated")?.as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => {
            return Err(refused("this is neither true nor false", Some("gated"), "write true or false"));
        }
    };
    Ok(Query {
        sees: call.principal.sees(),
        after: text("after")?,
        limit,
        words: text("q")?,
        owner: text("owner")?,
        class,
        is_gated,
    })
}

fn refused(message: &str, name: Option<&str>, hint: &str) -> Refusal {
    let err = Error::new(ErrorKind::Config, message).with_hint(hint);
    Refusal::invalid(&match name {
        Some(name) => err.at(Locus::feature(name)),
        None => err,
    })
}
