use std::{fmt, str::FromStr};

use nodedata_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Longest owner or name, in bytes: both are folder names on every system.
const PART_BYTES_MAX: usize = 96;

/// `owner/name`: which dataset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatasetName {
    owner: String,
    name: String,
}

impl DatasetName {
    /// The dataset `name` of `owner`.
    ///
    /// # Errors
    /// `Config` when a part is no name: lower-case letters, digits, `.`, `_` and `-`, not first or last a dot.
    pub fn new(owner: &str, name: &str) -> Result<Self> {
        check_part("owner", owner)?;
        check_part("name", name)?;
        Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
    }

    /// `owner/name`, or `name` of the default owner.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn parse(text: &str, default_owner: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((owner, name)) => Self::new(owner, name),
            None => Self::new(default_owner, text),
        }
    }

    /// Who publishes it.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name below the owner.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn check_part(what: &str, part: &str) -> Result<()> {
    let refused = |message: String, hint: &str| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
    if part.is_empty() || part.len() > PART_BYTES_MAX {
        let message = format!("the {what} of a dataset has 1 to {PART_BYTES_MAX} letters, `{part}` has not");
        return refused(message, "write `owner/name`");
    }
    let is_letter = |it: char| matches!(it, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    if let Some(other) = part.chars().find(|it| !is_letter(*it)) {
        let message = format!("the {what} `{part}` of a dataset holds `{other}`");
        return refused(message, "use lower-case letters, digits, `.`, `_` and `-`");
    }
    if part.starts_with(['.', '-']) || part.ends_with('.') {
        let message = format!("the {what} `{part}` of a dataset begins or ends with a mark");
        return refused(message, "begin with a letter or a digit, and end with no dot");
    }
    Ok(())
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (owner, name) = text.split_once('/').ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("`{text}` names no owner")).with_hint("write `owner/name`")
        })?;
        Self::new(owner, name)
    }
}

impl TryFrom<String> for DatasetName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DatasetName> for String {
    fn from(name: DatasetName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folder_names() {
        let name = DatasetName::parse("acme/panda-arm.v2", "me").unwrap();
        assert_eq!((name.owner(), name.name()), ("acme", "panda-arm.v2"));
        assert_eq!(DatasetName::parse("panda", "me").unwrap().to_string(), "me/panda");
        for bad in ["", "a/", "/b", "a/b/c", "A/b", "a/..", "a/.b", "a/b.", "a/ü", "-a/b", "a/b c"] {
            assert_eq!(bad.parse::<DatasetName>().unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }
}
