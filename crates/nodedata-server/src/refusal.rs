use nodedata_core::{Error, ErrorKind};
use nodedata_registry::{LogEntry, http::Problem, is_full};

use crate::database::Database;

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Box<Problem>,
    /// Seconds to wait before the next try.
    pub(crate) retry_after: Option<u64>,
    /// Asks a browser for a token.
    pub(crate) challenge: bool,
    /// How many bytes there are, when some behind their end were asked for.
    pub(crate) n_bytes: Option<u64>,
}

pub(crate) type Answered<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>, fix: &str) -> Self {
        let kind = match status {
            401 | 403 => ErrorKind::Denied,
            409 => ErrorKind::Conflict,
            413 => ErrorKind::Limit,
            400 | 404 | 405 | 422 => ErrorKind::Config,
            _ => ErrorKind::Io,
        };
        Self::of(status, code, &Error::new(kind, message).with_hint(fix))
    }

    pub(crate) fn of(status: u16, code: &str, err: &Error) -> Self {
        let problem = Box::new(Problem::of(status, code, err));
        Self { problem, retry_after: None, challenge: false, n_bytes: None }
    }

    /// The request itself is wrong.
    pub(crate) fn invalid(err: &Error) -> Self {
        let status = match err.kind() {
            ErrorKind::Denied => 403,
            ErrorKind::Conflict => 409,
            ErrorKind::Limit => 413,
            _ => 422,
        };
        Self::of(status, "invalid", err)
    }

    pub(crate) fn missing(what: &str) -> Self {
        Self::new(
            404,
            "not-found",
            format!("there is no such {what}"),
            "check the name, and the token's scopes",
        )
    }

    /// The range begins behind the end.
    pub(crate) fn no_range(n_bytes: u64) -> Self {
        let message = format!("the range is none of the {n_bytes} bytes");
        let mut refusal = Self::new(416, "range", message, "ask for one range, `bytes=FIRST-LAST`");
        refusal.n_bytes = Some(n_bytes);
        refusal
    }

    pub(crate) fn slow_body() -> Self {
        Self::new(408, "slow", "the body did not come in time", "send it again")
    }

    pub(crate) fn no_token() -> Self {
        Self::new(401, "token-required", "this needs a token", "send `Authorization: Bearer ndp_…`")
    }

    pub(crate) fn forbidden(scope: &str) -> Self {
        let message = "the token's scopes do not let it do this";
        Self::new(403, "scope", message, &format!("ask the operator for a token with `{scope}`"))
    }

    pub(crate) fn taken(entry: LogEntry) -> Self {
        let message = format!("record {} is there already, and is another one", entry.record.seq);
        let mut refusal = Self::new(409, "slot-taken", message, "read the log, and take the next number");
        refusal.problem.entry = Some(Box::new(entry.into()));
        refusal
    }
}

/// What the store or the database says when it fails is the server's own affair: the causes stay out, and
/// so do its paths.
impl From<Error> for Refusal {
    fn from(err: Error) -> Self {
        let (status, code) = match err.kind() {
            _ if Database::is_full(&err) => (507, "database-full"),
            _ if is_full(&err) => (507, "store-full"),
            ErrorKind::Config => (422, "invalid"),
            ErrorKind::Conflict => (409, "conflict"),
            ErrorKind::Corrupt => (500, "damaged"),
            ErrorKind::Limit => (413, "limit"),
            _ => (503, "store-unavailable"),
        };
        if status < 500 {
            return Self::of(status, code, &err);
        }
        let (message, fix) = match code {
            "damaged" => {
                ("what the store holds is damaged", "tell the operator: `node-data store fsck` says more")
            }
            "database-full" => {
                ("the server's database is full", "tell the operator: it does only what it can note")
            }
            "store-full" => {
                ("the store is full", "tell the operator; what was sent already is not sent twice")
            }
            _ => ("the store does not answer", "try again later"),
        };
        let mut public = Error::new(err.kind(), message).with_hint(fix);
        if code == "damaged"
            && let Some(path) = &err.locus().path
            && path.is_relative()
        {
            public = public.at(nodedata_core::Locus::path(path));
        }
        Self::of(status, code, &public)
    }
}
