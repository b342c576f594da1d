use std::borrow::Cow;

use nodedata_core::{Error, placed::Mistake};
use serde::Serialize;

/// `kind` of what the command line itself gets wrong: no command ran.
pub(crate) const USAGE: &str = "Usage";

/// Why a command failed.
#[derive(Serialize)]
pub(crate) struct Failure<'a> {
    /// The error.
    pub(crate) error: FailureBody<'a>,
}

/// An error.
#[derive(Serialize)]
pub(crate) struct FailureBody<'a> {
    /// `Usage` (the command line), `Config` (an argument or a file of the user's), `Io`, `Corrupt`, `Unsupported`,
    /// `SchemaMismatch`, `Limit`, `Empty`, `Conflict`, `Denied` or `Interrupted`.
    pub(crate) kind: String,
    /// What happened, in one sentence without a full stop.
    pub(crate) message: String,
    /// Where: file, byte or line, topic, episode.
    pub(crate) at: Option<String>,
    /// What to do next.
    pub(crate) hint: Option<Cow<'a, str>>,
    /// What it came of, nearest first.
    pub(crate) causes: Vec<String>,
}

impl<'a> From<&'a Error> for Failure<'a> {
    fn from(err: &'a Error) -> Self {
        let next = |it: &&'a (dyn std::error::Error + 'static)| it.source();
        let causes = std::iter::successors(std::error::Error::source(err), next);
        Self {
            error: FailureBody {
                kind: format!("{:?}", err.kind()),
                message: err.to_string(),
                at: (!err.locus().is_empty()).then(|| err.locus().to_string()),
                hint: err.hint().map(Cow::Borrowed),
                causes: causes.map(ToString::to_string).collect(),
            },
        }
    }
}

/// Everything that is wrong with a pipeline file.
#[derive(Serialize)]
pub(crate) struct Mistakes<'a> {
    /// The mistakes, in the order of the file.
    pub(crate) mistakes: &'a [Mistake],
    /// The file.
    pub(crate) file: String,
}
