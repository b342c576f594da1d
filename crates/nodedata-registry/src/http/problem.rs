use nodedata_core::{Error, ErrorKind, Locus};
use serde::{Deserialize, Serialize};

use crate::http::wire::EntryBody;

/// Media type of [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Code of a request whose body did not come to its end: the connection broke, so the same request may be sent again.
pub const CUT_BODY: &str = "body";

/// What a server says when it does not do what it was asked (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:nodedata:problem:CODE`.
    #[serde(rename = "type")]
    pub kind_uri: String,
    /// What went wrong.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// Short stable name, for programs.
    pub code: String,
    /// How our commands class it.
    pub kind: String,
    /// Where: a field, a path, a part.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// For `slot-taken`: who has the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Box<EntryBody>>,
}

impl Problem {
    /// A problem that is told by an error. Causes are left out: they may name what is the server's own.
    pub fn of(status: u16, code: &str, err: &Error) -> Self {
        let place = err.locus();
        Self {
            kind_uri: format!("urn:nodedata:problem:{code}"),
            title: err.to_string(),
            status,
            code: code.to_owned(),
            kind: kind_name(err.kind()).to_owned(),
            place: (!place.is_empty()).then(|| place.to_string()),
            fix: err.hint().map(str::to_owned),
            entry: None,
        }
    }

    /// The error it tells of.
    pub fn to_error(&self) -> Error {
        let mut err = Error::new(self.error_kind(), self.title.clone());
        if let Some(place) = &self.place {
            err = err.at(Locus::path(place));
        }
        match &self.fix {
            Some(fix) => err.with_hint(fix),
            None => err,
        }
    }

    fn error_kind(&self) -> ErrorKind {
        let named = KINDS.iter().find(|it| it.1 == self.kind).map(|it| it.0);
        named.unwrap_or(match self.status {
            401 | 403 => ErrorKind::Denied,
            409 => ErrorKind::Conflict,
            413 => ErrorKind::Limit,
            400 | 404 | 422 => ErrorKind::Config,
            _ => ErrorKind::Io,
        })
    }
}

const KINDS: [(ErrorKind, &str); 8] = [
    (ErrorKind::Io, "io"),
    (ErrorKind::Corrupt, "corrupt"),
    (ErrorKind::Unsupported, "unsupported"),
    (ErrorKind::SchemaMismatch, "schema-mismatch"),
    (ErrorKind::Limit, "limit"),
    (ErrorKind::Config, "config"),
    (ErrorKind::Conflict, "conflict"),
    (ErrorKind::Denied, "denied"),
];

fn kind_name(kind: ErrorKind) -> &'static str {
    KINDS.iter().find(|it| it.0 == kind).map_or("io", |it| it.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cross_the_line_without_their_causes() {
        for (kind, name) in KINDS {
            let err =
                Error::new(kind, "no").with_hint("do").with_source("/secret/path").at(Locus::feature("x"));
            let problem = Problem::of(422, "bad", &err);
            let text = serde_json::to_string(&problem).unwrap();
            assert!(!text.contains("secret") && text.contains(name));
            let back = serde_json::from_str::<Problem>(&text).unwrap().to_error();
            assert_eq!((back.kind(), back.to_string().as_str(), back.hint()), (kind, "no", Some("do")));
        }
    }
}
