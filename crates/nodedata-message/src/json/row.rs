use std::fmt;

use nodedata_core::{Columns, Error, ErrorKind, Locus};
use serde::de::{self, Deserializer};

use super::{media::RowMedia, text::json_text};

/// Characters of a value quoted in an error.
const QUOTED_CHARS_MAX: usize = 200;

/// The row under construction.
pub(super) struct Row<'c> {
    pub(super) columns: &'c mut Columns,
    /// What its references refer to.
    pub(super) media: &'c mut RowMedia,
    /// Base64 and JSON text on their way into a column; empty between values.
    pub(super) scratch: Vec<u8>,
    /// Members that the schema does not name, and values that it does not allow: a JSON object without its last brace, or
    /// nothing.
    pub(super) extra: Vec<u8>,
    /// What lists and texts may still take.
    pub(super) bytes_left: usize,
    /// The innermost value that failed.
    pub(super) failed_at: Option<String>,
    pub(super) passed_limit: bool,
    /// As [`super::JsonPlan::loose`].
    pub(super) loose: bool,
    /// Whether a value that does not fit stands in `extra`.
    pub(super) diverted: bool,
    /// Whether a number may have been rounded by the parser: one beyond 64 bits is among the floats, or values became text without
    /// a look at each.
    pub(super) may_be_rounded: bool,
}

impl<'c> Row<'c> {
    pub(super) fn new(
        columns: &'c mut Columns,
        media: &'c mut RowMedia,
        bytes_left: usize,
        loose: bool,
    ) -> Self {
        let (scratch, extra) = (Vec::new(), Vec::new());
        let (failed_at, passed_limit, diverted) = (None, false, false);
        let may_be_rounded = loose;
        Self {
            columns,
            media,
            scratch,
            extra,
            bytes_left,
            failed_at,
            passed_limit,
            loose,
            diverted,
            may_be_rounded,
        }
    }

    /// Begins the next member of `extra`: what follows is its value.
    pub(super) fn begin_extra<E: de::Error>(&mut self, path: &Path<'_>) -> Result<(), E> {
        self.may_be_rounded = true;
        self.extra.push(if self.extra.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut self.extra, &path.to_string()).map_err(E::custom)?;
        self.extra.push(b':');
        Ok(())
    }

    /// Accounts for `n_bytes` more in the columns.
    pub(super) fn spend<E: de::Error>(&mut self, n_bytes: usize) -> Result<(), E> {
        match self.bytes_left.checked_sub(n_bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => {
                self.passed_limit = true;
                Err(E::custom("its lists and texts take more than a row may"))
            }
        }
    }

    /// The error of a message that could not be decoded, at the value that failed.
    pub(super) fn error(&mut self, mut message: String) -> Error {
        if let Some((end, _)) = message.char_indices().nth(QUOTED_CHARS_MAX) {
            message.truncate(end);
            message.push('…');
        }
        let kind = if self.passed_limit { ErrorKind::Limit } else { ErrorKind::Corrupt };
        let error = Error::new(kind, format!("message does not fit its schema: {message}"))
            .with_hint("correct the topic's schema, or let `--undecoded TOPIC` keep its messages as bytes");
        match self.failed_at.take().filter(|it| !it.is_empty()) {
            Some(feature) => error.at(Locus::feature(feature)),
            None => error,
        }
    }
}

/// Where a value lies in its message, as a chain on the stack: it costs nothing until it is printed.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Self>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    pub(super) const ROOT: Self = Self { parent: None, segment: Segment::Root };

    pub(super) fn index(&'a self, idx: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(idx) }
    }

    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    /// `points[3].x`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.segment {
            Segment::Root => Ok(()),
            Segment::Index(idx) => write!(f, "[{idx}]"),
            Segment::Key(key) if self.parent.is_some_and(|it| matches!(it.segment, Segment::Root)) => {
                f.write_str(key)
            }
            Segment::Key(key) => write!(f, ".{key}"),
        }
    }
}

/// Decodes the next value as JSON text into the row's scratch and hands it to `push`.
pub(super) fn with_json_text<'de, D: Deserializer<'de>, T>(
    from: D,
    row: &mut Row<'_>,
    push: impl FnOnce(&mut Columns, &[u8]) -> T,
) -> Result<T, D::Error> {
    row.may_be_rounded = true;
    let mut scratch = std::mem::take(&mut row.scratch);
    scratch.clear();
    json_text(from, &mut scratch, row.bytes_left)?;
    row.spend(scratch.len())?;
    let pushed = push(row.columns, &scratch);
    row.scratch = scratch;
    Ok(pushed)
}
