//! Documents that people write, such as `schema.json` and pipeline files: values that know where they stand, and
//! mistakes with their place. Parsers of JSON and YAML make the same tree.

use std::{fmt, path::Path};

use serde::Serialize;

use crate::{Error, ErrorKind, Locus};

/// A value that knows where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
    /// Whether the text came out of a variable: then it may stand for a number as well.
    pub expanded: bool,
}

/// What a document may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON's `null`, YAML's nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// Values in their order.
    List(Vec<Node>),
    /// Keys and values in the order of the document; a key may stand twice.
    Map(Vec<Member>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Where the key begins.
    pub place: Place,
    /// The key.
    pub key: String,
    /// Its value.
    pub node: Node,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Line and column in a file, counted from 1, columns in characters.
    File(u32, u32),
    /// A `--set`, as it was given.
    Set(String),
    /// A key, such as `fields.action.from[1]`, of which it is not known yet where it stands; what flags say has no
    /// other place.
    Key(String),
}

/// One mistake in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// What is wrong, found before expected.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl Node {
    /// The member of a mapping called `key`; the last one where it is given twice.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().rev().find(|it| it.key == key).map(|it| &it.node)
    }

    /// The members of a mapping; none of anything else.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Map(members) => members,
            _ => &[],
        }
    }

    /// The items of a list; a single value stands for a list of one.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// A scalar as text, as a person would write it.
    pub fn text(&self) -> Option<String> {
        match &self.value {
            Value::Bool(it) => Some(it.to_string()),
            Value::Integer(it) => Some(it.to_string()),
            Value::Float(it) => Some(it.to_string()),
            Value::Text(it) => Some(it.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A number.
    pub fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Integer(it) => Some(*it as f64),
            Value::Float(it) => Some(*it),
            Value::Text(it) if self.expanded => it.trim().parse().ok().filter(|it: &f64| it.is_finite()),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self) -> Option<i128> {
        match &self.value {
            Value::Integer(it) => Some(*it),
            Value::Text(it) if self.expanded => it.trim().parse().ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn bool(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(it) => Some(*it),
            Value::Text(it) if self.expanded => it.trim().parse().ok(),
            _ => None,
        }
    }
}

impl From<&Self> for Place {
    fn from(place: &Self) -> Self {
        place.clone()
    }
}

impl From<String> for Place {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}

impl From<&String> for Place {
    fn from(key: &String) -> Self {
        Self::Key(key.clone())
    }
}

impl From<&str> for Place {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl Mistake {
    /// A mistake at a place, or at a key.
    pub fn new(place: impl Into<Place>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into(), hint: None }
    }

    /// With what the user can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The mistake as an error of kind `Config`, in the file `path` if it is in one.
    pub fn to_error(&self, path: Option<&Path>) -> Error {
        let mut locus = path.map_or_else(Locus::default, Locus::path);
        let message = match &self.place {
            Place::File(line, column) => {
                locus.line_column = Some((*line, *column));
                self.message.clone()
            }
            Place::Set(text) => format!("{} (from `--set {text}`)", self.message),
            Place::Key(key) => format!("`{key}`: {}", self.message),
        };
        let error = Error::new(ErrorKind::Config, message).at(locus);
        match &self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// All mistakes as one error of kind `Config`, in the file `path` if they are in one: the first with its place and
/// hint, the others in its message.
///
/// # Panics
/// When there is no mistake.
pub fn mistakes_to_error(mistakes: &[Mistake], path: Option<&Path>) -> Error {
    let (first, others) = mistakes.split_first().expect("an error needs a mistake");
    first.to_error(path).with_others(others.iter().map(|it| format!("also {it}")))
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(line, column) => write!(f, "line {line}, column {column}: {}", self.message)?,
            Place::Set(text) => write!(f, "--set {text}: {}", self.message)?,
            Place::Key(key) => write!(f, "`{key}`: {}", self.message)?,
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
            Place::Key(_) => (None, None, None),
        };
        fields.serialize_field("line", &line)?;
        fields.serialize_field("column", &column)?;
        fields.serialize_field("set", &set)?;
        match &self.place {
            Place::Key(key) => fields.serialize_field("message", &format!("`{key}`: {}", self.message))?,
            Place::File(..) | Place::Set(_) => fields.serialize_field("message", &self.message)?,
        }
        fields.serialize_field("hint", &self.hint)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_mistakes_are_one_error() {
        let mistakes = [
            Mistake::new(Place::File(2, 3), "unknown key `tpye`").with_hint("did you mean `type`?"),
            Mistake::new(Place::Set("a=1".to_owned()), "no such key").with_hint("remove it"),
            Mistake::new("fields.a", "is empty"),
        ];
        let err = mistakes_to_error(&mistakes, Some(Path::new("p.yaml")));
        assert_eq!(err.kind(), ErrorKind::Config);
        assert_eq!(
            err.to_string(),
            "unknown key `tpye`\n  also --set a=1: no such key (remove it)\n  also `fields.a`: is empty"
        );
        assert_eq!(err.locus().line_column, Some((2, 3)));
        assert_eq!(err.hint(), Some("did you mean `type`?"));
        let err = mistakes_to_error(&mistakes[2..], None);
        assert_eq!((err.to_string().as_str(), err.locus().is_empty()), ("`fields.a`: is empty", true));
    }
}
