use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{StreamId, visible::visible};

/// Result of every fallible operation in the workspace.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, where, and what the user can do about it.
///
/// One pointer wide. `Display` prints this failure only; the cause is in `source()`,
/// so whoever reports the error prints each link of the chain exactly once.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    /// Further mistakes, each a line of its own below the message.
    others: Vec<String>,
    locus: Locus,
    hint: Option<String>,
    source: Option<BoxError>,
    loss: Option<Loss>,
}

/// What a piece of damage costs when the rest is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// Bytes of the file that could not be used.
    pub byte_range: Option<Range<u64>>,
    /// Records lost per stream, where framing or an index tells.
    pub records: Vec<(StreamId, u64)>,
    /// Whether more records may be lost than `records` names, because nothing tells their number.
    pub uncounted: bool,
    /// Short name of the cause in the ledger, such as `undecodable` or `damaged_chunk`.
    pub reason: &'static str,
}

/// The decisions a caller can take. Add a variant only when some caller branches on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Reading or writing failed; retrying may help.
    Io,
    /// The bytes break the format's own rules.
    Corrupt,
    /// A sound record is not what the columns of its stream hold: opened again with what [`crate::Source::learn_misfits`]
    /// says, the stream has a column for it.
    Misfit,
    /// The bytes are valid but this build cannot read them.
    Unsupported,
    /// A batch does not have the features the schema declares.
    SchemaMismatch,
    /// A declared limit (record bytes, episode steps, open files) was passed.
    Limit,
    /// The pipeline file or a flag is wrong.
    Config,
    /// What was asked for is sound and selects nothing: a time range without a record, a clock without a step.
    Empty,
    /// The registry's head moved since the parent revision was read.
    Conflict,
    /// The registry refused: missing token, missing attestation, missing license.
    Denied,
    /// Somebody stopped the run; what it finished is kept.
    Interrupted,
    /// A saved state is of another stream than the one that is to go on from it.
    StateMismatch,
}

/// Where in the input a failure happened. Every field is optional; each layer fills in
/// what only it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Locus {
    /// File inside the source, relative to its root.
    #[serde(serialize_with = "readable")]
    pub path: Option<PathBuf>,
    /// Line and column, each counted from 1, for text such as a pipeline or `schema.json`.
    pub line_column: Option<(u32, u32)>,
    /// Offset of the failing record, in bytes from the start of `path`.
    pub byte_offset: Option<u64>,
    /// Topic, for log formats.
    pub topic: Option<String>,
    /// Episode index in the source.
    pub episode_idx: Option<u64>,
    /// Step index in the episode, or row in a topic or shard.
    pub step_idx: Option<u64>,
    /// Feature name.
    pub feature: Option<String>,
}

/// A path as text for people: what is not UTF-8 in its name becomes U+FFFD.
fn readable<S: serde::Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|it| it.to_string_lossy()).serialize(serializer)
}

impl Locus {
    /// A place known by its file only.
    pub fn path(path: impl AsRef<Path>) -> Self {
        Self { path: Some(path.as_ref().to_owned()), ..Self::default() }
    }

    /// A place in the file the outer layer will name.
    pub fn byte(byte_offset: u64) -> Self {
        Self { byte_offset: Some(byte_offset), ..Self::default() }
    }

    /// A topic in the file the outer layer will name.
    pub fn topic(topic: impl Into<String>) -> Self {
        Self { topic: Some(topic.into()), ..Self::default() }
    }

    /// A feature of the stream the outer layer will name.
    pub fn feature(feature: impl Into<String>) -> Self {
        Self { feature: Some(feature.into()), ..Self::default() }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<std::io::Error> for Error {
    fn from(err: std::io::Error) -> Self {
        // One of ours that went through the words of `std::io` is the same again.
        err.downcast::<Self>()
            .unwrap_or_else(|err| Self::new(ErrorKind::Io, "reading or writing failed").with_source(err))
    }
}

impl Error {
    /// A failure with no cause of its own.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            others: Vec::new(),
            locus: Locus::default(),
            hint: None,
            source: None,
            loss: None,
        }))
    }

    /// Names further mistakes of the same input, each on a line of its own.
    #[must_use]
    pub fn with_others(mut self, others: impl IntoIterator<Item = String>) -> Self {
        self.0.others.extend(others);
        self
    }

    /// Says what is lost when the caller goes on.
    #[must_use]
    pub fn with_loss(mut self, loss: Loss) -> Self {
        self.0.loss = Some(loss);
        self
    }

    /// What is lost when the caller goes on; `None` when the whole operation failed.
    pub fn loss(&self) -> Option<&Loss> {
        self.0.loss.as_ref()
    }

    /// Sets the underlying cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Fills in the parts of the locus that inner layers left empty.
    #[must_use]
    pub fn at(mut self, outer: Locus) -> Self {
        let Locus { path, line_column, byte_offset, topic, episode_idx, step_idx, feature } = outer;
        let locus = &mut self.0.locus;
        locus.path = locus.path.take().or(path);
        locus.line_column = locus.line_column.or(line_column);
        locus.byte_offset = locus.byte_offset.or(byte_offset);
        locus.topic = locus.topic.take().or(topic);
        locus.episode_idx = locus.episode_idx.or(episode_idx);
        locus.step_idx = locus.step_idx.or(step_idx);
        locus.feature = locus.feature.take().or(feature);
        self
    }

    /// Sets what the user can do next, shown after `hint:`.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The failure and its causes in one line, outermost first.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// What a caller branches on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it happened.
    pub fn locus(&self) -> &Locus {
        &self.0.locus
    }

    /// What the user can do next.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    /// One line, and one for each further mistake. What they name may come from the data, and breaks no line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.0.message))?;
        self.0.others.iter().try_for_each(|it| write!(f, "\n  {}", visible(it)))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|it| it as _)
    }
}

impl fmt::Display for Locus {
    /// `path, line L, column C, byte N, topic T, episode E, step S, feature F`, leaving out what is unknown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line_column, byte_offset, topic, episode_idx, step_idx, feature } = self;
        let parts = [
            path.as_ref().map(|it| visible(&it.to_string_lossy()).into_owned()),
            line_column.map(|(line, column)| format!("line {line}, column {column}")),
            byte_offset.map(|it| format!("byte {it}")),
            topic.as_ref().map(|it| format!("topic {}", visible(it))),
            episode_idx.map(|it| format!("episode {it}")),
            step_idx.map(|it| format!("step {it}")),
            feature.as_ref().map(|it| format!("feature `{}`", visible(it))),
        ];
        let mut separator = "";
        for part in parts.into_iter().flatten() {
            write!(f, "{separator}{part}")?;
            separator = ", ";
        }
        Ok(())
    }
}
