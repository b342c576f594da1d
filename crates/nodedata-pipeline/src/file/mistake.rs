use std::{fmt, path::Path};

use nodedata_core::{Error, ErrorKind, Locus};
use serde::Serialize;

/// Where a value of a pipeline file comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Line and column in the file, counted from 1.
    File(u32, u32),
    /// A `--set`, as it was given.
    Set(String),
}

/// One mistake in a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// What is wrong, found before expected.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into(), hint: None }
    }

    #[must_use]
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The mistake as an error of kind `Config` in the file `path`.
    pub fn to_error(&self, path: &Path) -> Error {
        let locus = match &self.place {
            Place::File(line, column) => Locus { line_column: Some((*line, *column)), ..Locus::path(path) },
            Place::Set(_) => Locus::path(path),
        };
        let message = match &self.place {
            Place::File(..) => self.message.clone(),
            Place::Set(text) => format!("{} (from `--set {text}`)", self.message),
        };
        let error = Error::new(ErrorKind::Config, message).at(locus);
        match &self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(line, column) => write!(f, "line {line}, column {column}: {}", self.message)?,
            Place::Set(text) => write!(f, "--set {text}: {}", self.message)?,
        }
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl Serialize for Mistake {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Mistake", 5)?;
        let (line, column, set) = match &self.place {
            Place::File(line, column) => (Some(line), Some(column), None),
            Place::Set(text) => (None, None, Some(text)),
        };
        fields.serialize_field("line", &line)?;
        fields.serialize_field("column", &column)?;
        fields.serialize_field("set", &set)?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("hint", &self.hint)?;
        fields.end()
    }
}

/// The hint that names the nearest of the words allowed, or all of them.
pub(super) fn suggest(found: &str, allowed: &[&str]) -> String {
    let limit = (found.chars().count() / 3).max(1);
    match allowed.iter().map(|it| (distance(found, it), *it)).min() {
        Some((n_edits, name)) if n_edits <= limit => format!("did you mean `{name}`?"),
        _ => format!("one of: {}", allowed.join(", ")),
    }
}

/// Edits (insert, remove, replace, swap neighbours) between two short words.
fn distance(one: &str, other: &str) -> usize {
    let letters = |it: &str| it.chars().take(64).flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (one, other) = (letters(one), letters(other));
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}
