use std::{fmt, str::FromStr};

use nodedata_core::{Error, ErrorKind, Result, nearest};
use nodedata_registry::DatasetName;

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// `read`: what is public, and one's own namespace.
    Read,
    /// `read:OWNER/NAME`: see a private dataset too. A gate stays a gate.
    ReadOf(DatasetPattern),
    /// `push:OWNER/NAME`: send blobs.
    Push(DatasetPattern),
    /// `publish:OWNER/NAME`: send blobs, and add to the log.
    Publish(DatasetPattern),
    /// `review:OWNER/NAME`: answer requests for access.
    Review(DatasetPattern),
    /// `admin`: tokens and the audit log. Opens no gate.
    Admin,
}

/// One dataset, or all of an owner: `acme/x`, `acme/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetPattern {
    owner: String,
    /// `None` for all.
    name: Option<String>,
}

impl DatasetPattern {
    fn matches(&self, dataset: &DatasetName) -> bool {
        self.owner == dataset.owner() && self.name.as_deref().is_none_or(|it| it == dataset.name())
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || {
            let (what, rest) = text.split_once(':').map_or((text, None), |(what, rest)| (what, Some(rest)));
            let known = ["read", "admin", "push", "publish", "review"];
            let near = nearest(what, known).filter(|it| *it != what).map_or_else(String::new, |it| {
                let rest = rest.map_or_else(String::new, |rest| format!(":{rest}"));
                format!("did you mean `{it}{rest}`? ")
            });
            Error::new(ErrorKind::Config, format!("`{text}` is no scope")).with_hint(format!(
                "{near}write read, admin, or read:, push:, publish:, review: and OWNER/NAME or OWNER/*"
            ))
        };
        let (what, dataset) = match text.split_once(':') {
            Some((what, dataset)) => (what, Some(dataset.parse::<DatasetPattern>().map_err(|_| refused())?)),
            None => (text, None),
        };
        match (what, dataset) {
            ("read", None) => Ok(Self::Read),
            ("admin", None) => Ok(Self::Admin),
            ("read", Some(it)) => Ok(Self::ReadOf(it)),
            ("push", Some(it)) => Ok(Self::Push(it)),
            ("publish", Some(it)) => Ok(Self::Publish(it)),
            ("review", Some(it)) => Ok(Self::Review(it)),
            _ => Err(refused()),
        }
    }
}

impl FromStr for DatasetPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(owner) = text.strip_suffix("/*") {
            // Checked as the owner of some dataset.
            DatasetName::new(owner, "x")?;
            return Ok(Self { owner: owner.to_owned(), name: None });
        }
        let name: DatasetName = text.parse()?;
        Ok(Self { owner: name.owner().to_owned(), name: Some(name.name().to_owned()) })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, pattern) = match self {
            Self::Read => return f.write_str("read"),
            Self::Admin => return f.write_str("admin"),
            Self::ReadOf(it) => ("read", it),
            Self::Push(it) => ("push", it),
            Self::Publish(it) => ("publish", it),
            Self::Review(it) => ("review", it),
        };
        write!(f, "{what}:{}/{}", pattern.owner, pattern.name.as_deref().unwrap_or("*"))
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// `None` without a token.
    pub(crate) account: Option<String>,
    pub(crate) scopes: Vec<Scope>,
    /// Name of the token.
    pub(crate) token: Option<String>,
}

impl Principal {
    pub(crate) fn anonymous() -> Self {
        Self { account: None, scopes: Vec::new(), token: None }
    }

    /// For the audit log.
    pub(crate) fn who(&self) -> &str {
        self.account.as_deref().unwrap_or("anonymous")
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }

    fn any(&self, holds: impl Fn(&Scope) -> bool) -> bool {
        self.scopes.iter().any(holds)
    }

    pub(crate) fn may_push(&self, dataset: &DatasetName) -> bool {
        self.any(|it| matches!(it, Scope::Push(of) | Scope::Publish(of) if of.matches(dataset)))
    }

    /// Whether it may send blobs at all.
    pub(crate) fn may_push_somewhere(&self) -> bool {
        self.any(|it| matches!(it, Scope::Push(_) | Scope::Publish(_)))
    }

    pub(crate) fn may_publish(&self, dataset: &DatasetName) -> bool {
        self.any(|it| matches!(it, Scope::Publish(of) if of.matches(dataset)))
    }

    pub(crate) fn may_review(&self, dataset: &DatasetName) -> bool {
        self.any(|it| matches!(it, Scope::Review(of) if of.matches(dataset)))
    }

    /// Whether it has a hand in the dataset: its own gate does not stand before it.
    pub(crate) fn is_steward(&self, dataset: &DatasetName) -> bool {
        let is_owner = self.account.as_deref() == Some(dataset.owner()) && self.any(|it| *it == Scope::Read);
        is_owner || self.may_push(dataset) || self.may_review(dataset)
    }

    /// Whether it may know of the dataset although it is private.
    pub(crate) fn may_see_private(&self, dataset: &DatasetName) -> bool {
        self.is_steward(dataset) || self.any(|it| matches!(it, Scope::ReadOf(of) if of.matches(dataset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(account: &str, scopes: &[&str]) -> Principal {
        let scopes = scopes.iter().map(|it| it.parse().unwrap()).collect();
        Principal { account: Some(account.to_owned()), scopes, token: None }
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for text in ["read", "admin", "read:acme/x", "push:acme/*", "publish:acme/x", "review:acme/*"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for bad in
            ["", "push", "admin:acme/x", "push:acme", "push:*/x", "push:*", "push:acme/**", "write:a/b"]
        {
            assert_eq!(bad.parse::<Scope>().unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn a_scope_opens_its_dataset_only() {
        let (mine, other): (DatasetName, DatasetName) =
            ("acme/x".parse().unwrap(), "acme/y".parse().unwrap());
        let pusher = of("robot", &["push:acme/x"]);
        assert!(pusher.may_push(&mine) && !pusher.may_publish(&mine) && !pusher.may_push(&other));
        assert!(pusher.is_steward(&mine) && !pusher.is_steward(&other));
        let publisher = of("robot", &["publish:acme/*"]);
        assert!(publisher.may_push(&other) && publisher.may_publish(&other) && !publisher.may_review(&other));
        let owner = of("acme", &["read"]);
        assert!(owner.is_steward(&mine) && !owner.may_push(&mine));
        assert!(!of("acme", &["push:acme/y"]).is_steward(&mine), "the token says less than the account");
        let reader = of("someone", &["read:acme/x"]);
        assert!(
            reader.may_see_private(&mine) && !reader.is_steward(&mine) && !reader.may_see_private(&other)
        );
        let admin = of("root", &["admin"]);
        assert!(!admin.is_steward(&mine) && !admin.may_see_private(&mine) && !admin.may_push_somewhere());
    }
}
