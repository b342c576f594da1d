use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, suggest};

/// An option that belongs to one format. `--set source.NAME=VALUE`, `source.options.NAME` of a pipeline, the recipe and the
/// help of `formats` all come from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionKey {
    /// Its name: letters and `_`.
    pub name: &'static str,
    /// What it may be.
    pub kind: OptionKind,
    /// What it is where nobody says, as it would be written.
    pub default: &'static str,
    /// What it does, in one sentence without a full stop.
    pub doc: &'static str,
}

/// What an option may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    /// `true` or `false`.
    Bool,
    /// A whole number, from the first to the second.
    Integer(i64, i64),
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
}

/// The value of an option. There are no floating-point numbers: it is a part of recipes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text, or a word.
    Text(String),
}

impl OptionKey {
    /// Reads a value.
    ///
    /// # Errors
    /// `Config` when the option cannot be that.
    pub fn parse(&self, text: &str) -> Result<OptionValue> {
        let value = match self.kind {
            OptionKind::Bool => text.parse().ok().map(OptionValue::Bool),
            OptionKind::Integer(min, max) => {
                let number = text.parse().ok().filter(|it| (min..=max).contains(it));
                number.map(OptionValue::Integer)
            }
            OptionKind::Choice(words) => {
                words.iter().find(|it| **it == text).map(|it| OptionValue::Text((*it).to_owned()))
            }
            OptionKind::Text => Some(OptionValue::Text(text.to_owned())),
        };
        value.ok_or_else(|| {
            let hint = match self.kind {
                OptionKind::Choice(words) => suggest(text, words.iter().copied()),
                OptionKind::Bool | OptionKind::Integer(..) | OptionKind::Text => {
                    format!("write {}", self.kind)
                }
            };
            Error::new(ErrorKind::Config, format!("`source.{}` is `{text}`", self.name)).with_hint(hint)
        })
    }

    /// What it is where nobody says.
    ///
    /// # Panics
    /// When the default is none of the values: a build mistake, which the conformance kit finds.
    pub fn default_value(&self) -> OptionValue {
        self.parse(self.default).expect("the default of an option is one of its values")
    }
}

impl fmt::Display for OptionKind {
    /// As a user is told: `true or false`, `a whole number from 1 to 9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("`true` or `false`"),
            Self::Integer(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Choice(words) => write!(f, "one of: {}", words.join(", ")),
            Self::Text => f.write_str("text"),
        }
    }
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(it) => it.fmt(f),
            Self::Integer(it) => it.fmt(f),
            Self::Text(it) => f.write_str(it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(kind: OptionKind, default: &'static str) -> OptionKey {
        OptionKey { name: "x", kind, default, doc: "is an example" }
    }

    #[test]
    fn values_are_of_the_kind_and_in_range() {
        assert_eq!(key(OptionKind::Bool, "true").default_value(), OptionValue::Bool(true));
        let number = key(OptionKind::Integer(1, 9), "3");
        assert_eq!(number.parse("9").unwrap(), OptionValue::Integer(9));
        for wrong in ["0", "10", "1.5", ""] {
            let err = number.parse(wrong).unwrap_err();
            assert_eq!(err.hint(), Some("write a whole number from 1 to 9"), "{wrong}");
        }
        let word = key(OptionKind::Choice(&["rows", "files"]), "rows");
        assert_eq!(word.parse("files").unwrap().to_string(), "files");
        assert_eq!(word.parse("row").unwrap_err().hint(), Some("did you mean `rows`?"));
    }
}
