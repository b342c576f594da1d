//! What accounts may do by the roles that they, or groups they are in, have on owners and datasets.

use std::{fmt, str::FromStr};

use nodedata_core::{Error, ErrorKind, Result, nearest};
use nodedata_registry::{DatasetName, record::Operation};

use crate::principal::DatasetPattern;

/// A role on a dataset, or on all of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sees it although it is private. A gate stays a gate.
    Reader,
    /// Sends blobs; publishes, tags and attaches.
    Pusher,
    /// All that may be written to its log, besides what a pusher may: creates, declares, also what lowers the protection of
    /// personal data, withdraws, purges, renames and deletes.
    Steward,
    /// Answers requests for access. Knows of it although it is private, and reads no data.
    Reviewer,
    /// All of these, and says who has which role there.
    Admin,
}

impl Role {
    const ALL: [Self; 5] = [Self::Reader, Self::Pusher, Self::Steward, Self::Reviewer, Self::Admin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Pusher => "pusher",
            Self::Steward => "steward",
            Self::Reviewer => "reviewer",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn pushes(self) -> bool {
        match self {
            Self::Pusher | Self::Steward | Self::Admin => true,
            Self::Reader | Self::Reviewer => false,
        }
    }

    pub(crate) fn commits(self, op: &Operation) -> bool {
        match (self, op) {
            (Self::Steward | Self::Admin, _)
            | (Self::Pusher, Operation::Publish { .. } | Operation::Tag { .. } | Operation::Attach { .. }) => {
                true
            }
            (
                Self::Pusher,
                Operation::Create { .. }
                | Operation::Withdraw { .. }
                | Operation::Declare { .. }
                | Operation::Purge { .. }
                | Operation::Move { .. }
                | Operation::Adopt { .. }
                | Operation::Delete { .. },
            )
            | (Self::Reader | Self::Reviewer, _) => false,
        }
    }

    pub(crate) fn reviews(self) -> bool {
        match self {
            Self::Reviewer | Self::Admin => true,
            Self::Reader | Self::Pusher | Self::Steward => false,
        }
    }

    /// Lowers what protects personal data.
    pub(crate) fn lowers(self) -> bool {
        match self {
            Self::Steward | Self::Admin => true,
            Self::Reader | Self::Pusher | Self::Reviewer => false,
        }
    }

    /// Reads data although the dataset is private; a gate stays a gate.
    pub(crate) fn reads(self) -> bool {
        match self {
            Self::Reader | Self::Pusher | Self::Steward | Self::Admin => true,
            Self::Reviewer => false,
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|it| it.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let near = nearest(text, names).map_or_else(String::new, |it| format!("did you mean `{it}`? "));
            Error::new(ErrorKind::Config, format!("`{text}` is no role"))
                .with_hint(format!("{near}the roles are {}", names.join(", ")))
        })
    }
}

/// Who has a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Account(String),
    /// Everybody in it.
    Group(String),
}

impl FromStr for Holder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = match text.split_once(':') {
            Some(("account", name)) => Some(Self::Account(name.to_owned())),
            Some(("group", name)) => Some(Self::Group(name.to_owned())),
            _ => None,
        };
        let holder = found.ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("`{text}` can have no role"))
                .with_hint("write `account:NAME` or `group:NAME`")
        })?;
        let (Self::Account(name) | Self::Group(name)) = &holder;
        check_name(name)?;
        Ok(holder)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "account:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

/// Accounts and groups are called as owners of datasets may be.
///
/// # Errors
/// `Config`.
pub(crate) fn check_name(name: &str) -> Result<()> {
    DatasetName::new(name, "x").map(drop)
}

/// A role and where it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleOn {
    pub(crate) role: Role,
    pub(crate) on: DatasetPattern,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_holders_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.name().parse::<Role>().unwrap(), role);
        }
        assert!("stewrad".parse::<Role>().unwrap_err().hint().unwrap().contains("`steward`"));
        for text in ["account:acme", "group:robot-lab"] {
            assert_eq!(text.parse::<Holder>().unwrap().to_string(), text);
        }
        for bad in ["acme", "team:x", "group:", "group:A b", "account:*"] {
            assert_eq!(bad.parse::<Holder>().unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }
}
